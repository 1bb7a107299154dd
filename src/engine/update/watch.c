/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/update/private.h"

#define CAUSE_MAX 200

int sk_update_timer(struct sk_update *u, uint64_t in_ms, sd_event_time_handler_t fn)
{
	uint64_t now = 0;
	int r;

	u->timer = sd_event_source_disable_unref(u->timer);
	(void)sd_event_now(u->event, CLOCK_BOOTTIME, &now);
	r = sd_event_add_time(u->event, &u->timer, CLOCK_BOOTTIME, now + in_ms * 1000, 1000, fn, u);
	if (r < 0)
		sk_error("cannot set a timer: %s", strerror(-r));
	return r;
}

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
static void clean_cause(const char *from, char to[static CAUSE_MAX])
{
	size_t n = 0;

	for (; *from && n < CAUSE_MAX - 1; from++)
		to[n++] = (unsigned char)*from < ' ' || *from == 0x7f ? ' ' : *from;
	while (n > 0 && to[n - 1] == ' ')
		n--;
	to[n] = '\0';
}

static void see(struct sk_update *u, const struct sk_want *w, struct sk_gate_capsule *ret,
		char cause[static CAUSE_MAX])
{
	struct sk_capsule *c = w->id[0] ? sk_engine_find(u->engine, w->id, NULL) : NULL;
	struct sk_capsule_view v;
	const char *why;

	*ret = (struct sk_gate_capsule){ .name = w->app->name, .is = SK_GATE_MISSING };
	if (!c)
		return;
	sk_capsule_view(c, &v);
	ret->is = gate_state(&v);
	ret->restarts = v.restarts;
	ret->exit_code = v.exit_code;
	why = ret->is == SK_GATE_SICK || ret->is == SK_GATE_PENDING ? v.health_output : v.error;
	clean_cause(why ?: v.oom_killed ? "out of memory" : "", cause);
	ret->cause = cause;
}

static enum sk_gate_verdict look(struct sk_update *u, uint64_t *ret_next_ms)
{
	_cleanup_free_ struct sk_gate_capsule *caps = calloc(u->n_want + 1, sizeof(*caps));
	_cleanup_free_ char(*causes)[CAUSE_MAX] = calloc(u->n_want + 1, CAUSE_MAX);
	char reason[SK_GEN_REASON_MAX] = "";
	enum sk_gate_verdict verdict;

	if (!caps || !causes) {
		*ret_next_ms = sk_mono_ms() + 1000;
		return SK_GATE_WAIT;
	}
	for (size_t i = 0; i < u->n_want; i++)
		see(u, &u->want[i], &caps[i], causes[i]);
	verdict = sk_gate_look(&u->gate, sk_mono_ms(), caps, u->n_want, ret_next_ms, reason,
			       sizeof(reason));
	if (verdict != SK_GATE_UNWELL)
		return verdict;
	if (!sk_upd_is_back(u->state) || !u->reason[0])
		(void)snprintf(u->reason, sizeof(u->reason), "%s", reason);
	else
		sk_warning("after going back: %s", reason);
	return verdict;
}

static int on_look(sd_event_source *s, uint64_t usec, void *arg)
{
	struct sk_update *u = arg;
	uint64_t next_ms = 0, now_ms = sk_mono_ms();

	u->timer = sd_event_source_disable_unref(u->timer);
	switch (look(u, &next_ms)) {
	case SK_GATE_WAIT:
		(void)sk_update_timer(u, next_ms > now_ms ? next_ms - now_ms : 1, on_look);
		break;
	case SK_GATE_WELL:
		sk_update_feed(u, SK_UPD_EV_WELL);
		break;
	case SK_GATE_UNWELL:
		sk_update_feed(u, SK_UPD_EV_UNWELL);
		break;
	}
	return 0;
}

void sk_update_watch(struct sk_update *u)
{
	const struct sk_manifest *m = u->target ? u->target->manifest : NULL;

	sk_gate_init(&u->gate, m ? m->settle_ms : 0, m ? m->health_timeout_ms : 0, sk_mono_ms());
	(void)sk_update_timer(u, 0, on_look);
}

void sk_update_on_event(void *arg, struct sk_capsule *c, const char *event)
{
	struct sk_update *u = arg;

	if (u->halted)
		return;
	if (u->state == SK_UPD_SETTLING || u->state == SK_UPD_BACK_SETTLING)
		(void)sk_update_timer(u, 0, on_look);
}
