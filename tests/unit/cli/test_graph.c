/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/manifest/graph.h"
#include "cli/manifest/source.h"

/* a -> b by supervision; b publishes p, a connects to it: a circle, drawn all the same. */
static const char source[] =
	"/dts-v1/;\n/ { release { project = \"p\"; version = \"1\"; compatible = \"c\"; };\n"
	"apps { b { image = \"b.itb\"; msg_servers = \"m\"; };\n"
	" a { image = \"a.itb\"; msg_servers = \"m\"; }; };\n"
	"supervision { a = \"b\"; };\n"
	"msg_servers { m { dir_access_control { proto { publish = \"b\"; connect = \"a\", \"b\"; };"
	" }; }; }; };\n";

static struct sk_manifest *load(const char *text)
{
	_cleanup_(sk_source_done) struct sk_source s;
	struct sk_manifest *m = NULL;
	char path[] = "/tmp/skerry-test-XXXXXX.dts";
	int fd = mkstemps(path, 4);

	assert_true(fd >= 0);
	assert_int_equal(sk_fd_write(fd, text, strlen(text)), 0);
	(void)close(fd);
	assert_int_equal(sk_source_load(path, &s, &m, NULL), 0);
	(void)unlink(path);
	return m;
}

static void has_all(void **state)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = load(source);
	_cleanup_(sk_graph_done) struct sk_graph g = { 0 };

	assert_int_equal(sk_graph_of(m, &g, NULL), 0);
	assert_int_equal(g.n_nodes, 3);
	assert_string_equal(g.nodes[0].app->name, "a"); /* start order */
	assert_string_equal(g.nodes[2].rule->protocol, "proto");
	assert_int_equal(g.n_edges, 4);
	assert_int_equal(g.edges[0].kind, SK_EDGE_SUPERVISES);
	assert_int_equal(g.edges[0].from, 0);
	assert_int_equal(g.edges[0].to, 1);
}

static void writes(const char *format, const char *const *parts)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = load(source);
	_cleanup_buf_ struct sk_buf out = SK_BUF(SK_GRAPH_MAX), again = SK_BUF(SK_GRAPH_MAX);

	assert_int_equal(sk_graph_write(m, format, &out, NULL), 0);
	assert_int_equal(sk_graph_write(m, format, &again, NULL), 0);
	assert_string_equal(out.data, again.data);
	for (; *parts; parts++)
		if (!strstr(out.data, *parts))
			fail_msg("no %s in %s", *parts, out.data);
}

static void writes_text(void **state)
{
	writes("text", (const char *const[]){ "b\n    image       b.itb\n    after       a\n"
					      "    publishes   m/proto\n    connects to m/proto\n",
					      NULL });
}

static void writes_dot(void **state)
{
	writes("dot", (const char *const[]){ "digraph", "a\\na.itb", "proto\\nm", "n0 -> n1 [",
					     "n1 -> n2 [", "n2 -> n0 [", "}\n", NULL });
}

static void put_dot(const char *dir, const char *script)
{
	_cleanup_free_ char *path = sk_asprintf("%s/dot", dir);

	assert_int_equal(sk_file_write(AT_FDCWD, path, script, strlen(script), 0755), 0);
}

static void writes_svg(void **state)
{
	writes("svg", (const char *const[]){ "<svg", ">a.itb</text>", ">proto</text>",
					     ">supervises</text>", "</svg>\n", NULL });
}

static void svg_needs_dot(void **state)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = load(source);
	_cleanup_buf_ struct sk_buf out = SK_BUF(SK_GRAPH_MAX);
	_cleanup_free_ char *path = strdup(getenv("PATH"));
	char dir[] = "/tmp/skerry-test-dot-XXXXXX";
	_cleanup_free_ char *with_dir = NULL;
	struct sk_err err = SK_ERR_INIT;

	assert_non_null(mkdtemp(dir));
	with_dir = sk_asprintf("%s:%s", dir, path);
	assert_int_equal(setenv("PATH", dir, 1), 0);
	assert_int_equal(sk_graph_write(m, "svg", &out, &err), -ENOENT);
	assert_string_equal(err.slug, "child-failed");
	assert_non_null(strstr(err.text, "graphviz"));
	assert_int_equal(setenv("PATH", with_dir, 1), 0);
	put_dot(dir, "#!/bin/sh\necho 'no font' >&2; exit 1\n");
	assert_true(sk_graph_write(m, "svg", &out, &err) < 0);
	assert_string_equal(err.slug, "child-failed");
	assert_non_null(strstr(err.text, "no font"));
	put_dot(dir, "#!/bin/sh\nkill -XCPU $$\n");
	assert_int_equal(sk_graph_write(m, "svg", &out, &err), -EFBIG);
	assert_string_equal(err.slug, "too-large");
	assert_int_equal(out.len, 0);
	assert_int_equal(setenv("PATH", path, 1), 0);
	assert_int_equal(sk_rm_rf(AT_FDCWD, dir), 0);
}

static void writes_json(void **state)
{
	writes("json", (const char *const[]){ "\"kind\": \"protocol\"", "\"server\": \"m\"",
					      "\"kind\": \"supervises\"", NULL });
}

static void refuses_other_formats(void **state)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = load(source);
	_cleanup_buf_ struct sk_buf out = SK_BUF(SK_GRAPH_MAX);
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(sk_graph_write(m, "png", &out, &err), -EINVAL);
	assert_string_equal(err.slug, "usage");
}

/* The most apps that there can be, each supervising all after it: more than can be looked at. */
static void bounded(void **state)
{
	_cleanup_buf_ struct sk_buf dts = SK_BUF(16u << 20), out = SK_BUF(SK_GRAPH_MAX);
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = NULL;
	struct sk_err err = SK_ERR_INIT;

	(void)sk_buf_adds(&dts, "/dts-v1/;\n/ { release { project = \"p\"; version = \"1\"; "
				"compatible = \"c\"; };\napps {");
	for (int i = 0; i < 256; i++)
		(void)sk_buf_addf(&dts, "a%d { image = \"i\"; };\n", i);
	(void)sk_buf_adds(&dts, "};\nsupervision {\n");
	for (int i = 0; i < 100; i++) {
		(void)sk_buf_addf(&dts, "a%d = \"a255\"", i);
		for (int j = i + 1; j < 255; j++)
			(void)sk_buf_addf(&dts, ", \"a%d\"", j);
		(void)sk_buf_adds(&dts, ";\n");
	}
	(void)sk_buf_adds(&dts, "}; };\n");
	m = load(dts.data);
	assert_string_equal(m->apps[99].name, "a99");
	assert_int_equal(sk_graph_write(m, "svg", &out, &err), -EFBIG);
	assert_string_equal(err.slug, "too-large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_all),
		cmocka_unit_test(writes_text),
		cmocka_unit_test(writes_dot),
		cmocka_unit_test(writes_svg),
		cmocka_unit_test(svg_needs_dot),
		cmocka_unit_test(writes_json),
		cmocka_unit_test(refuses_other_formats),
		cmocka_unit_test(bounded),
	};

	return cmocka_run_group_tests_name("cli/graph", tests, NULL, NULL);
}
