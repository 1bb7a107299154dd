/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The machine is going down: all capsules are stopped, each once those that depend on it are down, the
 * others side by side. Their goals stay as they are, so that the next daemon starts them again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "engine/capsule/capsule.h"

struct halt_waiter {
	struct halt_waiter *next;
	sk_engine_done done;
	void *arg;
};

struct sk_halt {
	sd_event_source *look;
	struct halt_waiter *waiters;
};

static bool is_down(const struct sk_capsule *c)
{
	return sk_cap_reached(c->state, SK_CAP_GOAL_STOPPED);
}

static bool app_is_up(const struct sk_engine *e, const char *app)
{
	for (size_t i = 0; i < e->n; i++)
		if (e->v[i]->generation != 0 && sk_streq(e->v[i]->app.name, app) &&
		    !is_down(e->v[i]))
			return true;
	return false;
}

static bool is_needed(const struct sk_engine *e, const struct sk_capsule *c)
{
	if (c->generation == 0)
		return false;
	for (size_t i = 0; i < e->n_supervision; i++) {
		if (!sk_streq(e->supervision[i].app, c->app.name))
			continue;
		SK_STRV_FOREACH (name, e->supervision[i].dependants)
			if (app_is_up(e, *name))
				return true;
	}
	return false;
}

static void finish_halt(struct sk_halt *h)
{
	while (h->waiters) {
		struct halt_waiter *w = h->waiters;

		h->waiters = w->next;
		w->done(w->arg, NULL);
		free(w);
	}
}

static int on_halt_look(sd_event_source *s, void *arg)
{
	struct sk_engine *e = arg;
	bool all_down = true;

	for (size_t i = 0; i < e->n; i++) {
		struct sk_capsule *c = e->v[i];

		if (is_down(c))
			continue;
		all_down = false;
		/* With another goal it is on its way down already. */
		if ((c->goal == SK_CAP_GOAL_RUNNING || c->goal == SK_CAP_GOAL_PREPARED) &&
		    !is_needed(e, c))
			sk_capsule_stop_for_now(c);
	}
	if (all_down)
		finish_halt(e->halt);
	return 0;
}

static void look_soon(struct sk_engine *e)
{
	(void)sd_event_source_set_enabled(e->halt->look, SD_EVENT_ONESHOT);
}

void sk_halt_observe(struct sk_capsule *c, const struct sk_capsule_change *change)
{
	if (change->what == SK_CHANGE_MOVED && c->e->halt)
		look_soon(c->e);
}

void sk_halt_done(struct sk_engine *e)
{
	struct sk_halt *h = e->halt;

	if (!h)
		return;
	while (h->waiters) {
		struct halt_waiter *w = h->waiters;

		h->waiters = w->next;
		free(w);
	}
	(void)sd_event_source_disable_unref(h->look);
	free(h);
	e->halt = NULL;
}

static int begin_halt(struct sk_engine *e)
{
	struct sk_halt *h;

	if (e->halt)
		return 0;
	h = calloc(1, sizeof(*h));
	if (!h || sd_event_add_defer(e->event, &h->look, on_halt_look, e) < 0) {
		free(h);
		return -ENOMEM;
	}
	sk_notice("all capsules are stopped, until the daemon is started again");
	e->halt = h;
	return 0;
}

int sk_engine_halt(struct sk_engine *e, sk_engine_done done, void *arg, struct sk_err *err)
{
	struct halt_waiter *w = calloc(1, sizeof(*w));

	if (!w || begin_halt(e) < 0) {
		free(w);
		return sk_err_oom(err);
	}
	*w = (struct halt_waiter){ e->halt->waiters, done, arg };
	e->halt->waiters = w;
	look_soon(e);
	return 0;
}
