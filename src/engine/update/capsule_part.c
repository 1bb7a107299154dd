/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/update/capsule_part.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/str.h"
#include "engine/update/capsule_run.h"
#include "engine/update/labels.h"

/*
 * A call of the machine goes through steps: PREPARE makes the target's capsules ready, STOP goes through what
 * does not belong one by one, START starts what is desired. PREPARE and START go in start order and side by
 * side, but an app is started only after those that it depends on. An operation of the engine that takes time
 * comes back here when it has ended. On the way to a new generation the first failure ends the call, once
 * what is under way has ended; on the way back all that can be done is done.
 */
enum capsule_step {
	STEP_NONE,
	STEP_PREPARE,
	STEP_STOP,
	STEP_START,
};

/* A device with many apps would only get slower by starting all of them at the same moment. */
#define BUSY_MAX 8

/**
 * struct sk_capsule_part - @step, @last: the present step of a call, and the one that the call ends with
 * @pos:      where STOP is in the plan's surplus
 * @busy:     operations under way in PREPARE or START
 * @removing: capsules that are being removed after a confirm; a call waits for them
 * @later:    the call has returned SK_PART_LATER
 * @tolerant: the call goes on after a failure
 * @why:      the first failure of the call; its code is 0 when there was none
 */
struct sk_capsule_part {
	struct sk_store *store;
	struct sk_engine *engine;
	struct sk_part_host host;
	struct sk_capsule_plan plan;
	enum capsule_step step, last;
	size_t pos, busy;
	unsigned removing;
	bool later, tolerant, halted;
	struct sk_err why;
};

int sk_capsule_part_new(struct sk_store *store, struct sk_engine *engine,
			struct sk_capsule_part **ret, struct sk_err *err)
{
	struct sk_capsule_part *p = calloc(1, sizeof(*p));

	if (!p)
		return sk_err_oom(err);
	p->store = store;
	p->engine = engine;
	*ret = p;
	return 0;
}

void sk_capsule_part_free(struct sk_capsule_part *p)
{
	if (!p)
		return;
	sk_capsule_plan_clear(&p->plan);
	free(p);
}

void sk_capsule_part_set_host(struct sk_capsule_part *p, const struct sk_part_host *host)
{
	p->host = *host;
}

void sk_capsule_part_forget(struct sk_capsule_part *p)
{
	sk_capsule_plan_clear(&p->plan);
}

void sk_capsule_part_halt(struct sk_capsule_part *p)
{
	p->halted = true;
}

const struct sk_capsule_plan *sk_capsule_part_plan(const struct sk_capsule_part *p)
{
	return &p->plan;
}

unsigned sk_capsule_part_removing(const struct sk_capsule_part *p)
{
	return p->removing;
}

static int mark_capsules(void *arg, struct sk_marks *m, struct sk_err *err)
{
	const struct sk_capsule_part *p = arg;
	struct sk_capsule *c;
	size_t pos = 0;

	while ((c = sk_engine_next(p->engine, &pos))) {
		struct sk_capsule_view v;

		sk_capsule_view(c, &v);
		if (sk_marks_image(m, &v.image) < 0)
			return sk_err_oom(err);
	}
	return 0;
}

int sk_capsule_part_claim(struct sk_capsule_part *p, struct sk_claims *claims, struct sk_err *err)
{
	const struct sk_claimant claimant = { .name = "capsules", .mark = mark_capsules, .arg = p };

	return sk_claims_register(claims, &claimant, err);
}

static struct sk_capsule *capsules_find(const struct sk_capsule_part *p, const char *id)
{
	return id[0] ? sk_engine_find(p->engine, id, NULL) : NULL;
}

static enum sk_capsule_state capsule_state_of(const struct sk_capsule *c)
{
	struct sk_capsule_view v;

	sk_capsule_view(c, &v);
	return v.state;
}

static bool capsule_is_running(const struct sk_capsule *c)
{
	enum sk_capsule_state s = capsule_state_of(c);

	return s == SK_CAPSULE_RUNNING || s == SK_CAPSULE_STARTING;
}

static bool capsule_is_live(const struct sk_capsule *c)
{
	enum sk_capsule_state s = capsule_state_of(c);

	return capsule_is_running(c) || s == SK_CAPSULE_STOPPING || s == SK_CAPSULE_BACKOFF;
}

static void capsules_fail(struct sk_capsule_part *p, const char *what, const char *name,
			  const struct sk_err *why)
{
	sk_warning("cannot %s capsule %s: %s", what, name, why->text);
	if (p->why.code == 0)
		(void)sk_err_set(&p->why, why->code ?: -EIO, why->slug,
				 "cannot %s capsule %s: %.300s", what, name, why->text);
}

static bool capsules_give_up(const struct sk_capsule_part *p)
{
	return p->why.code < 0 && !p->tolerant;
}

/* --- one capsule --- */

static int desired_labels(const struct sk_capsule_part *p, const struct sk_desired *d, char ***ret)
{
	const struct sk_release *rel = p->plan.target.release;
	const struct sk_manifest *m = rel->manifest;
	_cleanup_strv_ char **v = NULL;

	if (sk_strv_addf(&v, SK_LABEL_FINGERPRINT "%s", SK_DIGEST_STR(&d->fingerprint)) < 0 ||
	    sk_strv_addf(&v, SK_LABEL_ORDER "%zu", (size_t)(d - p->plan.desired)) < 0 ||
	    sk_strv_addf(&v, SK_LABEL_PROJECT "%s", m->project) < 0 ||
	    sk_strv_addf(&v, SK_LABEL_VERSION "%s", m->version) < 0 ||
	    sk_strv_addf(&v, SK_LABEL_RELEASE "%s", SK_DIGEST_STR(&rel->id)) < 0)
		return -ENOMEM;
	*ret = TAKE_PTR(v);
	return 0;
}

static int capsules_create(struct sk_capsule_part *p, struct sk_desired *d, struct sk_capsule **ret,
			   struct sk_err *err)
{
	_cleanup_(sk_run_done) struct sk_run run = { 0 };
	_cleanup_strv_ char **labels = NULL;
	struct sk_app app = *d->app;
	struct sk_capsule_spec spec = {
		.app = &app,
		.image = d->app->image->digest,
		.image_name = d->app->image->name,
		.generation = p->plan.target.generation,
	};
	struct sk_capsule_view v;
	int r = sk_capsule_run(p->store, d->app, &run, err);

	if (r < 0)
		return r;
	app.run = run;
	if (desired_labels(p, d, &labels) < 0)
		return sk_err_oom(err);
	spec.labels = labels;
	r = sk_engine_create(p->engine, &spec, ret, err);
	if (r < 0)
		return r;
	sk_capsule_view(*ret, &v);
	(void)snprintf(d->id, sizeof(d->id), "%s", v.id);
	return 0;
}

static void desired_done(void *arg, const struct sk_err *why);
static void surplus_stopped(void *arg, const struct sk_err *why);

/* Return: does an operation come back here, or was there nothing to do? */
static bool capsules_started(struct sk_capsule_part *p, const char *what, const char *name, int r,
			     const struct sk_err *err)
{
	if (r >= 0)
		return true;
	capsules_fail(p, what, name, err);
	return false;
}

/*
 * Made ready beside the old one, which still runs. An engine that has room for one of a name only
 * says so; then it is made once the old one is gone.
 */
static bool desired_prepare(struct sk_capsule_part *p, struct sk_desired *d)
{
	struct sk_err err = SK_ERR_INIT;
	struct sk_capsule *c;
	int r;

	if (capsules_find(p, d->id))
		return false;
	r = capsules_create(p, d, &c, &err);
	if (r == -EEXIST)
		return false;
	if (r < 0) {
		capsules_fail(p, "create", d->app->name, &err);
		return false;
	}
	r = sk_capsule_prepare(c, desired_done, d, &err);
	return capsules_started(p, "prepare", d->app->name, r, &err);
}

static bool surplus_stop(struct sk_capsule_part *p, const char *id)
{
	struct sk_capsule *c = capsules_find(p, id);
	struct sk_err err = SK_ERR_INIT;

	if (!c || !capsule_is_live(c))
		return false;
	return capsules_started(p, "stop", id, sk_capsule_end(c, surplus_stopped, p, &err), &err);
}

/* The old capsule of the same name, where both could not be there at once. */
static struct sk_capsule *surplus_find(const struct sk_capsule_part *p, const char *name)
{
	SK_STRV_FOREACH (id, p->plan.surplus) {
		struct sk_capsule *c = capsules_find(p, *id);
		struct sk_capsule_view v;

		if (!c)
			continue;
		sk_capsule_view(c, &v);
		if (sk_streq(v.app->name, name))
			return c;
	}
	return NULL;
}

static bool desired_start(struct sk_capsule_part *p, struct sk_desired *d)
{
	struct sk_capsule *c = capsules_find(p, d->id), *old;
	const char *name = d->app->name;
	struct sk_err err = SK_ERR_INIT;
	int r;

	if (c && capsule_is_running(c))
		return false;
	if (!c) {
		r = capsules_create(p, d, &c, &err);
		old = r == -EEXIST ? surplus_find(p, name) : NULL;
		if (old) {
			d->again = true;
			r = sk_capsule_remove(old, true, desired_done, d, &err);
			return capsules_started(p, "remove", name, r, &err);
		}
		if (r < 0) {
			capsules_fail(p, "create", name, &err);
			return false;
		}
	}
	return capsules_started(p, "start", name, sk_capsule_start(c, desired_done, d, &err), &err);
}

/* --- the steps --- */

/* In start order, so that one pass comes by everything that may begin. */
static void desired_work(struct sk_capsule_part *p)
{
	bool preparing = p->step == STEP_PREPARE;

	for (size_t i = 0; i < p->plan.n_desired && p->busy < BUSY_MAX && !capsules_give_up(p);
	     i++) {
		struct sk_desired *d = &p->plan.desired[i];

		if (d->step != SK_DESIRED_TODO || (!preparing && d->waits > 0))
			continue;
		if (!(preparing ? desired_prepare(p, d) : desired_start(p, d))) {
			sk_capsule_plan_through(&p->plan, d);
			continue;
		}
		d->step = SK_DESIRED_BUSY;
		p->busy++;
	}
}

/* Return: is an operation under way? Else the present step is done. */
static bool capsules_work(struct sk_capsule_part *p)
{
	size_t n = sk_strv_len(p->plan.surplus);

	if (p->step != STEP_STOP) {
		desired_work(p);
		return p->busy > 0;
	}
	while (p->pos < n && !capsules_give_up(p))
		if (surplus_stop(p, p->plan.surplus[p->pos++]))
			return true;
	return false;
}

static void capsules_enter(struct sk_capsule_part *p, enum capsule_step step)
{
	const struct sk_release *rel = p->plan.target.release;

	p->step = step;
	p->pos = 0;
	p->busy = 0;
	sk_capsule_plan_rewind(&p->plan);
	if (step != STEP_START)
		return;
	p->host.starting(p->host.arg);
	if (rel && sk_engine_set_supervision(p->engine, rel->manifest) < 0)
		sk_error("cannot set supervision: out of memory");
}

/* Return: does the call go on? */
static bool capsules_go_on(struct sk_capsule_part *p)
{
	if (p->halted || p->removing > 0)
		return true;
	while (!capsules_work(p)) {
		if (p->step == p->last || capsules_give_up(p))
			return false;
		capsules_enter(p, p->step + 1);
	}
	return true;
}

static int capsules_end(struct sk_capsule_part *p, struct sk_err *err)
{
	p->step = STEP_NONE;
	p->later = false;
	*err = p->why;
	return p->why.code < 0 ? p->why.code : SK_PART_DONE;
}

/* An operation has ended. */
static void capsules_carry_on(struct sk_capsule_part *p)
{
	struct sk_err err = SK_ERR_INIT;
	int r;

	if (!p->later || capsules_go_on(p))
		return;
	r = capsules_end(p, &err);
	p->host.done(p->host.arg, r, r < 0 ? &err : NULL);
}

static void surplus_stopped(void *arg, const struct sk_err *why)
{
	struct sk_capsule_part *p = arg;

	if (why)
		capsules_fail(p, "stop", p->plan.surplus[p->pos - 1], why);
	capsules_carry_on(p);
}

static void desired_done(void *arg, const struct sk_err *why)
{
	struct sk_desired *d = arg;
	struct sk_capsule_part *p = d->owner;

	if (why)
		capsules_fail(p, p->step == STEP_PREPARE ? "prepare" : "start", d->app->name, why);
	if (d->again && !why)
		d->step = SK_DESIRED_TODO;
	else
		sk_capsule_plan_through(&p->plan, d);
	d->again = false;
	p->busy--;
	capsules_carry_on(p);
}

/* --- what the machine calls --- */

static int capsules_run_steps(struct sk_capsule_part *p, enum capsule_step first,
			      enum capsule_step last, struct sk_err *err)
{
	p->last = last;
	capsules_enter(p, first);
	p->later = capsules_go_on(p);
	return p->later ? SK_PART_LATER : capsules_end(p, err);
}

static int capsules_begin(struct sk_capsule_part *p, const struct sk_part_target *to, bool tolerant,
			  bool anew, struct sk_err *err)
{
	p->why = SK_ERR_INIT;
	p->tolerant = tolerant;
	if (!anew && sk_capsule_plan_is_for(&p->plan, to))
		return 0;
	return sk_capsule_plan_make(&p->plan, p->engine, to, p, err);
}

static int capsules_stage(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	int r = capsules_begin(part, to, false, true, err);

	return r < 0 ? r : capsules_run_steps(part, STEP_PREPARE, STEP_PREPARE, err);
}

static int capsules_activate(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	int r = capsules_begin(part, to, false, false, err);

	return r < 0 ? r : capsules_run_steps(part, STEP_STOP, STEP_START, err);
}

static int capsules_revert(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	int r = capsules_begin(part, to, true, true, err);

	return r < 0 ? r : capsules_run_steps(part, STEP_PREPARE, STEP_START, err);
}

/* Each app has its capsule, and none that does not belong lives. How well they do is the health gate's to say. */
static bool capsules_is_active(void *part, const struct sk_part_target *to)
{
	const struct sk_capsule_part *p = part;

	if (!sk_capsule_plan_is_for(&p->plan, to))
		return false;
	for (size_t i = 0; i < p->plan.n_desired; i++)
		if (!capsules_find(p, p->plan.desired[i].id))
			return false;
	SK_STRV_FOREACH (id, p->plan.surplus) {
		const struct sk_capsule *c = capsules_find(p, *id);

		if (c && capsule_is_live(c))
			return false;
	}
	return true;
}

static void capsules_removed(void *arg, const struct sk_err *why)
{
	struct sk_capsule_part *p = arg;

	if (why)
		sk_warning("cannot remove an old capsule: %s", why->text);
	if (--p->removing == 0)
		capsules_carry_on(p);
}

/* The removal goes on meanwhile; the next call waits for it. */
static int capsules_confirm(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	struct sk_capsule_part *p = part;

	SK_STRV_FOREACH (id, p->plan.surplus) {
		struct sk_capsule *c = capsules_find(p, *id);
		struct sk_err why = SK_ERR_INIT;

		if (!c)
			continue;
		if (sk_capsule_remove(c, true, capsules_removed, p, &why) < 0)
			sk_warning("cannot remove an old capsule: %s", why.text);
		else
			p->removing++;
	}
	return SK_PART_DONE;
}

const struct sk_part_ops sk_capsule_part_ops = {
	.name = "capsules",
	.stage = capsules_stage,
	.activate = capsules_activate,
	.is_active = capsules_is_active,
	.confirm = capsules_confirm,
	.revert = capsules_revert,
};
