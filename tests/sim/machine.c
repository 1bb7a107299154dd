/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "world.h"

/* The real update machine, with an event loop that is the world's steps. */

#define N(number) ((unsigned long long)(number))
/* Each of them works more often than not. */
#define REPAIRS_MAX 40

static struct sim_world *world;

/* --- what is recorded, looked at on its way --- */

/* What was decided is so, whether it could be written down or not; and the link follows the record. */
static void check_verdict(struct sim_world *w, uint64_t number, bool good, int r, bool room)
{
	const struct sk_generation *gen = sk_generations_get(w->gens, number);
	const struct sk_generation *floor = sk_generations_floor(w->gens);

	SIM_CHECK(good || !gen || gen->state == SK_GEN_BAD,
		  "generation %llu failed and is %s all the same", N(number),
		  gen ? sk_gen_state_name(gen->state) : "");
	SIM_CHECK(!good || r < 0 || !room || w->glitchy || sim_disk_dead(w->disk) ||
			  sim_current_on_disk(w) == (floor ? floor->number : 0),
		  "the link does not lead to generation %llu, which is good", N(number));
}

int __real_sk_generations_healthy(struct sk_generations *g, struct sk_err *err);
int __real_sk_generations_unhealthy(struct sk_generations *g, const char *reason,
				    struct sk_err *err);

static int record_verdict(struct sim_world *w, bool good, const char *reason, struct sk_err *err)
{
	bool room = sim_disk_left(w->disk) > 16384;
	uint64_t number = sim_trying_number(w);
	bool ballast = sim_disk_room_of(w->disk, SK_FS_RECORDS, ".ballast") >= 65536;
	int r;

	/* Nothing reaches the disk any more: what was going on when it ended is known already. */
	if (number == 0 || sim_disk_dead(w->disk))
		return good ? __real_sk_generations_healthy(w->gens, err)
			    : __real_sk_generations_unhealthy(w->gens, reason, err);
	sim_begin(w, good ? ACT_HEALTHY : ACT_UNHEALTHY, number);
	r = good ? __real_sk_generations_healthy(w->gens, err)
		 : __real_sk_generations_unhealthy(w->gens, reason, err);
	w->glitchy = w->glitchy || sim_disk_glitched(w->disk);
	SIM_CHECK(r != -ENOSPC || !ballast || w->glitchy || sim_disk_dead(w->disk),
		  "a full disk kept the verdict on %llu from the record", N(number));
	if (!sim_disk_dead(w->disk))
		check_verdict(w, number, good, r, room);
	w->counts.good += good && r == 0;
	w->counts.bad += !good && r == 0;
	sim_end(w, r);
	return r;
}

/* Good is only what all of the device runs, and what the health gate said yes to. */
int __wrap_sk_generations_healthy(struct sk_generations *g, struct sk_err *err);
int __wrap_sk_generations_healthy(struct sk_generations *g, struct sk_err *err)
{
	struct sim_world *w = world;

	SIM_CHECK(sim_parts_run(w, &w->target) || sim_disk_dead(w->disk),
		  "generation %llu is good, and a part of it does not run",
		  N(w->target.generation));
	SIM_CHECK(!w->parts.failure[0], "generation %llu is good in spite of: %s",
		  N(w->target.generation), w->parts.failure);
	return record_verdict(w, true, NULL, err);
}

/* The reason is that of the part, or of the health gate, that failed. */
int __wrap_sk_generations_unhealthy(struct sk_generations *g, const char *reason,
				    struct sk_err *err);
int __wrap_sk_generations_unhealthy(struct sk_generations *g, const char *reason,
				    struct sk_err *err)
{
	struct sim_world *w = world;

	SIM_CHECK(reason && *reason, "generation %llu is bad without a reason",
		  N(w->target.generation));
	SIM_CHECK(strstr(reason, w->parts.failure) || sim_disk_dead(w->disk),
		  "the reason is \"%s\" and should be \"%s\"", reason, w->parts.failure);
	return record_verdict(w, false, reason, err);
}

int __real_sk_generations_apply(struct sk_generations *g, uint64_t number, struct sk_err *err);
int __wrap_sk_generations_apply(struct sk_generations *g, uint64_t number, struct sk_err *err);
int __wrap_sk_generations_apply(struct sk_generations *g, uint64_t number, struct sk_err *err)
{
	struct sim_world *w = world;
	uint64_t trying = sim_trying_number(w);
	int r;

	sim_begin(w, ACT_APPLY, number);
	r = __real_sk_generations_apply(g, number, err);
	SIM_CHECK(r < 0 || trying == 0, "two generations are tried at once");
	sim_end(w, r);
	return w->mutation == SIM_APPLY_IGNORED ? 0 : r;
}

int __real_sk_upd_next(enum sk_upd_state from, enum sk_upd_event ev, enum sk_upd_state *ret_to,
		       unsigned *ret_actions);
int __wrap_sk_upd_next(enum sk_upd_state from, enum sk_upd_event ev, enum sk_upd_state *ret_to,
		       unsigned *ret_actions);
int __wrap_sk_upd_next(enum sk_upd_state from, enum sk_upd_event ev, enum sk_upd_state *ret_to,
		       unsigned *ret_actions)
{
	if (world->mutation == SIM_GOOD_IN_SPITE && from == SK_UPD_SETTLING &&
	    ev == SK_UPD_EV_UNWELL)
		ev = SK_UPD_EV_WELL;
	if (world->mutation == SIM_CONFIRM_EARLY && from == SK_UPD_ACTIVATING &&
	    ev == SK_UPD_EV_DONE) {
		*ret_to = SK_UPD_CONFIRMING;
		*ret_actions = SK_UPD_ACT_CONFIRM;
		return 0;
	}
	return __real_sk_upd_next(from, ev, ret_to, ret_actions);
}

/* --- the machine's surroundings --- */

static struct sk_part_target target_of(struct sim_world *w, const struct sk_generation *g)
{
	const struct sim_release *rel = g ? sim_release_of(w, &g->release) : NULL;

	if (!rel)
		return (struct sk_part_target){ 0 };
	return (struct sk_part_target){
		.generation = g->number,
		.release = &w->known_releases[rel - w->releases],
	};
}

static void set_target(struct sim_world *w, struct sk_part_target to)
{
	w->target = to;
	w->watching = false;
	sk_machine_set_target(w->machine, &to);
}

static void host_defer(void *arg)
{
	((struct sim_world *)arg)->deferred = true;
}

static void host_watch(void *arg)
{
	((struct sim_world *)arg)->watching = true;
}

static void host_emit(void *arg, const char *step, const char *reason)
{
	static const char *const words[] = { "idle", "stopping", "starting", "settling" };
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		known = known || sk_streq(words[i], step);
	SIM_CHECK(known, "\"%s\" is no step of the API", step);
}

static void host_proved(void *arg)
{
}

static void host_retarget(void *arg)
{
	struct sim_world *w = arg;

	if (!sim_disk_dead(w->disk))
		set_target(w, target_of(w, sk_generations_running(w->gens)));
}

static void host_collect(void *arg)
{
	struct sim_world *w = arg;

	if (!sim_disk_dead(w->disk) && rng_one_in(&w->rng, 2))
		sim_collect(w);
}

/* All is quiet: the parts are all of one release, or the machine knows that they are not. */
static void host_idle(void *arg, bool repair)
{
	struct sim_world *w = arg;
	const struct sk_part_target to = target_of(w, sk_generations_running(w->gens));

	if (sim_disk_dead(w->disk))
		return;
	w->repair_due = repair;
	w->repairs = repair ? w->repairs + 1 : 0;
	w->counts.repairs += repair;
	SIM_CHECK(repair || sim_parts_run(w, &to), "idle, and the device does not run %llu",
		  N(to.generation));
	SIM_CHECK(w->repairs < REPAIRS_MAX, "the device never comes to run generation %llu",
		  N(to.generation));
}

static void host_reboot(void *arg)
{
	((struct sim_world *)arg)->reboot_due = true;
}

void sim_machine_stop(struct sim_world *w)
{
	sk_machine_free(w->machine);
	w->machine = NULL;
	w->deferred = w->watching = w->reboot_due = w->repair_due = false;
	sim_parts_forget(&w->parts);
}

void sim_machine_start(struct sim_world *w)
{
	const struct sk_machine_host host = {
		.defer = host_defer,
		.watch = host_watch,
		.emit = host_emit,
		.proved = host_proved,
		.retarget = host_retarget,
		.collect = host_collect,
		.idle = host_idle,
		.reboot = host_reboot,
		.arg = w,
	};
	bool reversed = w->mutation == SIM_PARTS_REVERSED;

	world = w;
	SIM_CHECK(sk_machine_new(w->gens, &host, &w->machine, NULL) == 0, "out of memory");
	for (int i = 0; i < 2; i++)
		SIM_CHECK(sk_machine_add_part(w->machine,
					      i == (int)reversed ? &sim_capsules : &sim_slot, w,
					      NULL) == 0,
			  "too many parts");
	set_target(w, target_of(w, sk_generations_running(w->gens)));
	sk_machine_start(w->machine);
}

/* --- what happens --- */

static void give_verdict(struct sim_world *w)
{
	bool well = !rng_one_in(&w->rng, 4), active = sim_parts_run(w, &w->target);
	bool forward = sk_machine_state(w->machine) == SK_UPD_SETTLING;
	uint64_t number = sim_trying_number(w);
	const struct sk_generation *g;

	w->watching = false;
	(void)snprintf(w->parts.failure, sizeof(w->parts.failure), "%s",
		       !forward	 ? ""
		       : !well	 ? "a capsule is unhealthy"
		       : !active ? "does not run its"
				 : "");
	sk_machine_verdict(w->machine, well, well ? "" : "a capsule is unhealthy");
	g = number ? sk_generations_get(w->gens, number) : NULL;
	if (!g || sim_disk_dead(w->disk))
		return;
	SIM_CHECK(g->state != SK_GEN_TRYING, "generation %llu has its verdict and is still tried",
		  N(number));
	SIM_CHECK((well && active) || g->state == SK_GEN_BAD, "generation %llu failed and is %s",
		  N(number), sk_gen_state_name(g->state));
}

static void step_once(struct sim_world *w)
{
	if (w->reboot_due) {
		sim_reboot(w);
	} else if (w->deferred) {
		w->deferred = false;
		sk_machine_go_on(w->machine);
	} else if (w->parts.op.kind != OP_NONE) {
		sim_parts_step(w);
	} else if (w->watching) {
		give_verdict(w);
	} else if (w->repair_due && rng_one_in(&w->rng, 3)) {
		w->repair_due = false;
		sk_machine_restore(w->machine);
	}
}

void sim_machine_step(struct sim_world *w)
{
	unsigned n = 1 + (unsigned)rng_below(&w->rng, 8);

	while (n-- > 0 && !sim_disk_dead(w->disk))
		step_once(w);
}

/* Asked while another one is tried: refused, and nothing comes of it. */
static void apply_at_wrong_moment(struct sim_world *w, uint64_t number)
{
	int r;

	sim_begin(w, ACT_NONE, 0);
	r = __real_sk_generations_apply(w->gens, number, NULL);
	SIM_CHECK(r < 0, "two generations are tried at once");
	sim_end(w, 0);
}

void sim_machine_apply(struct sim_world *w)
{
	uint64_t number = sim_pick(w, SK_GEN_STAGED), trying = sim_trying_number(w);
	enum sk_upd_state from = sk_machine_state(w->machine);
	const struct sk_generation *g;
	struct sk_part_target to;

	if (number && trying && rng_one_in(&w->rng, 8)) {
		apply_at_wrong_moment(w, number);
		return;
	}
	if (number == 0 || !sim_runnable(w, number) || sk_machine_can_apply(w->machine, NULL) < 0)
		return;
	to = target_of(w, sk_generations_get(w->gens, number));
	if (sk_machine_apply(w->machine, &to, NULL) < 0) {
		SIM_CHECK(sk_machine_state(w->machine) == from, "a failed apply changes the state");
		return;
	}
	g = sk_generations_get(w->gens, number);
	SIM_CHECK(sim_disk_dead(w->disk) || (g && g->state == SK_GEN_TRYING),
		  "generation %llu is applied, and not on record as that", N(number));
	w->parts.failure[0] = '\0';
	w->repair_due = false;
	set_target(w, to);
}
