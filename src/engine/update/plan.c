/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "engine/update/labels.h"
#include "engine/update/private.h"
#include "model/fingerprint.h"

void sk_update_plan_clear(struct sk_update *u)
{
	free(u->want);
	u->want = NULL;
	u->n_want = 0;
	sk_strv_free(u->extra);
	u->extra = NULL;
	u->pos = 0;
}

/* Value of the label @name ("io.skerry.x=") of a capsule, or NULL. */
const char *sk_update_label(const struct sk_capsule_view *v, const char *name)
{
	SK_STRV_FOREACH (label, v->labels)
		if (sk_str_starts(*label, name))
			return *label + strlen(name);
	return NULL;
}

/* By a map: there may be 256 apps that all depend on each other. */
static int count_deps(struct sk_update *u, const struct sk_manifest *m)
{
	_cleanup_(sk_map_freep) struct sk_map *by_name = sk_map_new(NULL);
	int r = by_name ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < u->n_want; i++)
		r = sk_map_add(by_name, m->apps[i].name, &u->want[i]);
	for (size_t row = 0; r == 0 && row < m->n_supervision; row++)
		SK_STRV_FOREACH (name, m->supervision[row].dependants) {
			struct sk_want *w = sk_map_get(by_name, *name);

			if (w)
				w->n_deps++;
		}
	return r;
}

static int make_wants(struct sk_update *u)
{
	const struct sk_manifest *m = u->target ? u->target->manifest : NULL;
	int r = 0;

	if (!m || m->n_apps == 0)
		return 0;
	u->want = calloc(m->n_apps, sizeof(*u->want));
	if (!u->want)
		return -ENOMEM;
	u->n_want = m->n_apps;
	for (size_t i = 0; r == 0 && i < m->n_apps; i++) {
		u->want[i].u = u;
		u->want[i].app = &m->apps[i];
		r = sk_app_fingerprint(&m->apps[i], &u->want[i].fingerprint);
	}
	return r < 0 ? r : count_deps(u, m);
}

static struct sk_want *want_for(struct sk_update *u, const struct sk_capsule_view *v)
{
	const char *print = sk_update_label(v, SK_LABEL_FINGERPRINT);
	struct sk_digest d;

	if (!print || sk_digest_parse(print, &d) < 0)
		return NULL;
	for (size_t i = 0; i < u->n_want; i++)
		if (sk_digest_equal(&u->want[i].fingerprint, &d))
			return &u->want[i];
	return NULL;
}

static bool is_up(const struct sk_capsule_view *v)
{
	return v->state == SK_CAPSULE_RUNNING || v->state == SK_CAPSULE_STARTING;
}

/* Of two that both are what is wanted, the one that runs is taken. */
static bool better(struct sk_update *u, const struct sk_want *w, const struct sk_capsule_view *v)
{
	struct sk_capsule *present = w->id[0] ? sk_engine_find(u->engine, w->id, NULL) : NULL;
	struct sk_capsule_view other;

	if (!present)
		return true;
	sk_capsule_view(present, &other);
	return is_up(v) && !is_up(&other);
}

static int add_extra(struct sk_update *u, const char *id)
{
	return sk_strv_add(&u->extra, id);
}

static int sort_one(struct sk_update *u, const struct sk_capsule_view *v)
{
	struct sk_want *w = want_for(u, v);
	int r = 0;

	if (!w || !better(u, w, v))
		return add_extra(u, v->id);
	if (w->id[0])
		r = add_extra(u, w->id);
	(void)snprintf(w->id, sizeof(w->id), "%s", v->id);
	return r;
}

/* Newest first: a capsule was made after all that it depends on. */
static void reverse(char **v)
{
	size_t n = sk_strv_len(v);

	for (size_t i = 0; i < n / 2; i++) {
		char *swap = v[i];

		v[i] = v[n - 1 - i];
		v[n - 1 - i] = swap;
	}
}

/*
 * Start order of the release that a capsule was made for, as a label: capsules of several
 * generations run side by side, so their age alone does not tell.
 */
static uint64_t order_of(struct sk_update *u, const char *id)
{
	struct sk_capsule *c = sk_engine_find(u->engine, id, NULL);
	struct sk_capsule_view v;
	const char *label;
	uint64_t order = 0;

	if (!c)
		return 0;
	sk_capsule_view(c, &v);
	label = sk_update_label(&v, SK_LABEL_ORDER);
	if (label)
		(void)sk_parse_u64(label, &order);
	return order;
}

static void sort_extra(struct sk_update *u)
{
	size_t n = sk_strv_len(u->extra);

	reverse(u->extra);
	for (size_t i = 1; i < n; i++) {
		char *id = u->extra[i];
		uint64_t order = order_of(u, id);
		size_t j = i;

		for (; j > 0 && order_of(u, u->extra[j - 1]) < order; j--)
			u->extra[j] = u->extra[j - 1];
		u->extra[j] = id;
	}
}

int sk_update_plan(struct sk_update *u, struct sk_err *err)
{
	struct sk_capsule *c;
	size_t pos = 0;

	sk_update_plan_clear(u);
	if (make_wants(u) < 0)
		return sk_err_oom(err);
	while ((c = sk_engine_next(u->engine, &pos))) {
		struct sk_capsule_view v;

		sk_capsule_view(c, &v);
		if (v.generation == 0 || v.state == SK_CAPSULE_REMOVING)
			continue;
		if (sort_one(u, &v) < 0)
			return sk_err_oom(err);
	}
	sort_extra(u);
	return 0;
}
