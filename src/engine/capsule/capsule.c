/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/capsule/capsule.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "base/text.h"
#include "engine/capsule/app.h"

#define STOP_GRACE_MS 10000

static void clear_timer(struct sk_capsule *c)
{
	c->timer = sd_event_source_disable_unref(c->timer);
}

static void set_timer(struct sk_capsule *c, uint64_t ms, sd_event_time_handler_t fn)
{
	int r;

	clear_timer(c);
	r = sd_event_add_time_relative(c->e->event, &c->timer, CLOCK_BOOTTIME, ms * 1000, 1000, fn,
				       c);
	if (r < 0)
		sk_error("%s: no timer: %s", c->app.name, strerror(-r));
}

static int on_grace_over(sd_event_source *s, uint64_t usec, void *arg)
{
	struct sk_capsule *c = arg;

	sk_info("%s: did not stop within %llu ms and is killed", c->app.name,
		(unsigned long long)c->grace_ms);
	sk_capsule_feed(c, SK_CAP_EV_KILL);
	return 0;
}

static int on_backoff_over(sd_event_source *s, uint64_t usec, void *arg)
{
	sk_capsule_feed(arg, SK_CAP_EV_DUE);
	return 0;
}

uint64_t sk_capsule_own_grace(const struct sk_capsule *c)
{
	return c->app.run.stop_grace_ms ? c->app.run.stop_grace_ms : STOP_GRACE_MS;
}

void sk_capsule_set_grace(struct sk_capsule *c)
{
	set_timer(c, c->grace_ms, on_grace_over);
}

static void do_stop(struct sk_capsule *c)
{
	int sig = c->app.run.stop_signal ? c->app.run.stop_signal : SIGTERM;

	c->unit.ops->signal(&c->unit, sig, NULL);
	sk_capsule_set_grace(c);
}

/* Runs in a child: a tree can be large. */
static int destroy_files(void *arg)
{
	const struct sk_capsule *c = arg;
	_cleanup_free_ char *gone = sk_asprintf("%s.gone", c->disk_dir);
	int r = gone ? sk_dir_sync(AT_FDCWD, c->e->state_dir) : -ENOMEM;

	if (r == 0)
		r = sk_rm_rf(AT_FDCWD, gone);
	return r < 0 ? 1 : 0;
}

static void on_destroyed(void *arg, int status, const char *out, const char *err_tail)
{
	struct sk_capsule *c = arg;

	sk_child_free(TAKE_PTR(c->destroyer));
	/* What is left has the name of a rest and is removed at the next start. */
	if (status != 0)
		sk_warning("%s: its files could not be removed", c->app.name);
	sk_capsule_feed(c, SK_CAP_EV_DESTROYED);
}

static int do_destroy(struct sk_capsule *c, struct sk_err *err)
{
	/* What a capsule wrote belongs to its users. */
	const struct sk_task task = {
		.run = destroy_files,
		.arg = c,
		.caps = SK_CAP(CAP_DAC_OVERRIDE) | SK_CAP(CAP_FOWNER),
	};
	int r = sk_record_drop(c);

	if (r < 0)
		sk_warning("%s: record: %s", c->app.name, strerror(-r));
	sk_log_remove(c->log_path);
	return sk_child_task(c->e->event, &task, on_destroyed, c, &c->destroyer, err);
}

static int carry_out(struct sk_capsule *c, enum sk_cap_action action, struct sk_err *err)
{
	switch (action) {
	case SK_CAP_DO_CREATE:
		return c->unit.ops->prepare(&c->unit, err);
	case SK_CAP_DO_START:
		return c->unit.ops->start(&c->unit, err);
	case SK_CAP_DO_STOP:
		do_stop(c);
		break;
	case SK_CAP_DO_KILL:
		clear_timer(c);
		c->unit.ops->signal(&c->unit, SIGKILL, NULL);
		break;
	case SK_CAP_DO_CLEAN:
		clear_timer(c);
		c->unit.ops->clean(&c->unit);
		break;
	case SK_CAP_DO_WAIT:
		set_timer(c, c->retry_ms, on_backoff_over);
		break;
	case SK_CAP_DO_DESTROY:
		return do_destroy(c, err);
	case SK_CAP_DO_FORGET:
		sk_engine_tell(c, "destroy");
		break;
	case SK_CAP_DO_NOTHING:
		clear_timer(c);
		break;
	}
	return 0;
}

static bool arrived(const struct sk_capsule *c, const struct sk_waiter *w)
{
	return sk_cap_reached(c->state, w->goal) || (w->early && c->down);
}

/* End the operations that are through, each with its own result. */
static void settle(struct sk_capsule *c)
{
	struct sk_waiter **at = &c->waiters;

	while (*at) {
		struct sk_waiter *w = *at;

		if (!w->failed && !arrived(c, w)) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		sk_engine_end_waiter(c, w);
	}
}

/* Fail those that wait for it to come up. Return: was there one? */
static bool fail_waiters(struct sk_capsule *c, const struct sk_err *err)
{
	bool some = false;

	for (struct sk_waiter *w = c->waiters; w; w = w->next) {
		if (w->goal != SK_CAP_WANT_PREPARED && w->goal != SK_CAP_WANT_RUNNING)
			continue;
		some = w->failed = true;
		w->err = *err;
	}
	return some;
}

/* Creating or starting did not work. Somebody who waits for it is told, and it is not tried on. */
static void step_failed(struct sk_capsule *c, const struct sk_err *err)
{
	bool asked;
	enum sk_backoff_verdict v = SK_BACKOFF_STAY_DOWN;
	struct sk_backoff_policy policy;

	/* It may quote what the runtime quotes of the image. */
	(void)snprintf(c->error, sizeof(c->error), "%.511s", err->text);
	sk_text_clean(c->error, "");
	sk_warning("%s: %s", c->app.name, c->error);
	asked = fail_waiters(c, err);
	c->after = SK_CAP_EV_CLEANED;
	if (!asked && c->goal == SK_CAP_WANT_RUNNING) {
		sk_backoff_policy_of(&c->app, &policy);
		v = sk_backoff_ended(&c->backoff, &policy, sk_mono_ms(), 0, true, &c->retry_ms);
	}
	if (v == SK_BACKOFF_RESTART) {
		c->after = SK_CAP_EV_RETRY;
		return;
	}
	if (v == SK_BACKOFF_GIVE_UP)
		c->after = SK_CAP_EV_GIVE_UP;
	if (c->goal != SK_CAP_WANT_GONE)
		c->goal = SK_CAP_WANT_STOPPED;
}

/* One row of the table. When its action fails at once, @next is what to feed then. */
static void step(struct sk_capsule *c, enum sk_cap_event ev, enum sk_cap_event *next)
{
	const struct sk_cap_transition *t = sk_cap_step(c->state, ev);
	struct sk_err err = SK_ERR_INIT;

	*next = SK_CAP_EV_NONE;
	if (!t) {
		sk_debug("%s: event %d does not fit state %s", c->app.name, (int)ev,
			 sk_cap_state_name(c->state));
		return;
	}
	sk_debug("capsule %s: %s -> %s", c->app.name, sk_cap_state_name(c->state),
		 sk_cap_state_name(t->to));
	c->state = t->to;
	c->down = t->to == SK_CAP_CLEANING && ev == SK_CAP_EV_DIED && !c->unit.lost;
	if (c->state == SK_CAP_FAILED)
		sk_engine_tell(c, "failed");
	if (carry_out(c, t->action, &err) == 0)
		return;
	if (t->action == SK_CAP_DO_DESTROY) {
		*next = SK_CAP_EV_DESTROYED;
		return;
	}
	step_failed(c, &err);
	*next = SK_CAP_EV_STEP_FAILED;
}

/* A capsule that supervision holds back stays where it is until its dependants are down; all do when
 * the machine goes down. */
static bool may_go_on(const struct sk_capsule *c, enum sk_cap_event ev)
{
	bool held = c->held && c->goal == SK_CAP_WANT_RUNNING;

	return ev != SK_CAP_EV_PREPARE || (!held && !c->e->halt);
}

static void run_steps(struct sk_capsule *c, enum sk_cap_event ev)
{
	for (;;) {
		while (ev != SK_CAP_EV_NONE)
			step(c, ev, &ev);
		if (c->then_run && c->goal == SK_CAP_WANT_STOPPED &&
		    sk_cap_reached(c->state, SK_CAP_WANT_STOPPED)) {
			c->then_run = false;
			c->goal = SK_CAP_WANT_RUNNING;
		}
		if (c->auto_remove && c->started_s && c->goal == SK_CAP_WANT_STOPPED &&
		    c->state == SK_CAP_EXITED)
			c->goal = SK_CAP_WANT_GONE;
		ev = sk_cap_toward(c->state, c->goal);
		if (ev == SK_CAP_EV_NONE || !may_go_on(c, ev))
			return;
	}
}

void sk_capsule_feed(struct sk_capsule *c, enum sk_cap_event ev)
{
	struct sk_engine *e = c->e;

	run_steps(c, ev);
	settle(c);
	if (c->state == SK_CAP_GONE)
		sk_engine_forget(c);
	else if (c->state != SK_CAP_DESTROYING)
		sk_record_save(c);
	sk_supervise_step(e);
	sk_halt_step(e);
}

void sk_capsule_advance(struct sk_capsule *c)
{
	sk_capsule_feed(c, SK_CAP_EV_NONE);
}

void sk_capsule_want(struct sk_capsule *c, enum sk_cap_goal goal)
{
	struct sk_err err;

	if (c->goal == SK_CAP_WANT_GONE)
		return;
	(void)sk_err_set(&err, -ECANCELED, "bad-state", "%s was asked for something else meanwhile",
			 c->app.name);
	for (struct sk_waiter *w = c->waiters; w; w = w->next) {
		if (w->goal == goal)
			continue;
		w->failed = true;
		w->err = err;
	}
	c->goal = goal;
	c->then_run = false;
	if (goal == SK_CAP_WANT_RUNNING || goal == SK_CAP_WANT_GONE)
		c->held = false;
}

/* What a natural end leads to. */
static void decide(struct sk_capsule *c)
{
	uint64_t ran_ms = c->started_mono_ms ? sk_mono_ms() - c->started_mono_ms : 0;
	bool failed = c->exit_code != 0 || c->unhealthy_kill;
	struct sk_backoff_policy policy;
	enum sk_backoff_verdict v;

	sk_backoff_policy_of(&c->app, &policy);
	v = sk_backoff_ended(&c->backoff, &policy, sk_mono_ms(), ran_ms, failed, &c->retry_ms);
	if (v == SK_BACKOFF_RESTART) {
		c->after = SK_CAP_EV_RETRY;
		c->restarts++;
	} else {
		c->after = v == SK_BACKOFF_GIVE_UP ? SK_CAP_EV_GIVE_UP : SK_CAP_EV_CLEANED;
		c->goal = SK_CAP_WANT_STOPPED;
	}
	if (v == SK_BACKOFF_GIVE_UP)
		(void)snprintf(c->error, sizeof(c->error),
			       "ended %u times in a row, the last time with exit code %d",
			       c->restarts, c->exit_code);
	if (failed || v == SK_BACKOFF_RESTART)
		sk_supervise_failed(c, v == SK_BACKOFF_RESTART);
}

void sk_capsule_ended(struct sk_capsule *c, int exit_code, bool oom_killed)
{
	bool was_up = c->state == SK_CAP_RUNNING || c->state == SK_CAP_STARTING;

	sk_health_stop(c);
	c->exit_code = exit_code;
	c->oom_killed = oom_killed;
	c->finished_s = sk_wall_s();
	c->after = SK_CAP_EV_CLEANED;
	if (c->state == SK_CAP_PREPARED) {
		/* It was never told to run; preparing it again could go on for ever. */
		c->goal = c->goal == SK_CAP_WANT_PREPARED ? SK_CAP_WANT_STOPPED : c->goal;
		sk_capsule_feed(c, SK_CAP_EV_DIED);
		return;
	}
	if (oom_killed)
		sk_engine_tell(c, "oom");
	sk_engine_tell(c, "die");
	if (c->stop_told)
		sk_engine_tell(c, "stop");
	c->stop_told = false;
	if (was_up && c->goal == SK_CAP_WANT_RUNNING)
		decide(c);
	c->unhealthy_kill = false;
	sk_info("%s: ended with exit code %d%s", c->app.name, exit_code,
		oom_killed ? " for want of memory" : "");
	sk_capsule_feed(c, SK_CAP_EV_DIED);
}

void sk_capsule_kill_unhealthy(struct sk_capsule *c)
{
	c->unhealthy_kill = true;
	c->unit.ops->signal(&c->unit, SIGKILL, NULL);
}

static void on_created(void *arg, const struct sk_err *err)
{
	struct sk_capsule *c = arg;

	if (err)
		step_failed(c, err);
	sk_capsule_feed(c, err ? SK_CAP_EV_STEP_FAILED : SK_CAP_EV_CREATED);
}

static void on_started(void *arg, const struct sk_err *err)
{
	struct sk_capsule *c = arg;

	if (err) {
		step_failed(c, err);
		sk_capsule_feed(c, SK_CAP_EV_STEP_FAILED);
		return;
	}
	c->started_s = sk_wall_s();
	c->started_mono_ms = sk_mono_ms();
	c->finished_s = 0;
	c->exit_code = 0;
	c->oom_killed = false;
	c->error[0] = '\0';
	sk_engine_tell(c, "start");
	sk_capsule_feed(c, SK_CAP_EV_STARTED);
	if (c->state == SK_CAP_RUNNING)
		sk_health_start(c);
}

static void on_died(void *arg, int exit_code, bool oom_killed)
{
	sk_capsule_ended(arg, exit_code, oom_killed);
}

static void on_cleaned(void *arg)
{
	struct sk_capsule *c = arg;

	sk_capsule_feed(c, c->goal == SK_CAP_WANT_RUNNING || c->after == SK_CAP_EV_GIVE_UP
				   ? c->after
				   : SK_CAP_EV_CLEANED);
}

const struct sk_runtime_events sk_capsule_runtime_events = {
	.created = on_created,
	.started = on_started,
	.died = on_died,
	.cleaned = on_cleaned,
};

int sk_capsule_attach(struct sk_capsule *c)
{
	c->unit = (struct sk_runtime_unit){
		.ops = c->e->ops,
		.env = &c->e->env,
		.events = &sk_capsule_runtime_events,
		.arg = c,
		.id = c->id,
		.dir = c->dir,
		.upper_dir = c->disk_dir,
		.log_path = c->log_path,
		.app = &c->app,
		.image = c->image.digest,
		.slot = c->slot,
		.user_made = c->generation == 0,
		.tty = c->tty,
		.open_stdin = c->open_stdin,
	};
	return c->unit.ops->attach(&c->unit);
}

void sk_capsule_free(struct sk_capsule *c)
{
	if (!c)
		return;
	sk_health_stop(c);
	clear_timer(c);
	sk_child_free(c->destroyer);
	if (c->unit.ops)
		c->unit.ops->detach(&c->unit);
	while (c->waiters) {
		struct sk_waiter *w = c->waiters;

		c->waiters = w->next;
		free(w->note);
		free(w);
	}
	sk_app_done(&c->app);
	free(c->image.name);
	sk_strv_free(c->labels);
	free(c->dir);
	free(c->disk_dir);
	free(c->log_path);
	free(c);
}
