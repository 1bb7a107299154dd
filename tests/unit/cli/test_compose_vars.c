/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/manifest/compose_vars.h"

static struct sk_map *vars;

static int setup(void **state)
{
	vars = sk_map_new(free);
	return sk_map_add(vars, "A", strdup("one")) | sk_map_add(vars, "EMPTY", strdup(""));
}

static int teardown(void **state)
{
	sk_map_free(vars);
	return 0;
}

static void becomes(const char *from, const char *to)
{
	char why[SK_VARS_WHY], *got = NULL;

	assert_int_equal(sk_vars_expand(vars, from, &got, why), 0);
	assert_string_equal(got, to);
	free(got);
}

static void refused(const char *from, const char *word)
{
	char why[SK_VARS_WHY], *got = NULL;

	assert_int_equal(sk_vars_expand(vars, from, &got, why), -EINVAL);
	assert_null(got);
	assert_non_null(strstr(why, word));
}

/* The table of the Compose specification, "Interpolation". */
static void expands(void **state)
{
	becomes("", "");
	becomes("plain", "plain");
	becomes("$A-${A}.", "one-one.");
	becomes("$$A $${A}", "$A ${A}");
	becomes("${NONE:-x}${NONE-y}${EMPTY:-z}${EMPTY-w}", "xyz");
	becomes("${A:+x}${A+y}${EMPTY:+z}${EMPTY+w}${NONE:+v}", "xyw");
	becomes("${A:?no}${A?no}${EMPTY?no}", "oneone");
	becomes("${NONE:-${EMPTY:-${A}}}", "one");
	becomes("${NONE:-a:b-c?d}", "a:b-c?d");
	becomes("${NONE:-}", "");
}

static void refuses(void **state)
{
	refused("$NONE", "no value for variable NONE");
	refused("${NONE}", "no value for variable NONE");
	refused("${NONE:?set the password}", "set the password");
	refused("${EMPTY:?is empty}", "is empty");
	refused("a$", "stands alone");
	refused("a$ b", "stands alone");
	refused("${A", "left open");
	refused("${A:-${B}", "left open");
	refused("${}", "no variable");
	refused("${1}", "no variable");
	refused("${A!}", "can follow");
	refused("${A:}", "can follow");
	refused("${a-b}x${A:x}", "can follow");
	refused("${N:-${N:-${N:-${N:-${N:-${N:-${N:-${N:-${N:-x}}}}}}}}}", "too deep");
}

static void is_bounded(void **state)
{
	char *big = malloc(20001), *twice = NULL, why[SK_VARS_WHY];

	memset(big, 'x', 20000);
	big[20000] = '\0';
	assert_int_equal(sk_map_add(vars, "BIG", big), 0);
	assert_int_equal(sk_vars_expand(vars, "$BIG$BIG", &twice, why), -EINVAL);
	assert_non_null(strstr(why, "32 KiB"));
}

static int read_text(const char *text, struct sk_mistakes *mistakes, struct sk_map **ret)
{
	char path[] = "/tmp/vars.XXXXXX";
	int fd = mkstemp(path), r;

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	(void)close(fd);
	r = sk_vars_read(path, NULL, mistakes, ret);
	(void)unlink(path);
	return r;
}

static void reads_files(void **state)
{
	struct sk_mistakes mistakes = { 0 };
	struct sk_map *got = NULL;

	assert_int_equal(read_text("# comment\n\n A = one # not this\nexport B=b#c\r\nC=\n"
				   "D='$A # \"x'\nE=\"a\\n$A\\\"\" # y\nA2=${A:-no}\nA=two",
				   &mistakes, &got),
			 0);
	assert_string_equal(sk_map_get(got, "A"), "two");
	assert_string_equal(sk_map_get(got, "B"), "b#c");
	assert_string_equal(sk_map_get(got, "C"), "");
	assert_string_equal(sk_map_get(got, "D"), "$A # \"x");
	assert_string_equal(sk_map_get(got, "E"), "a\none\"");
	assert_string_equal(sk_map_get(got, "A2"), "one");
	assert_int_equal(sk_map_len(got), 6);
	sk_map_free(got);
}

static void tells_lines_but_not_what_stands_in_them(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
	} bad[] = { { "A=1\nsecret word\n", 2 }, { "1secret=x", 1 }, { "A='secret", 1 },
		    { "\n\nA=\"x\" secret", 3 }, { "A=secret$", 1 }, { "secret\n", 1 } };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sk_mistakes mistakes = { 0 };
		struct sk_map *got = NULL;

		assert_int_equal(read_text(bad[i].text, &mistakes, &got), -EINVAL);
		assert_null(got);
		assert_int_equal(mistakes.n, 1);
		assert_int_equal(mistakes.v[0].line, bad[i].line);
		assert_null(strstr(mistakes.v[0].text, "secret"));
		sk_mistakes_done(&mistakes);
	}
}

static void absent_files(void **state)
{
	const struct sk_place told = { (char[]){ "c.yaml" }, 7, NULL };
	struct sk_mistakes mistakes = { 0 };
	struct sk_map *got = NULL;

	assert_int_equal(sk_vars_read("/nonexistent/.env", NULL, &mistakes, &got), 0);
	assert_int_equal(sk_map_len(got), 0);
	sk_map_free(got);
	got = NULL;
	assert_int_equal(sk_vars_read("/nonexistent/.env", &told, &mistakes, &got), -EINVAL);
	assert_int_equal(sk_vars_read("/dev/zero", &told, &mistakes, &got), -EINVAL);
	assert_null(got);
	assert_string_equal(mistakes.v[0].file, "c.yaml");
	assert_int_equal(mistakes.v[1].line, 7);
	sk_mistakes_done(&mistakes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(expands, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(is_bounded, setup, teardown),
		cmocka_unit_test(reads_files),
		cmocka_unit_test(tells_lines_but_not_what_stands_in_them),
		cmocka_unit_test(absent_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
