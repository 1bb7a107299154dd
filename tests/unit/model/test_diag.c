/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/fdt_read.h"

static char fdt[4096];
static int node_a, node_b;

/* { first; a { x; y; }; b { }; } */
static int make_tree(void **state)
{
	assert_int_equal(fdt_create(fdt, sizeof(fdt)), 0);
	assert_int_equal(fdt_finish_reservemap(fdt), 0);
	assert_int_equal(fdt_begin_node(fdt, ""), 0);
	assert_int_equal(fdt_property(fdt, "first", NULL, 0), 0);
	assert_int_equal(fdt_begin_node(fdt, "a"), 0);
	assert_int_equal(fdt_property(fdt, "x", NULL, 0), 0);
	assert_int_equal(fdt_property(fdt, "y", NULL, 0), 0);
	assert_int_equal(fdt_end_node(fdt), 0);
	assert_int_equal(fdt_begin_node(fdt, "b"), 0);
	assert_int_equal(fdt_end_node(fdt), 0);
	assert_int_equal(fdt_end_node(fdt), 0);
	assert_int_equal(fdt_finish(fdt), 0);
	node_a = fdt_path_offset(fdt, "/a");
	node_b = fdt_path_offset(fdt, "/b");
	return node_a > 0 && node_b > 0 ? 0 : -1;
}

/* Found in any order, told in the order of the file; the first is the error. */
static void in_file_order(void **state)
{
	_cleanup_(sk_diags_done) struct sk_diags d = { 0 };
	struct sk_err err = SK_ERR_INIT;
	struct sk_reader r;

	sk_reader_init(&r, fdt, &d);
	sk_rd_wrong(&r, node_b, NULL, "unknown node");
	sk_rd_wrong(&r, node_a, "y", "is %d", 7);
	sk_rd_hint(&r, "write %s", "y = <8>;");
	sk_rd_hint(&r, "only the first counts");
	sk_rd_wrong(&r, node_a, "x", "is wrong");
	sk_rd_wrong(&r, 0, "first", "is wrong");
	assert_int_equal(sk_reader_end(&r, &err), -EINVAL);
	assert_string_equal(err.slug, "bad-manifest");
	assert_string_equal(err.text, "manifest: /: first: is wrong");
	assert_int_equal(d.n, 4);
	assert_string_equal(d.v[1].prop, "x");
	assert_string_equal(d.v[2].prop, "y");
	assert_string_equal(d.v[2].text, "is 7");
	assert_string_equal(d.v[2].hint, "write y = <8>;");
	assert_string_equal(d.v[2].path, "/a");
	assert_string_equal(d.v[3].path, "/b");
	assert_null(d.v[3].prop);
}

/* More than are kept: still wrong, also when none of its own is kept. */
static void more_than_are_kept(void **state)
{
	_cleanup_(sk_diags_done) struct sk_diags d = { 0 };
	struct sk_err err = SK_ERR_INIT;
	struct sk_reader r;

	sk_reader_init(&r, fdt, &d);
	for (int i = 0; i < 2 * SK_DIAGS_MAX; i++) {
		sk_rd_wrong(&r, i % 2 ? node_a : node_b, NULL, "mistake %d", i);
		sk_rd_hint(&r, "hint %d", i);
	}
	assert_int_equal(sk_reader_end(&r, &err), -EINVAL);
	assert_int_equal(d.n, SK_DIAGS_MAX);
	sk_reader_init(&r, fdt, &d);
	assert_int_equal(sk_reader_end(&r, &err), 0);
	sk_rd_wrong(&r, node_a, NULL, "one more");
	assert_int_equal(sk_reader_end(&r, &err), -EINVAL);
	assert_string_equal(err.text, "manifest: 1 mistakes");
	assert_int_equal(d.n, SK_DIAGS_MAX);
}

/* Nobody wants them: the error says the first, nothing leaks. */
static void without_a_list(void **state)
{
	struct sk_err err = SK_ERR_INIT;
	struct sk_reader r;

	sk_reader_init(&r, fdt, NULL);
	assert_int_equal(sk_reader_end(&r, &err), 0);
	sk_reader_init(&r, fdt, NULL);
	sk_rd_wrong(&r, node_b, NULL, "no");
	sk_rd_hint(&r, "yes");
	assert_int_equal(sk_reader_end(&r, &err), -EINVAL);
	assert_string_equal(err.text, "manifest: /b: no; yes");
}

static void assert_harmless(const char *s)
{
	for (; *s; s++)
		assert_true((unsigned char)*s >= ' ' && *s != 0x7f && (unsigned char)*s != 0x9b);
}

/* What a stranger wrote reaches a terminal without its control characters. */
static void printable(void **state)
{
	_cleanup_(sk_diags_done) struct sk_diags d = { 0 };
	struct sk_reader r;

	sk_reader_init(&r, fdt, &d);
	sk_rd_wrong(&r, node_a, "p\x1b[2J", "\"%s\" is odd\r\n", "\x9b");
	sk_rd_hint(&r, "\a%s", "\x7f");
	(void)sk_reader_end(&r, NULL);
	assert_harmless(d.v[0].prop);
	assert_harmless(d.v[0].text);
	assert_harmless(d.v[0].hint);
	assert_non_null(strstr(d.v[0].prop, "[2J"));
	assert_non_null(strstr(d.v[0].text, "is odd"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_file_order),
		cmocka_unit_test(more_than_are_kept),
		cmocka_unit_test(without_a_list),
		cmocka_unit_test(printable),
	};

	return cmocka_run_group_tests_name("model/diag", tests, make_tree, NULL);
}
