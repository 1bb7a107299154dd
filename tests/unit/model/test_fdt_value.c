/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "model/fdt_read.h"

static bool lower_case(const char *s)
{
	return *s >= 'a' && *s <= 'z';
}

static const char *const choices[] = { "never", "on-failure", "always", NULL };

/* What one property holds: read into @to, or told. The tree is only asked for names and paths. */
static const char *read_value(sk_word_fn read, const void *data, int len, void *to)
{
	static char fdt[256], told[512];
	_cleanup_(sk_diags_done) struct sk_diags d = { 0 };
	const struct sk_word word = { .name = "word",
				      .read = read,
				      .min = 2,
				      .max = 1000,
				      .ok = lower_case,
				      .expect = "what it should be",
				      .choices = choices,
				      .example = "word = …;" };
	struct sk_prop p = { .name = "word", .len = len };
	char *copy = malloc((size_t)len + 1); /* so that a sanitizer sees reads behind it */
	struct sk_reader r;
	int bad;

	memcpy(copy, data, (size_t)len);
	p.data = copy;
	assert_int_equal(fdt_create_empty_tree(fdt, sizeof(fdt)), 0);
	sk_reader_init(&r, fdt, &d);
	read(&r, &p, &word, to);
	bad = sk_reader_end(&r, NULL);
	free(copy);
	assert_int_equal(bad<0, d.n> 0);
	if (bad == 0)
		return "";
	/* A list that is too long says by itself what is allowed. */
	assert_true(d.v[0].hint || sk_str_starts(d.v[0].text, "has "));
	(void)snprintf(told, sizeof(told), "%s", d.v[0].text);
	return told;
}

#define READ(read, data, to) read_value(read, data, sizeof(data), to)

static void numbers(void **state)
{
	static const unsigned char small[] = { 0, 0, 0, 1 }, right[] = { 0, 0, 0, 2 },
				   large[] = { 0, 0, 3, 0xe9 }, three[] = { 0, 0, 2 },
				   wide[] = { 0, 0, 0, 0, 0, 0, 3, 0xe8 },
				   huge[] = { 1, 0, 0, 0, 0, 0, 0, 2 };
	uint32_t v = 77;
	uint64_t w = 77;

	assert_string_equal(READ(sk_rd_u32, right, &v), "");
	assert_int_equal(v, 2);
	assert_string_equal(READ(sk_rd_u32, small, &v), "1 is out of range: 2 to 1000");
	assert_string_equal(READ(sk_rd_u32, large, &v), "1001 is out of range: 2 to 1000");
	assert_string_equal(READ(sk_rd_u32, three, &v), "must be one number in angle brackets");
	assert_string_equal(READ(sk_rd_u32, wide, &v), "must be one number in angle brackets");
	assert_int_equal(v, 2);
	assert_string_equal(READ(sk_rd_u64, wide, &w), "");
	assert_int_equal(w, 1000);
	assert_non_null(strstr(READ(sk_rd_u64, huge, &w), "out of range"));
	assert_string_equal(READ(sk_rd_u64, right, &w), "must be one 64-bit number");
	assert_string_equal(read_value(sk_rd_u32, "", 0, &v),
			    "must be one number in angle brackets");
	assert_int_equal(w, 1000);
}

static void switches(void **state)
{
	bool on = false;

	assert_string_equal(READ(sk_rd_bool, "yes", &on), "is a switch without a value");
	assert_false(on);
	assert_string_equal(read_value(sk_rd_bool, "", 0, &on), "");
	assert_true(on);
}

static void strings(void **state)
{
	_cleanup_free_ char *long_one = malloc(SK_FDT_STRING_MAX + 1);
	char *s = NULL;

	memset(long_one, 'x', SK_FDT_STRING_MAX + 1);
	long_one[SK_FDT_STRING_MAX] = '\0';
	assert_string_equal(READ(sk_rd_string, "abc", &s), "");
	assert_string_equal(s, "abc");
	free(TAKE_PTR(s));
	assert_string_equal(READ(sk_rd_string, "Abc", &s), "\"Abc\" is not what it should be");
	assert_string_equal(read_value(sk_rd_string, "abc", 3, &s), "must be one string in quotes");
	assert_string_equal(READ(sk_rd_string, "a\0b", &s), "must be one string in quotes");
	assert_string_equal(read_value(sk_rd_string, "", 0, &s), "must be one string in quotes");
	assert_null(s);
}

static void lists(void **state)
{
	char many[2 * 1001];
	char **v = NULL;

	for (size_t i = 0; i < sizeof(many); i += 2)
		memcpy(many + i, "x", 2);
	assert_string_equal(READ(sk_rd_strv, "a\0bc\0d", &v), "");
	assert_int_equal(sk_strv_len(v), 3);
	assert_string_equal(v[1], "bc");
	sk_strv_free(TAKE_PTR(v));
	assert_string_equal(READ(sk_rd_strv, "a\0B", &v), "\"B\" is not what it should be");
	assert_string_equal(read_value(sk_rd_strv, "a\0b", 3, &v),
			    "must be one or more strings in quotes");
	assert_string_equal(read_value(sk_rd_strv, "", 0, &v),
			    "must be one or more strings in quotes");
	assert_non_null(strstr(READ(sk_rd_strv, many, &v), "has 1001 strings"));
	assert_null(v);
	assert_string_equal(read_value(sk_rd_strv, many, 2000, &v), "");
	assert_int_equal(sk_strv_len(v), 1000);
	sk_strv_free(v);
}

static void quantities(void **state)
{
	uint64_t v = 0;

	assert_string_equal(READ(sk_rd_size, "1000", &v), "");
	assert_int_equal(v, 1000);
	assert_non_null(strstr(READ(sk_rd_size, "1K", &v), "is out of range"));
	assert_non_null(strstr(READ(sk_rd_size, "99999999999999999999G", &v), "\"999"));
	assert_non_null(strstr(READ(sk_rd_size, "many", &v), "is not a size"));
	assert_string_equal(READ(sk_rd_duration, "1s", &v), "");
	assert_int_equal(v, 1000);
	assert_non_null(strstr(READ(sk_rd_duration, "2s", &v), "is out of range"));
	assert_non_null(strstr(READ(sk_rd_duration, "-1s", &v), "is not a duration"));
	assert_int_equal(v, 1000);
}

static void choice(void **state)
{
	unsigned v = 9;

	assert_string_equal(READ(sk_rd_enum, "on-failure", &v), "");
	assert_int_equal(v, 1);
	assert_string_equal(READ(sk_rd_enum, "allways", &v),
			    "\"allways\" is not what it should be");
	assert_string_equal(READ(sk_rd_enum, "", &v), "\"\" is not what it should be");
	assert_int_equal(v, 1);
}

static void absolute_paths(void **state)
{
	static const char *const good[] = { "/a", "/a/b.c", "/a b" };
	static const char *const bad[] = { "",	   "a",	   "/",	    "//a",   "/a/", "/a//b",
					   "/./a", "/a/.", "/../a", "/a/..", "/a\n" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(sk_abs_path_ok(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(sk_abs_path_ok(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),	  cmocka_unit_test(switches),
		cmocka_unit_test(strings),	  cmocka_unit_test(lists),
		cmocka_unit_test(quantities),	  cmocka_unit_test(choice),
		cmocka_unit_test(absolute_paths),
	};

	return cmocka_run_group_tests_name("model/fdt_value", tests, NULL, NULL);
}
