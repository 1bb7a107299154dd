/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "children.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

struct children children;

static const struct sk_task *held;

/* In the child. A stop sent from outside might come when it has done all it had to. */
static int stop_first(void *arg)
{
	if (raise(SIGSTOP) != 0)
		return 125;
	return held->run(held->arg);
}

static void await_stop(pid_t pid)
{
	siginfo_t si = { 0 };

	assert_int_equal(waitid(P_PID, (id_t)pid, &si, WSTOPPED | WEXITED | WNOWAIT), 0);
	assert_int_equal(si.si_code, CLD_STOPPED);
}

int __real_sk_child_task(sd_event *e, const struct sk_task *task, sk_child_done_fn done, void *arg,
			 struct sk_child **ret, struct sk_err *err);
int __wrap_sk_child_task(sd_event *e, const struct sk_task *task, sk_child_done_fn done, void *arg,
			 struct sk_child **ret, struct sk_err *err);
int __wrap_sk_child_task(sd_event *e, const struct sk_task *task, sk_child_done_fn done, void *arg,
			 struct sk_child **ret, struct sk_err *err)
{
	struct sk_task stopped = *task;
	int r;

	held = task;
	children.task = *task;
	stopped.run = stop_first;
	if (children.none)
		return sk_err_set(err, -EAGAIN, "child-failed", "no process can be had");
	r = __real_sk_child_task(e, children.hold ? &stopped : task, done, arg, ret, err);
	if (r < 0)
		return r;
	children.n++;
	children.last = sk_child_pid(*ret);
	if (children.hold)
		await_stop(children.last);
	return r;
}

void children_go_on(void)
{
	assert_int_equal(kill(children.last, SIGCONT), 0);
}
