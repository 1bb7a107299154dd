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

/** One bit of struct sk_task.caps, e.g. SK_CAP(CAP_DAC_OVERRIDE) of <linux/capability.h>. */
#define SK_CAP(cap) (UINT64_C(1) << (cap))

/**
 * struct sk_task - a function of this program to run in a forked child, and what it may do there
 * @run:      hashes, unpacks, …; what it returns (0 to 125) becomes the exit status
 * @keep_fds: of all descriptors from 3 on only these stay open
 * @cwd:      working folder, or NULL
 * @uid, @gid: who to become (0: stay); supplementary groups are dropped with them
 * @caps:     the capabilities that it keeps while it stays root; all others go for good
 * @confined: for work on what strangers sent: it has no network, may write below @cwd alone, or nowhere (Landlock,
 *            where the kernel has it), and is the first to go when memory runs out
 * @program_fd: one of @keep_fds that sk_task_exec() is to run, wherever the file lies; 0 for none
 * @limit_as_bytes, @limit_cpu_s, @limit_fsize_bytes: rlimits; 0 for none
 * @out_max:  most bytes kept of its standard output
 * A task never gains a privilege by what it runs, and dies with the daemon.
 */
struct sk_task {
	int (*run)(void *arg);
	void *arg;
	const int *keep_fds;
	size_t n_keep;
	const char *cwd;
	uid_t uid;
	gid_t gid;
	uint64_t caps;
	bool confined;
	int program_fd;
	uint64_t limit_as_bytes, limit_cpu_s, limit_fsize_bytes;
	size_t out_max;
};

/** sk_child_task() - start @task in the event loop; @done and @ret as for sk_child_watch(). */
int sk_child_task(sd_event *event, const struct sk_task *task, sk_child_done_fn done, void *arg,
		  struct sk_child **ret, struct sk_err *err);

/**
 * sk_task_exec() - in a task: become the program that @program_fd is open on, with the rights of the task
 * @argv: NULL-terminated
 * @fds:  fds[i] becomes i + 3 in the program. All descriptors from 3 on must be close-on-exec.
 * Of the environment PATH alone is handed on.
 * Return: the exit status of a task that failed to become it
 */
int sk_task_exec(int program_fd, const char *const *argv, const int *fds, size_t n_fds);

/** sk_task_fail() - in a task: hand @err to the parent's sk_task_verdict(). Return: the exit status */
int sk_task_fail(const struct sk_err *err);

/**
 * sk_task_verdict() - how a task ended, from what its sk_child_done_fn was given
 * @what: "unpacking the archive", for the sentence about one that was killed
 * Return: 0 when it ended well, or what it failed with
 */
int sk_task_verdict(const char *what, int status, const char *out, const char *err_tail,
		    struct sk_err *err);
