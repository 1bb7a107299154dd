/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/simulate/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

/*
 * Process 1 of the virtual device: what systemd is on a real one, as far as the daemons need it. It
 * starts them, starts them again after a second when they end, and reaps what is left to it.
 */
#define AGENT_UID	 64100
#define RESTART_DELAY_MS 1000
#define STOP_TIMEOUT_MS	 20000
#define HALT_TIMEOUT_MS	 30000

struct service {
	const char *path, *option; /* option: may be NULL */
	uid_t uid;
	pid_t pid;
	uint64_t start_at_ms; /* 0: not wanted */
};

static void become(uid_t uid)
{
	if (uid == 0)
		return;
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0)
		_exit(126);
}

static void start(struct service *s)
{
	sigset_t none;

	s->pid = fork();
	if (s->pid < 0) {
		s->start_at_ms = sk_mono_ms() + RESTART_DELAY_MS;
		return;
	}
	if (s->pid > 0) {
		s->start_at_ms = 0;
		return;
	}
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setsid();
	become(s->uid);
	(void)execl(s->path, s->path, s->option, (char *)NULL);
	_exit(127);
}

static void reap(struct service *services, size_t n, bool restart)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t i = 0; i < n; i++) {
			if (services[i].pid != pid)
				continue;
			services[i].pid = 0;
			sk_notice("%s ended (%s %d)", services[i].path,
				  WIFSIGNALED(status) ? "signal" : "status",
				  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
			if (restart)
				services[i].start_at_ms = sk_mono_ms() + RESTART_DELAY_MS;
		}
	}
}

static bool alive(const struct service *services, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (services[i].pid > 0)
			return true;
	return false;
}

static void wait_ended(struct service *services, size_t n, uint64_t timeout_ms)
{
	struct timespec nap = { .tv_nsec = 20000000 };
	uint64_t deadline = sk_mono_ms() + timeout_ms;

	while (alive(services, n) && sk_mono_ms() < deadline) {
		reap(services, n, false);
		(void)nanosleep(&nap, NULL);
	}
}

/* The capsules in their order, as skerry-capsules.service does; the daemons; then whatever is left. */
static void shut_down(struct service *services, size_t n)
{
	struct service halt = { .path = "/run/bin/skerryd", .option = "--halt" };
	struct timespec nap = { .tv_nsec = 20000000 };
	uint64_t deadline;

	start(&halt);
	wait_ended(&halt, 1, HALT_TIMEOUT_MS);

	for (size_t i = 0; i < n; i++)
		if (services[i].pid > 0)
			(void)kill(services[i].pid, SIGTERM);
	wait_ended(services, n, STOP_TIMEOUT_MS);
	(void)kill(-1, SIGTERM);
	deadline = sk_mono_ms() + STOP_TIMEOUT_MS / 4;
	while (waitpid(-1, NULL, WNOHANG) >= 0 && sk_mono_ms() < deadline)
		(void)nanosleep(&nap, NULL);
	(void)kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	sync();
}

static void report_ready(int *fd)
{
	if (*fd < 0 || access("/run/skerry/skerry.sock", F_OK) < 0)
		return;
	(void)!write(*fd, "1", 1);
	(void)close(TAKE_FD(*fd));
}

static void loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &ifr) == 0) {
		ifr.ifr_flags |= IFF_UP;
		(void)ioctl(fd, SIOCSIFFLAGS, &ifr);
	}
}

/*
 * Out of the root of the device's control groups: a group with processes in it can hand no controller
 * down, and crun tries for two seconds before it gives that up.
 */
static void enter_own_group(void)
{
	_cleanup_close_ int fd = -1;

	if (mkdir("/sys/fs/cgroup/init", 0755) < 0 && errno != EEXIST)
		return;
	fd = open("/sys/fs/cgroup/init/cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (fd >= 0)
		(void)!write(fd, "0", 1);
}

void sk_sim_init(const struct sk_sim_config *c, int ready_fd)
{
	struct service services[] = {
		{ .path = "/run/bin/skerryd", .start_at_ms = 1 },
		{ .path = "/run/bin/skerry-agent",
		  .uid = AGENT_UID,
		  .start_at_ms = c->agent[0] ? 1 : 0 },
	};
	struct timespec tick = { .tv_nsec = 100000000 };
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)setenv("PATH", "/run/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	(void)setenv("GNUTLS_NO_IMPLICIT_INIT", "1", 1); /* as skerry-agent.service has it */
	(void)unsetenv("NOTIFY_SOCKET");
	enter_own_group();
	if (c->network != SK_SIM_NET_HOST)
		loopback_up();
	for (;;) {
		int sig;

		for (size_t i = 0; i < ARRAY_SIZE(services); i++)
			if (services[i].start_at_ms && services[i].start_at_ms <= sk_mono_ms())
				start(&services[i]);
		report_ready(&ready_fd);
		sig = sigtimedwait(&set, NULL, &tick);
		if (sig == SIGTERM || sig == SIGINT)
			break;
		reap(services, ARRAY_SIZE(services), true);
	}
	shut_down(services, ARRAY_SIZE(services));
	_exit(0);
}
