/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/update/update.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "engine/update/boot_id.h"
#include "engine/update/private.h"

/* --- progress --- */

static void emit_change(struct sk_update *u)
{
	sk_missing_forget(u->missing);
	if (u->listener)
		u->listener(u->listener_arg);
}

static void emit_step(struct sk_update *u, const char *step, const struct sk_generation *gen,
		      const char *reason)
{
	sk_progress_set(&u->progress, step, gen, reason);
	emit_change(u);
}

static void update_emit(void *arg, const char *step, const char *reason)
{
	struct sk_update *u = arg;

	if (!sk_streq(step, "idle")) {
		emit_step(u, step, sk_generations_running(u->gens), reason);
		return;
	}
	sk_progress_set_outcome(&u->progress, u->gens);
	emit_change(u);
}

/* --- releases --- */

static void set_target(struct sk_update *u, struct sk_release *rel, uint64_t generation)
{
	const struct sk_part_target to = { .generation = generation, .release = rel };

	/* The plan borrows from the manifest. */
	sk_health_gate_end(u->gate);
	sk_capsule_part_forget(u->capsules);
	sk_release_free(u->target);
	u->target = rel;
	sk_machine_set_target(u->machine, &to);
	free(u->running_name);
	u->running_name = rel ? sk_asprintf("%s %s, generation %" PRIu64, rel->manifest->project,
					    rel->manifest->version, generation)
			      : NULL;
}

/*
 * A damaged file is put out of use, so that it is missing and fetched again. One that only cannot be read now
 * is left to the next start.
 */
static void quarantine(struct sk_update *u, const struct sk_digest *id, const struct sk_err *why)
{
	if (sk_err_is(why, "damaged"))
		(void)sk_store_verify_release(u->store, id, NULL);
	sk_missing_forget(u->missing);
}

/* Only shown, and used to judge the clock: the device runs without it. */
static void load_good(struct sk_update *u)
{
	const struct sk_generation *good = sk_generations_good(u->gens);
	struct sk_err err = SK_ERR_INIT;
	struct sk_release *rel = NULL;

	if (good && sk_release_load(u->store, &good->release, &rel, &err) < 0) {
		sk_error("generation %" PRIu64 ": %s", good->number, err.text);
		quarantine(u, &good->release, &err);
		return;
	}
	sk_release_free(u->good);
	u->good = rel;
}

/* The one to run cannot be loaded: the next best one takes its place. */
static void skip_generation(struct sk_update *u, const struct sk_generation *run,
			    const struct sk_err *why)
{
	struct sk_err err = SK_ERR_INIT;

	sk_error("generation %" PRIu64 " cannot run: %s", run->number, why->text);
	quarantine(u, &run->release, why);
	if (run->state != SK_GEN_TRYING)
		sk_generations_park(u->gens, run->number, true);
	else if (sk_generations_unhealthy(u->gens, why->text, &err) < 0)
		sk_error("cannot record that: %s", err.text);
}

static int load_target(struct sk_update *u, struct sk_err *err)
{
	const struct sk_generation *run;
	struct sk_release *rel = NULL;
	int r = 0;

	while ((run = sk_generations_running(u->gens))) {
		r = sk_release_load(u->store, &run->release, &rel, err);
		if (r == 0 || r == -ENOMEM)
			break;
		skip_generation(u, run, err);
	}
	if (r == -ENOMEM)
		return r;
	load_good(u);
	set_target(u, rel, run ? run->number : 0);
	return r;
}

static void update_proved(void *arg)
{
	load_good(arg);
}

static void update_retarget(void *arg)
{
	struct sk_err err = SK_ERR_INIT;

	if (load_target(arg, &err) < 0)
		sk_error("cannot load the running release: %s", err.text);
}

/* --- the event loop --- */

static int on_step(sd_event_source *s, uint64_t usec, void *arg)
{
	struct sk_update *u = arg;

	u->step = sd_event_source_disable_unref(u->step);
	sk_machine_go_on(u->machine);
	return 0;
}

static int update_set_timer(struct sk_update *u, sd_event_source **s, uint64_t in_ms,
			    sd_event_time_handler_t fn)
{
	uint64_t now = 0;
	int r;

	*s = sd_event_source_disable_unref(*s);
	(void)sd_event_now(u->event, CLOCK_BOOTTIME, &now);
	r = sd_event_add_time(u->event, s, CLOCK_BOOTTIME, now + in_ms * 1000, 1, fn, u);
	if (r < 0)
		sk_error("cannot set a timer: %s", strerror(-r));
	return r;
}

static void update_defer(void *arg)
{
	struct sk_update *u = arg;

	(void)update_set_timer(u, &u->step, 0, on_step);
}

static void update_watch(void *arg)
{
	struct sk_update *u = arg;

	sk_health_gate_begin(u->gate, sk_capsule_part_plan(u->capsules));
}

static void on_verdict(void *arg, bool well, const char *reason)
{
	struct sk_update *u = arg;

	sk_machine_verdict(u->machine, well, reason);
}

static void update_collect(void *arg)
{
	struct sk_update *u = arg;

	sk_claims_collect(u->claims);
}

static int on_repair(sd_event_source *s, uint64_t usec, void *arg)
{
	sk_update_reconcile(arg);
	return 0;
}

static void update_idle(void *arg, bool repair)
{
	struct sk_update *u = arg;
	uint64_t wait = u->repair_ms;

	if (!repair) {
		u->repair_ms = SK_UPDATE_REPAIR_MIN_MS;
		return;
	}
	u->repair_ms = SK_MIN(u->repair_ms * 2, SK_UPDATE_REPAIR_MAX_MS);
	(void)update_set_timer(u, &u->repair, wait, on_repair);
	sk_warning("the release does not run as it should; trying again in %" PRIu64 " s",
		   wait / 1000);
}

void sk_update_reconcile(struct sk_update *u)
{
	u->repair = sd_event_source_disable_unref(u->repair);
	sk_machine_restore(u->machine);
}

/* --- called by claims, verifier and intake --- */

/*
 * A generation whose release cannot be read stops the collection, as what it needs is not known; one
 * that is parked for that only while another one runs in its place.
 */
static int mark_generations(struct sk_update *u, struct sk_marks *m, struct sk_err *err)
{
	bool replaced = sk_generations_running(u->gens) != NULL;
	size_t n;
	const struct sk_generation *all = sk_generations_all(u->gens, &n);

	for (size_t i = 0; i < n; i++) {
		int r;

		if (all[i].state == SK_GEN_BAD ||
		    (replaced && sk_generations_is_parked(u->gens, all[i].number)))
			continue;
		r = sk_marks_release(m, &all[i].release, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int update_mark(void *arg, struct sk_marks *m, struct sk_err *err)
{
	struct sk_update *u = arg;
	int r = sk_generations_collect(u->gens, SK_UPDATE_KEEP_GOOD, err);

	return r < 0 ? r : mark_generations(u, m, err);
}

static void update_collected(void *arg)
{
	struct sk_update *u = arg;

	sk_missing_forget(u->missing);
}

static void update_floor(void *arg, struct sk_release_floor *ret)
{
	const struct sk_update *u = arg;
	const struct sk_generation *floor = sk_generations_floor(u->gens);

	*ret = (struct sk_release_floor){
		.project = floor && floor->project[0] ? floor->project : NULL,
		.version = floor ? floor->version : NULL,
		.created_s = u->good ? u->good->manifest->created_s : 0,
	};
}

static bool update_in_use(void *arg, const struct sk_digest *id)
{
	const struct sk_update *u = arg;
	size_t n;
	const struct sk_generation *all = sk_generations_all(u->gens, &n);

	for (size_t i = 0; i < n; i++)
		if (all[i].state != SK_GEN_BAD && sk_digest_equal(&all[i].release, id))
			return true;
	return false;
}

/* Return: was one of the release's generations parked, and can run now? */
static bool unpark(struct sk_update *u, const struct sk_digest *id)
{
	bool any = false;
	size_t n;
	const struct sk_generation *all = sk_generations_all(u->gens, &n);

	for (size_t i = 0; i < n; i++) {
		if (!sk_digest_equal(&all[i].release, id) ||
		    !sk_generations_is_parked(u->gens, all[i].number))
			continue;
		sk_generations_park(u->gens, all[i].number, false);
		any = true;
	}
	return any;
}

static void update_released(void *arg, const struct sk_digest *id)
{
	struct sk_update *u = arg;
	struct sk_err err = SK_ERR_INIT;

	sk_missing_forget(u->missing);
	if (!unpark(u, id) || sk_machine_state(u->machine) != SK_UPD_IDLE)
		return;
	if (load_target(u, &err) < 0)
		sk_error("cannot load the running release: %s", err.text);
	else
		sk_update_reconcile(u);
}

static void refresh_done(void *arg, const struct sk_err *why)
{
	if (why)
		sk_warning("cannot restart a capsule: %s", why->text);
}

/* A damaged copy was replaced while a capsule runs from it: the capsule changes to the good one. */
static void refresh_capsules(struct sk_update *u, const struct sk_digest *d)
{
	struct sk_capsule *c;
	size_t pos = 0;

	while ((c = sk_engine_next(u->engine, &pos))) {
		struct sk_capsule_view v;
		struct sk_err err = SK_ERR_INIT;

		sk_capsule_view(c, &v);
		if (!sk_digest_equal(&v.image, d) || v.state != SK_CAPSULE_RUNNING)
			continue;
		sk_notice("restarting %s from its repaired image", v.app->name);
		if (sk_capsule_restart(c, UINT64_MAX, refresh_done, u, &err) < 0)
			sk_warning("cannot restart %s: %s", v.app->name, err.text);
	}
}

static void update_arrived(void *arg, const struct sk_digest *d)
{
	struct sk_update *u = arg;

	refresh_capsules(u, d);
	/* The release may not have come to run because this image was missing. */
	if (u->repair)
		sk_update_reconcile(u);
}

/* --- apply --- */

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

static int update_stage(struct sk_update *u, const struct sk_release *rel, uint64_t *ret,
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

/* Ready to be applied, and checked at this moment: revocations, version, expiry. */
static int update_prepare(struct sk_update *u, const struct sk_digest *id, struct sk_release **ret,
			  uint64_t *ret_number, struct sk_err *err)
{
	int r = sk_machine_can_apply(u->machine, err);

	if (r < 0)
		return r;
	r = sk_verifier_recheck(u->verifier, u->store, id, ret, err);
	if (r < 0)
		return r;
	r = check_images(u, *ret, err);
	return r < 0 ? r : update_stage(u, *ret, ret_number, err);
}

int sk_update_apply(struct sk_update *u, const struct sk_digest *id, uint64_t *ret_generation,
		    struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	const struct sk_generation *run = sk_generations_running(u->gens);
	struct sk_part_target to = { 0 };
	struct sk_err why = SK_ERR_INIT;
	int r;

	/* Asked again for what runs already, e.g. by a link that was killed before it heard. */
	if (run && sk_digest_equal(&run->release, id)) {
		*ret_generation = run->number;
		return 0;
	}
	r = update_prepare(u, id, &rel, &to.generation, err);
	if (r < 0)
		return r;
	emit_step(u, "staged", sk_generations_get(u->gens, to.generation), "");
	to.release = rel;
	r = sk_machine_apply(u->machine, &to, err);
	if (r < 0)
		return r;
	/* From here on it is being tried: nothing may end that half-way. */
	if (sk_intake_applied(u->intake, id, &why) < 0)
		sk_warning("release %s is kept twice: %s", SK_DIGEST_STR(id), why.text);
	set_target(u, TAKE_PTR(rel), to.generation);
	*ret_generation = to.generation;
	return 0;
}

/* --- the object --- */

int sk_update_add_part(struct sk_update *u, const struct sk_part_ops *ops, void *part,
		       struct sk_err *err)
{
	return sk_machine_add_part(u->machine, ops, part, err);
}

struct sk_part_host sk_update_part_host(struct sk_update *u)
{
	return sk_machine_part_host(u->machine);
}

static int make_machine(struct sk_update *u, struct sk_err *err)
{
	const struct sk_machine_host host = {
		.defer = update_defer,
		.watch = update_watch,
		.emit = update_emit,
		.proved = update_proved,
		.retarget = update_retarget,
		.collect = update_collect,
		.idle = update_idle,
		.arg = u,
	};
	struct sk_part_host part_host;
	int r = sk_machine_new(u->gens, &host, &u->machine, err);

	if (r < 0)
		return r;
	r = sk_capsule_part_new(u->store, u->engine, &u->capsules, err);
	if (r < 0)
		return r;
	part_host = sk_update_part_host(u);
	sk_capsule_part_set_host(u->capsules, &part_host);
	r = sk_update_add_part(u, &sk_capsule_part_ops, u->capsules, err);
	if (r < 0)
		return r;
	return sk_health_gate_new(u->event, u->engine, on_verdict, u, &u->gate, err);
}

static int register_update(struct sk_update *u, struct sk_err *err)
{
	const struct sk_claimant claimant = {
		.name = "generations",
		.mark = update_mark,
		.collected = update_collected,
		.arg = u,
	};
	const struct sk_intake_host host = {
		.in_use = update_in_use,
		.released = update_released,
		.arrived = update_arrived,
		.arg = u,
	};
	int r = sk_claims_register(u->claims, &claimant, err);

	if (r < 0)
		return r;
	r = sk_capsule_part_claim(u->capsules, u->claims, err);
	if (r < 0)
		return r;
	sk_verifier_set_floor(u->verifier, update_floor, u);
	sk_intake_set_host(u->intake, &host);
	return 0;
}

static int make_all(struct sk_update *u, struct sk_err *err)
{
	int r = sk_generations_open(u->store, &u->gens, err);

	if (r < 0)
		return r;
	r = sk_missing_new(u->store, u->gens, &u->missing, err);
	if (r < 0)
		return r;
	r = make_machine(u, err);
	return r < 0 ? r : register_update(u, err);
}

int sk_update_new(const struct sk_update_config *config, struct sk_update **ret, struct sk_err *err)
{
	_cleanup_(sk_update_freep) struct sk_update *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return sk_err_oom(err);
	u->event = sd_event_ref(config->event);
	u->store = config->store;
	u->engine = config->engine;
	u->claims = config->claims;
	u->verifier = config->verifier;
	u->intake = config->intake;
	u->repair_ms = SK_UPDATE_REPAIR_MIN_MS;
	sk_progress_init(&u->progress);
	u->boot_id_file = strdup(config->boot_id_file ?: SK_BOOT_ID_PATH);
	if (!u->boot_id_file)
		return sk_err_oom(err);
	r = make_all(u, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(u);
	return 0;
}

void sk_update_free(struct sk_update *u)
{
	if (!u)
		return;
	sk_health_gate_free(u->gate);
	sk_machine_free(u->machine);
	sk_capsule_part_free(u->capsules);
	sk_missing_free(u->missing);
	(void)sd_event_source_disable_unref(u->step);
	(void)sd_event_source_disable_unref(u->repair);
	sk_release_free(u->target);
	sk_release_free(u->good);
	if (u->gens)
		sk_generations_close(u->gens);
	free(u->boot_id_file);
	free(u->running_name);
	(void)sd_event_unref(u->event);
	free(u);
}

/* What cannot be recorded (a full disk) is decided all the same: the device must run something. */
static void count_boot(struct sk_update *u)
{
	const struct sk_generation *run;
	struct sk_err err = SK_ERR_INIT;
	bool new_boot = true;
	int r = sk_boot_id_changed(u->store, u->boot_id_file, &new_boot, &err);

	if (r < 0)
		sk_error("cannot tell whether the machine was restarted: %s", err.text);
	r = sk_generations_boot(u->gens, new_boot, &run, &err);
	if (r == 0 && new_boot)
		r = sk_boot_id_keep(u->store, u->boot_id_file, &err);
	if (r < 0)
		sk_error("cannot record this start: %s", err.text);
}

int sk_update_start(struct sk_update *u, struct sk_err *err)
{
	int r;

	count_boot(u);
	r = load_target(u, err);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		/* What runs is left alone, and a release can be loaded again. */
		sk_error("no release here can be read; waiting for one");
		return 0;
	}
	sk_machine_start(u->machine);
	return 0;
}

void sk_update_halt(struct sk_update *u)
{
	sk_machine_halt(u->machine);
	sk_capsule_part_halt(u->capsules);
	sk_health_gate_end(u->gate);
	u->step = sd_event_source_disable_unref(u->step);
	u->repair = sd_event_source_disable_unref(u->repair);
}

bool sk_update_halted(const struct sk_update *u)
{
	return sk_machine_halted(u->machine);
}

const char *sk_update_running_name(const struct sk_update *u)
{
	return u->running_name;
}

const struct sk_release *sk_update_target(const struct sk_update *u)
{
	return u->target;
}

const struct sk_release *sk_update_good(const struct sk_update *u)
{
	return u->good;
}

const struct sk_generations *sk_update_generations(const struct sk_update *u)
{
	return u->gens;
}

int sk_update_verify_records(struct sk_update *u, char ***ret_damaged, struct sk_err *err)
{
	return sk_generations_verify(u->gens, ret_damaged, err);
}

struct sk_missing *sk_update_missing(const struct sk_update *u)
{
	return u->missing;
}

const struct sk_progress *sk_update_progress(const struct sk_update *u)
{
	return &u->progress;
}

void sk_update_listen(struct sk_update *u, void (*fn)(void *arg), void *arg)
{
	u->listener = fn;
	u->listener_arg = arg;
}
