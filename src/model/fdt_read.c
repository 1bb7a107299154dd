/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fdt_read.h"

#include <errno.h>
#include <libfdt.h>
#include <string.h>

#include "base/str.h"
#include "model/suggest.h"

static bool get_prop(const struct sk_reader *r, int node, int offset, struct sk_prop *ret)
{
	ret->node = node;
	ret->data = fdt_getprop_by_offset(r->fdt, offset, &ret->name, &ret->len);
	return ret->data != NULL;
}

static void hint_alien(struct sk_reader *r, const char *word, const struct sk_suggestion *s)
{
	for (const struct sk_alien *a = r->aliens; a && a->word; a++) {
		if (sk_streq(a->word, word)) {
			sk_rd_hint(r, "%s", a->hint);
			return;
		}
	}
	if (s->best)
		sk_rd_hint(r, "did you mean \"%s\"?", s->best);
}

static void unknown_prop(struct sk_reader *r, const struct sk_prop *p, const struct sk_words *sets,
			 size_t n_sets)
{
	struct sk_suggestion s = { .word = p->name };

	sk_rd_wrong(r, p->node, p->name, "unknown property");
	if (!r->last)
		return;
	for (size_t i = 0; i < n_sets; i++)
		for (size_t j = 0; j < sets[i].n; j++)
			sk_suggest_try(&s, sets[i].words[j].name);
	hint_alien(r, p->name, &s);
}

static void read_word(struct sk_reader *r, const struct sk_prop *p, const struct sk_words *set,
		      size_t i, uint64_t *seen)
{
	const struct sk_word *w = &set->words[i];

	if (*seen & 1ull << i) {
		sk_rd_wrong(r, p->node, p->name, "stands there twice");
		return;
	}
	*seen |= 1ull << i;
	w->read(r, p, w, (char *)set->to + w->field);
}

static bool read_if_known(struct sk_reader *r, const struct sk_prop *p, const struct sk_words *sets,
			  size_t n_sets, uint64_t *seen)
{
	for (size_t i = 0; i < n_sets; i++) {
		for (size_t j = 0; j < sets[i].n; j++) {
			if (!sk_streq(sets[i].words[j].name, p->name))
				continue;
			read_word(r, p, &sets[i], j, &seen[i]);
			return true;
		}
	}
	return false;
}

static void check_required(struct sk_reader *r, int node, const struct sk_words *set, uint64_t seen)
{
	for (size_t j = 0; j < set->n; j++) {
		if (!set->words[j].required || seen & 1ull << j)
			continue;
		sk_rd_wrong(r, node, NULL, "property \"%s\" is missing", set->words[j].name);
		sk_rd_hint(r, "write %s", set->words[j].example);
	}
}

void sk_rd_props(struct sk_reader *r, int node, const struct sk_words *sets, size_t n_sets)
{
	uint64_t seen[4] = { 0 };
	struct sk_prop p;
	int at;

	fdt_for_each_property_offset (at, r->fdt, node)
		if (get_prop(r, node, at, &p) && !read_if_known(r, &p, sets, n_sets, seen))
			unknown_prop(r, &p, sets, n_sets);
	for (size_t i = 0; i < n_sets; i++)
		check_required(r, node, &sets[i], seen[i]);
}

void sk_rd_no_props(struct sk_reader *r, int node)
{
	sk_rd_props(r, node, NULL, 0);
}

static void unknown_node(struct sk_reader *r, int node, const char *name, const struct sk_sub *subs,
			 size_t n)
{
	struct sk_suggestion s = { .word = name };

	sk_rd_wrong(r, node, NULL, "unknown node");
	if (!r->last)
		return;
	for (size_t i = 0; i < n; i++)
		sk_suggest_try(&s, subs[i].name);
	hint_alien(r, name, &s);
}

static size_t sub_index(const struct sk_sub *subs, size_t n, const char *name)
{
	size_t i = 0;

	while (i < n && !sk_streq(subs[i].name, name))
		i++;
	return i;
}

void sk_rd_nodes(struct sk_reader *r, int node, const struct sk_sub *subs, size_t n, void *to)
{
	uint64_t seen = 0;
	int sub;

	fdt_for_each_subnode (sub, r->fdt, node) {
		const char *name = fdt_get_name(r->fdt, sub, NULL);
		size_t i = name ? sub_index(subs, n, name) : n;

		if (i == n) {
			unknown_node(r, sub, name ? name : "", subs, n);
			continue;
		}
		if (seen & 1ull << i)
			sk_rd_wrong(r, sub, NULL, "stands there twice");
		else if (subs[i].read)
			subs[i].read(r, sub, to);
		seen |= 1ull << i;
	}
}

void sk_rd_no_nodes(struct sk_reader *r, int node)
{
	sk_rd_nodes(r, node, NULL, 0, NULL);
}

size_t sk_count_props(const void *fdt, int node)
{
	size_t n = 0;
	int at;

	fdt_for_each_property_offset (at, fdt, node)
		n++;
	return n;
}

void sk_rd_free_props(struct sk_reader *r, int node, size_t max, const char *what,
		      bool (*name_ok)(const char *),
		      void (*each)(struct sk_reader *r, const struct sk_prop *p, void *to),
		      void *to)
{
	_cleanup_(sk_map_freep) struct sk_map *seen = sk_map_new(NULL);
	struct sk_prop p;
	int at, added;

	if (sk_count_props(r->fdt, node) > max) {
		sk_rd_wrong(r, node, NULL, "more than %zu of kind \"%s\"", max, what);
		return;
	}
	fdt_for_each_property_offset (at, r->fdt, node) {
		if (!get_prop(r, node, at, &p))
			continue;
		added = seen ? sk_map_add(seen, p.name, NULL) : -ENOMEM;
		if (added == -ENOMEM)
			r->oom = true;
		else if (added == -EEXIST)
			sk_rd_wrong(r, node, p.name, "stands there twice");
		else if (!name_ok(p.name))
			sk_rd_wrong(r, node, p.name, "is not a name for a %s", what);
		else
			each(r, &p, to);
	}
}

static void add_child(struct sk_reader *r, int sub, const char *what, struct sk_children *ret)
{
	const char *name = fdt_get_name(r->fdt, sub, NULL);
	int added;

	if (!name || !sk_name_ok(name)) {
		sk_rd_wrong(r, sub, NULL, "\"%.64s\" is not a name for a %s", name ? name : "",
			    what);
		sk_rd_hint(r,
			   "use up to %d letters, digits, '.', '_' and '-', the first one a "
			   "letter or digit",
			   SK_NAME_MAX);
		return;
	}
	added = sk_map_add(ret->index, name, (void *)(uintptr_t)(ret->n + 1));
	if (added == -EEXIST)
		sk_rd_wrong(r, sub, NULL, "stands there twice");
	else if (added < 0)
		r->oom = true;
	else
		ret->nodes[ret->n++] = sub;
}

void sk_rd_children(struct sk_reader *r, int node, size_t max, const char *what,
		    struct sk_children *ret)
{
	size_t n = 0;
	int sub;

	fdt_for_each_subnode (sub, r->fdt, node)
		n++;
	if (n > max) {
		sk_rd_wrong(r, node, NULL, "%zu subnodes; at most %zu of kind \"%s\" are allowed",
			    n, max, what);
		n = 0;
	}
	ret->nodes = sk_rd_calloc(r, n + 1, sizeof(*ret->nodes));
	ret->index = sk_map_new(NULL);
	if (!ret->index)
		r->oom = true;
	if (r->oom || n == 0)
		return;
	fdt_for_each_subnode (sub, r->fdt, node)
		add_child(r, sub, what, ret);
}

void sk_children_done(struct sk_children *c)
{
	sk_map_freep(&c->index);
	free(c->nodes);
	*c = (struct sk_children){ 0 };
}

int sk_children_find(const struct sk_children *c, const char *name)
{
	if (!c->index)
		return -1;
	return (int)(uintptr_t)sk_map_get(c->index, name) - 1;
}

static void unknown_name(struct sk_reader *r, int node, const char *prop, const char *name,
			 const struct sk_children *c, const char *what)
{
	struct sk_suggestion s = { .word = name };
	const char *known;
	void *value;

	sk_rd_wrong(r, node, prop, "there is no %s \"%.64s\"", what, name);
	if (!r->last)
		return;
	if (c->index)
		SK_MAP_FOREACH (c->index, known, value)
			sk_suggest_try(&s, known);
	if (s.best)
		sk_rd_hint(r, "did you mean \"%s\"?", s.best);
}

void sk_rd_known(struct sk_reader *r, int node, const char *prop, char *const *names,
		 const struct sk_children *c, const char *what)
{
	_cleanup_(sk_map_freep) struct sk_map *seen = sk_map_new(NULL);

	SK_STRV_FOREACH (name, names) {
		int added = seen ? sk_map_add(seen, *name, NULL) : -ENOMEM;

		if (added == -ENOMEM)
			r->oom = true;
		else if (added == -EEXIST)
			sk_rd_wrong(r, node, prop, "names \"%.64s\" twice", *name);
		else if (sk_children_find(c, *name) < 0)
			unknown_name(r, node, prop, *name, c, what);
	}
}

/* The walk after libfdt's own check: bounds on names, depth and numbers. */
static int check_bounds(const void *fdt, struct sk_err *err)
{
	unsigned nodes = 0, props = 0, depth = 0;
	int at = 0, next = 0;
	uint32_t tag;

	while ((tag = fdt_next_tag(fdt, at, &next)) != FDT_END) {
		const char *name = "";

		if (tag == FDT_BEGIN_NODE) {
			nodes++;
			depth++;
			name = fdt_get_name(fdt, at, NULL);
		} else if (tag == FDT_PROP) {
			props++;
			(void)fdt_getprop_by_offset(fdt, at, &name, NULL);
		} else if (tag == FDT_END_NODE) {
			depth--;
		}
		if (nodes > SK_FDT_NODES_MAX || props > SK_FDT_PROPS_MAX)
			return sk_err_set(err, -EFBIG, "too-large",
					  "manifest has more than %u nodes or %u properties",
					  SK_FDT_NODES_MAX, SK_FDT_PROPS_MAX);
		if (depth > SK_FDT_DEPTH_MAX || !name ||
		    strnlen(name, SK_FDT_NAME_MAX + 1) > SK_FDT_NAME_MAX)
			return sk_err_set(err, -EINVAL, "bad-manifest",
					  "manifest is nested more than %d deep, or has a name "
					  "longer than %d bytes",
					  SK_FDT_DEPTH_MAX, SK_FDT_NAME_MAX);
		at = next;
	}
	return 0;
}

/*
 * Properties share their names' bytes, and each look at a property measures its name: many of them
 * at the start of one long name cost libfdt 7 s for 4 MiB.
 */
static bool names_are_short(const void *fdt)
{
	const char *names = (const char *)fdt + fdt_off_dt_strings(fdt);
	size_t size = fdt_size_dt_strings(fdt), run = 0;

	for (size_t i = 0; i < size; i++) {
		run = names[i] ? run + 1 : 0;
		if (run > SK_FDT_NAME_MAX)
			return false;
	}
	return true;
}

static size_t align_tag(size_t at)
{
	return (at + FDT_TAGSIZE - 1) / FDT_TAGSIZE * FDT_TAGSIZE;
}

/* Where the next token of the structure block lies; 0 when this one, at @at, runs past its end. */
static size_t after_token(const char *block, size_t size, size_t at, uint32_t *ret_token)
{
	const char *end;
	uint32_t len;

	*ret_token = fdt32_ld((const fdt32_t *)(block + at));
	at += FDT_TAGSIZE;
	switch (*ret_token) {
	case FDT_BEGIN_NODE:
		end = memchr(block + at, '\0', size - at);
		return end ? align_tag((size_t)(end - block) + 1) : 0;
	case FDT_PROP:
		if (size - at < 2 * FDT_TAGSIZE)
			return 0;
		len = fdt32_ld((const fdt32_t *)(block + at));
		at += 2 * FDT_TAGSIZE;
		return len <= size - at ? align_tag(at + len) : 0;
	case FDT_END_NODE:
	case FDT_NOP:
	case FDT_END:
		return at;
	default:
		return 0;
	}
}

/* libfdt 1.6 adds up lengths as int: one of nearly 4 GiB leads it back, and it walks for ever. */
static bool tokens_end(const void *fdt)
{
	const char *block = (const char *)fdt + fdt_off_dt_struct(fdt);
	size_t size = fdt_size_dt_struct(fdt), at = 0;
	uint32_t token = FDT_NOP;

	while (token != FDT_END) {
		if (size < at + FDT_TAGSIZE)
			return false;
		at = after_token(block, size, at, &token);
		if (at == 0)
			return false;
	}
	return true;
}

const char *sk_fdt_unsound(const void *fdt, size_t len)
{
	int r;

	if (len < sizeof(struct fdt_header))
		return "it is too short";
	r = fdt_check_header(fdt);
	if (r < 0)
		return fdt_strerror(r);
	/* Before the walk: libfdt 1.6 reads through a null pointer in trees older than 16. */
	if (fdt_version(fdt) != 17)
		return "it is not of version 17";
	if (fdt_totalsize(fdt) != len)
		return "its length is not what it says";
	if (!names_are_short(fdt))
		return "a property's name is too long";
	if (!tokens_end(fdt))
		return "a node or property of it is cut off";
	r = fdt_check_full(fdt, len);
	return r < 0 ? fdt_strerror(r) : NULL;
}

int sk_fdt_check(const void *fdt, size_t len, struct sk_err *err)
{
	const char *why;

	if (len > SK_MANIFEST_SIZE_MAX)
		return sk_err_set(err, -EFBIG, "too-large",
				  "manifest has %zu bytes; at most %u are allowed", len,
				  SK_MANIFEST_SIZE_MAX);
	why = sk_fdt_unsound(fdt, len);
	if (why)
		return sk_err_set(err, -EINVAL, "bad-manifest",
				  "manifest is not a sound device tree: %s", why);
	return check_bounds(fdt, err);
}

const void *sk_fdt_aligned(const void *fdt, size_t len, void **ret_copy)
{
	*ret_copy = NULL;
	if (((uintptr_t)fdt & 7) == 0)
		return fdt;
	*ret_copy = malloc(len + 1);
	if (*ret_copy)
		memcpy(*ret_copy, fdt, len);
	return *ret_copy;
}
