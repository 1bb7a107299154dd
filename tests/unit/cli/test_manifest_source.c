/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/manifest/source.h"

static char folder[] = "/tmp/skerry-test-XXXXXX";

static int set_up(void **state)
{
	return mkdtemp(folder) && chdir(folder) == 0 && mkdir("inc", 0700) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	return chdir("/") == 0 && sk_rm_rf(AT_FDCWD, folder) == 0 ? 0 : -1;
}

static void write_file(const char *name, const char *text)
{
	assert_int_equal(sk_file_write(AT_FDCWD, name, text, strlen(text), 0600), 0);
}

#define RELEASE "release { project = \"p\"; version = \"1\"; compatible = \"c\"; };\n"

static int load(const char *name, struct sk_source *s, struct sk_err *err)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = NULL;

	return sk_source_load(name, s, &m, err);
}

static void assert_mistake(const char *name, size_t i, const char *wanted)
{
	_cleanup_(sk_source_done) struct sk_source s;
	_cleanup_free_ char *text = NULL;

	assert_int_equal(load(name, &s, NULL), -EINVAL);
	assert_true(i < s.mistakes.n);
	text = sk_mistake_str(&s.mistakes.v[i]);
	if (!sk_str_starts(text, wanted))
		fail_msg("%s, not %s", text, wanted);
}

static void names_lines(void **state)
{
	write_file("a.dts",
		   "/dts-v1/;\n/ {\n" RELEASE "apps {\n w: web {\n  image = \"i\",\n"
		   "\t\"/* x.dts:99 */\";\n  environment { T = \"a\\\"b { /* y:1 */\"; };\n"
		   " };\n};\nodd { };\n};\n");
	assert_mistake("a.dts", 0, "a.dts:6: /apps/web: image: must be one string");
	assert_mistake("a.dts", 1, "a.dts:11: /odd: unknown node");
}

static void names_lines_of_included_files(void **state)
{
	write_file("b.dts", "/dts-v1/;\n/ {\n" RELEASE "/include/ \"inc/apps.dtsi\"\nzzz { };\n};\n"
			    "&web { late = \"x\"; };\n");
	write_file("inc/apps.dtsi",
		   "apps {\n\n web: web {\n  image = \"i\";\n  kidn = \"vm\";\n };\n};\n");
	assert_mistake("b.dts", 0, "b.dts:5: /zzz: unknown node");
	assert_mistake("b.dts", 1, "b.dts:7: /apps/web: late: unknown property");
	assert_mistake("b.dts", 2,
		       "inc/apps.dtsi:5: /apps/web: kidn: unknown property; did you mean "
		       "\"kind\"?");
	assert_int_equal(chdir("/"), 0);
	{
		_cleanup_free_ char *path = sk_asprintf("%s/b.dts", folder);
		_cleanup_free_ char *wanted = sk_asprintf("%s/inc/apps.dtsi:5: /apps/web", folder);

		assert_mistake(path, 2, wanted);
	}
	assert_int_equal(chdir(folder), 0);
}

static void passes_syntax_errors_on(void **state)
{
	write_file("s.dts", "/dts-v1/;\n/ {\n a = \"x\"\n b;\n};\n");
	assert_mistake("s.dts", 0, "s.dts:4: syntax error; is a ';' missing");
	write_file("s.dts", "/dts-v1/;\n/ {\n n { };\n b;\n};\n");
	assert_mistake("s.dts", 0, "s.dts:4: Properties must precede subnodes; move");
	write_file("s.dts", "/dts-v1/;\n/ {\n n { };\n n { };\n};\n");
	assert_mistake("s.dts", 0, "s.dts:4: /n: Duplicate node name");
	write_file("s.dts", "/dts-v1/;\n/include/ \"nope\"\n");
	assert_mistake("s.dts", 0, "s.dts:2: cannot include \"nope\"");
}

/* What dtc says differs from version to version: here it says what the test wants. */
static void with_dtc_that_says(const char *says, const char *wanted, size_t n)
{
	_cleanup_free_ char *script =
		sk_asprintf("#!/bin/sh\nprintf '%%s\\n' \"%s\" >&2\nexit 1\n", says);
	_cleanup_free_ char *was = strdup(getenv("PATH"));
	_cleanup_free_ char *path = sk_asprintf("%s:%s", folder, was);
	_cleanup_(sk_source_done) struct sk_source s;

	write_file("dtc", script);
	assert_int_equal(chmod("dtc", 0700), 0);
	assert_int_equal(setenv("PATH", path, 1), 0);
	assert_mistake("s.dts", 0, wanted);
	assert_int_equal(load("s.dts", &s, NULL), -EINVAL);
	assert_int_equal(s.mistakes.n, n);
	assert_int_equal(setenv("PATH", was, 1), 0);
	assert_int_equal(unlink("dtc"), 0);
}

static void knows_the_words_of_dtc(void **state)
{
	write_file("s.dts", "/dts-v1/;\n/ {\n a = \"x\"\n b;\n};\n");
	with_dtc_that_says("Error: s.dts:4.2-3 syntax error\n"
			   "FATAL ERROR: Unable to parse input tree",
			   "s.dts:4: syntax error; is a ';' missing", 1);
	with_dtc_that_says("Lexical error: s.dts:4.2-3 Unexpected 'b'\n"
			   "Error: s.dts:4.2-3 syntax error\n"
			   "FATAL ERROR: Unable to parse input tree",
			   "s.dts:4: syntax error; is a ';' missing", 1);
	with_dtc_that_says("Lexical error: s.dts:2.1-3 Odd\nError: s.dts:4.2-3 syntax error",
			   "s.dts:2: Odd", 2);
	with_dtc_that_says("Lexical error: s.dts:2.1-3 Odd", "s.dts:2: Odd", 1);
}

static void names_lines_of_compose(void **state)
{
	write_file("c.yaml", "services:\n  a:\n    image: i\n    mem_limit: 1k\n"
			     "x-skerry:\n  version: v\n  project: p\n  compatible: c\n");
	assert_mistake("c.yaml", 0, "c.yaml:4: services.a.mem_limit: \"1k\" is out of range");
	assert_mistake("c.yaml", 1, "c.yaml:6: x-skerry.version: \"v\" is not a version");
	write_file("c.yaml", "x-skerry: {version: \"1\", compatible: c, project: p}\nservices:\n"
			     "  a: {image: i, mem_limit: 2m,\n  deploy: {resources: {limits: "
			     "{memory: 2m}}}}\n");
	assert_mistake("c.yaml", 0, "c.yaml:3: services.a.mem_limit: Duplicate property");
	write_file("c.yaml", "a: [\n");
	assert_mistake("c.yaml", 0, "c.yaml:2: ");
}

static void round_trip_of_dtb(void **state)
{
	_cleanup_(sk_source_done) struct sk_source s, again;

	write_file("g.dts", "/dts-v1/;\n/ { " RELEASE " apps { a { image = \"i\"; }; }; };\n");
	assert_int_equal(load("g.dts", &s, NULL), 0);
	assert_int_equal(sk_file_write(AT_FDCWD, "g.bin", s.dtb, s.len, 0600), 0);
	assert_int_equal(load("g.bin", &again, NULL), 0);
	assert_int_equal(again.len, s.len);
}

static void refuses_other_files(void **state)
{
	_cleanup_(sk_source_done) struct sk_source s;
	struct sk_err err = SK_ERR_INIT;

	write_file("x.txt", "hello");
	assert_int_equal(load("x.txt", &s, &err), -EINVAL);
	assert_int_equal(s.mistakes.n, 0);
	assert_non_null(strstr(err.text, "neither"));
	assert_int_equal(load("absent.dts", &s, &err), -ENOENT);
	assert_string_equal(err.slug, "not-found");
	write_file("big.dts", "");
	assert_int_equal(truncate("big.dts", 20 << 20), 0);
	assert_int_equal(load("big.dts", &s, &err), -EFBIG);
	assert_string_equal(err.slug, "too-large");
}

/* A file's name is never an option of dtc's. */
static void names_with_a_dash(void **state)
{
	_cleanup_(sk_source_done) struct sk_source s;

	write_file("-h.dts", "/dts-v1/;\n/ { " RELEASE " };\n");
	assert_int_equal(load("-h.dts", &s, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_lines),
		cmocka_unit_test(names_lines_of_included_files),
		cmocka_unit_test(passes_syntax_errors_on),
		cmocka_unit_test(knows_the_words_of_dtc),
		cmocka_unit_test(names_lines_of_compose),
		cmocka_unit_test(round_trip_of_dtb),
		cmocka_unit_test(refuses_other_files),
		cmocka_unit_test(names_with_a_dash),
	};

	return cmocka_run_group_tests_name("cli/manifest_source", tests, set_up, tear_down);
}
