/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/manifest/compose.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/manifest/compose_vars.h"

#define PART_MAX (8u << 20)

static void row_free(void *v)
{
	struct compose_row *row = v;

	sk_strv_free(row->dependants);
	free(row->where);
	free(row);
}

static const struct compose_word release_words[] = {
	{ "project", "project", AS_STRING, NULL },
	{ "version", "version", AS_STRING, NULL },
	{ "compatible", "compatible", AS_STRINGS, NULL },
	{ "expires", "expires", AS_STRING, NULL },
	{ "allow-downgrade", "allow-downgrade", AS_SWITCH, NULL },
	{ "settle-time", "settle-time", AS_STRING, NULL },
	{ "health-timeout", "health-timeout", AS_STRING, NULL },
	{ "boot-attempts", "boot-attempts", AS_NUMBER, NULL },
	{ 0 },
};

static void x_persistent_boot(struct compose *c, const struct item *i)
{
	static const struct compose_word word = { "persistent-boot", "persistent-boot", AS_SWITCH,
						  NULL };

	sk_compose_word(&(struct dts){ c, &c->top, "/" }, i, &word);
}

static void x_system(struct compose *c, const struct item *i)
{
	const struct dts d = { c, &c->links, "/system" };
	const char *image = sk_item_text(c, i);

	if (!image)
		return;
	sk_dts_open(&d, i);
	sk_dts_string(&d, "image", i, image);
	sk_dts_close(&d);
}

/* Calls @each for every entry of the map @i with a name that may stand in a manifest. */
static void named_nodes(struct compose *c, const struct item *i, const char *path,
			void (*each)(struct compose *c, const struct item *i, const char *path))
{
	if (!sk_item_is_map(c, i, "must be a map of names"))
		return;
	for (size_t k = 0; k < i->v->n; k++) {
		char where[WHERE_MAX], sub[512];
		struct item at = sk_item_at(i, &i->v->pairs[k], where);

		if (!sk_name_ok(at.key)) {
			sk_item_wrong(c, &at, "use letters, digits, '.', '_' and '-'",
				      "is not a name");
			continue;
		}
		(void)snprintf(sub, sizeof(sub), "%s/%s", path, at.key);
		each(c, &at, sub);
	}
}

static void x_rule(struct compose *c, const struct item *i, const char *path)
{
	static const struct compose_word words[] = {
		{ "publish", "publish", AS_STRINGS, NULL },
		{ "connect", "connect", AS_STRINGS, NULL },
		{ 0 },
	};
	const struct dts d = { c, &c->links, path };

	sk_dts_open(&d, i);
	sk_compose_words(&d, i, words);
	sk_dts_close(&d);
}

static void x_server(struct compose *c, const struct item *i, const char *path)
{
	const struct dts d = { c, &c->links, path };
	char control[512];
	const struct dts in = { c, &c->links, control };

	(void)snprintf(control, sizeof(control), "%s/dir_access_control", path);
	sk_dts_open(&d, i);
	sk_dts_open(&in, i);
	named_nodes(c, i, control, x_rule);
	sk_dts_close(&in);
	sk_dts_close(&d);
}

static void x_msg_servers(struct compose *c, const struct item *i)
{
	const struct dts d = { c, &c->links, "/msg_servers" };

	sk_dts_open(&d, i);
	named_nodes(c, i, d.path, x_server);
	sk_dts_close(&d);
}

static void x_key(struct compose *c, const struct item *i, const char *path)
{
	static const struct compose_word words[] = {
		{ "apps", "apps", AS_STRINGS, NULL },
		{ "uses", "uses", AS_STRINGS, NULL },
		{ 0 },
	};
	const struct dts d = { c, &c->links, path };

	sk_dts_open(&d, i);
	sk_compose_words(&d, i, words);
	sk_dts_close(&d);
}

static void x_keys(struct compose *c, const struct item *i)
{
	const struct dts d = { c, &c->links, "/keys" };

	sk_dts_open(&d, i);
	named_nodes(c, i, d.path, x_key);
	sk_dts_close(&d);
}

static const struct {
	const char *key;
	void (*read)(struct compose *c, const struct item *i);
} x_keys_of_own[] = {
	{ "persistent-boot", x_persistent_boot },
	{ "system", x_system },
	{ "msg-servers", x_msg_servers },
	{ "keys", x_keys },
};

static bool read_x_own(struct compose *c, const struct item *i)
{
	for (size_t k = 0; k < ARRAY_SIZE(x_keys_of_own); k++) {
		if (!sk_compose_same(x_keys_of_own[k].key, i->key))
			continue;
		x_keys_of_own[k].read(c, i);
		return true;
	}
	return false;
}

/* Words of the release node; the others have nodes of their own. */
static void read_x_skerry(struct compose *c, const struct item *i)
{
	const struct dts d = { c, &c->release, "/release" };
	struct sk_yaml rest = *i->v;
	struct item words = *i;

	if (!sk_item_is_map(c, i, "must be a map"))
		return;
	rest.n = 0;
	rest.pairs = calloc(i->v->n + 1, sizeof(*rest.pairs));
	if (!rest.pairs) {
		c->failed = true;
		return;
	}
	for (size_t k = 0; k < i->v->n; k++) {
		char where[WHERE_MAX];
		struct item at = sk_item_at(i, &i->v->pairs[k], where);

		if (!read_x_own(c, &at))
			rest.pairs[rest.n++] = i->v->pairs[k];
	}
	words.v = &rest;
	sk_compose_words(&d, &words, release_words);
	free(rest.pairs);
}

static void compose_read_release(struct compose *c, const struct item *root)
{
	const struct sk_yaml_pair *x = sk_yaml_get(root->v, "x-skerry");
	const struct sk_yaml_pair *name = sk_yaml_get(root->v, "name");
	const struct dts d = { c, &c->release, "/release" };
	char where[WHERE_MAX];
	struct item i = *root;

	if (!x) {
		sk_item_wrong(c, root,
			      "write x-skerry: with version: \"1.0\" and compatible: \"acme,box\"",
			      "x-skerry is missing: what the release is and for which devices");
		return;
	}
	i = sk_item_at(root, x, where);
	sk_dts_open(&d, &i);
	read_x_skerry(c, &i);
	if (name && !sk_yaml_get(x->value, "project")) {
		struct item at = sk_item_at(root, name, where);

		sk_compose_word(&d, &at, &release_words[0]);
	}
	sk_dts_close(&d);
}

/* Declared volumes: a name, and nothing that says where the data is. */
static void declare_volumes(struct compose *c, const struct item *i)
{
	if (i->v->kind != SK_YAML_MAP && !sk_yaml_is_null(i->v)) {
		sk_item_wrong(c, i, NULL, "must be a map");
		return;
	}
	for (size_t k = 0; i->v->kind == SK_YAML_MAP && k < i->v->n; k++) {
		char where[WHERE_MAX];
		struct item at = sk_item_at(i, &i->v->pairs[k], where);
		const struct sk_yaml_pair *driver = sk_yaml_get(at.v, "driver");
		bool plain = driver && at.v->n == 1 && driver->value->kind == SK_YAML_SCALAR &&
			     sk_streq(driver->value->text, "local");

		if (!plain && !sk_yaml_is_null(at.v) && (at.v->kind != SK_YAML_MAP || at.v->n > 0))
			sk_item_wrong(c, &at, "write the name alone",
				      "options of a volume cannot be expressed in a manifest");
		else if (sk_map_add(c->volumes, at.key, (void *)(uintptr_t) "") == -ENOMEM)
			c->failed = true;
	}
}

static void read_services(struct compose *c, const struct item *i)
{
	const struct dts d = { c, &c->apps, "/apps" };

	if (!sk_item_is_map(c, i, "must be a map of services"))
		return;
	sk_dts_open(&d, i);
	for (size_t k = 0; k < i->v->n; k++) {
		char where[WHERE_MAX];
		struct item at = sk_item_at(i, &i->v->pairs[k], where);

		sk_compose_service(c, &at);
	}
	sk_dts_close(&d);
}

static void write_supervision(struct compose *c)
{
	const struct dts d = { c, &c->links, "/supervision" };
	struct compose_row *row;
	const char *name;

	if (sk_map_len(c->rows) == 0)
		return;
	sk_dts_raw(&d, "\tsupervision {\n");
	SK_MAP_FOREACH (c->rows, name, row) {
		const struct item i = { NULL, row->line, name, row->where };

		sk_dts_strings(&d, name, &i, (const char *const *)row->dependants,
			       sk_strv_len(row->dependants));
	}
	sk_dts_close(&d);
}

/* Keys at the top of a Compose file; those with a hint cannot be expressed. */
static const struct top_key {
	const char *key;
	void (*read)(struct compose *c, const struct item *i);
	const char *hint;
} top_keys[] = {
	{ "services", read_services, NULL },
	{ "volumes", NULL, NULL },
	{ "name", NULL, NULL },
	{ "version", NULL, NULL },
	{ "x-skerry", NULL, NULL },
	{ "networks", NULL, "write network_mode: host for services that need the network" },
	{ "configs", NULL, "put the files into the image" },
	{ "secrets", NULL, "grant keys under x-skerry: keys:" },
	{ "include", NULL, "write all services into one file" },
	{ "models", NULL, "leave it out" },
	{ 0 },
};

static void read_top_key(struct compose *c, const struct item *i)
{
	const struct top_key *t = top_keys;

	while (t->key && !sk_streq(t->key, i->key))
		t++;
	if (!t->key && !sk_str_starts(i->key, "x-"))
		sk_compose_unknown(c, i, top_keys, sizeof(top_keys[0]));
	else if (t->key && t->hint)
		sk_item_wrong(c, i, t->hint, "cannot be expressed in a manifest");
	else if (t->key && t->read)
		t->read(c, i);
}

static void read_root(struct compose *c, const struct sk_yaml *v)
{
	const struct item root = { v, v->line, "", "" };
	const struct sk_yaml_pair *volumes = sk_yaml_get(v, "volumes");
	char where[WHERE_MAX];

	if (v->kind != SK_YAML_MAP || !sk_yaml_get(v, "services")) {
		sk_item_wrong(c, &root, "write services: with a service below it",
			      "this is not a Compose file: services are missing");
		return;
	}
	if (volumes) {
		struct item at = sk_item_at(&root, volumes, where);

		declare_volumes(c, &at);
	}
	compose_read_release(c, &root);
	for (size_t k = 0; k < v->n; k++) {
		struct item at = sk_item_at(&root, &v->pairs[k], where);

		read_top_key(c, &at);
	}
	write_supervision(c);
}

char *sk_compose_beside(const struct sk_source *s, const char *name)
{
	_cleanup_free_ char *folder = sk_path_folder(s->path);

	if (!strchr(s->path, '/'))
		return strdup(name);
	return folder ? sk_asprintf("%s/%s", sk_streq(folder, "/") ? "" : folder, name) : NULL;
}

static char *join_parts(const struct compose *c)
{
	return sk_asprintf("/dts-v1/;\n\n/ {\n%s%s%s%s};\n", c->top.data ? c->top.data : "",
			   c->release.data ? c->release.data : "", c->apps.data ? c->apps.data : "",
			   c->links.data ? c->links.data : "");
}

static int compose_finish(struct compose *c, struct sk_err *err)
{
	if (c->failed)
		return sk_err_oom(err);
	if (c->s->mistakes.n > 0)
		return sk_err_set(err, -EINVAL, "bad-manifest", "%s has mistakes", c->s->path);
	c->s->dts = join_parts(c);
	return c->s->dts ? 0 : sk_err_oom(err);
}

static void compose_done(struct compose *c)
{
	sk_buf_done(&c->top);
	sk_buf_done(&c->release);
	sk_buf_done(&c->apps);
	sk_buf_done(&c->links);
	sk_map_freep(&c->volumes);
	sk_map_freep(&c->images);
	sk_map_freep(&c->rows);
}

static int read_vars(struct sk_source *s, struct sk_map **ret)
{
	_cleanup_free_ char *path = sk_compose_beside(s, ".env");

	return path ? sk_vars_read(path, NULL, &s->mistakes, ret) : -ENOMEM;
}

int sk_compose_to_dts(const char *yaml, size_t len, struct sk_source *s, struct sk_err *err)
{
	_cleanup_(compose_done) struct compose c = {
		.s = s,
		.top = SK_BUF(PART_MAX),
		.release = SK_BUF(PART_MAX),
		.apps = SK_BUF(PART_MAX),
		.links = SK_BUF(PART_MAX),
		.volumes = sk_map_new(NULL),
		.images = sk_map_new(NULL),
		.rows = sk_map_new(row_free),
	};
	_cleanup_(sk_yaml_freep) struct sk_yaml_doc *doc = NULL;
	_cleanup_(sk_map_freep) struct sk_map *vars = NULL;
	int r;

	s->places = sk_places_new();
	if (!s->places || !c.volumes || !c.images || !c.rows)
		return sk_err_oom(err);
	r = read_vars(s, &vars);
	if (r == 0)
		r = sk_yaml_parse(yaml, len, s->path, vars, &s->mistakes, &doc);
	if (r == -ENOMEM)
		return sk_err_oom(err);
	if (r == 0)
		read_root(&c, sk_yaml_root(doc));
	return compose_finish(&c, err);
}
