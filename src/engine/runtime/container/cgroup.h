/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/**
 * struct sk_cgroup - what this machine's control groups can hold a capsule to
 * @v2: one tree (cgroup2); else the older one tree per controller
 * @swap: memory that was swapped out can be limited too
 */
struct sk_cgroup {
	bool v2, memory, swap, cpu, pids;
};

#define SK_CGROUP_ROOT "/sys/fs/cgroup"

/** sk_cgroup_detect() - look at @root. Nothing mounted there: nothing can be limited. */
void sk_cgroup_detect(const char *root, struct sk_cgroup *ret);

/** sk_cgroup_oom_killed() - was a process of the group killed because memory ran out? */
bool sk_cgroup_oom_killed(const char *root, const struct sk_cgroup *cg, const char *path);

/** sk_cgroup_kill() - SIGKILL to all that is left in the group, then remove it (v2). */
void sk_cgroup_kill(const char *root, const struct sk_cgroup *cg, const char *path);
