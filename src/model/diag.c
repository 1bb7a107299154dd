/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <libfdt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/text.h"
#include "model/fdt_read.h"

#define PATH_SIZE 1024

static void diag_done(struct sk_diag *d)
{
	free(d->path);
	free(d->prop);
	free(d->text);
	free(d->hint);
}

void sk_diags_done(struct sk_diags *d)
{
	for (size_t i = 0; i < d->n; i++)
		diag_done(&d->v[i]);
	free(d->v);
	*d = (struct sk_diags){ 0 };
}

void sk_reader_init(struct sk_reader *r, const void *fdt, struct sk_diags *diags)
{
	*r = (struct sk_reader){ .fdt = fdt };
	r->diags = diags ? diags : &r->own;
	r->first = r->diags->n;
}

int sk_reader_end(struct sk_reader *r, struct sk_err *err)
{
	const struct sk_diag *d = r->diags->n > r->first ? &r->diags->v[r->first] : NULL;
	int code = 0;

	if (r->oom)
		code = sk_err_oom(err);
	else if (d)
		code = sk_err_set(err, -EINVAL, "bad-manifest", "manifest: %s: %s%s%s%s%s", d->path,
				  d->prop ? d->prop : "", d->prop ? ": " : "", d->text,
				  d->hint ? "; " : "", d->hint ? d->hint : "");
	else if (r->wrong)
		code = sk_err_set(err, -EINVAL, "bad-manifest", "manifest: %zu mistakes", r->wrong);
	sk_diags_done(&r->own);
	return code;
}

char *sk_rd_strdup(struct sk_reader *r, const char *s)
{
	char *copy = strdup(s);

	if (!copy)
		r->oom = true;
	return copy;
}

void *sk_rd_calloc(struct sk_reader *r, size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		r->oom = true;
	return p;
}

static char *path_of(const void *fdt, int node)
{
	char path[PATH_SIZE];
	char *copy;

	if (fdt_get_path(fdt, node, path, sizeof(path)) < 0)
		(void)snprintf(path, sizeof(path), "/...");
	copy = strdup(path);
	sk_text_clean(copy, "");
	return copy;
}

static int place_of(const void *fdt, int node, const char *prop)
{
	const char *name;
	int at;

	if (!prop)
		return node;
	fdt_for_each_property_offset (at, fdt, node)
		if (fdt_getprop_by_offset(fdt, at, &name, NULL) && sk_streq(name, prop))
			return at;
	return node;
}

/* Room for one more at @place, after those that stand before it in the file; NULL when full. */
static struct sk_diag *insert(struct sk_reader *r, int place)
{
	struct sk_diags *d = r->diags;
	size_t at = d->n;

	if (d->n >= SK_DIAGS_MAX)
		return NULL;
	if (!d->v)
		d->v = sk_rd_calloc(r, SK_DIAGS_MAX, sizeof(*d->v));
	if (!d->v)
		return NULL;
	while (at > r->first && r->place[at - 1] > place)
		at--;
	memmove(&d->v[at + 1], &d->v[at], (d->n - at) * sizeof(*d->v));
	memmove(&r->place[at + 1], &r->place[at], (d->n - at) * sizeof(*r->place));
	d->v[at] = (struct sk_diag){ 0 };
	r->place[at] = place;
	d->n++;
	return &d->v[at];
}

void sk_rd_wrong(struct sk_reader *r, int node, const char *prop, const char *fmt, ...)
{
	struct sk_diag *d = NULL;
	va_list ap;

	r->wrong++;
	r->last = NULL;
	if (r->diags->n < SK_DIAGS_MAX)
		d = insert(r, place_of(r->fdt, node, prop));
	if (!d)
		return;
	d->path = path_of(r->fdt, node);
	d->prop = prop ? strdup(prop) : NULL;
	va_start(ap, fmt);
	if (vasprintf(&d->text, fmt, ap) < 0)
		d->text = NULL;
	va_end(ap);
	/* Names and values come from strangers. */
	sk_text_clean(d->prop, "");
	sk_text_clean(d->text, "");
	if (!d->path || !d->text || (prop && !d->prop))
		r->oom = true;
	r->last = d;
}

void sk_rd_hint(struct sk_reader *r, const char *fmt, ...)
{
	va_list ap;

	if (!r->last || r->last->hint)
		return;
	va_start(ap, fmt);
	if (vasprintf(&r->last->hint, fmt, ap) < 0) {
		r->last->hint = NULL;
		r->oom = true;
	}
	va_end(ap);
	sk_text_clean(r->last->hint, "");
}
