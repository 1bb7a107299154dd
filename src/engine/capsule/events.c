/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Events and the ends of operations go to their subscribers from the event loop, in the order in which
 * they happened: nobody is called back from inside a change.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "engine/capsule/capsule.h"

static void call_watches(struct sk_engine *e, struct sk_capsule *c, const char *event)
{
	for (struct sk_engine_watch *w = e->watches; w; w = w->next)
		if (!w->gone)
			w->fn(w->arg, c, event);
}

static void drop_gone_watches(struct sk_engine *e)
{
	struct sk_engine_watch **at = &e->watches;

	while (*at) {
		struct sk_engine_watch *w = *at;

		if (!w->gone) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		free(w);
	}
}

static int on_notes(sd_event_source *s, void *arg)
{
	struct sk_engine *e = arg;
	struct sk_note *n;

	while ((n = e->notes)) {
		e->notes = n->next;
		if (!e->notes)
			e->notes_end = &e->notes;
		if (n->event)
			call_watches(e, n->c, n->event);
		else if (n->waiter)
			n->waiter->done(n->waiter->arg, n->waiter->failed ? &n->waiter->err : NULL);
		else
			n->release(n->c);
		free(n->waiter);
		free(n);
	}
	drop_gone_watches(e);
	return 0;
}

int sk_events_init(struct sk_engine *e, struct sk_err *err)
{
	int r = sd_event_add_defer(e->event, &e->notes_source, on_notes, e);

	e->notes_end = &e->notes;
	if (r >= 0)
		r = sd_event_source_set_enabled(e->notes_source, SD_EVENT_OFF);
	return r < 0 ? sk_err_set(err, r, "internal", "event loop: %s", strerror(-r)) : 0;
}

void sk_events_done(struct sk_engine *e)
{
	while (e->notes) {
		struct sk_note *n = e->notes;

		e->notes = n->next;
		if (n->release)
			n->release(n->c);
		free(n->waiter);
		free(n);
	}
	while (e->watches) {
		struct sk_engine_watch *w = e->watches;

		e->watches = w->next;
		free(w);
	}
	e->notes_source = sd_event_source_disable_unref(e->notes_source);
}

/* @n: all but its capsule is filled in; NULL: out of memory */
static void queue(struct sk_capsule *c, struct sk_note *n)
{
	struct sk_engine *e = c->e;

	if (!n) {
		sk_error("out of memory: an event of %s is lost", c->app.name);
		return;
	}
	n->c = c;
	*e->notes_end = n;
	e->notes_end = &n->next;
	(void)sd_event_source_set_enabled(e->notes_source, SD_EVENT_ONESHOT);
}

void sk_engine_emit(struct sk_capsule *c, const char *event)
{
	struct sk_note *n = calloc(1, sizeof(*n));

	if (n)
		n->event = event;
	queue(c, n);
}

void sk_engine_end_waiter(struct sk_capsule *c, struct sk_waiter *w)
{
	struct sk_note *n = TAKE_PTR(w->note);

	n->waiter = w;
	queue(c, n);
}

void sk_engine_release(struct sk_capsule *c, void (*release)(struct sk_capsule *c))
{
	struct sk_note *n = calloc(1, sizeof(*n));

	if (n)
		n->release = release;
	queue(c, n);
}

int sk_engine_watch(struct sk_engine *e, sk_engine_event_fn fn, void *arg,
		    struct sk_engine_watch **ret)
{
	struct sk_engine_watch *w = calloc(1, sizeof(*w)), **at = &e->watches;

	if (!w)
		return -ENOMEM;
	w->e = e;
	w->fn = fn;
	w->arg = arg;
	while (*at)
		at = &(*at)->next;
	*at = w;
	*ret = w;
	return 0;
}

void sk_engine_unwatch(struct sk_engine_watch *w)
{
	if (!w)
		return;
	/* The caller may be one of those that on_notes() is calling: freed after that. */
	w->gone = true;
	(void)sd_event_source_set_enabled(w->e->notes_source, SD_EVENT_ONESHOT);
}
