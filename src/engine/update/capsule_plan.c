/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/update/capsule_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "engine/update/labels.h"
#include "model/fingerprint.h"

void sk_capsule_plan_clear(struct sk_capsule_plan *p)
{
	free(p->desired);
	sk_strv_free(p->surplus);
	*p = (struct sk_capsule_plan){ 0 };
}

bool sk_capsule_plan_is_for(const struct sk_capsule_plan *p, const struct sk_part_target *to)
{
	return p->target.generation == to->generation && p->target.release == to->release;
}

const char *sk_update_label(const struct sk_capsule_view *v, const char *name)
{
	SK_STRV_FOREACH (label, v->labels)
		if (sk_str_starts(*label, name))
			return *label + strlen(name);
	return NULL;
}

static const struct sk_manifest *plan_manifest(const struct sk_capsule_plan *p)
{
	return p->target.release ? p->target.release->manifest : NULL;
}

/* By a map: there may be 256 apps that all depend on each other. */
static int plan_count_deps(struct sk_capsule_plan *p, const struct sk_manifest *m)
{
	_cleanup_(sk_map_freep) struct sk_map *by_name = sk_map_new(NULL);

	if (!by_name)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_desired; i++) {
		int r = sk_map_add(by_name, m->apps[i].name, &p->desired[i]);

		if (r < 0)
			return r;
	}
	for (size_t row = 0; row < m->n_supervision; row++)
		SK_STRV_FOREACH (name, m->supervision[row].dependants) {
			struct sk_desired *d = sk_map_get(by_name, *name);

			if (d)
				d->n_deps++;
		}
	return 0;
}

static int plan_make_desired(struct sk_capsule_plan *p, void *owner)
{
	const struct sk_manifest *m = plan_manifest(p);

	if (!m || m->n_apps == 0)
		return 0;
	p->desired = calloc(m->n_apps, sizeof(*p->desired));
	if (!p->desired)
		return -ENOMEM;
	p->n_desired = m->n_apps;
	for (size_t i = 0; i < m->n_apps; i++) {
		int r = sk_app_fingerprint(&m->apps[i], &p->desired[i].fingerprint);

		if (r < 0)
			return r;
		p->desired[i].owner = owner;
		p->desired[i].app = &m->apps[i];
	}
	return plan_count_deps(p, m);
}

static struct sk_desired *desired_for(struct sk_capsule_plan *p, const struct sk_capsule_view *v)
{
	const char *print = sk_update_label(v, SK_LABEL_FINGERPRINT);
	struct sk_digest d;

	if (!print || sk_digest_parse(print, &d) < 0)
		return NULL;
	for (size_t i = 0; i < p->n_desired; i++)
		if (sk_digest_equal(&p->desired[i].fingerprint, &d))
			return &p->desired[i];
	return NULL;
}

static bool plan_is_up(const struct sk_capsule_view *v)
{
	return v->state == SK_CAPSULE_RUNNING || v->state == SK_CAPSULE_STARTING;
}

/* Of two that both are what is desired, the one that runs is taken. */
static bool plan_is_better(struct sk_engine *engine, const struct sk_desired *d,
			   const struct sk_capsule_view *v)
{
	struct sk_capsule *present = d->id[0] ? sk_engine_find(engine, d->id, NULL) : NULL;
	struct sk_capsule_view other;

	if (!present)
		return true;
	sk_capsule_view(present, &other);
	return plan_is_up(v) && !plan_is_up(&other);
}

static int plan_sort_one(struct sk_capsule_plan *p, struct sk_engine *engine,
			 const struct sk_capsule_view *v)
{
	struct sk_desired *d = desired_for(p, v);

	if (!d || !plan_is_better(engine, d, v))
		return sk_strv_add(&p->surplus, v->id);
	if (d->id[0] && sk_strv_add(&p->surplus, d->id) < 0)
		return -ENOMEM;
	(void)snprintf(d->id, sizeof(d->id), "%s", v->id);
	return 0;
}

/* Newest first: a capsule was made after all that it depends on. */
static void plan_reverse(char **v)
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
 * generations run side by side, so the order of their creation is not enough.
 */
static uint64_t plan_order_of(struct sk_engine *engine, const char *id)
{
	struct sk_capsule *c = sk_engine_find(engine, id, NULL);
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

static void plan_sort_surplus(struct sk_capsule_plan *p, struct sk_engine *engine)
{
	size_t n = sk_strv_len(p->surplus);

	plan_reverse(p->surplus);
	for (size_t i = 1; i < n; i++) {
		char *id = p->surplus[i];
		uint64_t order = plan_order_of(engine, id);
		size_t j = i;

		for (; j > 0 && plan_order_of(engine, p->surplus[j - 1]) < order; j--)
			p->surplus[j] = p->surplus[j - 1];
		p->surplus[j] = id;
	}
}

static int plan_sort_all(struct sk_capsule_plan *p, struct sk_engine *engine)
{
	struct sk_capsule *c;
	size_t pos = 0;

	while ((c = sk_engine_next(engine, &pos))) {
		struct sk_capsule_view v;

		sk_capsule_view(c, &v);
		if (v.generation == 0 || v.state == SK_CAPSULE_REMOVING)
			continue;
		if (plan_sort_one(p, engine, &v) < 0)
			return -ENOMEM;
	}
	return 0;
}

int sk_capsule_plan_make(struct sk_capsule_plan *p, struct sk_engine *engine,
			 const struct sk_part_target *target, void *owner, struct sk_err *err)
{
	sk_capsule_plan_clear(p);
	p->target = *target;
	if (plan_make_desired(p, owner) < 0 || plan_sort_all(p, engine) < 0) {
		sk_capsule_plan_clear(p);
		return sk_err_oom(err);
	}
	plan_sort_surplus(p, engine);
	return 0;
}

void sk_capsule_plan_rewind(struct sk_capsule_plan *p)
{
	for (size_t i = 0; i < p->n_desired; i++) {
		p->desired[i].step = SK_DESIRED_TODO;
		p->desired[i].waits = p->desired[i].n_deps;
		p->desired[i].again = false;
	}
}

static struct sk_desired *desired_named(struct sk_capsule_plan *p, const char *name)
{
	for (size_t i = 0; i < p->n_desired; i++)
		if (sk_streq(p->desired[i].app->name, name))
			return &p->desired[i];
	return NULL;
}

void sk_capsule_plan_through(struct sk_capsule_plan *p, struct sk_desired *d)
{
	const struct sk_manifest *m = plan_manifest(p);

	d->step = SK_DESIRED_THROUGH;
	for (size_t row = 0; row < m->n_supervision; row++) {
		if (!sk_streq(m->supervision[row].app, d->app->name))
			continue;
		SK_STRV_FOREACH (name, m->supervision[row].dependants) {
			struct sk_desired *other = desired_named(p, *name);

			if (other)
				other->waits--;
		}
	}
}
