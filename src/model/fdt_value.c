/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fdt_read.h"

#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "model/suggest.h"

bool sk_abs_path_ok(const char *s)
{
	return s[0] == '/' && sk_path_ok(s + 1);
}

void sk_rd_bad_value(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w)
{
	sk_rd_wrong(r, p->node, p->name, "\"%.64s\" is not %s", p->data, w->expect);
	sk_rd_hint(r, "write %s", w->example);
}

static void wrong_type(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w,
		       const char *type)
{
	sk_rd_wrong(r, p->node, p->name, "must be %s", type);
	sk_rd_hint(r, "write %s", w->example);
}

void sk_rd_bool(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w, void *field)
{
	if (p->len != 0) {
		sk_rd_wrong(r, p->node, p->name, "is a switch without a value");
		sk_rd_hint(r, "write %s to switch it on, or leave it out", w->example);
		return;
	}
	*(bool *)field = true;
}

static bool in_range(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w,
		     uint64_t v)
{
	if (v >= w->min && v <= w->max)
		return true;
	sk_rd_wrong(r, p->node, p->name, "%" PRIu64 " is out of range: %" PRIu64 " to %" PRIu64, v,
		    w->min, w->max);
	sk_rd_hint(r, "write %s", w->example);
	return false;
}

void sk_rd_u32(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w, void *field)
{
	uint32_t v;

	if (p->len != sizeof(v)) {
		wrong_type(r, p, w, "one number in angle brackets");
		return;
	}
	v = fdt32_ld((const fdt32_t *)(const void *)p->data);
	if (in_range(r, p, w, v))
		*(uint32_t *)field = v;
}

void sk_rd_u64(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w, void *field)
{
	uint64_t v;

	if (p->len != sizeof(v)) {
		wrong_type(r, p, w, "one 64-bit number");
		return;
	}
	v = fdt64_ld((const fdt64_t *)(const void *)p->data);
	if (in_range(r, p, w, v))
		*(uint64_t *)field = v;
}

const char *sk_prop_string(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w)
{
	size_t len = (size_t)p->len;

	if (len == 0 || memchr(p->data, '\0', len) != p->data + len - 1) {
		wrong_type(r, p, w, "one string in quotes");
		return NULL;
	}
	if (len > SK_FDT_STRING_MAX) {
		sk_rd_wrong(r, p->node, p->name, "is longer than %d bytes", SK_FDT_STRING_MAX);
		return NULL;
	}
	return p->data;
}

void sk_rd_string(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w,
		  void *field)
{
	const char *s = sk_prop_string(r, p, w);

	if (!s)
		return;
	if (w->ok && !w->ok(s))
		sk_rd_bad_value(r, p, w);
	else
		*(char **)field = sk_rd_strdup(r, s);
}

/* Number of strings, or 0 after reporting what is wrong with them. */
static size_t count_strings(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w)
{
	size_t n = 0, longest = 0, len;

	if (p->len == 0 || p->data[p->len - 1] != '\0') {
		wrong_type(r, p, w, "one or more strings in quotes");
		return 0;
	}
	for (const char *s = p->data; s < p->data + p->len; s += len + 1, n++) {
		len = strlen(s);
		longest = SK_MAX(longest, len);
	}
	if (n <= w->max && longest < SK_FDT_STRING_MAX)
		return n;
	sk_rd_wrong(r, p->node, p->name,
		    "has %zu strings; at most %" PRIu64 " of up to %d bytes are allowed", n, w->max,
		    SK_FDT_STRING_MAX - 1);
	return 0;
}

void sk_rd_strv(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w, void *field)
{
	_cleanup_strv_ char **v = NULL;
	size_t n = count_strings(r, p, w);
	const char *s = p->data;

	if (n == 0)
		return;
	v = sk_rd_calloc(r, n + 1, sizeof(char *));
	for (size_t i = 0; v && i < n; i++, s += strlen(s) + 1) {
		if (w->ok && !w->ok(s)) {
			sk_rd_wrong(r, p->node, p->name, "\"%.64s\" is not %s", s, w->expect);
			sk_rd_hint(r, "write %s", w->example);
			return;
		}
		v[i] = sk_rd_strdup(r, s);
		if (!v[i])
			return;
	}
	*(char ***)field = TAKE_PTR(v);
}

/* Sizes and durations: a string, a parser for it, a range. */
struct quantity {
	const char *what;
	int (*parse)(const char *s, uint64_t *ret);
	const char *(*format)(char buf[static 32], uint64_t v);
};

static void read_quantity(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w,
			  uint64_t *field, const struct quantity *q)
{
	const char *s = sk_prop_string(r, p, w);
	char min[32], max[32];
	uint64_t v;
	int parsed;

	if (!s)
		return;
	parsed = q->parse(s, &v);
	if (parsed == 0 && v >= w->min && v <= w->max) {
		*field = v;
		return;
	}
	if (parsed == -EINVAL)
		sk_rd_wrong(r, p->node, p->name, "\"%.64s\" is not a %s", s, q->what);
	else
		sk_rd_wrong(r, p->node, p->name, "\"%.64s\" is out of range: %s to %s", s,
			    q->format(min, w->min), q->format(max, w->max));
	sk_rd_hint(r, "write %s", w->example);
}

void sk_rd_size(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w, void *field)
{
	static const struct quantity size = { "size", sk_parse_size, sk_format_size };

	read_quantity(r, p, w, field, &size);
}

void sk_rd_duration(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w,
		    void *field)
{
	static const struct quantity duration = { "duration", sk_parse_duration,
						  sk_format_duration };

	read_quantity(r, p, w, field, &duration);
}

void sk_rd_enum(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w, void *field)
{
	const char *s = sk_prop_string(r, p, w);
	struct sk_suggestion near = { .word = s };

	if (!s)
		return;
	for (unsigned i = 0; w->choices[i]; i++) {
		if (sk_streq(s, w->choices[i])) {
			*(unsigned *)field = i;
			return;
		}
		sk_suggest_try(&near, w->choices[i]);
	}
	sk_rd_wrong(r, p->node, p->name, "\"%.64s\" is not %s", s, w->expect);
	if (near.best)
		sk_rd_hint(r, "did you mean \"%s\"?", near.best);
	else
		sk_rd_hint(r, "write %s", w->example);
}
