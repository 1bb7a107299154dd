/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/capsule/guard.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 10 /* between SIGTERM and SIGKILL: mmdebstrap cleans up too */
#define POLL_MS	   20

static void begin_child(const sigset_t *before)
{
	(void)setpgid(0, 0);
	(void)signal(SIGTTOU, SIG_IGN); /* so that its messages still reach the terminal */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)sigprocmask(SIG_SETMASK, before, NULL);
}

static bool is_gone(pid_t pid, int *status)
{
	pid_t r = waitpid(pid, status, WNOHANG);

	return r == pid || (r < 0 && errno != EINTR);
}

/* The tools are grandchildren: no SIGCHLD says when the last one has ended, so look. */
static void wait_for_group(pid_t group)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };

	for (int i = 0; i < PATIENCE_S * 1000 / POLL_MS && kill(-group, 0) == 0; i++)
		(void)nanosleep(&pause, NULL);
	(void)kill(-group, SIGKILL);
}

/* Until the child has ended; returns the signal that came meanwhile, or 0. */
static int wait_child(pid_t pid, const sigset_t *set, int *status)
{
	const struct timespec patience = { .tv_sec = PATIENCE_S };
	int stop = 0;

	while (!is_gone(pid, status)) {
		int sig = sigtimedwait(set, NULL,
				       stop ? &patience : &(struct timespec){ .tv_sec = 3600 });

		if (sig == SIGCHLD || (sig < 0 && (errno == EINTR || !stop)))
			continue;
		(void)kill(-pid, stop ? SIGKILL : SIGTERM);
		stop = sig > 0 ? sig : stop;
	}
	if (stop)
		wait_for_group(pid);
	return stop;
}

/* What the caller ignores stays ignored: SIGHUP under nohup, SIGINT in a shell's background. */
static void choose_signals(sigset_t *set)
{
	static const int stops[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction now;

	(void)sigemptyset(set);
	(void)sigaddset(set, SIGCHLD);
	for (size_t i = 0; i < ARRAY_SIZE(stops); i++)
		if (sigaction(stops[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			(void)sigaddset(set, stops[i]);
}

int sk_guard_fork(int *ret_code, struct sk_err *err)
{
	sigset_t set, before;
	int status = 0, stop;
	pid_t pid;

	choose_signals(&set);
	(void)signal(SIGCHLD, SIG_DFL); /* ignored, the exit status would be lost */
	(void)fflush(stdout);
	(void)sigprocmask(SIG_BLOCK, &set, &before);
	pid = fork();
	if (pid == 0) {
		begin_child(&before);
		return 1;
	}
	if (pid < 0) {
		int code = errno;

		(void)sigprocmask(SIG_SETMASK, &before, NULL);
		return sk_err_set(err, -code, "io", "fork: %s", strerror(code));
	}
	(void)setpgid(pid, pid); /* both do it: whoever comes first */
	stop = wait_child(pid, &set, &status);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (stop)
		return sk_err_set(err, -EINTR, "child-failed", "interrupted");
	if (!WIFEXITED(status))
		return sk_err_set(err, -EINTR, "child-failed",
				  "the build was killed by signal %d%s", WTERMSIG(status),
				  WTERMSIG(status) == SIGKILL ? ": too little memory?" : "");
	*ret_code = WEXITSTATUS(status);
	return 0;
}
