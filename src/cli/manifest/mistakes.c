/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/text.h"
#include "cli/manifest/source.h"

static void mistake_done(struct sk_mistake *m)
{
	free(m->file);
	free(m->where);
	free(m->text);
	free(m->hint);
}

void sk_mistakes_done(struct sk_mistakes *m)
{
	for (size_t i = 0; i < m->n; i++)
		mistake_done(&m->v[i]);
	free(m->v);
	*m = (struct sk_mistakes){ 0 };
}

int sk_mistake(struct sk_mistakes *m, const char *file, unsigned line, const char *where,
	       const char *hint, const char *fmt, ...)
{
	struct sk_mistake *at;
	va_list ap;
	int n;

	if (!m->v)
		m->v = calloc(SK_MISTAKES_MAX, sizeof(*m->v));
	if (!m->v)
		return -ENOMEM;
	if (m->n == SK_MISTAKES_MAX)
		return -EINVAL;
	at = &m->v[m->n++];
	at->line = line;
	at->file = strdup(file);
	at->where = where ? strdup(where) : NULL;
	at->hint = hint ? strdup(hint) : NULL;
	va_start(ap, fmt);
	n = vasprintf(&at->text, fmt, ap);
	va_end(ap);
	if (n < 0)
		at->text = NULL;
	sk_text_clean(at->file, "");
	sk_text_clean(at->where, "");
	sk_text_clean(at->hint, "");
	sk_text_clean(at->text, "");
	if (!at->file || !at->text || (where && !at->where) || (hint && !at->hint)) {
		mistake_done(at);
		m->n--;
		return -ENOMEM;
	}
	return -EINVAL;
}

char *sk_mistake_str(const struct sk_mistake *m)
{
	char line[16] = "";

	if (m->line)
		(void)snprintf(line, sizeof(line), ":%u", m->line);
	return sk_asprintf("%s%s: %s%s%s%s%s", m->file, line, m->where ? m->where : "",
			   m->where ? ": " : "", m->text, m->hint ? "; " : "",
			   m->hint ? m->hint : "");
}

struct sk_places {
	struct sk_map *at; /* "path" or "path\nproperty" */
};

static void place_free(void *v)
{
	struct sk_place *p = v;

	free(p->file);
	free(p->where);
	free(p);
}

struct sk_places *sk_places_new(void)
{
	struct sk_places *p = calloc(1, sizeof(*p));

	if (p)
		p->at = sk_map_new(place_free);
	if (p && !p->at) {
		free(p);
		return NULL;
	}
	return p;
}

void sk_places_free(struct sk_places *p)
{
	sk_map_freep(&p->at);
	free(p);
}

static char *place_key(const char *path, const char *prop)
{
	return prop ? sk_asprintf("%s\n%s", path, prop) : strdup(path);
}

int sk_places_add(struct sk_places *p, const char *path, const char *prop, const char *file,
		  unsigned line, const char *where)
{
	_cleanup_free_ char *key = place_key(path, prop);
	struct sk_place *place = calloc(1, sizeof(*place));
	int r = -ENOMEM;

	if (place) {
		place->line = line;
		place->file = strdup(file);
		place->where = where ? strdup(where) : NULL;
	}
	if (key && place && place->file && (!where || place->where))
		r = sk_map_add(p->at, key, place);
	if (r < 0 && place)
		place_free(place);
	return r == -EEXIST ? 0 : r;
}

const struct sk_place *sk_places_find(const struct sk_places *p, const char *path, const char *prop)
{
	_cleanup_free_ char *key = place_key(path, prop);
	_cleanup_free_ char *up = strdup(path);
	const struct sk_place *found = key ? sk_map_get(p->at, key) : NULL;

	while (!found && up) {
		char *slash;

		found = sk_map_get(p->at, up[0] ? up : "/");
		slash = strrchr(up, '/');
		if (!slash || !up[0])
			break;
		*slash = '\0';
	}
	return found;
}
