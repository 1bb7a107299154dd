/* SPDX-License-Identifier: Apache-2.0 */
#include <libfdt.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "model/manifest_read.h"

/* What ties apps together: message servers, keys, supervision, and the start order. */

#define RULES_MAX 256
#define KEYS_MAX  256
#define CYCLE_MAX 8

static const struct sk_word rule_words[] = {
	{ "publish", sk_rd_strv, offsetof(struct sk_msg_rule, publish), .max = SK_MANIFEST_APPS_MAX,
	  .example = "publish = \"sensor\";", .required = true },
	{ "connect", sk_rd_strv, offsetof(struct sk_msg_rule, connect), .max = SK_MANIFEST_APPS_MAX,
	  .example = "connect = \"web\";" },
};

/* An app in a server's matrix must be connected to that server. */
static void check_connected(struct sk_reader *r, int node, const char *prop, char *const *apps,
			    const char *server)
{
	const struct sk_manifest *m = sk_mr(r)->m;

	SK_STRV_FOREACH (name, apps) {
		int i = sk_children_find(&sk_mr(r)->apps, *name);

		if (i < 0 || sk_strv_has(m->apps[i].msg_servers, server))
			continue;
		sk_rd_wrong(r, node, prop, "app \"%s\" is not connected to server \"%s\"", *name,
			    server);
		sk_rd_hint(r, "write msg_servers = \"%s\"; in /apps/%s", server, *name);
	}
}

static void read_rule(struct sk_reader *r, int node, struct sk_msg_rule *rule, const char *server)
{
	const struct sk_words set = { rule_words, ARRAY_SIZE(rule_words), rule };
	const struct sk_children *apps = &sk_mr(r)->apps;

	rule->protocol = sk_rd_strdup(r, fdt_get_name(r->fdt, node, NULL));
	sk_rd_props(r, node, &set, 1);
	sk_rd_no_nodes(r, node);
	sk_rd_known(r, node, "publish", rule->publish, apps, "app");
	sk_rd_known(r, node, "connect", rule->connect, apps, "app");
	check_connected(r, node, "publish", rule->publish, server);
	check_connected(r, node, "connect", rule->connect, server);
}

static void read_access_control(struct sk_reader *r, int node, void *to)
{
	_cleanup_(sk_children_done) struct sk_children c = { 0 };
	struct sk_msg_server *s = to;

	sk_rd_no_props(r, node);
	sk_rd_children(r, node, RULES_MAX, "protocol", &c);
	s->rules = sk_rd_calloc(r, c.n + 1, sizeof(*s->rules));
	for (; !r->oom && s->n_rules < c.n; s->n_rules++)
		read_rule(r, c.nodes[s->n_rules], &s->rules[s->n_rules], s->name);
}

static void read_server(struct sk_reader *r, int node, struct sk_msg_server *s)
{
	static const struct sk_sub sub = { "dir_access_control", read_access_control };

	s->name = sk_rd_strdup(r, fdt_get_name(r->fdt, node, NULL));
	if (!s->name)
		return;
	sk_rd_no_props(r, node);
	sk_rd_nodes(r, node, &sub, 1, s);
	if (s->rules || r->oom)
		return;
	sk_rd_wrong(r, node, NULL, "node \"dir_access_control\" is missing");
	sk_rd_hint(r, "write dir_access_control { PROTOCOL { publish = \"APP\"; connect = "
		      "\"APP\"; }; };");
}

void sk_rd_msg_servers(struct sk_reader *r, int node)
{
	const struct sk_children *c = &sk_mr(r)->servers;
	struct sk_manifest *m = sk_mr(r)->m;

	if (node < 0)
		return;
	sk_rd_no_props(r, node);
	m->msg_servers = sk_rd_calloc(r, c->n + 1, sizeof(*m->msg_servers));
	for (; !r->oom && m->n_msg_servers < c->n; m->n_msg_servers++)
		read_server(r, c->nodes[m->n_msg_servers], &m->msg_servers[m->n_msg_servers]);
}

static bool use_ok(const char *s)
{
	return sk_streq(s, "sign") || sk_streq(s, "decrypt") || sk_streq(s, "derive");
}

static const struct sk_word key_words[] = {
	{ "apps", sk_rd_strv, offsetof(struct sk_key_grant, apps), .max = SK_MANIFEST_APPS_MAX,
	  .example = "apps = \"tunnel\";", .required = true },
	{ "uses", sk_rd_strv, offsetof(struct sk_key_grant, uses), .max = 3, .ok = use_ok,
	  .expect = "\"sign\", \"decrypt\" or \"derive\"", .example = "uses = \"sign\";",
	  .required = true },
};

void sk_rd_keys(struct sk_reader *r, int node)
{
	_cleanup_(sk_children_done) struct sk_children c = { 0 };
	struct sk_manifest *m = sk_mr(r)->m;

	if (node < 0)
		return;
	sk_rd_no_props(r, node);
	sk_rd_children(r, node, KEYS_MAX, "key", &c);
	m->keys = sk_rd_calloc(r, c.n + 1, sizeof(*m->keys));
	for (; !r->oom && m->n_keys < c.n; m->n_keys++) {
		struct sk_key_grant *k = &m->keys[m->n_keys];
		const struct sk_words set = { key_words, ARRAY_SIZE(key_words), k };

		k->name = sk_rd_strdup(r, fdt_get_name(r->fdt, c.nodes[m->n_keys], NULL));
		sk_rd_props(r, c.nodes[m->n_keys], &set, 1);
		sk_rd_no_nodes(r, c.nodes[m->n_keys]);
		sk_rd_known(r, c.nodes[m->n_keys], "apps", k->apps, &sk_mr(r)->apps, "app");
	}
}

static const struct sk_word row_word = { .max = SK_MANIFEST_APPS_MAX,
					 .example = "ethernet = \"tunnel\", \"hello\";" };

static void read_row(struct sk_reader *r, const struct sk_prop *p, void *to)
{
	struct sk_manifest *m = to;
	struct sk_supervision *row = &m->supervision[m->n_supervision];
	char name[SK_NAME_MAX + 1];
	char *const names[] = { memcpy(name, p->name, strlen(p->name) + 1), NULL };

	sk_rd_strv(r, p, &row_word, &row->dependants);
	row->app = sk_rd_strdup(r, p->name);
	m->n_supervision++;
	sk_rd_known(r, p->node, p->name, names, &sk_mr(r)->apps, "app");
	sk_rd_known(r, p->node, p->name, row->dependants, &sk_mr(r)->apps, "app");
}

void sk_rd_supervision(struct sk_reader *r, int node)
{
	struct sk_manifest *m = sk_mr(r)->m;

	if (node < 0)
		return;
	m->supervision = sk_rd_calloc(r, sk_count_props(r->fdt, node) + 1, sizeof(*m->supervision));
	if (m->supervision)
		sk_rd_free_props(r, node, SK_MANIFEST_APPS_MAX, "supervised app", sk_name_ok,
				 read_row, m);
	sk_rd_no_nodes(r, node);
}

/* Apps as numbers: waits[i] is how many apps must stand before app i. */
struct order {
	struct sk_reader *r;
	const struct sk_manifest *m;
	size_t waits[SK_MANIFEST_APPS_MAX];
	const struct sk_supervision *row[SK_MANIFEST_APPS_MAX]; /* of app i; may be NULL */
	bool placed[SK_MANIFEST_APPS_MAX];
	size_t sorted[SK_MANIFEST_APPS_MAX];
	size_t n;
};

static size_t order_index(const struct order *o, const char *name)
{
	return (size_t)sk_children_find(&sk_mr(o->r)->apps, name);
}

static void count_waits(struct order *o)
{
	for (size_t i = 0; i < o->m->n_supervision; i++) {
		const struct sk_supervision *row = &o->m->supervision[i];

		o->row[order_index(o, row->app)] = row;
		SK_STRV_FOREACH (d, row->dependants)
			o->waits[order_index(o, *d)]++;
	}
}

static bool place_next(struct order *o)
{
	size_t i = 0;

	while (i < o->m->n_apps && (o->placed[i] || o->waits[i] > 0))
		i++;
	if (i == o->m->n_apps)
		return false;
	o->placed[i] = true;
	o->sorted[o->n++] = i;
	SK_STRV_FOREACH (d, o->row[i] ? o->row[i]->dependants : NULL)
		o->waits[order_index(o, *d)]--;
	return true;
}

/* An app that is not placed and that app i waits for: there is one for each app left over. */
static size_t held_by(const struct order *o, size_t i)
{
	size_t j = 0;

	for (; j < o->m->n_apps; j++)
		if (!o->placed[j] && o->row[j] &&
		    sk_strv_has(o->row[j]->dependants, o->m->apps[i].name))
			break;
	return j;
}

static void report_cycle(const struct order *o, int node)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(4096);
	const struct sk_app *apps = o->m->apps;
	size_t at = 0, start, shown = 0;

	while (o->placed[at])
		at++;
	for (size_t i = 0; i < o->m->n_apps; i++)
		at = held_by(o, at); /* after n_apps steps back the walk is inside the cycle */
	start = at;
	(void)sk_buf_adds(&b, apps[start].name);
	do {
		at = held_by(o, at);
		if (++shown <= CYCLE_MAX)
			(void)sk_buf_addf(&b, " after %s", apps[at].name);
	} while (at != start);
	sk_rd_wrong(o->r, node, apps[start].name, "goes round in a circle: %s%s",
		    b.data ? b.data : "", shown > CYCLE_MAX ? " ..." : "");
	sk_rd_hint(o->r, "take one of these dependants out");
}

void sk_rd_start_order(struct sk_reader *r, int node)
{
	struct sk_manifest *m = sk_mr(r)->m;
	_cleanup_free_ struct order *o = sk_rd_calloc(r, 1, sizeof(*o));
	_cleanup_free_ struct sk_app *sorted = sk_rd_calloc(r, m->n_apps + 1, sizeof(*sorted));

	if (!o || !sorted || m->n_apps == 0)
		return;
	o->r = r;
	o->m = m;
	count_waits(o);
	while (place_next(o))
		;
	if (o->n < m->n_apps) {
		report_cycle(o, node);
		return;
	}
	for (size_t i = 0; i < o->n; i++)
		sorted[i] = m->apps[o->sorted[i]];
	free(m->apps);
	m->apps = TAKE_PTR(sorted);
}
