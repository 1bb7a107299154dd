/* SPDX-License-Identifier: Apache-2.0 */
#include "io/sys/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/str.h"
#include "io/sys/child_priv.h"
#include "io/sys/landlock.h"

#define KEEP_MAX 64

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Close all descriptors from 3 on but those in @keep. */
static int close_others(const int *keep, size_t n)
{
	int sorted[KEEP_MAX];
	unsigned from = 3;

	memcpy(sorted, keep, n * sizeof(*keep));
	qsort(sorted, n, sizeof(*sorted), by_number);
	for (size_t i = 0; i < n; i++) {
		if (sorted[i] < (int)from)
			continue;
		if (sorted[i] > (int)from && close_range(from, (unsigned)sorted[i] - 1, 0) < 0)
			return -errno;
		from = (unsigned)sorted[i] + 1;
	}
	return close_range(from, ~0U, 0) < 0 ? -errno : 0;
}

static int place_task_fds(const struct sk_task *t, int out_w, int err_w)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(out_w, 1) < 0 || dup2(err_w, 2) < 0)
		return -errno;
	return t->n_keep > 0		    ? close_others(t->keep_fds, t->n_keep)
	       : close_range(3, ~0U, 0) < 0 ? -errno
					    : 0;
}

static int limit(const struct sk_task *t)
{
	int r = 0;

	/* The shadow of a sanitizer takes terabytes of addresses. */
#ifndef __SANITIZE_ADDRESS__
	r = sk_child_limit(RLIMIT_AS, t->limit_as_bytes);
#endif
	if (r == 0)
		r = sk_child_limit(RLIMIT_CPU, t->limit_cpu_s);
	return r < 0 ? r : sk_child_limit(RLIMIT_FSIZE, t->limit_fsize_bytes);
}

/* No network but its own empty one. A kernel without these namespaces runs no capsules either. */
static int cut_off(void)
{
	_cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	/* Where it cannot be said, the kernel chooses by size, which mostly comes to the same. */
	if (fd >= 0)
		(void)sk_fd_write(fd, "1000", 4);
	return unshare(CLONE_NEWNET | CLONE_NEWIPC) < 0 && geteuid() == 0 ? -errno : 0;
}

/* A capability that leaves the bounding set is not regained by running a program. */
static void bound_caps(uint64_t keep)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(keep & SK_CAP(cap)))
			(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

static int drop_caps(uint64_t keep)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 }, now[2] = { 0 };

	if (syscall(SYS_capget, &head, now) < 0)
		return -errno;
	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted =
			(uint32_t)(keep >> (32 * i)) & now[i].permitted;
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

static int give_up_rights(const struct sk_task *t)
{
	uint64_t keep = t->uid == 0 ? t->caps : 0;
	int r = t->confined ? cut_off() : 0;

	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r == 0 && t->confined)
		r = sk_landlock_write_below(t->cwd ? "." : NULL,
					    t->program_fd > 0 ? t->program_fd : -1);
	bound_caps(keep);
	if (r == 0)
		r = sk_child_become(t->uid, t->gid);
	return r < 0 ? r : drop_caps(keep);
}

static int set_up(const struct sk_task *t, pid_t parent, int out_w, int err_w)
{
	int r;

	sk_child_reset_signals();
	r = place_task_fds(t, out_w, err_w);
	if (r == 0 && t->cwd && chdir(t->cwd) < 0)
		r = -errno;
	if (r == 0)
		r = limit(t);
	if (r == 0)
		r = give_up_rights(t);
	/* Last: a change of user takes it back. */
	return r < 0 ? r : sk_child_die_with(parent);
}

static int task_main(const struct sk_task *t, pid_t parent, int out_w, int err_w)
{
	int r = set_up(t, parent, out_w, err_w);

	if (r < 0) {
		(void)dprintf(2, "cannot set up a task: %s\n", strerror(-r));
		return 126;
	}
	r = t->run(t->arg);
	(void)fflush(stdout);
	(void)fflush(stderr);
	return r >= 0 && r <= 125 ? r : 125;
}

static int task_fork(const struct sk_task *t, int out_w, int err_w, struct sk_child *c)
{
	pid_t parent = getpid();

	/* A child would write buffered output a second time: flush before fork. */
	(void)fflush(stdout);
	(void)fflush(stderr);
	c->pid = fork();
	if (c->pid < 0)
		return -errno;
	if (c->pid == 0)
		_exit(task_main(t, parent, out_w, err_w));
	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (c->pidfd >= 0)
		return 0;
	(void)kill(c->pid, SIGKILL);
	(void)waitpid(c->pid, NULL, 0);
	return -EMFILE;
}

int sk_child_task(sd_event *event, const struct sk_task *task, sk_child_done_fn done, void *arg,
		  struct sk_child **ret, struct sk_err *err)
{
	_cleanup_(sk_child_freep) struct sk_child *c = NULL;
	_cleanup_close_ int out_w = -1, err_w = -1;
	int r;

	if (task->n_keep > KEEP_MAX)
		return sk_err_set(err, -EINVAL, "internal", "a task keeps too many descriptors");
	r = sk_child_new(event, task->out_max, done, arg, &c, &out_w, &err_w);
	if (r == 0)
		r = task_fork(task, out_w, err_w, c);
	if (r == 0)
		r = sk_child_attach(c, 0);
	if (r < 0)
		return sk_err_set(err, r, "child-failed", "cannot start a task: %s", strerror(-r));
	*ret = TAKE_PTR(c);
	return 0;
}

static int hand_on(const int *fds, size_t n)
{
	int high[KEEP_MAX];

	if (n > KEEP_MAX)
		return -EINVAL;
	/* First to numbers above all targets, so that no dup2() overwrites a source that is still needed. */
	for (size_t i = 0; i < n; i++) {
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, (int)n + 3);
		if (high[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i < n; i++)
		if (dup2(high[i], (int)i + 3) < 0)
			return -errno;
	return 0;
}

int sk_task_exec(int program_fd, const char *const *argv, const int *fds, size_t n_fds)
{
	const char *path = getenv("PATH");
	_cleanup_free_ char *variable = sk_asprintf("PATH=%s", path ? path : "/usr/bin:/bin");
	char *env[] = { variable, NULL };
	struct sk_err err = SK_ERR_INIT;
	_cleanup_close_ int program = fcntl(program_fd, F_DUPFD_CLOEXEC, (int)n_fds + 3);
	int r = program < 0 ? -errno : hand_on(fds, n_fds);

	if (r == 0 && syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH) < 0)
		r = -errno;
	(void)sk_err_set(&err, r, "child-failed", "cannot run %s: %s", argv[0], strerror(-r));
	return sk_task_fail(&err);
}
