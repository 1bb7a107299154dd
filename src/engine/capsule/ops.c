/* SPDX-License-Identifier: Apache-2.0 */

/* What callers may ask of a capsule: sk_capsule_*() of engine.h. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "engine/capsule/capsule.h"

/* Remember who waits. @done may be NULL. */
static int begin(struct sk_capsule *c, enum sk_cap_goal wait_for, bool early, sk_engine_done done,
		 void *arg, struct sk_err *err)
{
	struct sk_waiter *w, **at = &c->waiters;

	if (!done)
		return 0;
	w = calloc(1, sizeof(*w));
	if (!w || !(w->note = calloc(1, sizeof(*w->note)))) {
		free(w);
		return sk_err_oom(err);
	}
	w->goal = wait_for;
	w->early = early;
	w->done = done;
	w->arg = arg;
	while (*at)
		at = &(*at)->next;
	*at = w;
	return 0;
}

static int not_going(const struct sk_capsule *c, struct sk_err *err)
{
	if (c->goal != SK_CAP_WANT_GONE)
		return 0;
	return sk_err_set(err, -EBUSY, "bad-state", "%s is being removed", c->app.name);
}

static int may_start(const struct sk_capsule *c, struct sk_err *err)
{
	if (!c->e->halt)
		return not_going(c, err);
	return sk_err_set(err, -ESHUTDOWN, "bad-state",
			  "all capsules are stopped, until skerryd is started again");
}

/* An explicit start forgives earlier failures and does not wait for a back-off. */
static void fresh_start(struct sk_capsule *c)
{
	c->backoff = (struct sk_backoff){ 0 };
	c->held = false;
}

int sk_capsule_prepare(struct sk_capsule *c, sk_engine_done done, void *arg, struct sk_err *err)
{
	int r = may_start(c, err);

	if (r < 0)
		return r;
	if (c->goal != SK_CAP_WANT_RUNNING)
		sk_capsule_want(c, SK_CAP_WANT_PREPARED);
	r = begin(c, SK_CAP_WANT_PREPARED, false, done, arg, err);
	if (r == 0)
		sk_capsule_advance(c);
	return r;
}

int sk_capsule_start(struct sk_capsule *c, sk_engine_done done, void *arg, struct sk_err *err)
{
	int r = may_start(c, err);

	if (r < 0)
		return r;
	sk_capsule_want(c, SK_CAP_WANT_RUNNING);
	fresh_start(c);
	r = begin(c, SK_CAP_WANT_RUNNING, false, done, arg, err);
	if (r == 0)
		sk_capsule_feed(c, c->state == SK_CAP_BACKOFF ? SK_CAP_EV_DUE : SK_CAP_EV_NONE);
	return r;
}

static uint64_t grace(const struct sk_capsule *c, uint64_t grace_ms)
{
	return grace_ms != UINT64_MAX ? SK_MIN(grace_ms, UINT64_C(86400000))
				      : sk_capsule_own_grace(c);
}

enum stop_kind { STOP, STOP_EARLY, RESTART };

static int stop(struct sk_capsule *c, uint64_t grace_ms, enum stop_kind kind, sk_engine_done done,
		void *arg, struct sk_err *err)
{
	int r = not_going(c, err);

	if (r < 0)
		return r;
	c->grace_ms = grace(c, grace_ms);
	sk_capsule_want(c, SK_CAP_WANT_STOPPED);
	c->held = false;
	c->then_run = kind == RESTART;
	if (c->state == SK_CAP_RUNNING || c->state == SK_CAP_STARTING)
		c->stop_told = true;
	r = begin(c, kind == RESTART ? SK_CAP_WANT_RUNNING : SK_CAP_WANT_STOPPED,
		  kind == STOP_EARLY, done, arg, err);
	if (r == 0 && c->state == SK_CAP_STOPPING)
		sk_capsule_set_grace(c);
	if (r == 0)
		sk_capsule_advance(c);
	return r;
}

int sk_capsule_stop(struct sk_capsule *c, uint64_t grace_ms, sk_engine_done done, void *arg,
		    struct sk_err *err)
{
	return stop(c, grace_ms, STOP, done, arg, err);
}

int sk_capsule_end(struct sk_capsule *c, sk_engine_done done, void *arg, struct sk_err *err)
{
	return stop(c, UINT64_MAX, STOP_EARLY, done, arg, err);
}

void sk_capsule_rest(struct sk_capsule *c)
{
	bool runs = c->goal == SK_CAP_WANT_RUNNING;

	(void)stop(c, UINT64_MAX, runs ? RESTART : STOP, NULL, NULL, NULL);
}

int sk_capsule_restart(struct sk_capsule *c, uint64_t grace_ms, sk_engine_done done, void *arg,
		       struct sk_err *err)
{
	int r = may_start(c, err);

	if (r < 0)
		return r;
	if (!sk_cap_live(c->state))
		return sk_capsule_start(c, done, arg, err);
	c->backoff = (struct sk_backoff){ 0 };
	r = stop(c, grace_ms, RESTART, done, arg, err);
	if (r == 0)
		sk_engine_tell(c, "restart");
	return r;
}

int sk_capsule_kill(struct sk_capsule *c, int signal, struct sk_err *err)
{
	int r;

	if (c->state != SK_CAP_RUNNING && c->state != SK_CAP_STOPPING)
		return sk_err_set(err, -ESRCH, "bad-state", "%s is not running", c->app.name);
	if (signal <= 0 || signal > SIGRTMAX)
		return sk_err_set(err, -EINVAL, "bad-value", "%d is no signal", signal);
	/* As with a stop, what a user kills for good stays down. */
	if (signal == SIGKILL && c->goal == SK_CAP_WANT_RUNNING)
		sk_capsule_want(c, SK_CAP_WANT_STOPPED);
	r = c->unit.ops->signal(&c->unit, signal, err);
	if (r == 0)
		sk_engine_tell(c, "kill");
	if (r == 0 && signal == SIGKILL)
		sk_capsule_feed(c, SK_CAP_EV_KILL);
	return r;
}

int sk_capsule_remove(struct sk_capsule *c, bool force, sk_engine_done done, void *arg,
		      struct sk_err *err)
{
	int r = not_going(c, err);

	if (r < 0)
		return r;
	if (!force && (c->state == SK_CAP_RUNNING || c->state == SK_CAP_STARTING ||
		       c->state == SK_CAP_STOPPING || c->state == SK_CAP_BACKOFF))
		return sk_err_set(err, -EBUSY, "bad-state",
				  "%s is running; stop it first, or remove it by force",
				  c->app.name);
	sk_capsule_want(c, SK_CAP_WANT_GONE);
	r = begin(c, SK_CAP_WANT_GONE, false, done, arg, err);
	if (r < 0)
		return r;
	sk_capsule_feed(c, c->state == SK_CAP_STOPPING ? SK_CAP_EV_KILL : SK_CAP_EV_NONE);
	return 0;
}

static enum sk_capsule_state public_state(const struct sk_capsule *c)
{
	switch (c->state) {
	case SK_CAP_NEW:
		return SK_CAPSULE_CREATED;
	case SK_CAP_PREPARING:
		return c->goal == SK_CAP_WANT_RUNNING ? SK_CAPSULE_STARTING : SK_CAPSULE_CREATED;
	case SK_CAP_PREPARED:
		return SK_CAPSULE_PREPARED;
	case SK_CAP_STARTING:
		return SK_CAPSULE_STARTING;
	case SK_CAP_RUNNING:
		return SK_CAPSULE_RUNNING;
	case SK_CAP_STOPPING:
		return SK_CAPSULE_STOPPING;
	case SK_CAP_CLEANING:
	case SK_CAP_EXITED:
		if (c->goal == SK_CAP_WANT_RUNNING && c->after == SK_CAP_EV_RETRY)
			return SK_CAPSULE_BACKOFF;
		return c->started_s ? SK_CAPSULE_EXITED : SK_CAPSULE_CREATED;
	case SK_CAP_BACKOFF:
		return SK_CAPSULE_BACKOFF;
	case SK_CAP_FAILED:
		return SK_CAPSULE_FAILED;
	case SK_CAP_DESTROYING:
	case SK_CAP_GONE:
	case SK_CAP_N_STATES:
		break;
	}
	return SK_CAPSULE_REMOVING;
}

void sk_capsule_view(const struct sk_capsule *c, struct sk_capsule_view *ret)
{
	bool up = c->state == SK_CAP_RUNNING || c->state == SK_CAP_STOPPING;

	*ret = (struct sk_capsule_view){
		.id = c->id,
		.app = &c->app,
		.image = c->image.digest,
		.image_name = c->image.name,
		.generation = c->generation,
		.labels = c->labels,
		.state = public_state(c),
		.health = c->health,
		.health_output = c->health_text[0] ? c->health_text : NULL,
		.health_check = c->health_check,
		.slot = c->slot,
		.pid = up ? c->unit.pid : 0,
		.exit_code = c->exit_code,
		.oom_killed = c->oom_killed,
		.restarts = c->restarts,
		.created_s = c->created_s,
		.started_s = c->started_s,
		.finished_s = c->finished_s,
		.started_mono_ms = c->started_mono_ms,
		.error = c->error[0] ? c->error : NULL,
		.log_path = c->log_path,
		.tty = c->tty,
		.open_stdin = c->open_stdin,
		.auto_remove = c->auto_remove,
	};
}

const char *sk_capsule_state_name(enum sk_capsule_state s)
{
	switch (s) {
	case SK_CAPSULE_CREATED:
		return "created";
	case SK_CAPSULE_PREPARED:
		return "prepared";
	case SK_CAPSULE_STARTING:
		return "starting";
	case SK_CAPSULE_RUNNING:
		return "running";
	case SK_CAPSULE_STOPPING:
		return "stopping";
	case SK_CAPSULE_EXITED:
		return "exited";
	case SK_CAPSULE_BACKOFF:
		return "backoff";
	case SK_CAPSULE_FAILED:
		return "failed";
	case SK_CAPSULE_REMOVING:
		return "removing";
	}
	return "unknown";
}
