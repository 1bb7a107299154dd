/* SPDX-License-Identifier: Apache-2.0 */
#include "parts.h"

#include <errno.h>
#include <stdio.h>

#include "world.h"

#define FACTORY_OS  1000u
#define FAIL_ONE_IN 12
#define CUT_ONE_IN  60

void sim_parts_init(struct sim_parts *p)
{
	*p = (struct sim_parts){ .slots = { FACTORY_OS }, .good = { true } };
}

void sim_parts_forget(struct sim_parts *p)
{
	p->op = (struct sim_op){ .kind = OP_NONE };
	p->failure[0] = '\0';
	p->reverted = false;
}

static const struct sim_release *release_of(const struct sim_world *w,
					    const struct sk_part_target *to)
{
	return to->release ? sim_release_of(w, &to->release->id) : NULL;
}

static unsigned number_of(const struct sim_world *w, const struct sk_part_target *to)
{
	const struct sim_release *rel = release_of(w, to);

	return rel ? (unsigned)(rel - w->releases) + 1 : 0;
}

/* May the power go here? Then nothing more happens until the next start. */
static bool cut(struct sim_world *w)
{
	if (rng_one_in(&w->rng, CUT_ONE_IN))
		sim_disk_end_now(w->disk, SIM_POWER_CUT);
	return sim_disk_dead(w->disk);
}

static int fail(struct sim_world *w, const char *what, struct sk_err *err)
{
	bool forward = sk_machine_state(w->machine) == SK_UPD_STAGING ||
		       sk_machine_state(w->machine) == SK_UPD_ACTIVATING;

	if (forward)
		(void)snprintf(w->parts.failure, sizeof(w->parts.failure), "%s", what);
	w->counts.part_failures++;
	return sk_err_set(err, -EIO, "io", "%s", what);
}

static int later(struct sim_world *w, int kind, bool slot, const struct sk_part_target *to)
{
	w->parts.op = (struct sim_op){ .kind = kind, .slot = slot, .to = *to };
	return SK_PART_LATER;
}

/* --- capsules --- */

static bool capsules_run(const struct sim_world *w, const struct sk_part_target *to)
{
	return w->parts.runs == number_of(w, to);
}

static int capsules_stage(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	return later(part, OP_STAGE, false, to);
}

static int capsules_activate(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	struct sim_world *w = part;

	if (capsules_run(w, to))
		return SK_PART_DONE;
	if (!cut(w))
		w->parts.runs = RUNS_MIXED;
	return later(w, OP_ACTIVATE, false, to);
}

static bool capsules_is_active(void *part, const struct sk_part_target *to)
{
	return capsules_run(part, to);
}

/* What may be given up only for a generation that is good, or on the way back to one. */
static void check_confirm(struct sim_world *w, const struct sk_part_target *to)
{
	const struct sk_generation *g = sk_generations_get(w->gens, to->generation);

	SIM_CHECK(to->generation == 0 || (g && g->state == SK_GEN_GOOD),
		  "a part confirms generation %llu, which is %s",
		  (unsigned long long)to->generation, g ? sk_gen_state_name(g->state) : "gone");
}

static int capsules_confirm(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	check_confirm(part, to);
	return SK_PART_DONE;
}

static int capsules_revert(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	struct sim_world *w = part;

	SIM_CHECK(w->parts.reverted, "the first part is reverted before the last one");
	w->parts.reverted = false;
	if (capsules_run(w, to))
		return SK_PART_DONE;
	if (!cut(w))
		w->parts.runs = RUNS_MIXED;
	return later(w, OP_REVERT, false, to);
}

const struct sk_part_ops sim_capsules = {
	.name = "capsules",
	.stage = capsules_stage,
	.activate = capsules_activate,
	.is_active = capsules_is_active,
	.confirm = capsules_confirm,
	.revert = capsules_revert,
};

/* --- OS slots --- */

/* Without a good generation: what was confirmed. */
static bool slot_has(const struct sim_world *w, unsigned slot, const struct sk_part_target *to)
{
	const struct sim_release *rel = release_of(w, to);

	return rel ? w->parts.slots[slot] == rel->os : w->parts.good[slot];
}

static bool slot_runs(const struct sim_world *w, const struct sk_part_target *to)
{
	return slot_has(w, w->parts.booted, to);
}

/* What the part itself believes. */
static bool slot_claims(const struct sim_world *w, const struct sk_part_target *to)
{
	return w->mutation == SIM_SLOT_LIES || slot_runs(w, to);
}

bool sim_parts_run(const struct sim_world *w, const struct sk_part_target *to)
{
	return capsules_run(w, to) && slot_runs(w, to);
}

/* Into the slot that does not run. Between the first and the last byte there is none in it. */
static int write_slot(struct sim_world *w, int kind, const struct sk_part_target *to,
		      struct sk_err *err)
{
	struct sim_parts *p = &w->parts;
	unsigned other = !p->booted;

	if (!p->good[p->booted])
		return fail(w, "the running slot is on trial", err);
	if (cut(w))
		return later(w, kind, true, to);
	p->primary = p->booted;
	p->good[other] = false;
	p->slots[other] = 0;
	return later(w, kind, true, to);
}

static int slot_stage(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	struct sim_world *w = part;

	if (slot_runs(w, to) || slot_has(w, !w->parts.booted, to))
		return SK_PART_DONE;
	return write_slot(w, OP_STAGE, to, err);
}

/* The other slot is the next to be started, unless that was tried in vain. */
static int switch_slot(struct sim_world *w, int kind, const struct sk_part_target *to,
		       struct sk_err *err)
{
	struct sim_parts *p = &w->parts;
	unsigned other = !p->booted;

	if (p->primary == other && !p->good[other] && p->attempts == 0) {
		/* Whoever comes next tries again. */
		p->primary = p->booted;
		return fail(w, "the slot does not start", err);
	}
	return later(w, kind, true, to);
}

static int slot_activate(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	struct sim_world *w = part;

	SIM_CHECK(capsules_run(w, to) || sim_disk_dead(w->disk),
		  "the second part is activated before the first");
	if (slot_runs(w, to))
		return SK_PART_DONE;
	return switch_slot(w, OP_ACTIVATE, to, err);
}

static bool slot_is_active(void *part, const struct sk_part_target *to)
{
	return slot_claims(part, to);
}

static int slot_confirm(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	check_confirm(part, to);
	return later(part, OP_CONFIRM, true, to);
}

static int slot_revert(void *part, const struct sk_part_target *to, struct sk_err *err)
{
	struct sim_world *w = part;
	struct sim_parts *p = &w->parts;

	p->reverted = true;
	if (w->mutation == SIM_SKIP_SLOT_REVERT)
		return SK_PART_DONE;
	if (slot_runs(w, to)) {
		p->primary = p->booted;
		return SK_PART_DONE;
	}
	if (slot_has(w, !p->booted, to))
		return switch_slot(w, OP_REVERT, to, err);
	return to->release ? write_slot(w, OP_REVERT, to, err)
			   : fail(w, "there is no slot to go back to", err);
}

const struct sk_part_ops sim_slot = {
	.name = "slot",
	.stage = slot_stage,
	.activate = slot_activate,
	.is_active = slot_is_active,
	.confirm = slot_confirm,
	.revert = slot_revert,
};

/* --- what is under way ends --- */

static void set_primary(struct sim_parts *p, unsigned slot)
{
	p->primary = slot;
	p->attempts = ATTEMPTS;
}

static int end_slot(struct sim_world *w, const struct sim_op *op, struct sk_err *err)
{
	struct sim_parts *p = &w->parts;
	unsigned other = !p->booted;

	if (op->kind == OP_CONFIRM) {
		if (!slot_claims(w, &op->to))
			return fail(w, "another slot runs", err);
		p->good[p->booted] = true;
		p->primary = p->booted;
		return SK_PART_DONE;
	}
	if (op->to.release && !slot_has(w, other, &op->to)) {
		p->slots[other] = release_of(w, &op->to)->os;
		if (op->kind == OP_STAGE)
			return SK_PART_DONE;
	}
	set_primary(p, other);
	return SK_PART_REBOOT;
}

static int end_capsules(struct sim_world *w, const struct sim_op *op)
{
	if (op->kind != OP_STAGE)
		w->parts.runs = number_of(w, &op->to);
	return SK_PART_DONE;
}

void sim_parts_step(struct sim_world *w)
{
	struct sk_part_host host = sk_machine_part_host(w->machine);
	struct sim_op op = w->parts.op;
	struct sk_err err = SK_ERR_INIT;
	int r;

	w->parts.op.kind = OP_NONE;
	if (cut(w))
		return;
	if (op.kind != OP_STAGE && !op.slot && rng_one_in(&w->rng, 2))
		host.starting(host.arg);
	if (rng_one_in(&w->rng, FAIL_ONE_IN))
		r = fail(w, op.slot ? "the slot cannot be written" : "a capsule fails", &err);
	else
		r = op.slot ? end_slot(w, &op, &err) : end_capsules(w, &op);
	if (!cut(w))
		host.done(host.arg, r, r < 0 ? &err : NULL);
}

static bool starts(const struct sim_world *w, unsigned os)
{
	for (unsigned i = 0; os && i < RELEASES; i++)
		if (w->releases[i].os == os)
			return w->releases[i].os_starts;
	return os == FACTORY_OS;
}

void sim_parts_boot(struct sim_world *w)
{
	struct sim_parts *p = &w->parts;

	p->runs = 0;
	w->counts.slots += p->booted != p->primary;
	p->booted = p->primary;
	if (p->good[p->primary])
		return;
	if (p->attempts > 0 && starts(w, p->slots[p->primary])) {
		p->attempts--;
		return;
	}
	/* It is tried until its attempts are spent. */
	p->attempts = 0;
	p->booted = !p->primary;
	w->counts.fallbacks++;
	SIM_CHECK(starts(w, p->slots[p->booted]), "no slot is left that starts");
}
