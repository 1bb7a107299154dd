/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "model/backoff.h"

static const struct sk_backoff_policy always = { .restart = SK_RESTART_ALWAYS };

static void policy_decides(void **state)
{
	struct sk_backoff_policy p = { .restart = SK_RESTART_NO };
	struct sk_backoff b = { 0 };
	uint64_t d = 0;

	assert_int_equal(sk_backoff_ended(&b, &p, 0, 0, true, &d), SK_BACKOFF_STAY_DOWN);
	p.restart = SK_RESTART_ON_FAILURE;
	assert_int_equal(sk_backoff_ended(&b, &p, 0, 0, false, &d), SK_BACKOFF_STAY_DOWN);
	assert_int_equal(sk_backoff_ended(&b, &p, 0, 0, true, &d), SK_BACKOFF_RESTART);
	p.restart = SK_RESTART_ALWAYS;
	assert_int_equal(sk_backoff_ended(&b, &p, 0, 0, false, &d), SK_BACKOFF_RESTART);
}

static void delay_doubles_to_its_bound(void **state)
{
	struct sk_backoff_policy p = { .restart = SK_RESTART_ALWAYS,
				       .min_ms = 100,
				       .max_ms = 1000 };
	const uint64_t want[] = { 100, 200, 400, 800, 1000, 1000 };
	struct sk_backoff b = { 0 };

	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
		uint64_t d = 0;

		assert_int_equal(sk_backoff_ended(&b, &p, i, 0, true, &d), SK_BACKOFF_RESTART);
		assert_true(d == want[i]);
	}
}

static void defaults_stay_bounded_for_ever(void **state)
{
	struct sk_backoff b = { 0 };
	uint64_t d = 0;

	(void)sk_backoff_ended(&b, &always, 0, 0, true, &d);
	assert_true(d == SK_BACKOFF_MIN_MS);
	for (int i = 0; i < 10000; i++)
		assert_int_equal(sk_backoff_ended(&b, &always, 0, 0, true, &d), SK_BACKOFF_RESTART);
	assert_true(d == SK_BACKOFF_MAX_MS);
}

static void longest_delays_do_not_wrap(void **state)
{
	struct sk_backoff_policy p = { .restart = SK_RESTART_ALWAYS,
				       .min_ms = UINT64_MAX / 2 + 5,
				       .max_ms = UINT64_MAX };
	struct sk_backoff b = { 0 };
	uint64_t d = 0;

	(void)sk_backoff_ended(&b, &p, 0, 0, true, &d);
	(void)sk_backoff_ended(&b, &p, 0, 0, true, &d);
	assert_true(d == UINT64_MAX);
	/* A shortest delay above the longest: the shortest holds. */
	p.min_ms = 5000;
	p.max_ms = 10;
	(void)sk_backoff_ended(&b, &p, 0, 0, true, &d);
	assert_true(d == 5000);
}

static void good_run_resets_the_delay(void **state)
{
	struct sk_backoff b = { 0 };
	uint64_t d = 0;

	for (int i = 0; i < 5; i++)
		(void)sk_backoff_ended(&b, &always, 0, 0, true, &d);
	(void)sk_backoff_ended(&b, &always, 0, SK_BACKOFF_MAX_MS - 1, true, &d);
	assert_true(d > SK_BACKOFF_MIN_MS);
	(void)sk_backoff_ended(&b, &always, 0, SK_BACKOFF_MAX_MS, true, &d);
	assert_true(d == SK_BACKOFF_MIN_MS);
}

static void gives_up_within_the_window(void **state)
{
	struct sk_backoff_policy p = { .restart = SK_RESTART_ALWAYS, .max = 3, .window_ms = 1000 };
	struct sk_backoff b = { 0 };
	uint64_t d = 0;

	for (uint64_t t = 0; t < 3; t++)
		assert_int_equal(sk_backoff_ended(&b, &p, t, 0, true, &d), SK_BACKOFF_RESTART);
	assert_int_equal(sk_backoff_ended(&b, &p, 1000, 0, true, &d), SK_BACKOFF_GIVE_UP);
}

static void window_passes(void **state)
{
	struct sk_backoff_policy p = { .restart = SK_RESTART_ALWAYS, .max = 1, .window_ms = 1000 };
	struct sk_backoff b = { 0 };
	uint64_t d = 0;

	for (uint64_t t = 5; t < 100000; t += 1001)
		assert_int_equal(sk_backoff_ended(&b, &p, t, 0, true, &d), SK_BACKOFF_RESTART);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policy_decides),
		cmocka_unit_test(delay_doubles_to_its_bound),
		cmocka_unit_test(defaults_stay_bounded_for_ever),
		cmocka_unit_test(longest_delays_do_not_wrap),
		cmocka_unit_test(good_run_resets_the_delay),
		cmocka_unit_test(gives_up_within_the_window),
		cmocka_unit_test(window_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
