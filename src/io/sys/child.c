/* SPDX-License-Identifier: Apache-2.0 */
#include "io/sys/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/str.h"
#include "io/sys/child_priv.h"

#define STACK_SIZE (64 * 1024)
#define FDS_MAX	   64

/* What parent and child share while the parent waits for exec. */
struct launch {
	const struct sk_child_spec *spec;
	pid_t parent;
	const char *step;
	int error;
};

void sk_child_reset_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		if (s != SIGKILL && s != SIGSTOP)
			(void)sigaction(s, &dfl, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

int sk_child_become(uid_t uid, gid_t gid)
{
	/* Plain system calls: glibc's wrappers would signal the other threads of the parent, whose
	 * memory a child shares until exec. */
	if (uid == 0 && gid == 0)
		return 0;
	if (syscall(SYS_setgroups, 0, NULL) < 0)
		return -errno;
	if (gid != 0 && syscall(SYS_setresgid, gid, gid, gid) < 0)
		return -errno;
	if (uid != 0 && syscall(SYS_setresuid, uid, uid, uid) < 0)
		return -errno;
	return 0;
}

int sk_child_die_with(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	/* The parent may have died before prctl(): then the signal never comes. */
	return getppid() == parent ? 0 : -ESRCH;
}

int sk_child_limit(int resource, uint64_t value)
{
	struct rlimit now, lim = { .rlim_cur = value, .rlim_max = value };

	if (value == 0)
		return 0;
	if (getrlimit(resource, &now) < 0)
		return -errno;
	if (now.rlim_max < lim.rlim_max)
		lim = (struct rlimit){ .rlim_cur = now.rlim_max, .rlim_max = now.rlim_max };
	return setrlimit(resource, &lim) < 0 ? -errno : 0;
}

static int limits(const struct sk_child_spec *s)
{
	int r = sk_child_limit(RLIMIT_AS, s->limit_as_bytes);

	if (r == 0)
		r = sk_child_limit(RLIMIT_CPU, s->limit_cpu_s);
	return r < 0 ? r : sk_child_limit(RLIMIT_FSIZE, s->limit_fsize_bytes);
}

/* Put the descriptors of @s at 0 to n + 2 and close all others. */
static int place_child_fds(const struct sk_child_spec *s)
{
	int high[FDS_MAX + 3], n = (int)s->n_fds + 3;

	/* First to numbers above all targets, so that no dup2() overwrites a source that is still needed. */
	for (int i = 0; i < n; i++) {
		int from = i == 0   ? s->stdin_fd
			   : i == 1 ? s->stdout_fd
			   : i == 2 ? s->stderr_fd
				    : s->fds[i - 3];

		if (from < 0 && i < 3) {
			from = open("/dev/null", O_RDWR | O_CLOEXEC);
			if (from < 0)
				return -errno;
		}
		high[i] = fcntl(from, F_DUPFD_CLOEXEC, n);
		if (high[i] < 0)
			return -errno;
	}
	for (int i = 0; i < n; i++)
		if (dup2(high[i], i) < 0)
			return -errno;
	return close_range((unsigned)n, ~0U, 0) < 0 ? -errno : 0;
}

static int child_fail(struct launch *l, const char *step, int r)
{
	l->step = step;
	l->error = r;
	return 127;
}

/* Runs in the child on a stack of its own, in the parent's memory: system calls only. */
static int launch_main(void *arg)
{
	struct launch *l = arg;
	const struct sk_child_spec *s = l->spec;
	int r;

	sk_child_reset_signals();
	if (s->setsid && setsid() < 0)
		return child_fail(l, "start a session", -errno);
	r = place_child_fds(s);
	if (r < 0)
		return child_fail(l, "hand on descriptors", r);
	if (s->cwd && chdir(s->cwd) < 0)
		return child_fail(l, "enter the working folder", -errno);
	r = limits(s);
	if (r < 0)
		return child_fail(l, "set limits", r);
	r = sk_child_become(s->uid, s->gid);
	if (r < 0)
		return child_fail(l, "change user", r);
	if (s->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return child_fail(l, "set no_new_privs", -errno);
	r = s->kill_with_parent ? sk_child_die_with(l->parent) : 0;
	if (r < 0)
		return child_fail(l, "tie it to its parent", r);
	(void)execvpe(s->argv[0], (char *const *)s->argv, s->env ? (char *const *)s->env : environ);
	return child_fail(l, "run it", -errno);
}

/* vfork semantics: this thread goes on once the child has called exec or ended. */
static pid_t launch(struct launch *l, int *ret_pidfd)
{
	_cleanup_free_ char *stack = malloc(STACK_SIZE);
	sigset_t all, old;
	pid_t pid;

	if (!stack)
		return -ENOMEM;
	(void)sigfillset(&all);
	/* No handler of ours may run in the child while it shares our memory. */
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = clone(launch_main, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
		    l, ret_pidfd);
	if (pid < 0)
		pid = -errno;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid;
}

int sk_child_start(const struct sk_child_spec *spec, pid_t *ret_pid, int *ret_pidfd,
		   struct sk_err *err)
{
	struct launch l = { .spec = spec, .parent = getpid() };
	_cleanup_close_ int pidfd = -1;
	pid_t pid;

	if (!spec->argv || !spec->argv[0] || spec->n_fds > FDS_MAX)
		return sk_err_set(err, -EINVAL, "internal", "wrong description of a child");
	pid = launch(&l, &pidfd);
	if (pid < 0)
		return sk_err_set(err, pid, "child-failed", "cannot start %s: %s", spec->argv[0],
				  strerror(-pid));
	if (l.error < 0) {
		(void)waitpid(pid, NULL, 0);
		return sk_err_set(err, l.error, "child-failed", "cannot start %s: cannot %s: %s",
				  spec->argv[0], l.step, strerror(-l.error));
	}
	*ret_pid = pid;
	*ret_pidfd = TAKE_FD(pidfd);
	return 0;
}

int sk_child_spawn(const struct sk_child_spec *spec, pid_t *ret_pid, struct sk_err *err)
{
	_cleanup_close_ int pidfd = -1;

	return sk_child_start(spec, ret_pid, &pidfd, err);
}

void sk_child_tail_add(struct sk_child_tail *t, const char *data, size_t len)
{
	if (len > SK_CHILD_ERR_TAIL) {
		data += len - SK_CHILD_ERR_TAIL;
		len = SK_CHILD_ERR_TAIL;
	}
	if (t->len + len >= sizeof(t->text)) {
		memmove(t->text, t->text + t->len - SK_CHILD_ERR_TAIL, SK_CHILD_ERR_TAIL);
		t->len = SK_CHILD_ERR_TAIL;
	}
	for (size_t i = 0; i < len; i++)
		t->text[t->len++] = data[i] ? data[i] : '?';
	t->text[t->len] = '\0';
}

const char *sk_child_tail_end(struct sk_child_tail *t)
{
	while (t->len > 0 && strchr(" \t\r\n", t->text[t->len - 1]))
		t->text[--t->len] = '\0';
	return t->len > SK_CHILD_ERR_TAIL ? t->text + t->len - SK_CHILD_ERR_TAIL : t->text;
}

int sk_child_pipe(int ret[2])
{
	if (pipe2(ret, O_CLOEXEC) < 0)
		return -errno;
	return fcntl(ret[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

ssize_t sk_child_read(int fd, char *buf, size_t size)
{
	ssize_t n;

	do {
		n = read(fd, buf, size);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* State of sk_child_run(). */
struct run {
	int pidfd, out, err;
	struct sk_buf output;
	struct sk_child_tail tail;
};

static void run_done(struct run *run)
{
	sk_closep(&run->pidfd);
	sk_closep(&run->out);
	sk_closep(&run->err);
	sk_buf_done(&run->output);
}

/* Read what is there now; a stream that ended is closed. */
static int run_drain(struct run *run)
{
	char chunk[16384];
	ssize_t n = 0;
	int r;

	while (run->out >= 0 && (n = sk_child_read(run->out, chunk, sizeof(chunk))) > 0) {
		r = sk_buf_add(&run->output, chunk, (size_t)n);
		if (r < 0)
			return r == -EMSGSIZE ? -EFBIG : r;
	}
	if (n == 0 && run->out >= 0) {
		(void)close(run->out);
		run->out = -1;
	}
	n = 0;
	while (run->err >= 0 && (n = sk_child_read(run->err, chunk, sizeof(chunk))) > 0)
		sk_child_tail_add(&run->tail, chunk, (size_t)n);
	if (n == 0 && run->err >= 0) {
		(void)close(run->err);
		run->err = -1;
	}
	return 0;
}

/* Until the child has ended; what a grandchild writes later is not waited for. */
static int run_loop(struct run *run)
{
	for (;;) {
		struct pollfd p[] = { { .fd = run->pidfd, .events = POLLIN },
				      { .fd = run->out, .events = POLLIN },
				      { .fd = run->err, .events = POLLIN } };
		int r;

		if (poll(p, ARRAY_SIZE(p), -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		r = run_drain(run);
		if (r < 0)
			return r;
		if (p[0].revents)
			return 0;
	}
}

static const char *last_line(struct sk_child_tail *t)
{
	const char *all = sk_child_tail_end(t), *nl = strrchr(all, '\n');

	return nl ? nl + 1 : all;
}

static int run_status(const char *name, int status, struct run *run, struct sk_err *err)
{
	const char *why = last_line(&run->tail);
	const char *colon = *why ? ": " : "";

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		return sk_err_set(err, -EIO, "child-failed", "%s was killed by signal %d%s%s", name,
				  WTERMSIG(status), colon, why);
	return sk_err_set(err, -EIO, "child-failed", "%s failed with status %d%s%s", name,
			  WEXITSTATUS(status), colon, why);
}

static int run_start(const struct sk_child_spec *spec, bool want_out, struct run *run,
		     pid_t *ret_pid, struct sk_err *err)
{
	struct sk_child_spec s = *spec;
	int out[2] = { -1, -1 }, e[2] = { -1, -1 }, r = 0;

	if (want_out && s.stdout_fd < 0)
		r = sk_child_pipe(out);
	if (r == 0 && s.stderr_fd < 0)
		r = sk_child_pipe(e);
	run->out = out[0];
	run->err = e[0];
	if (s.stdout_fd < 0)
		s.stdout_fd = out[1];
	if (s.stderr_fd < 0)
		s.stderr_fd = e[1];
	if (r == 0)
		r = sk_child_start(&s, ret_pid, &run->pidfd, err);
	else
		(void)sk_err_set(err, r, "child-failed", "cannot make a pipe: %s", strerror(-r));
	sk_closep(&out[1]);
	sk_closep(&e[1]);
	return r;
}

static int reap(pid_t pid, int *ret_status)
{
	while (waitpid(pid, ret_status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int sk_child_run(const struct sk_child_spec *spec, size_t stdout_max, char **ret_out,
		 size_t *ret_len, struct sk_err *err)
{
	_cleanup_(run_done) struct run run = { -1, -1, -1, .output = SK_BUF(stdout_max) };
	int status = 0, r;
	pid_t pid;

	r = run_start(spec, ret_out != NULL, &run, &pid, err);
	if (r < 0)
		return r;
	r = run_loop(&run);
	if (r < 0)
		(void)kill(pid, SIGKILL);
	if (reap(pid, &status) < 0)
		return sk_err_set(err, -ECHILD, "internal", "%s was reaped elsewhere",
				  spec->argv[0]);
	if (r == -EFBIG)
		return sk_err_set(err, r, "child-failed", "%s wrote more than %zu bytes",
				  spec->argv[0], stdout_max);
	if (r < 0)
		return sk_err_set(err, r, "child-failed", "cannot read from %s: %s", spec->argv[0],
				  strerror(-r));
	r = run_status(spec->argv[0], status, &run, err);
	if (r < 0 || !ret_out)
		return r;
	if (sk_buf_reserve(&run.output, 0) < 0)
		return sk_err_oom(err);
	run.output.data[run.output.len] = '\0';
	*ret_out = sk_buf_take(&run.output, ret_len);
	return *ret_out ? 0 : sk_err_oom(err);
}
