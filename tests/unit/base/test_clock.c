/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"

static void formats_and_parses(void **state)
{
	char buf[32];
	int64_t t;

	assert_int_equal(sk_time_parse("2027-01-31T01:02:03Z", &t), 0);
	assert_true(t == 1801357323);
	assert_string_equal(sk_time_format(buf, t), "2027-01-31T01:02:03Z");
	assert_int_equal(sk_time_parse("1970-01-01", &t), 0);
	assert_true(t == 0);
}

static void refuses_what_is_no_time(void **state)
{
	static const char *const bad[] = { "",
					   "tomorrow",
					   "2027-02-31",
					   "2027-13-01",
					   "2027-01-31T00:00:00",
					   "2027-01-31T00:00:00+02:00",
					   "2027-01-31Z",
					   "2027-01-31T00:00:00Z " };
	int64_t t;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(sk_time_parse(bad[i], &t), -EINVAL);
}

static void runs_forward(void **state)
{
	uint64_t a = sk_mono_us(), b = sk_mono_us();

	assert_true(b >= a);
	assert_true(sk_wall_s() > 1577836800);
}

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void counts_in_the_unit_of_its_name(void **state)
{
	for (int i = 0; i < 100; i++) {
		uint64_t before = monotonic_ns(), us = sk_mono_us(), ms = sk_mono_ms(),
			 after = monotonic_ns();

		assert_true(before / 1000 <= us && us <= after / 1000);
		assert_true(before / 1000000 <= ms && ms <= after / 1000000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_and_parses),
		cmocka_unit_test(refuses_what_is_no_time),
		cmocka_unit_test(runs_forward),
		cmocka_unit_test(counts_in_the_unit_of_its_name),
	};

	return cmocka_run_group_tests_name("base/clock", tests, NULL, NULL);
}
