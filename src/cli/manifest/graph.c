/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/manifest/graph.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/map.h"
#include "base/str.h"
#include "io/sys/child.h"

#define EDGES_MAX	  20000
#define PICTURE_EDGES_MAX 2000
#define DOT_CPU_S	  60
#define DOT_MEMORY	  (2ull << 30)

static const char *const edge_names[] = { "supervises", "publish", "connect" };

void sk_graph_done(struct sk_graph *g)
{
	free(g->nodes);
	free(g->edges);
	*g = (struct sk_graph){ 0 };
}

static size_t count_nodes(const struct sk_manifest *m)
{
	size_t n = m->n_apps;

	for (size_t i = 0; i < m->n_msg_servers; i++)
		n += m->msg_servers[i].n_rules;
	return n;
}

static size_t count_edges(const struct sk_manifest *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_supervision; i++)
		n += sk_strv_len(m->supervision[i].dependants);
	for (size_t i = 0; i < m->n_msg_servers; i++)
		for (size_t j = 0; j < m->msg_servers[i].n_rules; j++)
			n += sk_strv_len(m->msg_servers[i].rules[j].publish) +
			     sk_strv_len(m->msg_servers[i].rules[j].connect);
	return n;
}

static size_t app_number(const struct sk_map *apps, const char *name)
{
	return (size_t)(uintptr_t)sk_map_get(apps, name) - 1;
}

static void add_edge(struct sk_graph *g, enum sk_edge_kind kind, size_t from, size_t to)
{
	g->edges[g->n_edges++] = (struct sk_graph_edge){ kind, from, to };
}

static void add_rule(struct sk_graph *g, const struct sk_map *apps, const struct sk_msg_server *s,
		     const struct sk_msg_rule *rule)
{
	size_t at = g->n_nodes++;

	g->nodes[at] = (struct sk_graph_node){ .server = s, .rule = rule };
	SK_STRV_FOREACH (name, rule->publish)
		add_edge(g, SK_EDGE_PUBLISH, app_number(apps, *name), at);
	SK_STRV_FOREACH (name, rule->connect)
		add_edge(g, SK_EDGE_CONNECT, at, app_number(apps, *name));
}

static void fill(struct sk_graph *g, const struct sk_manifest *m, const struct sk_map *apps)
{
	for (size_t i = 0; i < m->n_apps; i++)
		g->nodes[g->n_nodes++] = (struct sk_graph_node){ .app = &m->apps[i] };
	for (size_t i = 0; i < m->n_supervision; i++)
		SK_STRV_FOREACH (name, m->supervision[i].dependants)
			add_edge(g, SK_EDGE_SUPERVISES, app_number(apps, m->supervision[i].app),
				 app_number(apps, *name));
	for (size_t i = 0; i < m->n_msg_servers; i++)
		for (size_t j = 0; j < m->msg_servers[i].n_rules; j++)
			add_rule(g, apps, &m->msg_servers[i], &m->msg_servers[i].rules[j]);
}

int sk_graph_of(const struct sk_manifest *m, struct sk_graph *ret, struct sk_err *err)
{
	_cleanup_(sk_map_freep) struct sk_map *apps = sk_map_new(NULL);
	size_t edges = count_edges(m);
	bool ok = apps != NULL;

	if (edges > EDGES_MAX)
		return sk_err_set(err, -EFBIG, "too-large",
				  "the graph has %zu edges; at most %d are drawn", edges,
				  EDGES_MAX);
	for (size_t i = 0; ok && i < m->n_apps; i++)
		ok = sk_map_add(apps, m->apps[i].name, (void *)(uintptr_t)(i + 1)) == 0;
	ret->nodes = calloc(count_nodes(m) + 1, sizeof(*ret->nodes));
	ret->edges = calloc(edges + 1, sizeof(*ret->edges));
	if (!ok || !ret->nodes || !ret->edges)
		return sk_err_oom(err);
	fill(ret, m, apps);
	return 0;
}

/* "\n    label: a, b" unless there is none */
static int text_edges(const struct sk_graph *g, size_t node, enum sk_edge_kind kind, bool outgoing,
		      const char *label, struct sk_buf *out)
{
	const char *sep = label;
	int r = 0;

	for (size_t i = 0; r == 0 && i < g->n_edges; i++) {
		const struct sk_graph_edge *e = &g->edges[i];
		const struct sk_graph_node *other = &g->nodes[outgoing ? e->to : e->from];

		if (e->kind != kind || (outgoing ? e->from : e->to) != node)
			continue;
		r = sk_buf_addf(out, "%s%s", sep, other->app ? other->app->name : "");
		if (r == 0 && other->rule)
			r = sk_buf_addf(out, "%s/%s", other->server->name, other->rule->protocol);
		sep = ", ";
	}
	return r == 0 && sep != label ? sk_buf_adds(out, "\n") : r;
}

static int text_app(const struct sk_graph *g, size_t i, struct sk_buf *out)
{
	const struct sk_app *a = g->nodes[i].app;

	if (sk_buf_addf(out, "%s\n    image       %s\n", a->name, a->image->name) < 0 ||
	    text_edges(g, i, SK_EDGE_SUPERVISES, false, "    after       ", out) < 0 ||
	    text_edges(g, i, SK_EDGE_SUPERVISES, true, "    supervises  ", out) < 0 ||
	    text_edges(g, i, SK_EDGE_PUBLISH, true, "    publishes   ", out) < 0 ||
	    text_edges(g, i, SK_EDGE_CONNECT, false, "    connects to ", out) < 0)
		return -ENOMEM;
	return 0;
}

static int write_text(const struct sk_manifest *m, const struct sk_graph *g, struct sk_buf *out)
{
	int r = sk_buf_addf(out, "%s %s\n", m->project, m->version);

	for (size_t i = 0; r == 0 && i < m->n_apps; i++)
		r = text_app(g, i, out);
	return r;
}

/* Names of apps, protocols, images are letters, digits, '.', '_' and '-': no quoting needed. */
static int dot_node(const struct sk_graph_node *n, size_t i, struct sk_buf *out)
{
	if (n->app)
		return sk_buf_addf(out,
				   "\tn%zu [shape=box, style=\"rounded,filled\", "
				   "fillcolor=\"#e8f0fe\", label=\"%s\\n%s\"];\n",
				   i, n->app->name, n->app->image->name);
	return sk_buf_addf(out,
			   "\tn%zu [shape=ellipse, style=filled, fillcolor=\"#fff4dc\", "
			   "label=\"%s\\n%s\"];\n",
			   i, n->rule->protocol, n->server->name);
}

static int write_dot(const struct sk_manifest *m, const struct sk_graph *g, struct sk_buf *out)
{
	static const char *const styles[] = {
		"color=\"#8a94a6\", style=dashed, label=supervises",
		"color=\"#1a73e8\", label=publish",
		"color=\"#188038\", label=connect",
	};
	int r = sk_buf_addf(out,
			    "digraph skerry {\n\tlabel=\"%s %s\";\n\trankdir=LR;\n"
			    "\tnode [fontname=\"sans-serif\"];\n"
			    "\tedge [fontname=\"sans-serif\", fontsize=10];\n",
			    m->project, m->version);

	for (size_t i = 0; r == 0 && i < g->n_nodes; i++)
		r = dot_node(&g->nodes[i], i, out);
	for (size_t i = 0; r == 0 && i < g->n_edges; i++)
		r = sk_buf_addf(out, "\tn%zu -> n%zu [%s];\n", g->edges[i].from, g->edges[i].to,
				styles[g->edges[i].kind]);
	return r == 0 ? sk_buf_adds(out, "}\n") : r;
}

static json_t *node_json(const struct sk_graph_node *n)
{
	if (n->app)
		return json_pack("{s:s, s:s, s:s}", "kind", "app", "name", n->app->name, "image",
				 n->app->image->name);
	return json_pack("{s:s, s:s, s:s}", "kind", "protocol", "name", n->rule->protocol, "server",
			 n->server->name);
}

static int write_json(const struct sk_manifest *m, const struct sk_graph *g, struct sk_buf *out)
{
	json_t *nodes = json_array(), *edges = json_array(), *all;
	_cleanup_free_ char *text = NULL;

	for (size_t i = 0; i < g->n_nodes; i++)
		(void)json_array_append_new(nodes, node_json(&g->nodes[i]));
	for (size_t i = 0; i < g->n_edges; i++)
		(void)json_array_append_new(edges, json_pack("{s:s, s:I, s:I}", "kind",
							     edge_names[g->edges[i].kind], "from",
							     (json_int_t)g->edges[i].from, "to",
							     (json_int_t)g->edges[i].to));
	all = json_pack("{s:o, s:o}", "nodes", nodes, "edges", edges);
	text = all ? json_dumps(all, JSON_INDENT(2)) : NULL;
	json_decref(all);
	return text ? sk_buf_addf(out, "%s\n", text) : -ENOMEM;
}

static int dot_failed(int r, const struct sk_err *why, struct sk_err *err)
{
	if (r == -ENOENT)
		return sk_err_set(err, r, "child-failed",
				  "cannot run dot, which draws the picture: install the Debian "
				  "package graphviz, or take --format dot");
	if (strstr(why->text, "killed") || r == -EFBIG)
		return sk_err_set(err, -EFBIG, "too-large",
				  "the graph is too large for a picture; try --format dot");
	return sk_err_set(err, r, "child-failed", "dot cannot draw the picture: %s", why->text);
}

/* @ret is owned by the caller. */
static int run_dot(int source, char **ret, size_t *ret_len, struct sk_err *err)
{
	const char *const argv[] = { "dot", "-Tsvg", NULL };
	const struct sk_child_spec spec = {
		.argv = argv,
		.stdin_fd = source,
		.stdout_fd = -1,
		.stderr_fd = -1,
		.kill_with_parent = true,
		.limit_cpu_s = DOT_CPU_S,
		.limit_as_bytes = DOT_MEMORY,
	};
	struct sk_err why = SK_ERR_INIT;
	int r = sk_child_run(&spec, SK_GRAPH_MAX, ret, ret_len, &why);

	return r < 0 ? dot_failed(r, &why, err) : 0;
}

/* The same graph as --format dot, laid out by Graphviz. */
static int write_svg(const struct sk_manifest *m, const struct sk_graph *g, struct sk_buf *out,
		     struct sk_err *err)
{
	_cleanup_buf_ struct sk_buf dot = SK_BUF(SK_GRAPH_MAX);
	_cleanup_close_ int source = memfd_create("graph", MFD_CLOEXEC);
	_cleanup_free_ char *svg = NULL;
	size_t len;
	int r;

	if (g->n_edges > PICTURE_EDGES_MAX)
		return sk_err_set(err, -EFBIG, "too-large",
				  "the graph has %zu edges, too many for a picture; try --format "
				  "dot",
				  g->n_edges);
	if (write_dot(m, g, &dot) < 0)
		return sk_err_oom(err);
	if (source < 0 || sk_fd_write(source, dot.data, dot.len) < 0 ||
	    lseek(source, 0, SEEK_SET) < 0)
		return sk_err_set(err, -errno, "io", "cannot make a file in memory: %m");
	r = run_dot(source, &svg, &len, err);
	if (r < 0)
		return r;
	return sk_buf_add(out, svg, len) < 0 ? sk_err_oom(err) : 0;
}

static const struct {
	const char *name;
	int (*write)(const struct sk_manifest *m, const struct sk_graph *g, struct sk_buf *out);
} formats[] = {
	{ "text", write_text },
	{ "dot", write_dot },
	{ "json", write_json },
};

int sk_graph_write(const struct sk_manifest *m, const char *format, struct sk_buf *out,
		   struct sk_err *err)
{
	_cleanup_(sk_graph_done) struct sk_graph g = { 0 };
	bool svg = sk_streq(format, "svg");
	size_t i = 0;
	int r;

	while (i < ARRAY_SIZE(formats) && !sk_streq(formats[i].name, format))
		i++;
	if (i == ARRAY_SIZE(formats) && !svg)
		return sk_err_set(err, -EINVAL, "usage",
				  "no graph format \"%s\"; there are text, dot, svg and json",
				  format);
	r = sk_graph_of(m, &g, err);
	if (r < 0)
		return r;
	if (svg)
		return write_svg(m, &g, out, err);
	return formats[i].write(m, &g, out) < 0 ? sk_err_oom(err) : 0;
}
