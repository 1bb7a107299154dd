/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/update/capsule_part.h"
#include "engine/update/health_gate.h"
#include "engine/update/machine.h"
#include "engine/update/update.h"

/* For update.c and its tests; nobody else includes it. */

#define SK_UPDATE_KEEP_GOOD	2
#define SK_UPDATE_REPAIR_MIN_MS UINT64_C(30000)
#define SK_UPDATE_REPAIR_MAX_MS UINT64_C(600000)

/**
 * struct sk_update
 * @target:    what is to run; NULL: nothing
 * @good:      of the newest good generation; NULL: none yet, or its file cannot be read
 * @step:      the machine goes on with it
 * @repair:    set while what should run does not
 * @repair_ms: how long the next repair waits
 */
struct sk_update {
	sd_event *event;
	struct sk_store *store;
	struct sk_engine *engine;
	struct sk_claims *claims;
	struct sk_verifier *verifier;
	struct sk_intake *intake;
	char *boot_id_file;

	struct sk_generations *gens;
	struct sk_machine *machine;
	struct sk_capsule_part *capsules;
	struct sk_health_gate *gate;
	struct sk_missing *missing;
	struct sk_release *target, *good;
	char *running_name;
	sd_event_source *step, *repair;
	uint64_t repair_ms;

	struct sk_progress progress;
	void (*listener)(void *arg);
	void *listener_arg;
};
