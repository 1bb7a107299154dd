/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/manifest/yaml.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

#include "base/str.h"
#include "cli/manifest/compose_vars.h"

#define MERGE_KEY  "<<"
#define TAG_PREFIX "tag:yaml.org,2002:"

struct sk_yaml_doc {
	struct sk_yaml **all; /* owns every node */
	size_t n, room;
	struct sk_yaml *root;
};

struct reader {
	yaml_parser_t parser;
	struct sk_yaml_doc *doc;
	struct sk_map *anchors; /* name -> finished node */
	const char *file;
	const struct sk_map *vars;
	size_t left; /* of SK_YAML_VALUES_MAX */
	struct sk_mistakes *mistakes;
};

static void node_free(struct sk_yaml *n)
{
	for (size_t i = 0; n->pairs && i < n->n; i++)
		free(n->pairs[i].key);
	free(n->pairs);
	free(n->items);
	free(n->text);
	free(n);
}

void sk_yaml_free(struct sk_yaml_doc *d)
{
	for (size_t i = 0; i < d->n; i++)
		node_free(d->all[i]);
	free(d->all);
	free(d);
}

const struct sk_yaml *sk_yaml_root(const struct sk_yaml_doc *d)
{
	return d->root;
}

static int yaml_wrong(struct reader *rd, size_t line, const char *hint, const char *text)
{
	return sk_mistake(rd->mistakes, rd->file, (unsigned)line + 1, NULL, hint, "%s", text);
}

static int syntax(struct reader *rd)
{
	const yaml_parser_t *p = &rd->parser;

	if (p->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	return sk_mistake(rd->mistakes, rd->file, (unsigned)p->problem_mark.line + 1, NULL, NULL,
			  "%s%s%s", p->context ? p->context : "", p->context ? ": " : "",
			  p->problem ? p->problem : "not YAML");
}

static int node_new(struct reader *rd, enum sk_yaml_kind kind, const yaml_event_t *e,
		    struct sk_yaml **ret)
{
	struct sk_yaml_doc *d = rd->doc;
	struct sk_yaml **all;

	if (d->n >= SK_YAML_NODES_MAX)
		return yaml_wrong(rd, e->start_mark.line, NULL, "the file has too many values");
	if (d->n == d->room) {
		all = reallocarray(d->all, d->room * 2 + 64, sizeof(*all));
		if (!all)
			return -ENOMEM;
		d->all = all;
		d->room = d->room * 2 + 64;
	}
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	(*ret)->kind = kind;
	(*ret)->line = (unsigned)e->start_mark.line + 1;
	(*ret)->weight = 1;
	d->all[d->n++] = *ret;
	return 0;
}

/* Takes @s apart from its variables. */
static int yaml_expand(struct reader *rd, char *s, size_t line, char **ret)
{
	char why[SK_VARS_WHY];
	int r = sk_vars_expand(rd->vars, s, ret, why);

	free(s);
	if (r == -EINVAL)
		return yaml_wrong(
			rd, line,
			"variables come from .env beside this file; write ${NAME:-default}, or $$ "
			"for a dollar sign",
			why);
	if (r == 0 && strlen(*ret) > rd->left)
		return yaml_wrong(rd, line, NULL, "the file's values have more than 4 MiB");
	if (r == 0)
		rd->left -= strlen(*ret);
	return r;
}

static int check_tag(struct reader *rd, const yaml_char_t *tag, size_t line)
{
	const char *t = (const char *)tag;

	if (!t || sk_str_starts(t, TAG_PREFIX))
		return 0;
	return yaml_wrong(rd, line, "leave the tag out", "YAML tags are not supported");
}

static int scalar_text(struct reader *rd, const yaml_event_t *e, char **ret)
{
	const char *value = (const char *)e->data.scalar.value;
	size_t len = e->data.scalar.length;

	if (memchr(value, '\0', len))
		return yaml_wrong(rd, e->start_mark.line, NULL, "a value holds a zero byte");
	*ret = strndup(value, len);
	return *ret ? 0 : -ENOMEM;
}

static int read_scalar(struct reader *rd, const yaml_event_t *e, struct sk_yaml **ret)
{
	int r = check_tag(rd, e->data.scalar.tag, e->start_mark.line);

	if (r < 0)
		return r;
	r = node_new(rd, SK_YAML_SCALAR, e, ret);
	if (r < 0)
		return r;
	r = scalar_text(rd, e, &(*ret)->text);
	if (r < 0)
		return r;
	(*ret)->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	return yaml_expand(rd, TAKE_PTR((*ret)->text), e->start_mark.line, &(*ret)->text);
}

static int add_weight(struct reader *rd, struct sk_yaml *to, const struct sk_yaml *child,
		      size_t line)
{
	to->weight += child->weight;
	if (to->weight <= SK_YAML_NODES_MAX)
		return 0;
	return yaml_wrong(rd, line, NULL, "aliases expand to too much");
}

static int append_item(struct sk_yaml *list, struct sk_yaml *item)
{
	/* Grown when the length is a power of two: 0, 1, 2, 4, … */
	if ((list->n & (list->n - 1)) == 0) {
		struct sk_yaml **grown = reallocarray(list->items, list->n * 2 + 1, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		list->items = grown;
	}
	list->items[list->n++] = item;
	return 0;
}

static int append_pair(struct sk_yaml *map, const char *key, unsigned line, struct sk_yaml *value)
{
	char *copy;

	if ((map->n & (map->n - 1)) == 0) {
		struct sk_yaml_pair *grown =
			reallocarray(map->pairs, map->n * 2 + 1, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		map->pairs = grown;
	}
	copy = strdup(key);
	if (!copy)
		return -ENOMEM;
	map->pairs[map->n++] = (struct sk_yaml_pair){ copy, line, value };
	return 0;
}

static int read_node(struct reader *rd, yaml_event_t *e, unsigned depth, struct sk_yaml **ret);

/* The next node; NULL at the end of the list or map. */
static int read_next(struct reader *rd, unsigned depth, struct sk_yaml **ret)
{
	yaml_event_t e;
	int r = 0;

	*ret = NULL;
	if (!yaml_parser_parse(&rd->parser, &e))
		return syntax(rd);
	if (e.type != YAML_SEQUENCE_END_EVENT && e.type != YAML_MAPPING_END_EVENT)
		r = read_node(rd, &e, depth, ret);
	yaml_event_delete(&e);
	return r;
}

static int yaml_read_list(struct reader *rd, const yaml_event_t *e, unsigned depth,
			  struct sk_yaml **ret)
{
	struct sk_yaml *item;
	int r = check_tag(rd, e->data.sequence_start.tag, e->start_mark.line);

	if (r == 0)
		r = node_new(rd, SK_YAML_LIST, e, ret);
	while (r == 0) {
		r = read_next(rd, depth + 1, &item);
		if (r < 0 || !item)
			return r;
		r = append_item(*ret, item);
		if (r == 0)
			r = add_weight(rd, *ret, item, item->line);
	}
	return r;
}

/* What "<<" brings: pairs that the map does not have itself. */
static int merge_map(struct reader *rd, struct sk_yaml *map, struct sk_map *keys,
		     const struct sk_yaml *from, unsigned line)
{
	int r = 0;

	if (from->kind != SK_YAML_MAP)
		return yaml_wrong(rd, line - 1, NULL, "\"<<\" takes a map, or a list of maps");
	for (size_t i = 0; r == 0 && i < from->n; i++) {
		const struct sk_yaml_pair *p = &from->pairs[i];

		r = sk_map_add(keys, p->key, NULL);
		if (r == -EEXIST) {
			r = 0;
			continue;
		}
		if (r == 0)
			r = append_pair(map, p->key, p->line, p->value);
		if (r == 0)
			r = add_weight(rd, map, p->value, line - 1);
	}
	return r;
}

static int merge(struct reader *rd, struct sk_yaml *map, struct sk_map *keys,
		 const struct sk_yaml *from)
{
	int r = 0;

	if (from->kind != SK_YAML_LIST)
		return merge_map(rd, map, keys, from, from->line);
	for (size_t i = 0; r == 0 && i < from->n; i++)
		r = merge_map(rd, map, keys, from->items[i], from->line);
	return r;
}

static int add_pair(struct reader *rd, struct sk_yaml *map, struct sk_map *keys,
		    const struct sk_yaml *key, struct sk_yaml *value)
{
	int r = sk_map_add(keys, key->text, NULL);

	if (r == -EEXIST)
		return sk_mistake(rd->mistakes, rd->file, key->line, NULL, NULL,
				  "\"%.64s\" stands there twice", key->text);
	if (r == 0)
		r = append_pair(map, key->text, key->line, value);
	return r == 0 ? add_weight(rd, map, value, value->line - 1) : r;
}

static int read_pairs(struct reader *rd, struct sk_yaml *map, struct sk_map *keys, unsigned depth)
{
	struct sk_yaml *key, *value, *merged = NULL;
	int r;

	for (;;) {
		r = read_next(rd, depth + 1, &key);
		if (r < 0)
			return r;
		if (!key)
			return merged ? merge(rd, map, keys, merged) : 0;
		if (key->kind != SK_YAML_SCALAR)
			return yaml_wrong(rd, key->line - 1, NULL, "a key must be a word");
		r = read_next(rd, depth + 1, &value);
		if (r == 0 && key->plain && sk_streq(key->text, MERGE_KEY) && !merged)
			merged = value;
		else if (r == 0)
			r = add_pair(rd, map, keys, key, value);
		if (r < 0)
			return r;
	}
}

static int read_map(struct reader *rd, const yaml_event_t *e, unsigned depth, struct sk_yaml **ret)
{
	_cleanup_(sk_map_freep) struct sk_map *keys = sk_map_new(NULL);
	int r = check_tag(rd, e->data.mapping_start.tag, e->start_mark.line);

	if (r == 0)
		r = keys ? node_new(rd, SK_YAML_MAP, e, ret) : -ENOMEM;
	return r == 0 ? read_pairs(rd, *ret, keys, depth) : r;
}

/* An alias names a finished node, so there is no circle. A later anchor replaces an earlier one of its name. */
static int set_anchor(struct reader *rd, const yaml_char_t *anchor, struct sk_yaml *node)
{
	const char *name = (const char *)anchor;

	if (!name)
		return 0;
	(void)sk_map_take(rd->anchors, name);
	return sk_map_add(rd->anchors, name, node);
}

static int read_alias(struct reader *rd, const yaml_event_t *e, struct sk_yaml **ret)
{
	*ret = sk_map_get(rd->anchors, (const char *)e->data.alias.anchor);
	if (*ret)
		return 0;
	return sk_mistake(rd->mistakes, rd->file, (unsigned)e->start_mark.line + 1, NULL, NULL,
			  "there is no anchor \"&%.64s\" before this", e->data.alias.anchor);
}

static int read_node(struct reader *rd, yaml_event_t *e, unsigned depth, struct sk_yaml **ret)
{
	const yaml_char_t *anchor = NULL;
	int r;

	if (depth > SK_YAML_DEPTH_MAX)
		return yaml_wrong(rd, e->start_mark.line, NULL, "nested too deep");
	if (e->type == YAML_ALIAS_EVENT)
		return read_alias(rd, e, ret);
	if (e->type == YAML_SCALAR_EVENT) {
		anchor = e->data.scalar.anchor;
		r = read_scalar(rd, e, ret);
	} else if (e->type == YAML_SEQUENCE_START_EVENT) {
		anchor = e->data.sequence_start.anchor;
		r = yaml_read_list(rd, e, depth, ret);
	} else if (e->type == YAML_MAPPING_START_EVENT) {
		anchor = e->data.mapping_start.anchor;
		r = read_map(rd, e, depth, ret);
	} else {
		return yaml_wrong(rd, e->start_mark.line, NULL, "a value is missing");
	}
	return r == 0 ? set_anchor(rd, anchor, *ret) : r;
}

/* Stream start, document start, the root, document end, stream end. */
static int read_document(struct reader *rd)
{
	bool ended = false;
	int r = 0;

	while (r == 0 && !ended) {
		yaml_event_t e;

		if (!yaml_parser_parse(&rd->parser, &e))
			return syntax(rd);
		if (e.type == YAML_STREAM_END_EVENT)
			ended = true;
		else if (e.type == YAML_DOCUMENT_START_EVENT && rd->doc->root)
			r = yaml_wrong(rd, e.start_mark.line, NULL, "a second document begins");
		else if (e.type != YAML_STREAM_START_EVENT && e.type != YAML_DOCUMENT_START_EVENT &&
			 e.type != YAML_DOCUMENT_END_EVENT)
			r = read_node(rd, &e, 0, &rd->doc->root);
		yaml_event_delete(&e);
	}
	if (r == 0 && !rd->doc->root)
		r = yaml_wrong(rd, 0, NULL, "the file is empty");
	return r;
}

int sk_yaml_parse(const char *text, size_t len, const char *file, const struct sk_map *vars,
		  struct sk_mistakes *mistakes, struct sk_yaml_doc **ret)
{
	_cleanup_(sk_yaml_freep) struct sk_yaml_doc *doc = calloc(1, sizeof(*doc));
	_cleanup_(sk_map_freep) struct sk_map *anchors = sk_map_new(NULL);
	struct reader rd = {
		.doc = doc,
		.anchors = anchors,
		.file = file,
		.vars = vars,
		.left = SK_YAML_VALUES_MAX,
		.mistakes = mistakes,
	};
	int r;

	if (!doc || !anchors)
		return -ENOMEM;
	if (len > SK_YAML_SIZE_MAX)
		return sk_mistake(mistakes, file, 0, NULL, NULL, "the file has more than %u bytes",
				  SK_YAML_SIZE_MAX);
	if (!yaml_parser_initialize(&rd.parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&rd.parser, (const unsigned char *)text, len);
	r = read_document(&rd);
	yaml_parser_delete(&rd.parser);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(doc);
	return 0;
}

const struct sk_yaml_pair *sk_yaml_get(const struct sk_yaml *map, const char *key)
{
	for (size_t i = 0; map->kind == SK_YAML_MAP && i < map->n; i++)
		if (sk_streq(map->pairs[i].key, key))
			return &map->pairs[i];
	return NULL;
}

static bool is_word(const struct sk_yaml *v, const char *const *words)
{
	if (v->kind != SK_YAML_SCALAR || !v->plain)
		return false;
	for (; *words; words++)
		if (sk_streq(v->text, *words))
			return true;
	return false;
}

bool sk_yaml_is_null(const struct sk_yaml *v)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };

	return is_word(v, nulls);
}

int sk_yaml_bool(const struct sk_yaml *v)
{
	static const char *const yes[] = { "true", "True", "TRUE", NULL };
	static const char *const no[] = { "false", "False", "FALSE", NULL };

	if (is_word(v, yes))
		return 1;
	return is_word(v, no) ? 0 : -1;
}
