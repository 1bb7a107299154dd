/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>

#include "base/buf.h"
#include "engine/capsule/idmap.h"
#include "engine/capsule/runtime.h"

/* Shared by the files crun*.c only. */

/**
 * struct crun_unit - a container
 * @child:     crun or conmon's first process, whichever is under way
 * @looks, @alone: while it is being created: how often it was looked at; how often, the last times,
 *	       the monitor had no runtime beside it
 * @launched:  being created, the result has not been told yet
 * @synced:    conmon has told the container's pid
 * @starting:  it was let go, which has not been told yet
 * @ended:     conmon has ended
 * @cleaning, @deleted: being cleaned; crun delete is through
 */
struct crun_unit {
	struct sk_runtime_unit *u;
	struct sk_child *child;
	int sync_fd, conmon_fd, pid_fd;
	struct sk_userns userns; /* while it is being created */
	sd_event_source *sync_source, *conmon_source, *timer, *defer;
	struct sk_buf sync;
	int looks, alone;
	bool launched, synced, starting, ended, cleaning, deleted;
};

char *crun_path(const struct crun_unit *c, const char *name, char buf[static PATH_MAX]);
/** A small whole number that a file of the capsule's folder holds. 0 or -errno */
int crun_read_number(const struct crun_unit *c, const char *name, long *ret);
/** Take hold of both processes, so that their numbers can be nobody else's from here on. 0 or -errno */
int crun_hold(struct crun_unit *c, pid_t conmon, pid_t pid);
void crun_let_loose(struct crun_unit *c);
/** Watch a living container, which is held, from now on. 0 or -errno */
int crun_watch(struct crun_unit *c);
/** Note when the monitor began, for a later daemon to know it by. */
void crun_monitor_note(const struct crun_unit *c, pid_t conmon);
/** Does the monitor live, and has no child but containers? */
bool crun_monitor_alone(const struct crun_unit *c);
/** Are both in the same namespace of processes? */
bool crun_same_space(long a, long b);
/** Tell that it ended, and how. */
void crun_report_end(struct crun_unit *c);
int crun_start(struct sk_runtime_unit *u, struct sk_err *err);
/**
 * crun_path_variable() - "PATH=...": all that crun and conmon get of this process's environment
 * Above all not NOTIFY_SOCKET: crun would hold the capsule until that tells it that it is ready.
 * Owned; NULL without memory.
 */
char *crun_path_variable(void);
/** crun with the engine's own state folder and @more arguments; as sk_child_watch() */
int crun_spawn(struct crun_unit *c, char *const *more, size_t out_max, uint64_t timeout_ms,
	       sk_child_done_fn done, void *arg, struct sk_child **ret, struct sk_err *err);
int crun_exec(struct sk_runtime_unit *u, char *const *argv, uint64_t timeout_ms,
	      sk_child_done_fn done, void *arg, struct sk_child **ret, struct sk_err *err);
void crun_end_exec(struct sk_runtime_unit *u);
/** SIGKILL to every process that was started for this capsule and names it. */
void crun_kill_stragglers(const struct crun_unit *c);
enum sk_runtime_found crun_recover(struct sk_runtime_unit *u, int *ret_code);
