/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "engine/capsule/engine.h"
#include "engine/claims/claims.h"
#include "engine/intake/intake.h"
#include "engine/release/verifier.h"
#include "engine/update/generations.h"
#include "engine/update/missing.h"
#include "engine/update/part.h"
#include "engine/update/progress.h"
#include "store/store.h"

/*
 * Generations of the device: goes from one to the next behind a health gate, and back to the last good one by
 * itself. What follows what is decided by model/update.h and carried out by the machine (machine.h) over the
 * parts of an update; here they are brought together with the event loop, the store and the clock.
 * Reference: docs/explanation/upgrade.md
 */
struct sk_update;

/**
 * struct sk_update_config - objects are borrowed and must outlive the update, the string is copied
 * @boot_id_file: NULL for the kernel's
 */
struct sk_update_config {
	sd_event *event;
	struct sk_store *store;
	struct sk_engine *engine;
	struct sk_claims *claims;
	struct sk_verifier *verifier;
	struct sk_intake *intake;
	const char *boot_id_file;
};

/** Registers with the claims, the verifier (floor) and the intake (host). */
int sk_update_new(const struct sk_update_config *config, struct sk_update **ret,
		  struct sk_err *err);
/** Capsules keep running. */
void sk_update_free(struct sk_update *u);
SK_DEFINE_CLEANUP(struct sk_update, sk_update_free);

/**
 * sk_update_add_part() - a part of each update, after the capsules and those added before; before sk_update_start()
 * @part: borrowed; reports to sk_update_part_host()
 * Return: 0, or "too-many"
 */
int sk_update_add_part(struct sk_update *u, const struct sk_part_ops *ops, void *part,
		       struct sk_err *err);
struct sk_part_host sk_update_part_host(struct sk_update *u);

/** sk_update_start() - find out which generation runs now and make it so; call once, before the loop. */
int sk_update_start(struct sk_update *u, struct sk_err *err);

/**
 * sk_update_apply() - go to a release that is here, with all its images
 * One that runs already is fine. "bad-state" while another is in progress, or what the check says.
 */
int sk_update_apply(struct sk_update *u, const struct sk_digest *id, uint64_t *ret_generation,
		    struct sk_err *err);

/** sk_update_reconcile() - make what should run run, when nothing else is going on */
void sk_update_reconcile(struct sk_update *u);

/** sk_update_halt() - the machine goes down: judge nothing and change nothing any more
 * What is under way is taken up by the next sk_update_start(), as after a power cut. */
void sk_update_halt(struct sk_update *u);
bool sk_update_halted(const struct sk_update *u);

/** Name of a running generation's release for banners ("demo 1.2.0, generation 3"), or NULL. Borrowed. */
const char *sk_update_running_name(const struct sk_update *u);

/** The release that is to run, that of the newest good generation; NULL for none. Borrowed. */
const struct sk_release *sk_update_target(const struct sk_update *u);
const struct sk_release *sk_update_good(const struct sk_update *u);

const struct sk_generations *sk_update_generations(const struct sk_update *u);
/** sk_update_verify_records() - see sk_generations_verify() */
int sk_update_verify_records(struct sk_update *u, char ***ret_damaged, struct sk_err *err);
struct sk_missing *sk_update_missing(const struct sk_update *u);

const struct sk_progress *sk_update_progress(const struct sk_update *u);
/** sk_update_listen() - @fn is called after each change of the progress */
void sk_update_listen(struct sk_update *u, void (*fn)(void *arg), void *arg);
