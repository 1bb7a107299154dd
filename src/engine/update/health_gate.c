/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/update/health_gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "model/generation.h"

#define CAUSE_MAX    200
#define NO_MEMORY_MS 1000

/** struct sk_health_gate - @plan: NULL when nothing is watched */
struct sk_health_gate {
	sd_event *event;
	struct sk_engine *engine;
	struct sk_engine_watch *watch;
	void (*verdict)(void *arg, bool well, const char *reason);
	void *arg;
	const struct sk_capsule_plan *plan;
	struct sk_gate gate;
	sd_event_source *timer;
};

static int gate_running(const struct sk_capsule_view *v)
{
	bool checked = v->app->run.health.kind != SK_HEALTH_NONE;

	if (v->health == SK_HEALTH_UNHEALTHY)
		return SK_GATE_SICK;
	return checked && v->health != SK_HEALTH_HEALTHY ? SK_GATE_PENDING : SK_GATE_UP;
}

static int gate_state(const struct sk_capsule_view *v)
{
	switch (v->state) {
	case SK_CAPSULE_RUNNING:
		return gate_running(v);
	case SK_CAPSULE_EXITED:
		return v->exit_code == 0 && v->started_s > 0 && v->app->restart != SK_RESTART_ALWAYS
			       ? SK_GATE_FINISHED
			       : SK_GATE_ENDED;
	case SK_CAPSULE_FAILED:
		return SK_GATE_ENDED;
	case SK_CAPSULE_REMOVING:
		return SK_GATE_MISSING;
	case SK_CAPSULE_CREATED:
	case SK_CAPSULE_PREPARED:
	case SK_CAPSULE_STARTING:
	case SK_CAPSULE_STOPPING:
	case SK_CAPSULE_BACKOFF:
		break;
	}
	return SK_GATE_DOWN;
}

/* A capsule's words end up in the reason: one line, printable, not too long. */
static void gate_clean_cause(const char *from, char to[static CAUSE_MAX])
{
	size_t n = 0;

	for (; *from && n < CAUSE_MAX - 1; from++)
		to[n++] = (unsigned char)*from < ' ' || *from == 0x7f ? ' ' : *from;
	while (n > 0 && to[n - 1] == ' ')
		n--;
	to[n] = '\0';
}

static void gate_see(struct sk_engine *engine, const struct sk_desired *d,
		     struct sk_gate_capsule *ret, char cause[static CAUSE_MAX])
{
	struct sk_capsule *c = d->id[0] ? sk_engine_find(engine, d->id, NULL) : NULL;
	struct sk_capsule_view v;
	const char *why;

	*ret = (struct sk_gate_capsule){ .name = d->app->name, .is = SK_GATE_MISSING };
	if (!c)
		return;
	sk_capsule_view(c, &v);
	ret->is = gate_state(&v);
	ret->restarts = v.restarts;
	ret->exit_code = v.exit_code;
	why = ret->is == SK_GATE_SICK || ret->is == SK_GATE_PENDING ? v.health_output : v.error;
	gate_clean_cause(why ?: v.oom_killed ? "out of memory" : "", cause);
	ret->cause = cause;
}

static enum sk_gate_verdict gate_look(struct sk_health_gate *g, uint64_t *ret_next_ms, char *reason,
				      size_t reason_size)
{
	size_t n = g->plan->n_desired;
	_cleanup_free_ struct sk_gate_capsule *caps = calloc(n + 1, sizeof(*caps));
	_cleanup_free_ char(*causes)[CAUSE_MAX] = calloc(n + 1, CAUSE_MAX);

	if (!caps || !causes) {
		*ret_next_ms = sk_mono_ms() + NO_MEMORY_MS;
		return SK_GATE_WAIT;
	}
	for (size_t i = 0; i < n; i++)
		gate_see(g->engine, &g->plan->desired[i], &caps[i], causes[i]);
	return sk_gate_look(&g->gate, sk_mono_ms(), caps, n, ret_next_ms, reason, reason_size);
}

static void gate_look_in(struct sk_health_gate *g, uint64_t in_ms);

static int gate_on_look(sd_event_source *s, uint64_t usec, void *arg)
{
	struct sk_health_gate *g = arg;
	char reason[SK_GEN_REASON_MAX] = "";
	uint64_t next_ms = 0, now_ms = sk_mono_ms();
	enum sk_gate_verdict verdict = gate_look(g, &next_ms, reason, sizeof(reason));

	g->timer = sd_event_source_disable_unref(g->timer);
	if (verdict == SK_GATE_WAIT) {
		gate_look_in(g, next_ms > now_ms ? next_ms - now_ms : 1);
		return 0;
	}
	g->plan = NULL;
	g->verdict(g->arg, verdict == SK_GATE_WELL, reason);
	return 0;
}

static void gate_look_in(struct sk_health_gate *g, uint64_t in_ms)
{
	uint64_t now = 0;
	int r;

	g->timer = sd_event_source_disable_unref(g->timer);
	(void)sd_event_now(g->event, CLOCK_BOOTTIME, &now);
	r = sd_event_add_time(g->event, &g->timer, CLOCK_BOOTTIME, now + in_ms * 1000, 1000,
			      gate_on_look, g);
	if (r < 0)
		sk_error("cannot set a timer: %s", strerror(-r));
}

static void gate_event(void *arg, struct sk_capsule *c, const char *event)
{
	struct sk_health_gate *g = arg;

	if (g->plan)
		gate_look_in(g, 0);
}

int sk_health_gate_new(sd_event *event, struct sk_engine *engine,
		       void (*verdict)(void *arg, bool well, const char *reason), void *arg,
		       struct sk_health_gate **ret, struct sk_err *err)
{
	_cleanup_(sk_health_gate_freep) struct sk_health_gate *g = calloc(1, sizeof(*g));

	if (!g)
		return sk_err_oom(err);
	g->event = sd_event_ref(event);
	g->engine = engine;
	g->verdict = verdict;
	g->arg = arg;
	if (sk_engine_watch(engine, gate_event, g, &g->watch) < 0)
		return sk_err_oom(err);
	*ret = TAKE_PTR(g);
	return 0;
}

void sk_health_gate_free(struct sk_health_gate *g)
{
	if (!g)
		return;
	if (g->watch)
		sk_engine_unwatch(g->watch);
	(void)sd_event_source_disable_unref(g->timer);
	(void)sd_event_unref(g->event);
	free(g);
}

void sk_health_gate_begin(struct sk_health_gate *g, const struct sk_capsule_plan *plan)
{
	const struct sk_release *rel = plan->target.release;
	const struct sk_manifest *m = rel ? rel->manifest : NULL;

	g->plan = plan;
	sk_gate_init(&g->gate, m ? m->settle_ms : 0, m ? m->health_timeout_ms : 0, sk_mono_ms());
	gate_look_in(g, 0);
}

void sk_health_gate_end(struct sk_health_gate *g)
{
	g->plan = NULL;
	g->timer = sd_event_source_disable_unref(g->timer);
}
