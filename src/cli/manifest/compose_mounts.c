/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/str.h"
#include "cli/manifest/compose_service.h"

/* Devices and persistent folders. */

static char *long_device(struct service *s, const struct item *i)
{
	static const char *const known[] = { "source", "target", "permissions", NULL };
	const char *source = sk_service_part(s, i, "source"),
		   *target = sk_service_part(s, i, "target");
	const char *mode = sk_service_part(s, i, "permissions");

	sk_service_only(s, i, known);
	if (!source) {
		sk_item_wrong(s->c, i, "write source: /dev/...", "the device is missing");
		return NULL;
	}
	return sk_asprintf("%s%s%s%s%s", source, target ? ":" : "", target ? target : "",
			   mode ? ":" : "", mode ? mode : "");
}

void sk_service_devices(struct service *s, const struct item *i, const char *prop)
{
	_cleanup_strv_ char **v = NULL;

	if (i->v->kind != SK_YAML_LIST) {
		sk_item_wrong(s->c, i, NULL, "must be a list");
		return;
	}
	for (size_t k = 0; k < i->v->n; k++) {
		struct item at = { i->v->items[k], i->v->items[k]->line, i->key, i->where };
		_cleanup_free_ char *made = at.v->kind == SK_YAML_MAP ? long_device(s, &at) : NULL;
		const char *text = made;

		if (at.v->kind != SK_YAML_MAP)
			text = sk_item_text(s->c, &at);
		if (text && sk_strv_add(&v, text) < 0)
			s->c->failed = true;
	}
	if (v)
		sk_dts_strings(&s->props, prop, i, (const char *const *)v, sk_strv_len(v));
}

static void put_volume(struct service *s, const struct dts *d, const struct item *i,
		       const char *name, const char *target, bool read_only)
{
	const char *const value[] = { target, "read-only" };
	const char *user = sk_map_get(s->c->volumes, name);

	if (strchr("/.~", name[0]) || !sk_name_ok(name)) {
		sk_item_wrong(s->c, i, "put the files into the image, or name a volume",
			      "a bind mount of \"%.64s\" " REFUSED, name);
	} else if (!user) {
		sk_item_wrong(s->c, i, "declare it under volumes: at the top",
			      "there is no volume \"%s\"", name);
	} else if (user[0] && !sk_streq(user, s->name)) {
		sk_item_wrong(s->c, i, "each service has folders of its own",
			      "volume \"%s\" is also in service \"%s\"; sharing " REFUSED, name,
			      user);
	} else {
		(void)sk_map_take(s->c->volumes, name);
		if (sk_map_add(s->c->volumes, name, (void *)(uintptr_t)s->name) < 0)
			s->c->failed = true;
		sk_dts_strings(d, name, i, value, read_only ? 2 : 1);
	}
}

/* "name:/path", "name:/path:ro" */
static void short_volume(struct service *s, const struct dts *d, const struct item *i,
			 const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	char *target, *options;

	if (!copy) {
		s->c->failed = true;
		return;
	}
	target = strchr(copy, ':');
	if (!target) {
		sk_item_wrong(s->c, i,
			      "write NAME:/path and declare NAME under volumes: at the top",
			      "a volume without a name " REFUSED);
		return;
	}
	*target++ = '\0';
	options = strchr(target, ':');
	if (options)
		*options++ = '\0';
	if (options && !sk_streq(options, "ro") && !sk_streq(options, "rw"))
		sk_item_wrong(s->c, i, "write ro, rw, or nothing", "option \"%.64s\" " REFUSED,
			      options);
	else
		put_volume(s, d, i, copy, target, options && sk_streq(options, "ro"));
}

static void long_volume(struct service *s, const struct dts *d, const struct item *i)
{
	static const char *const known[] = { "type", "source", "target", "read_only", NULL };
	const char *type = sk_service_part(s, i, "type"), *source = sk_service_part(s, i, "source");
	const char *target = sk_service_part(s, i, "target");
	const struct sk_yaml_pair *ro = sk_yaml_get(i->v, "read_only");

	sk_service_only(s, i, known);
	if (type && !sk_streq(type, "volume"))
		sk_item_wrong(s->c, i, "put the files into the image, or write type: volume",
			      "a mount of type \"%.64s\" " REFUSED, type);
	else if (!source || !target)
		sk_item_wrong(s->c, i, "write both", "source or target is missing");
	else
		put_volume(s, d, i, source, target, ro && sk_yaml_bool(ro->value) == 1);
}

void sk_service_volumes(struct service *s, const struct item *i, const char *prop)
{
	char path[WHERE_MAX];
	const struct dts d = sk_service_sub(s, "volumes", path);

	if (i->v->kind != SK_YAML_LIST) {
		sk_item_wrong(s->c, i, NULL, "must be a list");
		return;
	}
	sk_dts_open(&d, i);
	for (size_t k = 0; k < i->v->n; k++) {
		struct item at = { i->v->items[k], i->v->items[k]->line, i->key, i->where };
		const char *text;

		if (at.v->kind == SK_YAML_MAP) {
			long_volume(s, &d, &at);
			continue;
		}
		text = sk_item_text(s->c, &at);
		if (text)
			short_volume(s, &d, &at, text);
	}
	sk_dts_close(&d);
}
