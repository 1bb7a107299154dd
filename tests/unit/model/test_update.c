/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "base/macros.h"
#include "model/update.h"

#define STATES (SK_UPD_REBOOTING + 1)
#define EVENTS (SK_UPD_EV_UNWELL + 1)

static enum sk_upd_state go(enum sk_upd_state from, enum sk_upd_event ev, unsigned *acts)
{
	enum sk_upd_state to;
	unsigned a;

	assert_int_equal(sk_upd_next(from, ev, &to, &a), 0);
	if (acts)
		*acts = a;
	return to;
}

static void an_upgrade_that_works(void **state)
{
	enum sk_upd_state s = SK_UPD_IDLE;
	unsigned a;

	s = go(s, SK_UPD_EV_APPLY, &a);
	assert_int_equal(a, SK_UPD_ACT_STAGE); /* the old runs on while the new is made ready */
	s = go(s, SK_UPD_EV_DONE, &a);
	assert_int_equal(a, SK_UPD_ACT_ACTIVATE);
	s = go(s, SK_UPD_EV_DONE, &a);
	assert_int_equal(a, SK_UPD_ACT_WATCH);
	s = go(s, SK_UPD_EV_WELL, &a);
	assert_int_equal(a, SK_UPD_ACT_RECORD_GOOD | SK_UPD_ACT_CONFIRM);
	assert_true(SK_UPD_ACT_RECORD_GOOD < SK_UPD_ACT_CONFIRM);
	s = go(s, SK_UPD_EV_DONE, &a);
	assert_int_equal(s, SK_UPD_IDLE);
	assert_int_equal(a, SK_UPD_ACT_COLLECT);
}

/* Whatever fails on the way out is recorded as bad before anything else, and leads back. */
static void every_failure_leads_back(void **state)
{
	static const struct {
		enum sk_upd_state s;
		enum sk_upd_event ev;
	} at[] = { { SK_UPD_STAGING, SK_UPD_EV_FAILED },
		   { SK_UPD_ACTIVATING, SK_UPD_EV_FAILED },
		   { SK_UPD_SETTLING, SK_UPD_EV_UNWELL } };

	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		unsigned a;
		enum sk_upd_state s = go(at[i].s, at[i].ev, &a);

		assert_true(sk_upd_is_back(s));
		assert_true(a & SK_UPD_ACT_RECORD_BAD);
		assert_true(SK_UPD_ACT_RECORD_BAD < SK_UPD_ACT_REVERT);
		s = go(s, SK_UPD_EV_FAILED, NULL);
		s = go(s, SK_UPD_EV_UNWELL, NULL);
		s = go(s, SK_UPD_EV_FAILED, &a);
		assert_int_equal(s, SK_UPD_IDLE);
		assert_true(a & SK_UPD_ACT_REPAIR);
	}
}

static void a_part_that_needs_a_restart(void **state)
{
	static const enum sk_upd_state from[] = { SK_UPD_ACTIVATING, SK_UPD_REVERTING };
	unsigned a;

	for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
		assert_int_equal(go(from[i], SK_UPD_EV_REBOOT, &a), SK_UPD_REBOOTING);
		assert_int_equal(a, SK_UPD_ACT_REBOOT);
	}
}

/* Over the whole table: good is recorded only by a healthy gate, bad never on the way back. */
static void table_as_a_whole(void **state)
{
	for (int s = 0; s < STATES; s++) {
		bool leaves = false;

		for (int e = 0; e < EVENTS; e++) {
			enum sk_upd_state to;
			unsigned a;

			if (sk_upd_next(s, e, &to, &a) < 0)
				continue;
			leaves = true;
			if (a & SK_UPD_ACT_RECORD_GOOD)
				assert_true(s == SK_UPD_SETTLING && e == SK_UPD_EV_WELL);
			if (a & SK_UPD_ACT_CONFIRM)
				assert_true(a & SK_UPD_ACT_RECORD_GOOD ||
					    s == SK_UPD_BACK_SETTLING);
			if (a & SK_UPD_ACT_RECORD_BAD)
				assert_true(!sk_upd_is_back(s) && sk_upd_is_back(to));
			if (sk_upd_is_back(s) && e != SK_UPD_EV_APPLY)
				assert_true(to != SK_UPD_STAGING && to != SK_UPD_ACTIVATING &&
					    to != SK_UPD_SETTLING);
			assert_non_null(sk_upd_state_name(to));
		}
		/* Only the next start leaves it. */
		assert_int_equal(leaves, s != SK_UPD_REBOOTING);
	}
}

static void words_of_the_api(void **state)
{
	static const struct {
		enum sk_upd_state s;
		const char *word, *starting;
	} rows[] = {
		{ SK_UPD_IDLE, "idle", "idle" },
		{ SK_UPD_STAGING, "stopping", "starting" },
		{ SK_UPD_ACTIVATING, "stopping", "starting" },
		{ SK_UPD_REVERTING, "stopping", "starting" },
		{ SK_UPD_REBOOTING, "stopping", "stopping" },
		{ SK_UPD_SETTLING, "settling", "settling" },
		{ SK_UPD_BACK_SETTLING, "settling", "settling" },
		{ SK_UPD_CONFIRMING, "settling", "settling" },
	};

	assert_int_equal(ARRAY_SIZE(rows), STATES);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_string_equal(sk_upd_step_name(rows[i].s, false), rows[i].word);
		assert_string_equal(sk_upd_step_name(rows[i].s, true), rows[i].starting);
	}
}

static void no_second_upgrade_meanwhile(void **state)
{
	enum sk_upd_state to;
	unsigned a;

	for (int s = 0; s < STATES; s++)
		assert_int_equal(sk_upd_next(s, SK_UPD_EV_APPLY, &to, &a),
				 s == SK_UPD_IDLE || s == SK_UPD_BACK_SETTLING ? 0 : -EINVAL);
}

static enum sk_gate_verdict look(struct sk_gate *g, uint64_t now, struct sk_gate_capsule *c,
				 size_t n, uint64_t *next, char *why)
{
	*next = 0;
	why[0] = '\0';
	return sk_gate_look(g, now, c, n, next, why, 256);
}

static void gate_settles(void **state)
{
	struct sk_gate g;
	struct sk_gate_capsule c[] = { { "a", SK_GATE_UP }, { "b", SK_GATE_PENDING } };
	uint64_t next;
	char why[256];

	sk_gate_init(&g, 1000, 10000, 500);
	assert_int_equal(look(&g, 500, c, 2, &next, why), SK_GATE_WAIT);
	assert_int_equal(next, 10500);
	c[1].is = SK_GATE_UP;
	assert_int_equal(look(&g, 2000, c, 2, &next, why), SK_GATE_WAIT);
	assert_int_equal(next, 3000);
	assert_int_equal(look(&g, 2999, c, 2, &next, why), SK_GATE_WAIT);
	assert_int_equal(look(&g, 3000, c, 2, &next, why), SK_GATE_WELL);
}

static void gate_starts_anew_after_a_restart(void **state)
{
	struct sk_gate g;
	struct sk_gate_capsule c[] = { { "a", SK_GATE_UP, .restarts = 7 } };
	uint64_t next;
	char why[256];

	sk_gate_init(&g, 1000, 10000, 0);
	assert_int_equal(look(&g, 0, c, 1, &next, why), SK_GATE_WAIT);
	c[0].restarts = 8; /* went down and came up between two looks */
	assert_int_equal(look(&g, 1000, c, 1, &next, why), SK_GATE_WAIT);
	assert_int_equal(next, 2000);
	assert_int_equal(look(&g, 2000, c, 1, &next, why), SK_GATE_WELL);
}

static void gate_gives_up(void **state)
{
	struct sk_gate g;
	struct sk_gate_capsule c[] = { { "a", SK_GATE_UP },
				       { "web", SK_GATE_ENDED, .exit_code = 3 } };
	uint64_t next;
	char why[256];

	sk_gate_init(&g, 1000, 10000, 0);
	assert_int_equal(look(&g, 1, c, 2, &next, why), SK_GATE_UNWELL);
	assert_string_equal(why, "capsule web ended with exit code 3");

	c[1] = (struct sk_gate_capsule){ "web", SK_GATE_SICK, .cause = "HTTP 500" };
	sk_gate_init(&g, 1000, 10000, 0);
	assert_int_equal(look(&g, 1, c, 2, &next, why), SK_GATE_UNWELL);
	assert_string_equal(why, "capsule web is unhealthy: HTTP 500");

	c[1] = (struct sk_gate_capsule){ "web", SK_GATE_PENDING };
	assert_int_equal(look(&g, 10000, c, 2, &next, why), SK_GATE_UNWELL);
	assert_string_equal(why, "capsule web did not become healthy in time");

	c[1] = (struct sk_gate_capsule){ "web", SK_GATE_DOWN, .restarts = 0, .exit_code = 1 };
	sk_gate_init(&g, 1000, 10000, 0);
	assert_int_equal(look(&g, 1, c, 2, &next, why), SK_GATE_WAIT);
	c[1].restarts = SK_GATE_RESTARTS_MAX + 1;
	assert_int_equal(look(&g, 2, c, 2, &next, why), SK_GATE_UNWELL);
	assert_string_equal(why, "capsule web ended with exit code 1");
}

static void gate_edges(void **state)
{
	struct sk_gate g;
	struct sk_gate_capsule c[] = { { "job", SK_GATE_FINISHED } };
	uint64_t next;
	char why[256];

	/* A release without apps is well at once when it need not settle. */
	sk_gate_init(&g, 0, 0, 5);
	assert_int_equal(look(&g, 5, NULL, 0, &next, why), SK_GATE_WELL);
	/* A settle time above the time-out can still be met. */
	sk_gate_init(&g, 5000, 10, 0);
	assert_int_equal(look(&g, 0, c, 1, &next, why), SK_GATE_WAIT);
	assert_int_equal(look(&g, 5000, c, 1, &next, why), SK_GATE_WELL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_upgrade_that_works),
		cmocka_unit_test(every_failure_leads_back),
		cmocka_unit_test(table_as_a_whole),
		cmocka_unit_test(a_part_that_needs_a_restart),
		cmocka_unit_test(words_of_the_api),
		cmocka_unit_test(no_second_upgrade_meanwhile),
		cmocka_unit_test(gate_settles),
		cmocka_unit_test(gate_starts_anew_after_a_restart),
		cmocka_unit_test(gate_gives_up),
		cmocka_unit_test(gate_edges),
	};

	return cmocka_run_group_tests_name("model/update", tests, NULL, NULL);
}
