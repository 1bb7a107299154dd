/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/manifest/compose_service.h"

void sk_service_refuse(struct service *s, const struct item *i, const char *hint)
{
	sk_item_wrong(s->c, i, hint, REFUSED);
}

struct dts sk_service_sub(const struct service *s, const char *name, char buf[WHERE_MAX])
{
	(void)snprintf(buf, WHERE_MAX, "%s/%s", s->nodes.path, name);
	return (struct dts){ s->c, s->nodes.out, buf };
}

const char *sk_service_part(struct service *s, const struct item *i, const char *key)
{
	const struct sk_yaml_pair *p = sk_yaml_get(i->v, key);
	char where[WHERE_MAX];
	struct item at;

	if (!p)
		return NULL;
	at = sk_item_at(i, p, where);
	return sk_item_text(s->c, &at);
}

void sk_service_only(struct service *s, const struct item *i, const char *const *known)
{
	for (size_t k = 0; k < i->v->n; k++) {
		char where[WHERE_MAX];
		struct item at = sk_item_at(i, &i->v->pairs[k], where);
		const char *const *w = known;

		while (*w && !sk_streq(*w, at.key))
			w++;
		if (!*w)
			sk_service_refuse(s, &at, "leave it out");
	}
}

/* "ghcr.io/acme/web:1.2@sha256:…" -> "web.itb" */
static char *image_file(const char *ref)
{
	const char *slash = strrchr(ref, '/');
	const char *name = slash ? slash + 1 : ref;
	int len = (int)strcspn(name, ":@");

	return sk_asprintf("%.*s%s", len, name,
			   len > 4 && strncmp(name + len - 4, ".itb", 4) == 0 ? "" : ".itb");
}

void sk_service_take_image(struct service *s, const struct item *i, const char *ref)
{
	_cleanup_free_ char *file = image_file(ref);
	const char *other;

	if (!file) {
		s->c->failed = true;
		return;
	}
	s->has_image = true;
	other = sk_map_get(s->c->images, file);
	if (other && !sk_streq(other, ref))
		sk_item_wrong(s->c, i, "name the file itself: x-skerry: with image: NAME.itb",
			      "\"%.64s\" and \"%.64s\" would both be %s", ref, other, file);
	else if (!other && sk_map_add(s->c->images, file, (void *)(uintptr_t)ref) < 0)
		s->c->failed = true;
	sk_dts_string(&s->props, "image", i, file);
}

void sk_service_image(struct service *s, const struct item *i, const char *prop)
{
	const char *ref = sk_item_text(s->c, i);

	if (ref && !s->has_image)
		sk_service_take_image(s, i, ref);
}

/* Words as a shell would split them: blanks, quotes, backslash; nothing is replaced. */
static int split_words(const char *s, char ***ret)
{
	_cleanup_strv_ char **v = NULL;
	_cleanup_buf_ struct sk_buf word = SK_BUF(SK_YAML_SIZE_MAX);
	bool in_word = false;
	char quote = 0;
	int r = 0;

	for (; r == 0 && *s; s++) {
		bool escaped = *s == '\\' && quote != '\'' && s[1];

		if (escaped) {
			r = sk_buf_add(&word, ++s, 1);
			in_word = true;
		} else if (quote ? *s == quote : *s == '"' || *s == '\'') {
			quote = quote ? 0 : *s;
			in_word = true;
		} else if (!quote && isspace((unsigned char)*s)) {
			if (in_word)
				r = sk_strv_add(&v, word.data ? word.data : "");
			sk_buf_done(&word);
			in_word = false;
		} else {
			r = sk_buf_add(&word, s, 1);
			in_word = true;
		}
	}
	if (r == 0 && quote)
		r = -EINVAL;
	if (r == 0 && in_word)
		r = sk_strv_add(&v, word.data ? word.data : "");
	if (r == 0)
		*ret = TAKE_PTR(v);
	return r;
}

static void put_split(struct service *s, const struct item *i, const char *prop)
{
	_cleanup_strv_ char **v = NULL;
	const char *text = sk_item_text(s->c, i);
	int r = text ? split_words(text, &v) : 0;

	if (r == -EINVAL)
		sk_item_wrong(s->c, i, NULL, "a quote is left open");
	else if (r < 0)
		s->c->failed = true;
	else if (text && !v)
		sk_item_wrong(s->c, i, "leave it out", "is empty");
	else if (v)
		sk_dts_strings(&s->props, prop, i, (const char *const *)v, sk_strv_len(v));
}

void sk_service_command(struct service *s, const struct item *i, const char *prop)
{
	static const struct compose_word word = { NULL, "", AS_STRINGS, NULL };
	struct compose_word w = word;

	w.prop = prop;
	if (sk_yaml_is_null(i->v))
		return; /* as if it was not there */
	if (i->v->kind == SK_YAML_LIST)
		sk_compose_word(&s->props, i, &w);
	else
		put_split(s, i, prop);
}

void sk_service_restart(struct service *s, const struct item *i, const char *prop)
{
	const char *text = sk_item_text(s->c, i);

	s->has_restart = true;
	if (!text)
		return;
	if (sk_str_starts(text, "on-failure:")) {
		sk_dts_string(&s->props, "restart", i, "on-failure");
		sk_dts_number(&s->props, "restart-max", i, strchr(text, ':') + 1);
	} else {
		sk_dts_string(&s->props, "restart", i,
			      sk_streq(text, "unless-stopped") ? "always" : text);
	}
}

static void add_dependency(struct service *s, const struct item *i, const char *on)
{
	struct compose_row *row;

	if (!sk_name_ok(on)) {
		sk_item_wrong(s->c, i, NULL, "\"%.64s\" is not the name of a service", on);
		return;
	}
	row = sk_map_get(s->c->rows, on);
	if (!row) {
		row = calloc(1, sizeof(*row));
		if (row && sk_map_add(s->c->rows, on, row) < 0) {
			free(row);
			row = NULL;
		}
		if (row) {
			row->line = i->line;
			row->where = strdup(i->where);
		}
	}
	if (!row || !row->where || sk_strv_add(&row->dependants, s->name) < 0)
		s->c->failed = true;
}

static void long_dependency(struct service *s, const struct item *i)
{
	static const char *const known[] = { "condition", "restart", "required", NULL };
	const char *condition;
	const struct sk_yaml_pair *restart, *required;

	if (i->v->kind != SK_YAML_MAP) {
		sk_item_wrong(s->c, i, "write condition: service_started", "must be a map");
		return;
	}
	condition = sk_service_part(s, i, "condition");
	restart = sk_yaml_get(i->v, "restart");
	required = sk_yaml_get(i->v, "required");
	sk_service_only(s, i, known);
	if (condition && !sk_streq(condition, "service_started"))
		sk_item_wrong(s->c, i,
			      "write service_started: a service that fails is started again",
			      "condition %.64s " REFUSED, condition);
	if (restart && sk_yaml_bool(restart->value) != 1)
		sk_item_wrong(s->c, i, "leave restart out, or write true",
			      "a dependant that stays up when %s fails " REFUSED, i->key);
	if (required && sk_yaml_bool(required->value) != 1)
		sk_item_wrong(s->c, i, "leave required out", "an optional service " REFUSED);
	add_dependency(s, i, i->key);
}

void sk_service_depends_on(struct service *s, const struct item *i, const char *prop)
{
	_cleanup_free_ const char **v = NULL;
	char where[WHERE_MAX];
	size_t n;

	if (i->v->kind == SK_YAML_MAP) {
		for (size_t k = 0; k < i->v->n; k++) {
			struct item at = sk_item_at(i, &i->v->pairs[k], where);

			long_dependency(s, &at);
		}
		return;
	}
	v = sk_item_texts(s->c, i, &n);
	for (size_t k = 0; v && k < n; k++)
		add_dependency(s, i, v[k]);
}

void sk_service_network_mode(struct service *s, const struct item *i, const char *prop)
{
	const char *text = sk_item_text(s->c, i);

	if (text && !sk_streq(text, "none") && !sk_streq(text, "host"))
		sk_item_wrong(s->c, i, "write none or host", "\"%.64s\" " REFUSED, text);
	else if (text)
		sk_dts_string(&s->props, prop, i, text);
}

void sk_service_read_only(struct service *s, const struct item *i, const char *prop)
{
	int on = sk_yaml_bool(i->v);

	if (on < 0)
		sk_item_wrong(s->c, i, NULL, "must be true or false");
	s->sealed_root = on == 1;
}

/* "no-new-privileges" is short for "no-new-privileges:true". */
static bool is_true_of(const char *s, const char *prop)
{
	return sk_str_starts(prop, s) && sk_streq(prop + strlen(s), ":true");
}

/* An option that says what every capsule has anyway is accepted; any other is not. */
void sk_service_same(struct service *s, const struct item *i, const char *prop)
{
	size_t n;
	_cleanup_free_ const char **v = sk_item_texts(s->c, i, &n);

	for (size_t k = 0; v && k < n; k++)
		if (!sk_streq(v[k], prop) && !is_true_of(v[k], prop))
			sk_item_wrong(s->c, i, "leave it out: every capsule is locked down",
				      "\"%.64s\" " REFUSED, v[k]);
}

void sk_service_container_name(struct service *s, const struct item *i, const char *prop)
{
	const char *text = sk_item_text(s->c, i);

	if (text && !sk_streq(text, s->name))
		sk_service_refuse(s, i, "a capsule has its service's name: rename the service");
}

void sk_service_string(struct service *s, const struct item *i, const char *prop)
{
	const struct compose_word w = { i->key, prop, AS_STRING, NULL };

	sk_compose_word(&s->props, i, &w);
}

void sk_service_number(struct service *s, const struct item *i, const char *prop)
{
	const struct compose_word w = { i->key, prop, AS_NUMBER, NULL };

	sk_compose_word(&s->props, i, &w);
}

static void read_key(struct service *s, const struct item *i)
{
	const struct service_key *k = sk_service_keys;

	while (k->key && !sk_streq(k->key, i->key))
		k++;
	if (k->read)
		k->read(s, i, k->prop);
	else if (k->key)
		sk_service_refuse(s, i, k->hint);
	else if (!sk_str_starts(i->key, "x-"))
		sk_compose_unknown(s->c, i, sk_service_keys, sizeof(sk_service_keys[0]));
}

/* Defaults of a manifest that Compose does not have. */
static void service_defaults(struct service *s, const struct item *i)
{
	if (!s->has_image)
		sk_item_wrong(s->c, i, "write image: NAME.itb", "image is missing");
	if (!s->has_restart)
		sk_dts_string(&s->props, "restart", i, "no");
	if (!s->sealed_root)
		sk_dts_switch(&s->props, "writable-root", i);
}

static void read_keys(struct service *s, const struct item *i)
{
	const struct sk_yaml_pair *x = sk_yaml_get(i->v, "x-skerry");
	const struct sk_yaml_pair *own = x ? sk_yaml_get(x->value, "image") : NULL;
	char where[WHERE_MAX];

	if (own) {
		struct item at = sk_item_at(i, own, where);
		const char *file = sk_item_text(s->c, &at);

		if (file)
			sk_service_take_image(s, &at, file);
	}
	for (size_t k = 0; k < i->v->n; k++) {
		struct item at = sk_item_at(i, &i->v->pairs[k], where);

		read_key(s, &at);
	}
	service_defaults(s, i);
}

void sk_compose_service(struct compose *c, const struct item *i)
{
	_cleanup_buf_ struct sk_buf nodes = SK_BUF(c->apps.max);
	char path[WHERE_MAX];
	struct service s = {
		.c = c,
		.name = i->key,
		.props = { c, &c->apps, path },
		.nodes = { c, &nodes, path },
		.self = i,
	};

	if (!sk_name_ok(i->key)) {
		sk_item_wrong(c, i, "use letters, digits, '.', '_' and '-'",
			      "is not a name for an app");
		return;
	}
	if (i->v->kind != SK_YAML_MAP) {
		sk_item_wrong(c, i, NULL, "must be a map");
		return;
	}
	(void)snprintf(path, sizeof(path), "/apps/%s", i->key);
	sk_dts_open(&s.props, i);
	read_keys(&s, i);
	sk_dts_raw(&s.props, "%s", nodes.data ? nodes.data : "");
	sk_dts_close(&s.props);
}
