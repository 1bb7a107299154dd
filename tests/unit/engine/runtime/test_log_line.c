/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "engine/runtime/container/log_line.h"

static int parse(const char *s, struct sk_log_line *l)
{
	return sk_log_line_parse(s, strlen(s), l);
}

static void whole_and_partial(void **state)
{
	struct sk_log_line l;

	assert_int_equal(parse("2026-11-22T03:27:02.576987255+00:00 stdout F hello\n", &l), 0);
	assert_int_equal(l.stream, 1);
	assert_int_equal(l.time_s, 1795318022);
	assert_int_equal(l.time_ns, 576987255);
	assert_int_equal(l.len, 6);
	assert_memory_equal(l.text, "hello\n", 6);
	assert_int_equal(parse("2026-11-22T03:27:02Z stderr P part\n", &l), 0);
	assert_int_equal(l.stream, 2);
	assert_int_equal(l.time_ns, 0);
	assert_int_equal(l.len, 4);
	assert_memory_equal(l.text, "part", 4);
	assert_int_equal(parse("2026-11-22T03:27:02Z stderr F \n", &l), 0);
	assert_int_equal(l.len, 1);
	assert_int_equal(parse("2026-11-22T03:27:02Z stderr P \n", &l), 0);
	assert_int_equal(l.len, 0);
}

static void time_zones_and_fractions(void **state)
{
	struct sk_log_line l;

	assert_int_equal(parse("1970-01-01T02:00:00.5+02:00 stdout F x\n", &l), 0);
	assert_int_equal(l.time_s, 0);
	assert_int_equal(l.time_ns, 500000000);
	assert_int_equal(parse("1970-01-01T00:00:00.1234567891111-00:30 stdout F x\n", &l), 0);
	assert_int_equal(l.time_s, 1800);
	assert_int_equal(l.time_ns, 123456789);
}

static void binary_text(void **state)
{
	static const char line[] = "2026-11-22T03:27:02Z stdout F a\0b \xff F\n";
	struct sk_log_line l;

	assert_int_equal(sk_log_line_parse(line, sizeof(line) - 1, &l), 0);
	assert_int_equal(l.len, 8);
	assert_memory_equal(l.text, "a\0b \xff F\n", 8);
}

static void malformed(void **state)
{
	static const char *const bad[] = {
		"\n",
		"x\n",
		"2026-11-22T03:27:02Z\n",
		"2026-11-22T03:27:02Z stdout\n",
		"2026-11-22T03:27:02Z stdout F\n",
		"2026-11-22T03:27:02Z stdouT F x\n",
		"2026-11-22T03:27:02Z stdin F x\n",
		"2026-11-22T03:27:02Z stdout X x\n",
		"2026-11-22T03:27:02Z stdout FF x\n",
		"2026-11-22T03:27:02 stdout F x\n",
		"2026-11-22T03:27:02+0100 stdout F x\n",
		"2026-1x-22T03:27:02Z stdout F x\n",
		"22-11-2026T03:27:02Z stdout F x\n",
		"2026-11-22T03:27:02.Zz stdout F x\n",
		"2026-11-22T03:27:02Z stdout F no newline",
		"    \n",
	};
	struct sk_log_line l;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(parse(bad[i], &l), -EBADMSG);
	assert_int_equal(sk_log_line_parse("", 0, &l), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_and_partial),
		cmocka_unit_test(time_zones_and_fractions),
		cmocka_unit_test(binary_text),
		cmocka_unit_test(malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
