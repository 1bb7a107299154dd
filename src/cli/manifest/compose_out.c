/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/manifest/compose.h"
#include "model/suggest.h"

struct item sk_item_at(const struct item *up, const struct sk_yaml_pair *p, char buf[WHERE_MAX])
{
	(void)snprintf(buf, WHERE_MAX, "%.120s%s%.120s", up->where, up->where[0] ? "." : "",
		       p->key);
	return (struct item){ p->value, p->line, p->key, buf };
}

void sk_item_wrong(struct compose *c, const struct item *i, const char *hint, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		c->failed = true;
		return;
	}
	if (sk_mistake(&c->s->mistakes, c->s->path, i->line, i->where[0] ? i->where : NULL, hint,
		       "%s", text) == -ENOMEM)
		c->failed = true;
}

bool sk_item_is_map(struct compose *c, const struct item *i, const char *must)
{
	if (i->v->kind == SK_YAML_MAP)
		return true;
	sk_item_wrong(c, i, NULL, "%s", must);
	return false;
}

const char *sk_item_text(struct compose *c, const struct item *i)
{
	if (i->v->kind == SK_YAML_SCALAR && !sk_yaml_is_null(i->v))
		return i->v->text;
	sk_item_wrong(c, i, NULL, "must be one value");
	return NULL;
}

const char **sk_item_texts(struct compose *c, const struct item *i, size_t *ret_n)
{
	bool list = i->v->kind == SK_YAML_LIST;
	size_t n = list ? i->v->n : 1;
	_cleanup_free_ const char **v = calloc(n + 1, sizeof(*v));

	if (!v) {
		c->failed = true;
		return NULL;
	}
	for (*ret_n = 0; *ret_n < n; (*ret_n)++) {
		struct item at = *i;

		at.v = list ? i->v->items[*ret_n] : i->v;
		at.line = list ? at.v->line : i->line;
		v[*ret_n] = sk_item_text(c, &at);
		if (!v[*ret_n])
			return NULL;
	}
	if (n > 0)
		return TAKE_PTR(v);
	sk_item_wrong(c, i, "leave it out", "is an empty list");
	return NULL;
}

void sk_dts_raw(const struct dts *d, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0 || sk_buf_adds(d->out, text) < 0)
		d->c->failed = true;
	if (n >= 0)
		free(text);
}

/* Whatever the value holds, it stays one string of dtc's. */
static void add_quoted(const struct dts *d, const char *s)
{
	int r = sk_buf_adds(d->out, "\"");

	for (; r == 0 && *s; s++) {
		if (*s == '"' || *s == '\\')
			r = sk_buf_addf(d->out, "\\%c", *s);
		else if ((unsigned char)*s < ' ' || *s == 0x7f)
			r = sk_buf_addf(d->out, "\\x%02x", (unsigned)*s);
		else
			r = sk_buf_add(d->out, s, 1);
	}
	if (r == 0)
		r = sk_buf_adds(d->out, "\"");
	if (r < 0)
		d->c->failed = true;
}

static int depth_of(const char *path)
{
	int n = 0;

	for (; *path; path++)
		n += *path == '/' && path[1];
	return n;
}

static void note_place(const struct dts *d, const char *prop, const struct item *i)
{
	if (sk_places_add(d->c->s->places, d->path, prop, d->c->s->path, i->line, i->where) < 0)
		d->c->failed = true;
}

static void begin(const struct dts *d, const char *prop, const struct item *i)
{
	static const char tabs[] = "\t\t\t\t\t\t\t\t";

	note_place(d, prop, i);
	sk_dts_raw(d, "%.*s%s", depth_of(d->path) + 1, tabs, prop);
}

void sk_dts_strings(const struct dts *d, const char *prop, const struct item *i,
		    const char *const *v, size_t n)
{
	begin(d, prop, i);
	for (size_t k = 0; k < n; k++) {
		sk_dts_raw(d, k ? ", " : " = ");
		add_quoted(d, v[k]);
	}
	sk_dts_raw(d, ";\n");
}

void sk_dts_string(const struct dts *d, const char *prop, const struct item *i, const char *s)
{
	sk_dts_strings(d, prop, i, &s, 1);
}

void sk_dts_switch(const struct dts *d, const char *prop, const struct item *i)
{
	sk_dts_strings(d, prop, i, NULL, 0);
}

void sk_dts_number(const struct dts *d, const char *prop, const struct item *i, const char *digits)
{
	uint32_t v;

	if (sk_parse_u32(digits, &v) < 0) {
		sk_item_wrong(d->c, i, NULL, "\"%.64s\" is not a number", digits);
		return;
	}
	begin(d, prop, i);
	sk_dts_raw(d, " = <%u>;\n", v);
}

void sk_dts_open(const struct dts *d, const struct item *i)
{
	static const char tabs[] = "\t\t\t\t\t\t\t\t";

	note_place(d, NULL, i);
	sk_dts_raw(d, "%.*s%s {\n", depth_of(d->path), tabs, strrchr(d->path, '/') + 1);
}

void sk_dts_close(const struct dts *d)
{
	static const char tabs[] = "\t\t\t\t\t\t\t\t";

	sk_dts_raw(d, "%.*s};\n", depth_of(d->path), tabs);
}

bool sk_compose_same(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !(strchr("-_", *a) && strchr("-_", *b)))
			return false;
	return *a == *b;
}

void sk_compose_unknown(struct compose *c, const struct item *i, const void *keys, size_t stride)
{
	struct sk_suggestion s = { .word = i->key };
	_cleanup_free_ char *hint = NULL;
	const char *const *at = keys;

	for (; *at; at = (const void *)((const char *)at + stride))
		sk_suggest_try(&s, *at);
	if (s.best)
		hint = sk_asprintf("did you mean \"%s\"?", s.best);
	sk_item_wrong(c, i, hint, "unknown key");
}

static void put_switch(const struct dts *d, const struct item *i, const char *prop)
{
	int on = sk_yaml_bool(i->v);

	if (on < 0)
		sk_item_wrong(d->c, i, NULL, "must be true or false");
	else if (on)
		sk_dts_switch(d, prop, i);
}

static void put_strings(const struct dts *d, const struct item *i, const char *prop)
{
	size_t n;
	_cleanup_free_ const char **v = sk_item_texts(d->c, i, &n);

	if (v)
		sk_dts_strings(d, prop, i, v, n);
}

void sk_compose_word(const struct dts *d, const struct item *i, const struct compose_word *w)
{
	const char *text;

	if (!w->prop) {
		sk_item_wrong(d->c, i, w->hint, "cannot be expressed in a manifest");
		return;
	}
	if (w->type == AS_SWITCH) {
		put_switch(d, i, w->prop);
		return;
	}
	if (w->type == AS_STRINGS) {
		put_strings(d, i, w->prop);
		return;
	}
	text = sk_item_text(d->c, i);
	if (!text)
		return;
	if (w->type == AS_NUMBER)
		sk_dts_number(d, w->prop, i, text);
	else
		sk_dts_string(d, w->prop, i, text);
}

void sk_compose_words(const struct dts *d, const struct item *i, const struct compose_word *words)
{
	if (!sk_item_is_map(d->c, i, "must be a map"))
		return;
	for (size_t k = 0; k < i->v->n; k++) {
		char where[WHERE_MAX];
		struct item at = sk_item_at(i, &i->v->pairs[k], where);
		const struct compose_word *w = words;

		while (w->key && !sk_compose_same(w->key, at.key))
			w++;
		if (w->key)
			sk_compose_word(d, &at, w);
		else
			sk_compose_unknown(d->c, &at, words, sizeof(*words));
	}
}
