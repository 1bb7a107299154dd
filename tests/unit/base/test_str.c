/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "base/str.h"

static void names(void **state)
{
	char longest[SK_NAME_MAX + 2];

	assert_true(sk_name_ok("web"));
	assert_true(sk_name_ok("web-1.itb"));
	assert_false(sk_name_ok(""));
	assert_false(sk_name_ok("."));
	assert_false(sk_name_ok(".."));
	assert_false(sk_name_ok("-rf"));
	assert_false(sk_name_ok("a/b"));
	assert_false(sk_name_ok("a b"));
	assert_false(sk_name_ok("na\xc3\xafve"));
	memset(longest, 'a', sizeof(longest));
	longest[SK_NAME_MAX] = '\0';
	assert_true(sk_name_ok(longest));
	longest[SK_NAME_MAX] = 'a';
	longest[SK_NAME_MAX + 1] = '\0';
	assert_false(sk_name_ok(longest));
}

static void numbers(void **state)
{
	uint64_t v;

	assert_int_equal(sk_parse_u64("18446744073709551615", &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(sk_parse_u64("18446744073709551616", &v), -ERANGE);
	assert_int_equal(sk_parse_u64("", &v), -EINVAL);
	assert_int_equal(sk_parse_u64("-1", &v), -EINVAL);
	assert_int_equal(sk_parse_u64(" 1", &v), -EINVAL);
	assert_int_equal(sk_parse_u64("1x", &v), -EINVAL);
}

static void sizes(void **state)
{
	uint64_t v;
	char buf[32];

	assert_int_equal(sk_parse_size("64M", &v), 0);
	assert_true(v == 64u << 20);
	assert_int_equal(sk_parse_size("2GiB", &v), 0);
	assert_true(v == 2ull << 30);
	assert_int_equal(sk_parse_size("17179869184T", &v), -ERANGE);
	assert_int_equal(sk_parse_size("M", &v), -EINVAL);
	assert_int_equal(sk_parse_size("1 M", &v), -EINVAL);
	assert_string_equal(sk_format_size(buf, 1023), "1023 B");
	assert_string_equal(sk_format_size(buf, 1024), "1.0 KiB");
	assert_string_equal(sk_format_size(buf, 1536), "1.5 KiB");
	assert_string_equal(sk_format_size(buf, 1000ull << 30), "1000.0 GiB");
	assert_string_equal(sk_format_size(buf, 3000ull << 40), "3000.0 TiB");
}

static void durations(void **state)
{
	uint64_t v;
	char buf[32];

	assert_int_equal(sk_parse_duration("1m30s", &v), 0);
	assert_true(v == 90000);
	assert_int_equal(sk_parse_duration("250ms", &v), 0);
	assert_true(v == 250);
	assert_int_equal(sk_parse_duration("10", &v), 0);
	assert_true(v == 10000);
	assert_int_equal(sk_parse_duration("10x", &v), -EINVAL);
	assert_int_equal(sk_parse_duration("1m30", &v), -EINVAL);
	assert_int_equal(sk_parse_duration("999999999999999999d", &v), -ERANGE);
	assert_string_equal(sk_format_duration(buf, 90000), "90s");
	assert_string_equal(sk_format_duration(buf, 0), "0ms");
}

static void hex_digits(void **state)
{
	assert_int_equal(sk_hex_digit('0'), 0);
	assert_int_equal(sk_hex_digit('f'), 15);
	assert_int_equal(sk_hex_digit('A'), 10);
	assert_int_equal(sk_hex_digit('g'), -1);
	assert_int_equal(sk_hex_digit('!'), -1);
	assert_int_equal(sk_hex_digit('\0'), -1);
}

static void vectors(void **state)
{
	_cleanup_strv_ char **v = NULL, **copy = NULL;
	_cleanup_free_ char *joined = NULL;

	assert_int_equal(sk_strv_len(NULL), 0);
	assert_int_equal(sk_strv_split(",a,,b,", ',', &v), 0);
	assert_int_equal(sk_strv_len(v), 2);
	assert_int_equal(sk_strv_addf(&v, "c%d", 1), 0);
	joined = sk_strv_join(v, "+");
	assert_string_equal(joined, "a+b+c1");
	copy = sk_strv_copy(v);
	assert_true(sk_strv_equal(v, copy));
	assert_true(sk_strv_has(v, "b"));
	assert_false(sk_strv_has(v, "d"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),      cmocka_unit_test(numbers),
		cmocka_unit_test(sizes),      cmocka_unit_test(durations),
		cmocka_unit_test(hex_digits), cmocka_unit_test(vectors),
	};

	return cmocka_run_group_tests_name("base/str", tests, NULL, NULL);
}
