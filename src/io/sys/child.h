/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/err.h"

/**
 * struct sk_child_spec - what to run, and with how little
 * @argv:        NULL-terminated; argv[0] is looked up in PATH
 * @env:         NULL-terminated "K=V" list, or NULL for the caller's environment
 * @fds:         descriptors to hand on; fds[i] becomes i + 3 in the child; all others are closed
 * @stdin_fd, @stdout_fd, @stderr_fd: -1 for /dev/null
 * @cwd:         working folder, or NULL
 * @uid, @gid:   who to become (0: stay); supplementary groups are dropped with them
 * @no_new_privs, @kill_with_parent: PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG
 * @setsid:      a session of its own
 * @limit_as_bytes, @limit_cpu_s, @limit_fsize_bytes: rlimits; 0 for none
 */
struct sk_child_spec {
	const char *const *argv;
	const char *const *env;
	const int *fds;
	size_t n_fds;
	int stdin_fd, stdout_fd, stderr_fd;
	const char *cwd;
	uid_t uid;
	gid_t gid;
	bool no_new_privs, kill_with_parent, setsid;
	uint64_t limit_as_bytes, limit_cpu_s, limit_fsize_bytes;
};

#define SK_CHILD_SPEC(...) \
	((struct sk_child_spec){ .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, __VA_ARGS__ })

/**
 * sk_child_spawn() - start a program; failures of exec are reported here, not by an exit status
 * Return: 0 with the pid, or -errno ("child-failed"), e.g. -ENOENT when there is no such program
 */
int sk_child_spawn(const struct sk_child_spec *spec, pid_t *ret_pid, struct sk_err *err);

/**
 * sk_child_run() - start, wait, collect; blocks: for tools and helpers, never in a daemon's loop
 * @stdout_max: most bytes to keep of its standard output; more is -EFBIG
 * @ret_out:    its standard output, NUL-terminated, or NULL when not wanted
 * A non-zero exit is "child-failed" and the sentence ends with the last line of its standard error.
 */
int sk_child_run(const struct sk_child_spec *spec, size_t stdout_max, char **ret_out,
		 size_t *ret_len, struct sk_err *err);

/**
 * sk_child_watch() - start in the event loop
 * @done is called once: status as of waitpid(); out is its standard output up to @out_max bytes
 * (the rest is thrown away), err_tail the last 1 KiB of standard error.
 * The handle may be freed any time, inside @done too; freeing it earlier kills the child.
 */
struct sk_child;
typedef void (*sk_child_done_fn)(void *arg, int status, const char *out, const char *err_tail);
int sk_child_watch(sd_event *event, const struct sk_child_spec *spec, size_t out_max,
		   uint64_t timeout_ms, sk_child_done_fn done, void *arg, struct sk_child **ret,
		   struct sk_err *err);
pid_t sk_child_pid(const struct sk_child *c);
void sk_child_free(struct sk_child *c);
SK_DEFINE_CLEANUP(struct sk_child, sk_child_free);

/**
 * sk_child_task() - run a function of this program in a forked child, e.g. hashing or unpacking
 * The function's return value (0 to 125) becomes the exit status; what it writes to standard
 * output reaches @done. The child keeps no descriptor but those it uses: @keep_fds.
 */
int sk_child_task(sd_event *event, int (*task)(void *arg), void *task_arg, const int *keep_fds,
		  size_t n_keep, uid_t uid, gid_t gid, size_t out_max, sk_child_done_fn done,
		  void *arg, struct sk_child **ret, struct sk_err *err);
