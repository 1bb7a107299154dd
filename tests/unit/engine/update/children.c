/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "children.h"

#include <errno.h>
#include <signal.h>

struct children children;

int __real_sk_child_task(sd_event *e, const struct sk_task *task, sk_child_done_fn done, void *arg,
			 struct sk_child **ret, struct sk_err *err);
int __wrap_sk_child_task(sd_event *e, const struct sk_task *task, sk_child_done_fn done, void *arg,
			 struct sk_child **ret, struct sk_err *err);
int __wrap_sk_child_task(sd_event *e, const struct sk_task *task, sk_child_done_fn done, void *arg,
			 struct sk_child **ret, struct sk_err *err)
{
	int r;

	if (children.none)
		return sk_err_set(err, -EAGAIN, "child-failed", "no process can be had");
	r = __real_sk_child_task(e, task, done, arg, ret, err);
	if (r < 0)
		return r;
	children.n++;
	children.last = sk_child_pid(*ret);
	if (children.hold)
		assert_int_equal(kill(children.last, SIGSTOP), 0);
	return r;
}

void children_go_on(void)
{
	assert_int_equal(kill(children.last, SIGCONT), 0);
}
