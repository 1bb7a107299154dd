/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "engine/update/generations.h"
#include "model/generation.h"

/**
 * struct sk_progress - what the update is doing, for people and for the link to the hub
 * @seq:  another one with each step, and after each start of the daemon: a reader that asks for what comes
 *        after the one that it knows waits for nothing that it missed
 * @step: "idle", "staged", "stopping", "starting", "settling", "good" or "bad"; constant
 * @release: of the generation; zero for none
 */
struct sk_progress {
	uint64_t seq;
	const char *step;
	uint64_t generation;
	struct sk_digest release;
	char version[64];
	char reason[SK_GEN_REASON_MAX];
};

/** sk_progress_init() - the daemon starts. */
void sk_progress_init(struct sk_progress *p);
/** @gen: NULL for none */
void sk_progress_set(struct sk_progress *p, const char *step, const struct sk_generation *gen,
		     const char *reason);
/** sk_progress_set_outcome() - nothing is under way: what the newest generation that was tried came to */
void sk_progress_set_outcome(struct sk_progress *p, const struct sk_generations *gens);
