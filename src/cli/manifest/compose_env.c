/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/manifest/compose_service.h"
#include "cli/manifest/compose_vars.h"

/* "environment" and "env_file": both become the variables of one node. */
struct env {
	struct service *s;
	struct dts d;
	struct sk_map *names; /* that stand there already */
};

static void env_put(struct env *e, const struct item *i, const char *name, const char *value)
{
	if (sk_map_add(e->names, name, e) < 0)
		e->s->c->failed = true;
	else
		sk_dts_string(&e->d, name, i, value);
}

/* @value NULL: it was not given. */
static void put_variable(struct env *e, const struct item *i, const char *name, size_t len,
			 const char *value)
{
	_cleanup_free_ char *copy = strndup(name, len);

	if (!copy)
		e->s->c->failed = true;
	else if (!sk_vars_name_ok(name, len))
		sk_item_wrong(e->s->c, i, NULL, "\"%.64s\" is not a name for a variable", copy);
	else if (!value)
		sk_item_wrong(e->s->c, i, "write the value itself",
			      "variable %s would come from the builder's own environment", copy);
	else if (sk_map_get(e->names, copy))
		sk_item_wrong(e->s->c, i, "leave one of the two out",
			      "variable %s stands there twice", copy);
	else
		env_put(e, i, copy, value);
}

static void from_map(struct env *e, const struct item *i)
{
	for (size_t k = 0; k < i->v->n; k++) {
		char where[WHERE_MAX];
		struct item at = sk_item_at(i, &i->v->pairs[k], where);
		bool null = sk_yaml_is_null(at.v);
		const char *value = null ? NULL : sk_item_text(e->s->c, &at);

		if (value || null)
			put_variable(e, &at, at.key, strlen(at.key), value);
	}
}

static void from_list(struct env *e, const struct item *i)
{
	for (size_t k = 0; k < i->v->n; k++) {
		struct item at = { i->v->items[k], i->v->items[k]->line, i->key, i->where };
		const char *text = sk_item_text(e->s->c, &at);
		size_t len = text ? strcspn(text, "=") : 0;

		if (text)
			put_variable(e, &at, text, len, text[len] ? text + len + 1 : NULL);
	}
}

static void from_environment(struct env *e, const struct item *i)
{
	if (i->v->kind == SK_YAML_MAP)
		from_map(e, i);
	else if (i->v->kind == SK_YAML_LIST)
		from_list(e, i);
	else if (!sk_yaml_is_null(i->v))
		sk_item_wrong(e->s->c, i, NULL, "must be a map or a list of NAME=value");
}

/* A variable of "environment" or of a later file wins over this one. */
static void env_from_file(struct env *e, const struct item *i, const char *name, bool required)
{
	struct compose *c = e->s->c;
	_cleanup_free_ char *path = sk_compose_beside(c->s, name);
	_cleanup_(sk_map_freep) struct sk_map *vars = NULL;
	const struct sk_place named_at = { (char *)(uintptr_t)c->s->path, i->line,
					   (char *)(uintptr_t)i->where };
	const char *key;
	char *value;
	int r;

	if (!sk_path_ok(name + (sk_str_starts(name, "./") ? 2 : 0))) {
		sk_item_wrong(c, i, "name a file in the folder of this one, or below it",
			      "\"%.64s\" leads elsewhere", name);
		return;
	}
	r = path ? sk_vars_read(path, required ? &named_at : NULL, &c->s->mistakes, &vars)
		 : -ENOMEM;
	if (r == -ENOMEM)
		c->failed = true;
	if (r < 0)
		return;
	SK_MAP_FOREACH (vars, key, value)
		if (!sk_map_get(e->names, key))
			env_put(e, i, key, value);
}

/* "name", or a map with the words path, required and format. */
static void from_entry(struct env *e, const struct item *i)
{
	static const char *const known[] = { "path", "required", NULL };
	const struct sk_yaml_pair *required = sk_yaml_get(i->v, "required");
	const char *path;

	if (i->v->kind != SK_YAML_MAP) {
		path = sk_item_text(e->s->c, i);
	} else {
		path = sk_service_part(e->s, i, "path");
		sk_service_only(e->s, i, known);
		if (!path)
			sk_item_wrong(e->s->c, i, "write path: FILE", "the file is missing");
	}
	if (path)
		env_from_file(e, i, path, !required || sk_yaml_bool(required->value) != 0);
}

/* The last file is read first: a variable that is set already is kept. */
static void from_files(struct env *e, const struct item *i)
{
	if (i->v->kind != SK_YAML_LIST) {
		from_entry(e, i);
		return;
	}
	for (size_t k = i->v->n; k > 0; k--) {
		struct item at = { i->v->items[k - 1], i->v->items[k - 1]->line, i->key, i->where };

		from_entry(e, &at);
	}
}

void sk_service_environment(struct service *s, const struct item *i, const char *prop)
{
	static const struct {
		const char *key;
		void (*read)(struct env *e, const struct item *i);
	} keys[] = { { "environment", from_environment }, { "env_file", from_files } };
	_cleanup_(sk_map_freep) struct sk_map *names = sk_map_new(NULL);
	char path[WHERE_MAX], where[WHERE_MAX];
	struct env e = { s, sk_service_sub(s, "environment", path), names };

	if (s->has_environment)
		return; /* the other key has read both */
	s->has_environment = true;
	if (!names) {
		s->c->failed = true;
		return;
	}
	sk_dts_open(&e.d, i);
	for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
		const struct sk_yaml_pair *p = sk_yaml_get(s->self->v, keys[k].key);

		if (p) {
			struct item at = sk_item_at(s->self, p, where);

			keys[k].read(&e, &at);
		}
	}
	sk_dts_close(&e.d);
}
