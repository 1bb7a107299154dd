/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "base/buf.h"
#include "base/str.h"
#include "cli/manifest/yaml.h"

static struct sk_yaml_doc *parse(const char *text)
{
	_cleanup_(sk_mistakes_done) struct sk_mistakes mistakes = { 0 };
	struct sk_yaml_doc *doc = NULL;

	if (sk_yaml_parse(text, strlen(text), "f", NULL, &mistakes, &doc) < 0)
		fail_msg("%s: %s", text, mistakes.n ? mistakes.v[0].text : "?");
	return doc;
}

static void assert_refused(const char *text, size_t len, unsigned line, const char *why)
{
	_cleanup_(sk_mistakes_done) struct sk_mistakes mistakes = { 0 };
	struct sk_yaml_doc *doc = NULL;

	if (sk_yaml_parse(text, len, "f", NULL, &mistakes, &doc) != -EINVAL)
		fail_msg("accepted %s", text);
	assert_null(doc);
	assert_true(mistakes.n > 0);
	if (!strstr(mistakes.v[0].text, why) || (line && mistakes.v[0].line != line))
		fail_msg("%u: %s", mistakes.v[0].line, mistakes.v[0].text);
}

static void reads_with_lines(void **state)
{
	_cleanup_(sk_yaml_freep) struct sk_yaml_doc *doc =
		parse("a: 1\nb:\n  - x\n  - \"y\"\nc: {d: ~}\n");
	const struct sk_yaml *root = sk_yaml_root(doc);

	assert_int_equal(root->n, 3);
	assert_string_equal(sk_yaml_get(root, "a")->value->text, "1");
	assert_int_equal(sk_yaml_get(root, "b")->line, 2);
	assert_int_equal(sk_yaml_get(root, "b")->value->items[1]->line, 4);
	assert_true(sk_yaml_is_null(sk_yaml_get(sk_yaml_get(root, "c")->value, "d")->value));
	assert_null(sk_yaml_get(root, "z"));
}

static void quoted_words_are_text(void **state)
{
	_cleanup_(sk_yaml_freep) struct sk_yaml_doc *doc =
		parse("[true, \"true\", False, no, \"\", null]");
	const struct sk_yaml *root = sk_yaml_root(doc);

	assert_int_equal(sk_yaml_bool(root->items[0]), 1);
	assert_int_equal(sk_yaml_bool(root->items[1]), -1);
	assert_int_equal(sk_yaml_bool(root->items[2]), 0);
	assert_int_equal(sk_yaml_bool(root->items[3]), -1);
	assert_false(sk_yaml_is_null(root->items[4]));
	assert_true(sk_yaml_is_null(root->items[5]));
}

static void merges(void **state)
{
	_cleanup_(sk_yaml_freep) struct sk_yaml_doc *doc =
		parse("a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc:\n  y: 0\n  <<: [*a, *b]\n");
	const struct sk_yaml *c = sk_yaml_get(sk_yaml_root(doc), "c")->value;

	assert_int_equal(c->n, 3);
	assert_string_equal(sk_yaml_get(c, "y")->value->text, "0");
	assert_string_equal(sk_yaml_get(c, "x")->value->text, "1");
	assert_string_equal(sk_yaml_get(c, "z")->value->text, "4");
}

static void dollars(void **state)
{
	_cleanup_(sk_yaml_freep) struct sk_yaml_doc *doc = parse("a$$b$$");

	assert_string_equal(sk_yaml_root(doc)->text, "a$b$");
	assert_refused("a: ${HOME}", 10, 1, "no value for variable HOME");
	assert_refused("a: $$$X", 7, 1, "no value for variable X");
}

static void refuses(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *why;
	} bad[] = {
		{ "", 1, "empty" },
		{ "a: 1\na: 2\n", 2, "twice" },
		{ "a: [1\n", 0, "" },
		{ "a: 1\n---\nb: 2\n", 2, "second document" },
		{ "? [x]\n: 1\n", 1, "key must be a word" },
		{ "a: *nope\n", 1, "no anchor \"&nope\"" },
		{ "a: &a [*a]\n", 1, "no anchor" },
		{ "a: !foo x\n", 1, "tags" },
		{ "a: 1\nb: \"\\0\"\n", 2, "zero byte" },
		{ "a:\n  <<: 7\n", 2, "takes a map" },
		{ "a: \xff\n", 0, "" },
		{ "\ta: 1\n", 1, "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_refused(bad[i].text, strlen(bad[i].text), bad[i].line, bad[i].why);
}

static void bounds(void **state)
{
	_cleanup_buf_ struct sk_buf bomb = SK_BUF(1 << 20), deep = SK_BUF(1 << 20);
	_cleanup_free_ char *huge = malloc(SK_YAML_SIZE_MAX + 1);

	assert_int_equal(sk_buf_adds(&bomb, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"), 0);
	for (int i = 1; i < 10; i++)
		assert_int_equal(sk_buf_addf(&bomb, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i,
					     i - 1, i - 1, i - 1, i - 1, i - 1),
				 0);
	assert_refused(bomb.data, bomb.len, 0, "expand to too much");
	for (int i = 0; i < 1000; i++)
		assert_int_equal(sk_buf_adds(&deep, "["), 0);
	assert_refused(deep.data, deep.len, 1, "too deep");
	memset(huge, ' ', SK_YAML_SIZE_MAX + 1);
	assert_refused(huge, SK_YAML_SIZE_MAX + 1, 0, "more than");
	memset(huge, '-', SK_YAML_SIZE_MAX);
	for (size_t i = 0; i < SK_YAML_SIZE_MAX; i += 2)
		memcpy(huge + i, i ? "x," : "[ ", 2);
	assert_refused(huge, SK_YAML_SIZE_MAX, 0, "too many values");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_with_lines), cmocka_unit_test(quoted_words_are_text),
		cmocka_unit_test(merges),	    cmocka_unit_test(dollars),
		cmocka_unit_test(refuses),	    cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests_name("cli/yaml", tests, NULL, NULL);
}
