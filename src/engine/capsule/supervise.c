/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Supervision: when an app fails, those that depend on it are stopped, last started first, then it
 * comes back, then they do, in start order. One step at a time; each step waits for the one before.
 */
#include "model/supervision.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "engine/capsule/capsule.h"

struct sk_recovery {
	struct sk_recovery *next;
	struct sk_supervision_plan plan;
	size_t stopped, started;
	char **was_up; /* names of those that are to come back */
	bool restart;
};

static void recovery_free(struct sk_recovery *r)
{
	sk_supervision_plan_done(&r->plan);
	sk_strv_free(r->was_up);
	free(r);
}

static void free_rules(struct sk_engine *e)
{
	for (size_t i = 0; i < e->n_supervision; i++) {
		free(e->supervision[i].app);
		sk_strv_free(e->supervision[i].dependants);
	}
	free(e->supervision);
	for (size_t i = 0; i < e->n_supervised; i++)
		free(e->supervised[i].name);
	free(e->supervised);
	e->supervision = NULL;
	e->supervised = NULL;
	e->n_supervision = e->n_supervised = 0;
}

void sk_supervise_done(struct sk_engine *e)
{
	while (e->recoveries) {
		struct sk_recovery *r = e->recoveries;

		e->recoveries = r->next;
		recovery_free(r);
	}
	free_rules(e);
}

static int copy_rules(struct sk_engine *e, const struct sk_manifest *m)
{
	e->supervision = calloc(m->n_supervision + 1, sizeof(*e->supervision));
	e->supervised = calloc(m->n_apps + 1, sizeof(*e->supervised));
	if (!e->supervision || !e->supervised)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_supervision; i++) {
		struct sk_supervision *s = &e->supervision[e->n_supervision++];

		s->app = strdup(m->supervision[i].app);
		s->dependants = sk_strv_copy(m->supervision[i].dependants);
		if (!s->app || (!s->dependants && m->supervision[i].dependants))
			return -ENOMEM;
	}
	for (size_t i = 0; i < m->n_apps; i++) {
		e->supervised[e->n_supervised].name = strdup(m->apps[i].name);
		if (!e->supervised[e->n_supervised++].name)
			return -ENOMEM;
	}
	return 0;
}

int sk_engine_set_supervision(struct sk_engine *e, const struct sk_manifest *m)
{
	int r = 0;

	/* A recovery by the old rules is not finished by the new ones. */
	sk_supervise_done(e);
	if (m)
		r = copy_rules(e, m);
	if (r < 0)
		free_rules(e);
	for (size_t i = 0; i < e->n; i++)
		e->v[i]->held = false;
	return r;
}

static void add_recovery(struct sk_engine *e, struct sk_recovery *r)
{
	struct sk_recovery **at = &e->recoveries;

	while (*at)
		at = &(*at)->next;
	*at = r;
}

/* The same app failed again before all of its dependants were back: they are still to come. */
static char **take_earlier(struct sk_engine *e, const char *name)
{
	for (struct sk_recovery **at = &e->recoveries; *at; at = &(*at)->next) {
		struct sk_recovery *r = *at;
		char **was_up;

		if (!sk_streq(r->plan.start[0], name))
			continue;
		was_up = TAKE_PTR(r->was_up);
		*at = r->next;
		recovery_free(r);
		return was_up;
	}
	return NULL;
}

/* Is it about to be stopped by a recovery, because something that it depends on has failed? */
static bool will_be_stopped(const struct sk_engine *e, const char *name)
{
	for (const struct sk_recovery *r = e->recoveries; r; r = r->next)
		for (size_t i = r->stopped; r->plan.stop[i]; i++)
			if (sk_streq(r->plan.stop[i], name))
				return true;
	return false;
}

/* @restart: it comes back by itself, its dependants are to follow. */
static void recover_dependants(struct sk_capsule *c, bool restart)
{
	struct sk_engine *e = c->e;
	const struct sk_manifest m = { .apps = e->supervised,
				       .n_apps = e->n_supervised,
				       .supervision = e->supervision,
				       .n_supervision = e->n_supervision };
	struct sk_recovery *r;

	if (c->generation == 0 || e->n_supervision == 0 || will_be_stopped(e, c->app.name))
		return;
	r = calloc(1, sizeof(*r));
	if (!r || sk_supervision_plan(&m, c->app.name, &r->plan) < 0) {
		free(r);
		sk_error("out of memory: the dependants of %s are left alone", c->app.name);
		return;
	}
	r->was_up = take_earlier(e, c->app.name);
	r->restart = restart;
	if (!r->plan.stop) {
		recovery_free(r);
		return;
	}
	c->held = true;
	sk_notice("%s failed: its dependants are stopped%s", c->app.name,
		  restart ? " and started again" : "");
	add_recovery(e, r);
}

static void note_was_up(struct sk_recovery *r, const char *name)
{
	if (!sk_strv_has(r->was_up, name) && sk_strv_add(&r->was_up, name) < 0)
		sk_error("out of memory: %s will not be started again", name);
}

/*
 * When two apps have failed, what depends on both has to wait for both. So if another recovery has the
 * start of @name still ahead, @name becomes that one's. A recovery only hands on names that it has
 * reached, so no name goes back and forth.
 */
static bool hand_over(struct sk_engine *e, const struct sk_recovery *r, const char *name)
{
	for (struct sk_recovery *other = e->recoveries; other; other = other->next) {
		if (other == r)
			continue;
		for (size_t i = SK_MAX(other->started, (size_t)1); other->plan.start[i]; i++)
			if (sk_streq(other->plan.start[i], name)) {
				note_was_up(other, name);
				return true;
			}
	}
	return false;
}

/* The failed one is not to run any more, perhaps because another recovery has stopped it. */
static void recovery_give_up(struct sk_engine *e, const struct sk_recovery *r)
{
	SK_STRV_FOREACH (name, r->was_up)
		(void)hand_over(e, r, *name);
}

/* Return: true when this step is done */
static bool stop_one(struct sk_engine *e, struct sk_recovery *r, const char *name)
{
	struct sk_capsule *c = sk_engine_app(e, name);

	if (!c || c->goal == SK_CAP_GOAL_GONE)
		return true;
	if (c->goal == SK_CAP_GOAL_RUNNING) {
		note_was_up(r, name);
		(void)sk_capsule_stop(c, UINT64_MAX, NULL, NULL, NULL);
	}
	return sk_cap_reached(c->state, SK_CAP_GOAL_STOPPED);
}

/* Return: 1 when this step is done, 0 when not yet, -1 when the recovery is to be given up */
static int start_root(struct sk_engine *e, const char *name)
{
	struct sk_capsule *c = sk_engine_app(e, name);

	if (!c || c->goal != SK_CAP_GOAL_RUNNING)
		return -1;
	if (c->held) {
		c->held = false;
		sk_capsule_advance(c);
	}
	return c->state == SK_CAP_RUNNING;
}

static int start_one(struct sk_engine *e, struct sk_recovery *r, const char *name)
{
	struct sk_capsule *c = sk_engine_app(e, name);
	bool stays_down = !sk_strv_has(r->was_up, name);

	if (!c || stays_down || hand_over(e, r, name))
		return 1;
	if (c->goal == SK_CAP_GOAL_STOPPED && c->state != SK_CAP_FAILED) {
		(void)sk_capsule_start(c, NULL, NULL, NULL);
		/* When it cannot be started its goal is to be stopped again: go on without it. */
		return c->goal == SK_CAP_GOAL_RUNNING ? 0 : 1;
	}
	return c->state == SK_CAP_RUNNING || c->goal != SK_CAP_GOAL_RUNNING;
}

/* As far as it goes now. Return: true when all is done */
static bool recovery_step(struct sk_engine *e, struct sk_recovery *r)
{
	for (; r->plan.stop[r->stopped]; r->stopped++)
		if (!stop_one(e, r, r->plan.stop[r->stopped]))
			return false;
	if (!r->restart)
		return true;
	for (; r->plan.start[r->started]; r->started++) {
		const char *name = r->plan.start[r->started];
		int done = r->started == 0 ? start_root(e, name) : start_one(e, r, name);

		if (done < 0) {
			recovery_give_up(e, r);
			return true;
		}
		if (done == 0)
			return false;
	}
	return true;
}

static void step_recoveries(struct sk_engine *e)
{
	struct sk_recovery **at = &e->recoveries;

	/* A step changes capsules, and each change calls this again. */
	if (e->recovering || e->halt)
		return;
	e->recovering = true;
	while (*at) {
		struct sk_recovery *r = *at;

		if (!recovery_step(e, r)) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		recovery_free(r);
	}
	e->recovering = false;
}

void sk_supervise_observe(struct sk_capsule *c, const struct sk_capsule_change *change)
{
	if (change->what == SK_CHANGE_FAILED)
		recover_dependants(c, c->after == SK_CAP_EV_RETRY);
	else if (change->what == SK_CHANGE_MOVED)
		step_recoveries(c->e);
}
