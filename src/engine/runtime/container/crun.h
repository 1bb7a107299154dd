/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>

#include "base/buf.h"
#include "engine/runtime/container/idmap.h"
#include "engine/runtime/container/kind.h"

/* Shared by the files crun*.c and container.c only. */

/**
 * struct sk_crun_unit - a container
 * @child:     crun or conmon's first process, whichever is under way
 * @looks, @alone: while it is being created: how often it was looked at; how often, the last times,
 *	       the monitor had no runtime beside it
 * @launched:  being created, the result has not been reported yet
 * @synced:    conmon has reported the container's pid
 * @starting:  it was let go, which has not been reported yet
 * @ended:     conmon has ended
 * @cleaning, @deleted: being cleaned; crun delete is through
 */
struct sk_crun_unit {
	struct sk_runtime_unit *u;
	struct sk_child *child;
	int sync_fd, conmon_fd, pid_fd;
	struct sk_userns userns; /* while it is being created */
	sd_event_source *sync_source, *conmon_source, *timer, *defer;
	struct sk_buf sync;
	int looks, alone;
	bool launched, synced, starting, ended, cleaning, deleted;
};

/* crun.c: making, ending and cleaning; all operations as in struct sk_runtime_ops */

int sk_crun_init(struct sk_runtime_unit *u);
void sk_crun_done(struct sk_runtime_unit *u);
int sk_crun_prepare(struct sk_runtime_unit *u, struct sk_err *err);
int sk_crun_signal(struct sk_runtime_unit *u, int sig, struct sk_err *err);
void sk_crun_clean(struct sk_runtime_unit *u);
void sk_crun_reopen_log(struct sk_runtime_unit *u);
/** Take hold of both processes, so that no other process gets their numbers from here on. 0 or -errno */
int sk_crun_hold(struct sk_crun_unit *c, pid_t conmon, pid_t pid);
void sk_crun_let_loose(struct sk_crun_unit *c);
/** Watch a living container, which is held, from now on. 0 or -errno */
int sk_crun_watch(struct sk_crun_unit *c);
/** Report that it ended, and how. */
void sk_crun_report_end(struct sk_crun_unit *c);
/**
 * sk_crun_path_variable() - "PATH=...": all that crun and conmon get of this process's environment
 * Above all not NOTIFY_SOCKET: crun would hold the capsule until that says that it is ready.
 * Owned; NULL without memory.
 */
char *sk_crun_path_variable(void);
/** crun with the engine's own state folder and @more arguments; as sk_child_watch() */
int sk_crun_spawn(struct sk_crun_unit *c, char *const *more, size_t out_max, uint64_t timeout_ms,
		  sk_child_done_fn done, void *arg, struct sk_child **ret, struct sk_err *err);

/* crun_start.c, crun_exec.c, crun_recover.c: operations */

int sk_crun_start(struct sk_runtime_unit *u, struct sk_err *err);
int sk_crun_exec(struct sk_runtime_unit *u, char *const *argv, uint64_t timeout_ms,
		 sk_child_done_fn done, void *arg, struct sk_child **ret, struct sk_err *err);
void sk_crun_end_exec(struct sk_runtime_unit *u);
enum sk_runtime_found sk_crun_recover(struct sk_runtime_unit *u, int *ret_code);

/* crun_process.c */

char *sk_crun_path(const struct sk_crun_unit *c, const char *name, char buf[static PATH_MAX]);
/** A small whole number that a file of the capsule's folder holds. 0 or -errno */
int sk_crun_read_number(const struct sk_crun_unit *c, const char *name, long *ret);
/** Note when the monitor began, for a later daemon to know it by. */
void sk_crun_monitor_note(const struct sk_crun_unit *c, pid_t conmon);
/** Is it the container's monitor still, and not another process that has its number now? */
bool sk_crun_is_monitor(const struct sk_crun_unit *c, pid_t pid);
/** Does the monitor live, and has no child but containers? */
bool sk_crun_monitor_alone(const struct sk_crun_unit *c);
/** Are both in the same namespace of processes? */
bool sk_crun_same_space(long a, long b);
/** SIGKILL to every process that was started for this capsule and names it. */
void sk_crun_kill_stragglers(const struct sk_crun_unit *c);
