/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "cli/manifest/graph.h"

/*
 * A layered drawing (after Sugiyama): edges that close a cycle are turned round, every node gets
 * the layer after its farthest predecessor, edges over several layers get a bend in each, the
 * order within a layer follows the mean of the neighbours, and each layer is a column.
 */
#define LAYER_GAP   110
#define ROW_GAP	    26
#define APP_HEIGHT  52
#define PILL_HEIGHT 40
#define CHAR_WIDTH  7.6
#define WIDTH_MIN   96
#define MARGIN	    32
#define HEAD	    56
#define SWEEPS	    8
#define NODES_MAX   500
#define EDGES_MAX   2000
#define BENDS_MAX   100000

/* A node of the graph, or a bend of an edge (node == BEND). */
#define BEND SIZE_MAX
struct vertex {
	size_t node;
	size_t layer, rank; /* column, and place in it */
	double x, y, width, height, mean;
};

struct link {
	size_t from, to; /* vertices of neighbouring layers */
};

struct layout {
	const struct sk_graph *g;
	struct vertex *v;
	size_t n;
	struct link *links;
	size_t n_links;
	size_t *first_link; /* of each edge; its links stand one after the other */
	bool *turned;	    /* edges drawn against their direction */
	size_t **columns, *column_len;
	size_t n_columns;
	double width, height;
};

static void layout_done(struct layout *l)
{
	for (size_t i = 0; l->columns && i < l->n_columns; i++)
		free(l->columns[i]);
	free(l->columns);
	free(l->column_len);
	free(l->v);
	free(l->links);
	free(l->first_link);
	free(l->turned);
}

static size_t edge_from(const struct layout *l, size_t e)
{
	return l->turned[e] ? l->g->edges[e].to : l->g->edges[e].from;
}

static size_t edge_to(const struct layout *l, size_t e)
{
	return l->turned[e] ? l->g->edges[e].from : l->g->edges[e].to;
}

static bool grow_layers(struct layout *l)
{
	bool changed = false;

	for (size_t e = 0; e < l->g->n_edges; e++) {
		struct vertex *from = &l->v[edge_from(l, e)], *to = &l->v[edge_to(l, e)];

		if (from == to || to->layer > from->layer)
			continue;
		to->layer = from->layer + 1;
		changed = true;
	}
	return changed;
}

/*
 * Supervision has no cycles (the manifest was checked) and its edges come first. A message edge
 * that would close one is turned round: @reach says which nodes can be come to from which.
 */
static int turn_cycles(struct layout *l)
{
	size_t n = l->g->n_nodes;
	_cleanup_free_ bool *reach = calloc(n * n + 1, sizeof(bool));

	if (!reach)
		return -ENOMEM;
	for (size_t e = 0; e < l->g->n_edges; e++) {
		size_t from, to;

		l->turned[e] = reach[l->g->edges[e].to * n + l->g->edges[e].from];
		from = edge_from(l, e);
		to = edge_to(l, e);
		if (from == to || reach[from * n + to])
			continue;
		for (size_t a = 0; a < n; a++) {
			if (a != from && !reach[a * n + from])
				continue;
			reach[a * n + to] = true;
			for (size_t b = 0; b < n; b++)
				reach[a * n + b] |= reach[to * n + b];
		}
	}
	return 0;
}

static double text_width(const char *s)
{
	return (double)strlen(s) * CHAR_WIDTH + 28;
}

static void size_node(struct vertex *v, const struct sk_graph_node *n)
{
	const char *top = n->app ? n->app->name : n->rule->protocol;
	const char *below = n->app ? n->app->image->name : n->server->name;

	v->width = SK_MAX(SK_MAX(text_width(top), text_width(below)), (double)WIDTH_MIN);
	v->height = n->app ? APP_HEIGHT : PILL_HEIGHT;
}

static int place_nodes(struct layout *l)
{
	size_t n = l->g->n_nodes;

	l->v = calloc(n + 1, sizeof(*l->v));
	l->turned = calloc(l->g->n_edges + 1, sizeof(*l->turned));
	l->first_link = calloc(l->g->n_edges + 1, sizeof(*l->first_link));
	if (!l->v || !l->turned || !l->first_link)
		return -ENOMEM;
	for (l->n = 0; l->n < n; l->n++) {
		l->v[l->n].node = l->n;
		size_node(&l->v[l->n], &l->g->nodes[l->n]);
	}
	if (turn_cycles(l) < 0)
		return -ENOMEM;
	for (size_t round = 0; round < n && grow_layers(l); round++)
		;
	return 0;
}

static size_t count_bends(const struct layout *l)
{
	size_t n = 0;

	for (size_t e = 0; e < l->g->n_edges; e++) {
		size_t from = l->v[edge_from(l, e)].layer, to = l->v[edge_to(l, e)].layer;

		n += to > from ? to - from - 1 : 0;
	}
	return n;
}

/* The chain of links of one edge, with a bend in every layer between. */
static void link_edge(struct layout *l, size_t e)
{
	size_t at = edge_from(l, e), end = edge_to(l, e);

	l->first_link[e] = l->n_links;
	if (at == end)
		return;
	while (l->v[at].layer + 1 < l->v[end].layer) {
		size_t bend = l->n++;

		l->v[bend] = (struct vertex){ .node = BEND, .layer = l->v[at].layer + 1 };
		l->links[l->n_links++] = (struct link){ at, bend };
		at = bend;
	}
	l->links[l->n_links++] = (struct link){ at, end };
}

static int link_edges(struct layout *l)
{
	size_t bends = count_bends(l);
	struct vertex *v;

	if (bends > BENDS_MAX)
		return -EMSGSIZE;
	v = reallocarray(l->v, l->n + bends + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	l->v = v;
	l->links = calloc(l->g->n_edges + bends + 1, sizeof(*l->links));
	if (!l->links)
		return -ENOMEM;
	for (size_t e = 0; e < l->g->n_edges; e++)
		link_edge(l, e);
	return 0;
}

static int fill_columns(struct layout *l)
{
	for (size_t i = 0; i < l->n; i++)
		l->n_columns = SK_MAX(l->n_columns, l->v[i].layer + 1);
	l->columns = calloc(l->n_columns + 1, sizeof(*l->columns));
	l->column_len = calloc(l->n_columns + 1, sizeof(*l->column_len));
	if (!l->columns || !l->column_len)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++)
		l->column_len[l->v[i].layer]++;
	for (size_t c = 0; c < l->n_columns; c++) {
		l->columns[c] = calloc(l->column_len[c] + 1, sizeof(size_t));
		if (!l->columns[c])
			return -ENOMEM;
		l->column_len[c] = 0;
	}
	for (size_t i = 0; i < l->n; i++) {
		struct vertex *v = &l->v[i];

		v->rank = l->column_len[v->layer]++;
		l->columns[v->layer][v->rank] = i;
	}
	return 0;
}

/* Each vertex's mean place of its neighbours on one side; those without any keep their place. */
static void take_means(struct layout *l, bool from_left)
{
	_cleanup_free_ double *sum = calloc(l->n + 1, sizeof(*sum));
	_cleanup_free_ size_t *count = calloc(l->n + 1, sizeof(*count));

	if (!sum || !count)
		return;
	for (size_t i = 0; i < l->n_links; i++) {
		size_t of = from_left ? l->links[i].to : l->links[i].from;
		size_t other = from_left ? l->links[i].from : l->links[i].to;

		sum[of] += (double)l->v[other].rank / (double)l->column_len[l->v[other].layer];
		count[of]++;
	}
	for (size_t i = 0; i < l->n; i++)
		l->v[i].mean =
			count[i] ? sum[i] / (double)count[i]
				 : (double)l->v[i].rank / (double)l->column_len[l->v[i].layer];
}

static int cmp_mean(const void *a, const void *b, void *arg)
{
	const struct vertex *v = arg;
	const struct vertex *x = &v[*(const size_t *)a], *y = &v[*(const size_t *)b];

	if (x->mean != y->mean)
		return x->mean < y->mean ? -1 : 1;
	return (x->rank > y->rank) - (x->rank < y->rank);
}

static void order_columns(struct layout *l)
{
	for (int sweep = 0; sweep < SWEEPS; sweep++) {
		take_means(l, sweep % 2 == 0);
		for (size_t c = 0; c < l->n_columns; c++) {
			qsort_r(l->columns[c], l->column_len[c], sizeof(size_t), cmp_mean, l->v);
			for (size_t i = 0; i < l->column_len[c]; i++)
				l->v[l->columns[c][i]].rank = i;
		}
	}
}

static double column_width(const struct layout *l, size_t c)
{
	double width = 0;

	for (size_t i = 0; i < l->column_len[c]; i++)
		width = SK_MAX(width, l->v[l->columns[c][i]].width);
	return width;
}

static double column_height(const struct layout *l, size_t c)
{
	double height = 0;

	for (size_t i = 0; i < l->column_len[c]; i++)
		height += l->v[l->columns[c][i]].height + (i ? ROW_GAP : 0);
	return height;
}

static void set_places(struct layout *l)
{
	double tallest = 0, x = MARGIN;

	for (size_t c = 0; c < l->n_columns; c++)
		tallest = SK_MAX(tallest, column_height(l, c));
	for (size_t c = 0; c < l->n_columns; c++) {
		double width = column_width(l, c);
		double y = HEAD + (tallest - column_height(l, c)) / 2;

		for (size_t i = 0; i < l->column_len[c]; i++) {
			struct vertex *v = &l->v[l->columns[c][i]];

			v->x = x + (width - v->width) / 2;
			v->y = y;
			y += v->height + ROW_GAP;
		}
		x += width + LAYER_GAP;
	}
	l->width = x - LAYER_GAP + MARGIN;
	l->height = HEAD + tallest + 2 * MARGIN;
}

static int draw_node(const struct layout *l, const struct vertex *v, struct sk_buf *out)
{
	const struct sk_graph_node *n = &l->g->nodes[v->node];
	const char *top = n->app ? n->app->name : n->rule->protocol;
	const char *below = n->app ? n->app->image->name : n->server->name;
	double middle = v->x + v->width / 2, y = v->y + v->height / 2;

	return sk_buf_addf(out,
			   "<g class=\"%s\"><title>%s</title><rect x=\"%.1f\" y=\"%.1f\" "
			   "width=\"%.1f\" height=\"%.1f\" rx=\"%.1f\"/>"
			   "<text x=\"%.1f\" y=\"%.1f\">%s</text>"
			   "<text class=\"below\" x=\"%.1f\" y=\"%.1f\">%s</text></g>\n",
			   n->app ? "app" : "protocol", top, v->x, v->y, v->width, v->height,
			   n->app ? 8 : v->height / 2, middle, y - 3, top, middle, y + 14, below);
}

/* A curve from the right side of one vertex to the left side of the next. */
static int draw_piece(const struct layout *l, size_t link, bool first, struct sk_buf *out)
{
	const struct vertex *a = &l->v[l->links[link].from], *b = &l->v[l->links[link].to];
	double x1 = a->x + a->width, y1 = a->y + a->height / 2;
	double x2 = b->x, y2 = b->y + b->height / 2, middle = (x1 + x2) / 2;
	int r = first ? sk_buf_addf(out, "M%.1f,%.1f ", x1, y1) : 0;

	return r == 0 ? sk_buf_addf(out, "C%.1f,%.1f %.1f,%.1f %.1f,%.1f ", middle, y1, middle, y2,
				    x2, y2)
		      : r;
}

static int draw_edge(const struct layout *l, size_t e, struct sk_buf *out)
{
	static const char *const classes[] = { "supervises", "publish", "connect" };
	const char *class = classes[l->g->edges[e].kind];
	size_t end = e + 1 < l->g->n_edges ? l->first_link[e + 1] : l->n_links;
	int r;

	if (l->first_link[e] == end)
		return 0;
	r = sk_buf_addf(out, "<path class=\"%s\" marker-%s=\"url(#%s)\" d=\"", class,
			l->turned[e] ? "start" : "end", class);
	for (size_t i = l->first_link[e]; r == 0 && i < end; i++)
		r = draw_piece(l, i, i == l->first_link[e], out);
	return r == 0 ? sk_buf_adds(out, "\"/>\n") : r;
}

static int draw_marker(const char *class, const char *colour, struct sk_buf *out)
{
	return sk_buf_addf(out,
			   "<marker id=\"%s\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" "
			   "markerWidth=\"7\" markerHeight=\"7\" orient=\"auto-start-reverse\">"
			   "<path d=\"M0,0 L10,5 L0,10 z\" style=\"fill:%s\"/></marker>\n",
			   class, colour);
}

static int draw_legend(double y, struct sk_buf *out)
{
	return sk_buf_addf(out,
			   "<g class=\"legend\" transform=\"translate(%d,%.1f)\">"
			   "<path class=\"supervises\" d=\"M0,0 H26\"/><text x=\"32\" y=\"4\">"
			   "supervises</text><path class=\"publish\" d=\"M118,0 H144\"/>"
			   "<text x=\"150\" y=\"4\">publishes</text>"
			   "<path class=\"connect\" d=\"M230,0 H256\"/><text x=\"262\" y=\"4\">"
			   "connects</text></g>\n",
			   MARGIN, y);
}

static int draw_head(const struct sk_manifest *m, const struct layout *l, struct sk_buf *out)
{
	double width = SK_MAX(l->width, 380.0);
	int r = sk_buf_addf(
		out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
		"viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n<title>%s %s</title>\n<style>"
		"svg{background:#fff}text{font:600 13px sans-serif;text-anchor:middle;fill:#1f2937}"
		"text.below{font-weight:400;font-size:11px;fill:#5b6472}"
		"text.head{font-size:17px;text-anchor:start}"
		".legend text{font-weight:400;font-size:11px;text-anchor:start}"
		".app rect{fill:#e8f0fe;stroke:#4a78c2}.protocol rect{fill:#fff4dc;stroke:#c79a3a}"
		"path{fill:none;stroke-width:1.6}.supervises{stroke:#7a8494;stroke-dasharray:5 4}"
		".publish{stroke:#1a73e8}.connect{stroke:#188038}marker path{stroke:none}"
		"</style>\n<defs>\n",
		width, l->height, width, l->height, m->project, m->version);

	if (r == 0)
		r = draw_marker("supervises", "#7a8494", out);
	if (r == 0)
		r = draw_marker("publish", "#1a73e8", out);
	if (r == 0)
		r = draw_marker("connect", "#188038", out);
	return r == 0 ? sk_buf_addf(
				out,
				"</defs>\n<text class=\"head\" x=\"%d\" y=\"34\">%s %s</text>\n",
				MARGIN, m->project, m->version)
		      : r;
}

static int draw(const struct sk_manifest *m, const struct layout *l, struct sk_buf *out)
{
	int r = draw_head(m, l, out);

	for (size_t e = 0; r == 0 && e < l->g->n_edges; e++)
		r = draw_edge(l, e, out);
	for (size_t i = 0; r == 0 && i < l->n; i++)
		if (l->v[i].node != BEND)
			r = draw_node(l, &l->v[i], out);
	if (r == 0)
		r = draw_legend(l->height - MARGIN, out);
	return r == 0 ? sk_buf_adds(out, "</svg>\n") : r;
}

int sk_graph_svg(const struct sk_manifest *m, const struct sk_graph *g, struct sk_buf *out)
{
	_cleanup_(layout_done) struct layout l = { .g = g };
	int r;

	if (g->n_nodes > NODES_MAX || g->n_edges > EDGES_MAX)
		return -EMSGSIZE;
	r = place_nodes(&l);
	if (r == 0)
		r = link_edges(&l);
	if (r == 0)
		r = fill_columns(&l);
	if (r < 0)
		return r;
	order_columns(&l);
	set_places(&l);
	return draw(m, &l, out);
}
