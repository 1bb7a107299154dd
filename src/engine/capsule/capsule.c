/* SPDX-License-Identifier: Apache-2.0 */

/* One capsule: its state machine, which emits what happens, and what callers may ask of it. */
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

static void capsule_emit(struct sk_capsule *c, enum sk_change what, enum sk_cap_state from)
{
	const struct sk_capsule_change change = { what, from };

	for (const sk_capsule_observer *o = c->e->observers; *o; o++)
		(*o)(c, &change);
}

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

static void set_grace(struct sk_capsule *c)
{
	set_timer(c, c->grace_ms, on_grace_over);
}

static void do_stop(struct sk_capsule *c)
{
	int sig = c->app.run.stop_signal ? c->app.run.stop_signal : SIGTERM;

	c->unit.kind->ops->signal(&c->unit, sig, NULL);
	set_grace(c);
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
	/* The folder has the name <id>.gone by now, so recovery removes it when the daemon starts. */
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

	capsule_emit(c, SK_CHANGE_REMOVED, c->state);
	return sk_child_task(c->e->event, &task, on_destroyed, c, &c->destroyer, err);
}

static int carry_out(struct sk_capsule *c, enum sk_cap_action action, struct sk_err *err)
{
	switch (action) {
	case SK_CAP_DO_CREATE:
		return c->unit.kind->ops->prepare(&c->unit, err);
	case SK_CAP_DO_START:
		return c->unit.kind->ops->start(&c->unit, err);
	case SK_CAP_DO_STOP:
		do_stop(c);
		break;
	case SK_CAP_DO_KILL:
		clear_timer(c);
		c->unit.kind->ops->signal(&c->unit, SIGKILL, NULL);
		break;
	case SK_CAP_DO_CLEAN:
		clear_timer(c);
		c->unit.kind->ops->clean(&c->unit);
		break;
	case SK_CAP_DO_WAIT:
		set_timer(c, c->retry_ms, on_backoff_over);
		break;
	case SK_CAP_DO_DESTROY:
		return do_destroy(c, err);
	case SK_CAP_DO_FORGET:
		sk_engine_emit(c, "destroy");
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
static void end_waiters(struct sk_capsule *c)
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
		if (w->goal != SK_CAP_GOAL_PREPARED && w->goal != SK_CAP_GOAL_RUNNING)
			continue;
		some = w->failed = true;
		w->err = *err;
	}
	return some;
}

/* Creating or starting failed. When a caller waits for it, that one decides: it is not tried again. */
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
	if (!asked && c->goal == SK_CAP_GOAL_RUNNING) {
		sk_backoff_policy_of(&c->app, &policy);
		v = sk_backoff_ended(&c->backoff, &policy, sk_mono_ms(), 0, true, &c->retry_ms);
	}
	if (v == SK_BACKOFF_RESTART) {
		c->after = SK_CAP_EV_RETRY;
		return;
	}
	if (v == SK_BACKOFF_GIVE_UP)
		c->after = SK_CAP_EV_GIVE_UP;
	if (c->goal != SK_CAP_GOAL_GONE)
		c->goal = SK_CAP_GOAL_STOPPED;
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
		sk_engine_emit(c, "failed");
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
	bool held = c->held && c->goal == SK_CAP_GOAL_RUNNING;

	return ev != SK_CAP_EV_PREPARE || (!held && !c->e->halt);
}

static void run_steps(struct sk_capsule *c, enum sk_cap_event ev)
{
	for (;;) {
		while (ev != SK_CAP_EV_NONE)
			step(c, ev, &ev);
		if (c->then_run && c->goal == SK_CAP_GOAL_STOPPED &&
		    sk_cap_reached(c->state, SK_CAP_GOAL_STOPPED)) {
			c->then_run = false;
			c->goal = SK_CAP_GOAL_RUNNING;
		}
		if (c->auto_remove && c->started_s && c->goal == SK_CAP_GOAL_STOPPED &&
		    c->state == SK_CAP_EXITED)
			c->goal = SK_CAP_GOAL_GONE;
		ev = sk_cap_toward(c->state, c->goal);
		if (ev == SK_CAP_EV_NONE || !may_go_on(c, ev))
			return;
	}
}

void sk_capsule_feed(struct sk_capsule *c, enum sk_cap_event ev)
{
	enum sk_cap_state from = c->state;

	run_steps(c, ev);
	end_waiters(c);
	capsule_emit(c, SK_CHANGE_MOVED, from);
}

void sk_capsule_advance(struct sk_capsule *c)
{
	sk_capsule_feed(c, SK_CAP_EV_NONE);
}

void sk_capsule_set_goal(struct sk_capsule *c, enum sk_cap_goal goal)
{
	struct sk_err err;

	if (c->goal == SK_CAP_GOAL_GONE)
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
	if (goal == SK_CAP_GOAL_RUNNING || goal == SK_CAP_GOAL_GONE)
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
		c->goal = SK_CAP_GOAL_STOPPED;
	}
	if (v == SK_BACKOFF_GIVE_UP)
		(void)snprintf(c->error, sizeof(c->error),
			       "ended %u times in a row, the last time with exit code %d",
			       c->restarts, c->exit_code);
	if (failed || v == SK_BACKOFF_RESTART)
		capsule_emit(c, SK_CHANGE_FAILED, c->state);
}

void sk_capsule_ended(struct sk_capsule *c, int exit_code, bool oom_killed)
{
	bool was_up = c->state == SK_CAP_RUNNING || c->state == SK_CAP_STARTING;

	c->exit_code = exit_code;
	c->oom_killed = oom_killed;
	c->finished_s = sk_wall_s();
	c->after = SK_CAP_EV_CLEANED;
	if (c->state == SK_CAP_PREPARED) {
		/* It died before its start: preparing it again could repeat that without end. */
		c->goal = c->goal == SK_CAP_GOAL_PREPARED ? SK_CAP_GOAL_STOPPED : c->goal;
		sk_capsule_feed(c, SK_CAP_EV_DIED);
		return;
	}
	if (oom_killed)
		sk_engine_emit(c, "oom");
	sk_engine_emit(c, "die");
	if (c->emit_stop)
		sk_engine_emit(c, "stop");
	c->emit_stop = false;
	if (was_up && c->goal == SK_CAP_GOAL_RUNNING)
		decide(c);
	c->unhealthy_kill = false;
	sk_info("%s: ended with exit code %d%s", c->app.name, exit_code,
		oom_killed ? " for want of memory" : "");
	sk_capsule_feed(c, SK_CAP_EV_DIED);
}

void sk_capsule_kill_unhealthy(struct sk_capsule *c)
{
	c->unhealthy_kill = true;
	c->unit.kind->ops->signal(&c->unit, SIGKILL, NULL);
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
	sk_engine_emit(c, "start");
	sk_capsule_feed(c, SK_CAP_EV_STARTED);
}

static void on_died(void *arg, int exit_code, bool oom_killed)
{
	sk_capsule_ended(arg, exit_code, oom_killed);
}

static void on_cleaned(void *arg)
{
	struct sk_capsule *c = arg;

	sk_capsule_feed(c, c->goal == SK_CAP_GOAL_RUNNING || c->after == SK_CAP_EV_GIVE_UP
				   ? c->after
				   : SK_CAP_EV_CLEANED);
}

static const struct sk_runtime_events runtime_events = {
	.created = on_created,
	.started = on_started,
	.died = on_died,
	.cleaned = on_cleaned,
};

int sk_capsule_open(struct sk_capsule *c, struct sk_err *err)
{
	const struct sk_engine *e = c->e;
	const struct sk_runtime *kind;
	int r = sk_runtimes_find(&e->kinds, &c->app, &kind, err);

	if (r < 0)
		return r;
	c->dir = sk_asprintf("%s/%s/%s", e->run_dir, kind->ops->folder, c->id);
	c->disk_dir = sk_asprintf("%s/%s", e->state_dir, c->id);
	c->log_path = sk_asprintf("%s/%u.log", e->log_dir, c->slot);
	if (!c->dir || !c->disk_dir || !c->log_path)
		return sk_err_oom(err);
	c->unit = (struct sk_runtime_unit){
		.kind = kind,
		.events = &runtime_events,
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
	return kind->ops->init(&c->unit) < 0 ? sk_err_oom(err) : 0;
}

void sk_capsule_free(struct sk_capsule *c)
{
	if (!c)
		return;
	capsule_emit(c, SK_CHANGE_FREED, c->state);
	clear_timer(c);
	sk_child_free(c->destroyer);
	if (c->unit.kind)
		c->unit.kind->ops->done(&c->unit);
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

/* --- operations: engine.h --- */

/* Remember who waits. @done may be NULL. */
static int add_waiter(struct sk_capsule *c, enum sk_cap_goal wait_for, bool early,
		      sk_engine_done done, void *arg, struct sk_err *err)
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

static int check_staying(const struct sk_capsule *c, struct sk_err *err)
{
	if (c->goal != SK_CAP_GOAL_GONE)
		return 0;
	return sk_err_set(err, -EBUSY, "bad-state", "%s is being removed", c->app.name);
}

static int check_startable(const struct sk_capsule *c, struct sk_err *err)
{
	if (!c->e->halt)
		return check_staying(c, err);
	return sk_err_set(err, -ESHUTDOWN, "bad-state",
			  "all capsules are stopped, until skerryd is started again");
}

/* An explicit start resets the count of failures, and does not wait for the end of a back-off. */
static void reset_backoff(struct sk_capsule *c)
{
	c->backoff = (struct sk_backoff){ 0 };
	c->held = false;
}

int sk_capsule_prepare(struct sk_capsule *c, sk_engine_done done, void *arg, struct sk_err *err)
{
	int r = check_startable(c, err);

	if (r < 0)
		return r;
	if (c->goal != SK_CAP_GOAL_RUNNING)
		sk_capsule_set_goal(c, SK_CAP_GOAL_PREPARED);
	r = add_waiter(c, SK_CAP_GOAL_PREPARED, false, done, arg, err);
	if (r == 0)
		sk_capsule_advance(c);
	return r;
}

int sk_capsule_start(struct sk_capsule *c, sk_engine_done done, void *arg, struct sk_err *err)
{
	int r = check_startable(c, err);

	if (r < 0)
		return r;
	sk_capsule_set_goal(c, SK_CAP_GOAL_RUNNING);
	reset_backoff(c);
	r = add_waiter(c, SK_CAP_GOAL_RUNNING, false, done, arg, err);
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

static int capsule_stop(struct sk_capsule *c, uint64_t grace_ms, enum stop_kind kind,
			sk_engine_done done, void *arg, struct sk_err *err)
{
	int r = check_staying(c, err);

	if (r < 0)
		return r;
	c->grace_ms = grace(c, grace_ms);
	sk_capsule_set_goal(c, SK_CAP_GOAL_STOPPED);
	c->held = false;
	c->then_run = kind == RESTART;
	if (c->state == SK_CAP_RUNNING || c->state == SK_CAP_STARTING)
		c->emit_stop = true;
	r = add_waiter(c, kind == RESTART ? SK_CAP_GOAL_RUNNING : SK_CAP_GOAL_STOPPED,
		       kind == STOP_EARLY, done, arg, err);
	if (r == 0 && c->state == SK_CAP_STOPPING)
		set_grace(c);
	if (r == 0)
		sk_capsule_advance(c);
	return r;
}

int sk_capsule_stop(struct sk_capsule *c, uint64_t grace_ms, sk_engine_done done, void *arg,
		    struct sk_err *err)
{
	return capsule_stop(c, grace_ms, STOP, done, arg, err);
}

int sk_capsule_end(struct sk_capsule *c, sk_engine_done done, void *arg, struct sk_err *err)
{
	return capsule_stop(c, UINT64_MAX, STOP_EARLY, done, arg, err);
}

void sk_capsule_stop_for_now(struct sk_capsule *c)
{
	bool runs = c->goal == SK_CAP_GOAL_RUNNING;

	(void)capsule_stop(c, UINT64_MAX, runs ? RESTART : STOP, NULL, NULL, NULL);
}

int sk_capsule_restart(struct sk_capsule *c, uint64_t grace_ms, sk_engine_done done, void *arg,
		       struct sk_err *err)
{
	int r = check_startable(c, err);

	if (r < 0)
		return r;
	if (!sk_cap_live(c->state))
		return sk_capsule_start(c, done, arg, err);
	c->backoff = (struct sk_backoff){ 0 };
	r = capsule_stop(c, grace_ms, RESTART, done, arg, err);
	if (r == 0)
		sk_engine_emit(c, "restart");
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
	if (signal == SIGKILL && c->goal == SK_CAP_GOAL_RUNNING)
		sk_capsule_set_goal(c, SK_CAP_GOAL_STOPPED);
	r = c->unit.kind->ops->signal(&c->unit, signal, err);
	if (r == 0)
		sk_engine_emit(c, "kill");
	if (r == 0 && signal == SIGKILL)
		sk_capsule_feed(c, SK_CAP_EV_KILL);
	return r;
}

/* What needs a process inside. */
static int check_running(const struct sk_capsule *c, struct sk_err *err)
{
	return c->state == SK_CAP_RUNNING
		       ? 0
		       : sk_err_set(err, -ESRCH, "bad-state", "%s is not running", c->app.name);
}

int sk_capsule_attach(struct sk_capsule *c, const struct sk_runtime_streams *streams, int *ret_fd,
		      struct sk_err *err)
{
	const struct sk_runtime_ops *ops = c->unit.kind->ops;
	int r = check_running(c, err);

	if (r < 0)
		return r;
	if (!ops->attach)
		return sk_runtime_unsupported(&c->unit, "attach to it", err);
	return ops->attach(&c->unit, streams, ret_fd, err);
}

int sk_capsule_exec_stream(struct sk_capsule *c, char *const *argv,
			   const struct sk_runtime_streams *streams, int *ret_fd,
			   struct sk_err *err)
{
	const struct sk_runtime_ops *ops = c->unit.kind->ops;
	int r = check_running(c, err);

	if (r < 0)
		return r;
	if (!ops->exec_stream)
		return sk_runtime_unsupported(&c->unit, "run a command in it", err);
	return ops->exec_stream(&c->unit, argv, streams, ret_fd, err);
}

int sk_capsule_remove(struct sk_capsule *c, bool force, sk_engine_done done, void *arg,
		      struct sk_err *err)
{
	int r = check_staying(c, err);

	if (r < 0)
		return r;
	if (!force && (c->state == SK_CAP_RUNNING || c->state == SK_CAP_STARTING ||
		       c->state == SK_CAP_STOPPING || c->state == SK_CAP_BACKOFF))
		return sk_err_set(err, -EBUSY, "bad-state",
				  "%s is running; stop it first, or remove it by force",
				  c->app.name);
	sk_capsule_set_goal(c, SK_CAP_GOAL_GONE);
	r = add_waiter(c, SK_CAP_GOAL_GONE, false, done, arg, err);
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
		return c->goal == SK_CAP_GOAL_RUNNING ? SK_CAPSULE_STARTING : SK_CAPSULE_CREATED;
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
		if (c->goal == SK_CAP_GOAL_RUNNING && c->after == SK_CAP_EV_RETRY)
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
