/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_and_parses),
		cmocka_unit_test(refuses_what_is_no_time),
		cmocka_unit_test(runs_forward),
	};

	return cmocka_run_group_tests_name("base/clock", tests, NULL, NULL);
}
