/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "engine/update/private.h"

/* Carries out what model/update.h decides. */

static void set_target(struct sk_update *u, struct sk_release *rel, uint64_t generation)
{
	/* The plan borrows from the manifest. */
	sk_update_plan_clear(u);
	if (u->target)
		sk_release_free(u->target);
	u->target = rel;
	u->target_generation = generation;
	free(u->running_name);
	u->running_name = rel ? sk_asprintf("%s %s, generation %" PRIu64, rel->manifest->project,
					    rel->manifest->version, generation)
			      : NULL;
}

/* Out of use, so that it is missed and fetched again. What only cannot be read now is left to the next start. */
static void take_out(struct sk_update *u, const struct sk_digest *id, const struct sk_err *why)
{
	if (sk_err_is(why, "damaged"))
		(void)sk_store_verify_release(u->store, id, NULL);
	sk_update_missing_stale(u);
}

/* Only told and used to judge the clock: the device runs without it. */
static void load_good(struct sk_update *u)
{
	const struct sk_generation *good = sk_generations_good(u->gens);
	struct sk_err err = SK_ERR_INIT;
	struct sk_release *rel = NULL;

	if (good && sk_update_load(u, &good->release, &rel, &err) < 0) {
		sk_error("generation %" PRIu64 ": %s", good->number, err.text);
		take_out(u, &good->release, &err);
		return;
	}
	sk_release_free(u->good);
	u->good = rel;
}

/* The one to run cannot be loaded: the next best one takes its place. */
static void pass_over(struct sk_update *u, const struct sk_generation *run,
		      const struct sk_err *why)
{
	struct sk_err err = SK_ERR_INIT;

	sk_error("generation %" PRIu64 " cannot run: %s", run->number, why->text);
	take_out(u, &run->release, why);
	if (run->state != SK_GEN_TRYING)
		sk_generations_set_aside(u->gens, run->number, true);
	else if (sk_generations_unhealthy(u->gens, why->text, &err) < 0)
		sk_error("cannot record that: %s", err.text);
}

int sk_update_load_target(struct sk_update *u, struct sk_err *err)
{
	const struct sk_generation *run;
	struct sk_release *rel = NULL;
	int r = 0;

	while ((run = sk_generations_running(u->gens))) {
		r = sk_update_load(u, &run->release, &rel, err);
		if (r == 0 || r == -ENOMEM)
			break;
		pass_over(u, run, err);
	}
	if (r == -ENOMEM)
		return r;
	load_good(u);
	set_target(u, rel, run ? run->number : 0);
	return r;
}

/* A write that fails leaves the record as it was; the device then acts on what is on disk. */
static int record(struct sk_update *u, unsigned actions)
{
	struct sk_err err = SK_ERR_INIT;
	int r = 0;

	if (actions & SK_UPD_ACT_RECORD_GOOD)
		r = sk_generations_healthy(u->gens, &err);
	if (actions & SK_UPD_ACT_RECORD_BAD)
		r = sk_generations_unhealthy(u->gens,
					     u->reason[0] ? u->reason : "it did not come up", &err);
	if (r < 0)
		sk_error("cannot record the generation: %s", err.text);
	return r;
}

/* The generation is good now, which changes nothing that runs; or bad, and another one is to run. */
static void retarget(struct sk_update *u, unsigned actions)
{
	struct sk_err err = SK_ERR_INIT;
	int r = 0;

	if (actions & SK_UPD_ACT_RECORD_GOOD)
		load_good(u);
	if (actions & SK_UPD_ACT_RECORD_BAD)
		r = sk_update_load_target(u, &err);
	if (r < 0)
		sk_error("cannot load the running release: %s", err.text);
}

static int on_repair(sd_event_source *s, uint64_t usec, void *arg)
{
	struct sk_update *u = arg;

	sk_update_reconcile(u);
	return 0;
}

static void repair_later(struct sk_update *u)
{
	uint64_t now = 0, wait = u->repair_ms;

	u->repair_ms = SK_MIN(u->repair_ms * 2, SK_UPDATE_REPAIR_MAX_MS);
	u->repair = sd_event_source_disable_unref(u->repair);
	(void)sd_event_now(u->event, CLOCK_BOOTTIME, &now);
	(void)sd_event_add_time(u->event, &u->repair, CLOCK_BOOTTIME, now + wait * 1000, 0,
				on_repair, u);
	sk_warning("the release does not run as it should; trying again in %" PRIu64 " s",
		   wait / 1000);
}

static void plan(struct sk_update *u)
{
	struct sk_err err = SK_ERR_INIT;

	u->failing = false;
	if (sk_update_plan(u, &err) < 0)
		sk_update_blame(u, "plan", "set", &err);
}

/* An operation's callback may have led here: go on from the loop, not from within. */
static int on_step(sd_event_source *s, uint64_t usec, void *arg)
{
	struct sk_update *u = arg;

	u->timer = sd_event_source_disable_unref(u->timer);
	sk_update_step(u);
	return 0;
}

static void act(struct sk_update *u, unsigned actions)
{
	if (actions & SK_UPD_ACT_PLAN)
		plan(u);
	if (actions & (SK_UPD_ACT_PREPARE | SK_UPD_ACT_STOP | SK_UPD_ACT_START)) {
		sk_update_step_first(u);
		u->failing = u->failing && (actions & SK_UPD_ACT_PLAN);
	}
	if (actions & SK_UPD_ACT_START && u->target &&
	    sk_engine_set_supervision(u->engine, u->target->manifest) < 0)
		sk_error("cannot set supervision: out of memory");
	if (actions & SK_UPD_ACT_WATCH)
		sk_update_watch(u);
	else if (actions & (SK_UPD_ACT_PREPARE | SK_UPD_ACT_STOP | SK_UPD_ACT_START))
		(void)sk_update_timer(u, 0, on_step);
	if (actions & SK_UPD_ACT_REMOVE)
		sk_update_remove_extra(u);
	if (actions & SK_UPD_ACT_COLLECT)
		sk_update_collect(u);
	if (actions & SK_UPD_ACT_REPAIR)
		repair_later(u);
	else if (u->state == SK_UPD_IDLE)
		u->repair_ms = SK_UPDATE_REPAIR_MIN_MS;
}

static void tell(struct sk_update *u)
{
	if (u->state == SK_UPD_IDLE)
		sk_update_publish_outcome(u);
	else
		sk_update_publish(u, sk_upd_step_name(u->state), sk_generations_running(u->gens),
				  u->reason);
}

void sk_update_feed(struct sk_update *u, enum sk_upd_event ev)
{
	enum sk_upd_state from = u->state, to;
	unsigned actions;

	if (u->halted)
		return;
	if (sk_upd_next(from, ev, &to, &actions) < 0) {
		sk_debug("update: %s means nothing while %s", sk_upd_event_name(ev),
			 sk_upd_state_name(from));
		return;
	}
	sk_info("update: %s -> %s (%s)%s%s", sk_upd_state_name(from), sk_upd_state_name(to),
		sk_upd_event_name(ev), u->reason[0] ? ": " : "", u->reason);
	/*
	 * What cannot be recorded as good must not be treated as good. As bad: the way back is the
	 * safe one, and the record is found in trying at the next start, which counts its boots.
	 */
	if (record(u, actions) < 0 && (actions & SK_UPD_ACT_RECORD_GOOD)) {
		(void)snprintf(u->reason, sizeof(u->reason), "cannot record that it is good");
		sk_update_feed(u, SK_UPD_EV_UNWELL);
		return;
	}
	u->state = to;
	retarget(u, actions);
	act(u, actions);
	tell(u);
	if (to == SK_UPD_IDLE)
		u->reason[0] = '\0';
}

void sk_update_reconcile(struct sk_update *u)
{
	u->repair = sd_event_source_disable_unref(u->repair);
	if (u->state == SK_UPD_IDLE)
		sk_update_feed(u, SK_UPD_EV_RESTORE);
}

static int check_idle(struct sk_update *u, struct sk_err *err)
{
	enum sk_upd_state to;
	unsigned actions;

	if (u->halted)
		return sk_err_set(err, -ESHUTDOWN, "bad-state",
				  "the capsules are stopped, until skerryd is started again");
	if (sk_upd_next(u->state, SK_UPD_EV_APPLY, &to, &actions) == 0)
		return 0;
	return sk_err_set(err, -EBUSY, "bad-state",
			  "the device is %s already; try again when it is done",
			  sk_upd_step_name(u->state));
}

static int check_images(struct sk_update *u, const struct sk_release *rel, struct sk_err *err)
{
	const struct sk_manifest *m = rel->manifest;
	const char *first = NULL;
	size_t missing = 0;

	for (size_t i = 0; i < m->n_images; i++) {
		if (sk_store_has(u->store, &m->images[i].digest))
			continue;
		first = first ?: m->images[i].name;
		missing++;
	}
	if (missing == 0)
		return 0;
	return sk_err_set(err, -EBUSY, "bad-state",
			  "%zu of the %zu images of release %s %s are not here yet, %s among them",
			  missing, m->n_images, m->project, m->version, first);
}

static int stage(struct sk_update *u, const struct sk_release *rel, uint64_t *ret,
		 struct sk_err *err)
{
	const struct sk_manifest *m = rel->manifest;
	const struct sk_gen_new what = {
		.release = &rel->id,
		.project = m->project,
		.version = m->version,
		.ephemeral = !m->persistent_boot,
		.boots_max = m->boots_max,
	};

	return sk_generations_add(u->gens, &what, ret, err);
}

int sk_update_apply(struct sk_update *u, const struct sk_digest *id, uint64_t *ret_generation,
		    struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	const struct sk_generation *run = sk_generations_running(u->gens);
	struct sk_err why = SK_ERR_INIT;
	uint64_t number;
	int r;

	/* Asked again for what runs already, e.g. by a link that was killed before it heard. */
	if (run && sk_digest_equal(&run->release, id)) {
		*ret_generation = run->number;
		return 0;
	}
	r = check_idle(u, err);
	if (r == 0)
		r = sk_update_recheck(u, id, &rel, err);
	if (r == 0)
		r = check_images(u, rel, err);
	if (r == 0)
		r = stage(u, rel, &number, err);
	if (r < 0)
		return r;
	sk_update_publish(u, "staged", sk_generations_get(u->gens, number), "");
	/* On disk before anything is touched: whatever happens next, a start finds it. */
	r = sk_generations_apply(u->gens, number, err);
	if (r < 0)
		return r;
	/* From here on it is being tried: nothing may end that half-way. */
	if (sk_update_kept_drop(u, id, &why) < 0)
		sk_warning("release %s is kept twice: %s", SK_DIGEST_STR(id), why.text);
	u->reason[0] = '\0';
	u->timer = sd_event_source_disable_unref(u->timer);
	set_target(u, TAKE_PTR(rel), number);
	*ret_generation = number;
	sk_update_feed(u, SK_UPD_EV_APPLY);
	return 0;
}
