/* SPDX-License-Identifier: Apache-2.0 */

/* What callers may ask of a capsule, in each state that it can be in. */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/str.h"
#include "engine/capsule/capsule.h"
#include "engine_world.h"

static struct sk_capsule *running(struct world *w, const char *name, struct sk_app app)
{
	struct sk_capsule *c = make(w, name, app);

	assert_int_equal(sk_capsule_start(c, NULL, NULL, NULL), 0);
	UNTIL(w, state_of(c) == SK_CAPSULE_RUNNING);
	settle(w, 5);
	w->events[0] = '\0';
	return c;
}

static void is_refused(int r, int code, const char *slug, struct sk_err *err)
{
	assert_int_equal(r, code);
	assert_string_equal(err->slug, slug);
	*err = SK_ERR_INIT;
}

/* From the moment that its removal was asked for, nothing else can be. */
static void one_that_is_going(void **state)
{
	struct world *w = *state;
	struct sk_err err = SK_ERR_INIT;
	struct sk_capsule *c = running(w, "a", (struct sk_app){ 0 });

	fakes.hold_clean = true;
	assert_int_equal(sk_capsule_remove(c, true, on_done, w, NULL), 0);
	is_refused(sk_capsule_prepare(c, on_done, w, &err), -EBUSY, "bad-state", &err);
	is_refused(sk_capsule_start(c, on_done, w, &err), -EBUSY, "bad-state", &err);
	is_refused(sk_capsule_stop(c, 0, on_done, w, &err), -EBUSY, "bad-state", &err);
	is_refused(sk_capsule_end(c, on_done, w, &err), -EBUSY, "bad-state", &err);
	is_refused(sk_capsule_restart(c, 0, on_done, w, &err), -EBUSY, "bad-state", &err);
	is_refused(sk_capsule_remove(c, true, on_done, w, &err), -EBUSY, "bad-state", &err);
	UNTIL(w, fakes.cleans == 1);
	later(fakes.held, CLEAN);
	UNTIL(w, w->done[0]);
	/* None of those who were refused is told anything. */
	assert_string_equal(w->done, "ok ");
	assert_null(sk_engine_find(w->e, "a", NULL));
}

static void once_all_are_stopped(void **state)
{
	struct world *w = *state;
	struct sk_err err = SK_ERR_INIT;
	struct sk_capsule *c = make(w, "a", (struct sk_app){ 0 });

	assert_int_equal(sk_engine_halt(w->e, on_done, w, NULL), 0);
	is_refused(sk_capsule_prepare(c, on_done, w, &err), -ESHUTDOWN, "bad-state", &err);
	is_refused(sk_capsule_start(c, on_done, w, &err), -ESHUTDOWN, "bad-state", &err);
	is_refused(sk_capsule_restart(c, 0, on_done, w, &err), -ESHUTDOWN, "bad-state", &err);
	assert_int_equal(sk_capsule_stop(c, 0, on_done, w, &err), 0);
	assert_int_equal(sk_capsule_remove(c, false, on_done, w, &err), 0);
	UNTIL(w, !sk_engine_find(w->e, "a", NULL));
	assert_int_equal(fakes.prepares, 0);
}

static void signals_that_are_none(void **state)
{
	const int bad[] = { 0, -1, -9, SIGRTMAX + 1, 1 << 20 };
	struct world *w = *state;
	struct sk_err err = SK_ERR_INIT;
	struct sk_capsule *c = make(w, "a", (struct sk_app){ 0 });

	is_refused(sk_capsule_kill(c, SIGTERM, &err), -ESRCH, "bad-state", &err);
	(void)sk_capsule_start(c, NULL, NULL, NULL);
	UNTIL(w, state_of(c) == SK_CAPSULE_RUNNING);
	settle(w, 5);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		is_refused(sk_capsule_kill(c, bad[i], &err), -EINVAL, "bad-value", &err);
	settle(w, 5);
	assert_int_equal(state_of(c), SK_CAPSULE_RUNNING);
	assert_null(strstr(w->events, "a:kill"));
}

/* Killed for good by a user it stays down, whatever its policy; by another signal the policy decides. */
static void what_a_user_kills(void **state)
{
	const struct sk_app app = { .restart = SK_RESTART_ALWAYS,
				    .backoff_min_ms = 1,
				    .backoff_max_ms = 1 };
	struct world *w = *state;
	struct sk_capsule *c = running(w, "a", app);

	assert_int_equal(sk_capsule_kill(c, SIGTERM, NULL), 0);
	UNTIL(w, fakes.starts == 2 && state_of(c) == SK_CAPSULE_RUNNING);
	settle(w, 5);
	assert_string_equal(w->events, "a:kill a:die a:start ");
	assert_int_equal(sk_capsule_kill(c, SIGKILL, NULL), 0);
	UNTIL(w, state_of(c) == SK_CAPSULE_EXITED);
	settle(w, 50);
	assert_int_equal(fakes.starts, 2);
	assert_int_equal(state_of(c), SK_CAPSULE_EXITED);
}

/* The runtime does not get through to it: nothing is told that did not happen. */
static void a_signal_that_fails(void **state)
{
	struct world *w = *state;
	struct sk_err err = SK_ERR_INIT;
	struct sk_capsule *c = running(w, "a", (struct sk_app){ 0 });

	fakes.fail_signal = true;
	is_refused(sk_capsule_kill(c, SIGTERM, &err), -EIO, "child-failed", &err);
	settle(w, 5);
	assert_string_equal(w->events, "");
	assert_int_equal(state_of(c), SK_CAPSULE_RUNNING);
	fakes.fail_signal = false;
}

/* Without force, only what is at rest. */
static void removal(void **state)
{
	struct world *w = *state;
	struct sk_err err = SK_ERR_INIT;
	struct sk_capsule *c = make(w, "a",
				    (struct sk_app){ .restart = SK_RESTART_ALWAYS,
						     .backoff_min_ms = 3600000,
						     .backoff_max_ms = 3600000 });

	fakes.ignore_term = true;
	(void)sk_capsule_start(c, NULL, NULL, NULL);
	UNTIL(w, state_of(c) == SK_CAPSULE_RUNNING);
	is_refused(sk_capsule_remove(c, false, on_done, w, &err), -EBUSY, "bad-state", &err);
	die(c, 1);
	UNTIL(w, state_of(c) == SK_CAPSULE_BACKOFF);
	settle(w, 5);
	is_refused(sk_capsule_remove(c, false, on_done, w, &err), -EBUSY, "bad-state", &err);
	(void)sk_capsule_start(c, NULL, NULL, NULL);
	UNTIL(w, state_of(c) == SK_CAPSULE_RUNNING);
	(void)sk_capsule_stop(c, 3600000, on_done, w, NULL);
	assert_int_equal(state_of(c), SK_CAPSULE_STOPPING);
	is_refused(sk_capsule_remove(c, false, on_done, w, &err), -EBUSY, "bad-state", &err);
	assert_string_equal(w->done, "");
	/* By force the hour that it was given is over at once. */
	assert_int_equal(sk_capsule_remove(c, true, on_done, w, &err), 0);
	UNTIL(w, !sk_engine_find(w->e, "a", NULL));
	assert_int_equal(live(), 0);
}

/* A time beyond all bounds is long, and not over at once: in microseconds this one would be less than one millisecond. */
static void a_grace_without_end(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = running(w, "a", (struct sk_app){ 0 });

	fakes.ignore_term = true;
	assert_int_equal(sk_capsule_stop(c, UINT64_MAX / 1000 + 1, on_done, w, NULL), 0);
	settle(w, 50);
	assert_int_equal(state_of(c), SK_CAPSULE_STOPPING);
	assert_string_equal(w->done, "");
	assert_int_equal(sk_capsule_kill(c, SIGKILL, NULL), 0);
	UNTIL(w, w->done[0]);
	assert_string_equal(w->done, "ok ");
}

/* Of one that does not run it is a start; and what was failing is forgiven. */
static void restarts(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = make(w, "a", (struct sk_app){ 0 });

	assert_int_equal(sk_capsule_restart(c, 0, on_done, w, NULL), 0);
	UNTIL(w, w->done[0]);
	assert_int_equal(state_of(c), SK_CAPSULE_RUNNING);
	/* Two at once: it is stopped once, and the one that was overtaken is told so. */
	assert_int_equal(sk_capsule_restart(c, 0, on_done, w, NULL), 0);
	assert_int_equal(sk_capsule_restart(c, 0, on_done, w, NULL), 0);
	UNTIL(w, fakes.starts == 2 && state_of(c) == SK_CAPSULE_RUNNING);
	settle(w, 5);
	assert_string_equal(w->done, "ok bad-state ok ");
	assert_int_equal(fakes.starts, 2);
	assert_int_equal(fakes.live_max, 1);
}

/* Each state inside has one name outside, whatever is wanted of it. */
static void states_for_people(void **state)
{
	static const struct {
		enum sk_cap_state from;
		const char *stopped, *running;
	} rows[] = {
		{ SK_CAP_NEW, "created", "created" },
		{ SK_CAP_PREPARING, "created", "starting" },
		{ SK_CAP_PREPARED, "prepared", "prepared" },
		{ SK_CAP_STARTING, "starting", "starting" },
		{ SK_CAP_RUNNING, "running", "running" },
		{ SK_CAP_STOPPING, "stopping", "stopping" },
		{ SK_CAP_CLEANING, "created", "backoff" },
		{ SK_CAP_EXITED, "created", "backoff" },
		{ SK_CAP_BACKOFF, "backoff", "backoff" },
		{ SK_CAP_FAILED, "failed", "failed" },
		{ SK_CAP_DESTROYING, "removing", "removing" },
		{ SK_CAP_GONE, "removing", "removing" },
	};
	struct sk_capsule c = { .after = SK_CAP_EV_RETRY, .unit.pid = 7 };
	struct sk_capsule_view v;

	assert_int_equal(ARRAY_SIZE(rows), SK_CAP_N_STATES);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool up = rows[i].from == SK_CAP_RUNNING || rows[i].from == SK_CAP_STOPPING;

		c.state = rows[i].from;
		c.goal = SK_CAP_GOAL_STOPPED;
		sk_capsule_view(&c, &v);
		assert_string_equal(sk_capsule_state_name(v.state), rows[i].stopped);
		/* No number of a process that is none any more. */
		assert_int_equal(v.pid, up ? 7 : 0);
		c.goal = SK_CAP_GOAL_RUNNING;
		sk_capsule_view(&c, &v);
		assert_string_equal(sk_capsule_state_name(v.state), rows[i].running);
	}
	c.state = SK_CAP_EXITED;
	c.after = SK_CAP_EV_CLEANED;
	c.started_s = 1;
	sk_capsule_view(&c, &v);
	assert_string_equal(sk_capsule_state_name(v.state), "exited");
	assert_string_equal(sk_capsule_state_name((enum sk_capsule_state)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_that_is_going),     TEST(once_all_are_stopped),
		TEST(signals_that_are_none), TEST(what_a_user_kills),
		TEST(a_signal_that_fails),   TEST(removal),
		TEST(a_grace_without_end),   TEST(restarts),
		TEST(states_for_people),
	};

	return cmocka_run_group_tests_name("engine/capsule/capsule", tests, NULL, NULL);
}
