/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/simulate/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

#define READY_TIMEOUT_MS 30000
#define STOP_TIMEOUT_MS	 60000
#define OFF_TIMEOUT_MS	 15000

struct machine {
	const struct sk_sim_config *c;
	const struct sk_sim_provision *p;
	int lock_fd;
	pid_t pid, network_pid;
	int go_write, ready_read;
	char cgroup[PATH_MAX];
};

static int lock_dir(const char *dir, struct sk_err *err)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return sk_err_set(err, -errno, "io", "cannot open %s: %s", dir, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return sk_err_set(err, -EBUSY, "in-use", "device %s is on already", dir);
	return TAKE_FD(fd);
}

pid_t sk_sim_pid(const struct sk_sim_config *c)
{
	_cleanup_free_ char *path = sk_asprintf("%s/machine.pid", c->dir);
	_cleanup_close_ int fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	uint32_t pid;
	size_t len;

	/* The lock is held by the process that runs the device: a pid file without it is stale. */
	if (!path || fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0)
		return 0;
	if (sk_file_read(AT_FDCWD, path, 32, &text, &len) < 0 || sk_parse_u32(text, &pid) < 0)
		return 0;
	return kill((pid_t)pid, 0) == 0 ? (pid_t)pid : 0;
}

/*
 * On a machine with mixed control groups the version 2 tree has its root at the machine's own, so
 * the device's groups get a folder of their own in it, which is removed afterwards.
 */
static void enter_cgroup(struct machine *m)
{
	_cleanup_free_ char *mnt = sk_asprintf("%s/cgroup", m->c->dir);
	_cleanup_free_ char *self = NULL, *procs = NULL;
	char line[PATH_MAX] = "";
	size_t len;
	const char *own;

	if (!mnt || sk_file_read(AT_FDCWD, "/proc/self/cgroup", 64 << 10, &self, &len) < 0)
		return;
	own = strstr(self, "0::/");
	if (!own || (mkdir(mnt, 0700) < 0 && errno != EEXIST))
		return;
	(void)snprintf(line, sizeof(line), "%.*s", (int)strcspn(own + 3, "\n"), own + 3);
	if (mount("cgroup2", mnt, "cgroup2", 0, NULL) < 0)
		return;
	(void)snprintf(m->cgroup, sizeof(m->cgroup), "%s%s/skerry-device-%d", mnt,
		       sk_streq(line, "/") ? "" : line, (int)getpid());
	procs = sk_asprintf("%s/cgroup.procs", m->cgroup);
	if (mkdir(m->cgroup, 0755) == 0 && procs) {
		_cleanup_close_ int fd = open(procs, O_WRONLY | O_CLOEXEC);

		if (fd >= 0)
			(void)!write(fd, "0", 1);
	}
}

/* The device's root group must have no process in it: see enter_own_group() in init.c. */
static void leave_group_root(const struct machine *m)
{
	_cleanup_free_ char *dir = sk_asprintf("%s/holder", m->cgroup);
	_cleanup_free_ char *procs = sk_asprintf("%s/holder/cgroup.procs", m->cgroup);
	_cleanup_close_ int fd = -1;

	if (!m->cgroup[0] || !dir || !procs || (mkdir(dir, 0755) < 0 && errno != EEXIST))
		return;
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)!write(fd, "0", 1);
}

/* Runs in the device's namespaces as its process 1. */
static void device_main(struct machine *m, int go_read, int ready_write) __attribute__((noreturn));
static void device_main(struct machine *m, int go_read, int ready_write)
{
	struct sk_err err = SK_ERR_INIT;
	char c;

	/* The device ends with the process that runs it. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Only here: pivot_root() moves every process of a mount namespace, the holder too. */
	if (unshare(CLONE_NEWNS) < 0)
		_exit(1);
	if (sk_sim_root_enter(m->c, m->p, &err) < 0) {
		(void)!write(ready_write, err.text, strlen(err.text));
		_exit(1);
	}
	/* The desk attaches the network before anything runs that wants one. */
	if (read(go_read, &c, 1) != 1)
		_exit(1);
	(void)close(go_read);
	sk_sim_init(m->c, ready_write);
}

static void use_console(const char *dir)
{
	_cleanup_free_ char *path = sk_asprintf("%s/console.log", dir);
	_cleanup_close_ int fd =
		path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || null < 0)
		_exit(1);
	(void)dup2(null, STDIN_FILENO);
	(void)dup2(fd, STDOUT_FILENO);
	(void)dup2(fd, STDERR_FILENO);
}

static int unshare_flags(const struct sk_sim_config *c)
{
	int flags = CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWCGROUP;

	return c->network == SK_SIM_NET_HOST ? flags : flags | CLONE_NEWNET;
}

/*
 * Between desk and device stands one process that makes the namespaces: the desk's own must stay
 * as they are, and the cgroup tree is mounted where only it can see it.
 */
static void holder_main(struct machine *m, int pid_write, int go_read, int ready_write)
	__attribute__((noreturn));
static void holder_main(struct machine *m, int pid_write, int go_read, int ready_write)
{
	pid_t pid;
	int status = 0;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	use_console(m->c->dir);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		_exit(1);
	enter_cgroup(m);
	pid = unshare(unshare_flags(m->c)) < 0 ? -1 : fork();
	if (pid < 0)
		_exit(1);
	if (pid == 0)
		device_main(m, go_read, ready_write);
	leave_group_root(m);
	(void)close(ready_write);
	(void)close(go_read);
	(void)!write(pid_write, &pid, sizeof(pid));
	(void)close(pid_write);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (m->cgroup[0]) {
		/*
		 * Leave the group first, because a group with a process in it cannot be removed; then remove
		 * the leaves.
		 */
		_cleanup_free_ char *up = sk_asprintf("%s/../cgroup.procs", m->cgroup);
		_cleanup_close_ int fd = up ? open(up, O_WRONLY | O_CLOEXEC) : -1;

		if (fd >= 0)
			(void)!write(fd, "0", 1);
		(void)execlp("find", "find", m->cgroup, "-depth", "-type", "d", "-delete",
			     (char *)NULL);
	}
	_exit(0);
}

static int spawn_holder(struct machine *m, struct sk_err *err)
{
	int go[2], ready[2], pid_pipe[2];
	pid_t holder;

	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(ready, O_CLOEXEC) < 0 ||
	    pipe2(pid_pipe, O_CLOEXEC) < 0)
		return sk_err_set(err, -errno, "io", "cannot start the device: %s",
				  strerror(errno));
	holder = fork();
	if (holder < 0)
		return sk_err_set(err, -errno, "child-failed", "cannot start the device: %s",
				  strerror(errno));
	if (holder == 0) {
		(void)close(go[1]);
		(void)close(ready[0]);
		(void)close(pid_pipe[0]);
		holder_main(m, pid_pipe[1], go[0], ready[1]);
	}
	(void)close(go[0]);
	(void)close(ready[1]);
	(void)close(pid_pipe[1]);
	m->go_write = go[1];
	m->ready_read = ready[0];
	if (read(pid_pipe[0], &m->pid, sizeof(m->pid)) != (ssize_t)sizeof(m->pid))
		m->pid = 0;
	(void)close(pid_pipe[0]);
	if (m->pid <= 0)
		return sk_err_set(
			err, -ECHILD, "child-failed",
			"cannot make the device's namespaces; this needs root (see %s/console.log)",
			m->c->dir);
	return 0;
}

/* "1" when the daemon answers; otherwise the sentence that says what went wrong. */
static int wait_device_ready(struct machine *m, struct sk_err *err)
{
	struct pollfd p = { .fd = m->ready_read, .events = POLLIN };
	char text[SK_ERR_TEXT_MAX] = "";
	ssize_t n;

	if (poll(&p, 1, READY_TIMEOUT_MS) != 1)
		return sk_err_set(err, -ETIMEDOUT, "timeout",
				  "the device's daemon did not come up; see %s/console.log",
				  m->c->dir);
	n = read(m->ready_read, text, sizeof(text) - 1);
	if (n == 1 && text[0] == '1')
		return 0;
	return sk_err_set(err, -EIO, "child-failed", "the device did not start: %s",
			  n > 1 ? text : "see its console.log");
}

static int write_pid(const struct machine *m, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_asprintf("%s/machine.pid", m->c->dir);
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", (int)m->pid);
	int r = path ? sk_file_write(AT_FDCWD, path, text, (size_t)n, 0644) : -ENOMEM;

	return r < 0 ? sk_err_set(err, r, "io", "cannot write %s: %s", path, strerror(-r)) : 0;
}

static volatile sig_atomic_t stop_asked;

static void on_stop(int sig)
{
	stop_asked = 1;
}

/* Until the device is off; a stop signal to the desk's command shuts the device down in order. */
static void wait_off(struct machine *m)
{
	struct sigaction sa = { .sa_handler = on_stop };
	bool stop_sent = false;
	int status;

	(void)sigaction(SIGINT, &sa, NULL);
	(void)sigaction(SIGTERM, &sa, NULL);
	for (;;) {
		struct timespec nap = { .tv_nsec = 50000000 };
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid < 0 && errno == ECHILD)
			return;
		/* Only holder and network are our children; the network alone may go. */
		if (pid > 0 && pid != m->network_pid)
			return;
		if (stop_asked && !stop_sent) {
			(void)kill(m->pid, SIGTERM);
			stop_sent = true;
		}
		if (pid == 0)
			(void)nanosleep(&nap, NULL);
	}
}

static int power_on(struct machine *m, struct sk_err *err)
{
	int r = spawn_holder(m, err);

	if (r < 0)
		return r;
	r = write_pid(m, err);
	if (r == 0)
		r = sk_sim_network_up(m->c, m->pid, &m->network_pid, err);
	if (r == 0 && write(m->go_write, "1", 1) != 1)
		r = wait_device_ready(m, err) < 0 ? -EIO : 0;
	if (r == 0)
		r = wait_device_ready(m, err);
	return r;
}

static void power_off(struct machine *m)
{
	_cleanup_free_ char *path = sk_asprintf("%s/machine.pid", m->c->dir);

	if (m->pid > 0)
		(void)kill(m->pid, SIGKILL);
	if (m->network_pid > 0)
		(void)kill(m->network_pid, SIGTERM);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	if (path)
		(void)unlink(path);
}

int sk_sim_run(const struct sk_sim_config *c, const struct sk_sim_provision *p,
	       void (*on_ready)(void *), void *arg, struct sk_err *err)
{
	struct machine m = { .c = c, .p = p, .go_write = -1, .ready_read = -1 };
	_cleanup_close_ int lock = -1;
	int r;

	lock = lock_dir(c->dir, err);
	if (lock < 0)
		return lock;
	r = sk_sim_disk_make(c, err);
	if (r < 0)
		return r;
	(void)signal(SIGPIPE, SIG_IGN);
	r = power_on(&m, err);
	if (r == 0) {
		if (on_ready)
			on_ready(arg);
		wait_off(&m);
		m.pid = 0;
	}
	power_off(&m);
	sk_closep(&m.go_write);
	sk_closep(&m.ready_read);
	return r;
}

int sk_sim_wait_off(const struct sk_sim_config *c, struct sk_err *err)
{
	_cleanup_close_ int fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t deadline = sk_mono_ms() + OFF_TIMEOUT_MS;
	struct timespec nap = { .tv_nsec = 5000000 };

	while (fd >= 0 && sk_mono_ms() < deadline) {
		if (flock(fd, LOCK_SH | LOCK_NB) == 0)
			return 0;
		(void)nanosleep(&nap, NULL);
	}
	return sk_err_set(err, -ETIMEDOUT, "timeout", "device %s does not go off", c->dir);
}

int sk_sim_stop(const struct sk_sim_config *c, struct sk_err *err)
{
	pid_t pid = sk_sim_pid(c);
	struct pollfd p = { .events = POLLIN };
	int r = 0;

	if (pid == 0)
		return sk_err_set(err, -ESRCH, "bad-state", "device %s is off", c->dir);
	p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (p.fd < 0 || kill(pid, SIGTERM) < 0)
		r = sk_err_set(err, -errno, "io", "cannot stop device %s: %s", c->dir,
			       strerror(errno));
	else if (poll(&p, 1, STOP_TIMEOUT_MS) != 1)
		r = sk_err_set(err, -ETIMEDOUT, "timeout", "device %s does not stop", c->dir);
	sk_closep(&p.fd);
	return r < 0 ? r : sk_sim_wait_off(c, err);
}
