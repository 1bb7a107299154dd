/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/update/part.h"

struct sim_world;

/*
 * The parts of an update, as the simulation has them: capsules, which a restart of the machine ends, and an OS slot,
 * which takes over with one. Both fail at each step now and then, and the power goes before and after each. The
 * OS slots are what a boot loader with two slots and a counter of attempts makes of them.
 */
#define SLOTS	 2
#define ATTEMPTS 2

/** What is under way in a part; it ends in a later step of the world. */
struct sim_op {
	enum { OP_NONE, OP_STAGE, OP_ACTIVATE, OP_REVERT, OP_CONFIRM } kind;
	bool slot; /* of which part */
	struct sk_part_target to;
};

/**
 * struct sim_parts
 * @runs:     release + 1 whose capsules run, 0 for none, RUNS_MIXED between two; gone with the machine
 * @slots:    OS version in each, 0 for none that could be started; on disk, like all of the boot loader's
 * @good:     it was confirmed
 * @primary, @attempts: what the boot loader starts next, and how often it still tries one that is not good
 * @booted:   which one the machine runs from
 * @failure:  what failed last on the way to a new generation; "" for nothing
 * @reverted: the slot was reverted since the present way back began
 */
struct sim_parts {
	unsigned runs;
	unsigned slots[SLOTS];
	bool good[SLOTS];
	unsigned primary, attempts, booted;
	struct sim_op op;
	char failure[64];
	bool reverted;
};

#define RUNS_MIXED 1000u

extern const struct sk_part_ops sim_capsules, sim_slot;

/** A device as it left the factory. */
void sim_parts_init(struct sim_parts *p);
/** The daemon ended: what was under way is forgotten. */
void sim_parts_forget(struct sim_parts *p);
/** The machine restarts: the boot loader decides. */
void sim_parts_boot(struct sim_world *w);
/** Something is under way and ends now, well or not. */
void sim_parts_step(struct sim_world *w);
/** What is true, whatever the parts say: does the device run it? */
bool sim_parts_run(const struct sim_world *w, const struct sk_part_target *to);
