/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "model/generation.h"
#include "store/store.h"

/*
 * Generations on disk (records of the store) and the machine of model/generation.h that moves them. Each call
 * is one crash-safe step: after a power cut at any instruction the old state or the new one is found. The link
 * to the current generation moves only when the new one is good.
 */
struct sk_generations;

/** How many may be on record. When one more comes, old ones are collected; it is "too-many" if none can go. */
#define SK_GENERATIONS_MAX 64

int sk_generations_open(struct sk_store *s, struct sk_generations **ret, struct sk_err *err);
void sk_generations_close(struct sk_generations *g);
SK_DEFINE_CLEANUP(struct sk_generations, sk_generations_close);

/**
 * sk_generations_boot() - the daemon starts; which generation runs now?
 * @new_boot: the machine was restarted (boot id differs), not only the daemon: ephemeral generations
 *            are dropped, a trying one spends a boot, and is bad once its boots are spent
 * @ret: borrowed until the next call; NULL on a device without any generation
 *
 * Set on failure too: what cannot be recorded (a full or broken disk) is decided all the same. A
 * trying one whose boot cannot be counted is not tried, or it might be tried for ever.
 */
int sk_generations_boot(struct sk_generations *g, bool new_boot, const struct sk_generation **ret,
			struct sk_err *err);
/** sk_generations_whole() - false when the disk did not give out all records: boot() says so too. */
bool sk_generations_whole(const struct sk_generations *g);

/** sk_generations_stage() - record a verified release whose images are all in the store. @ret_number names it. */
int sk_generations_stage(struct sk_generations *g, const struct sk_digest *release,
			 const char *version, bool ephemeral, uint32_t boots_max,
			 uint64_t *ret_number, struct sk_err *err);

/**
 * struct sk_gen_new - sk_generations_add(): as sk_generations_stage(), with the project
 * @project: recorded for the version floor; NULL or "" when not known
 * The same release staged again, unapplied, keeps its number, unless a later one was applied meanwhile:
 * then it needs a new one, as the higher number is the newer one.
 */
struct sk_gen_new {
	const struct sk_digest *release;
	const char *project;
	const char *version;
	bool ephemeral;
	uint32_t boots_max;
};
int sk_generations_add(struct sk_generations *g, const struct sk_gen_new *what,
		       uint64_t *ret_number, struct sk_err *err);
/** sk_generations_cancel() - a staged or trying one is bad now, without having been tried out. */
int sk_generations_cancel(struct sk_generations *g, uint64_t number, const char *reason,
			  struct sk_err *err);

/** sk_generations_apply() - staged -> trying; "bad-state" when another one is trying. */
int sk_generations_apply(struct sk_generations *g, uint64_t number, struct sk_err *err);
/**
 * Health gate's verdict on the trying one. Unhealthy: it is bad, sk_generations_running() is the
 * newest good one again, also when that could not be recorded (then an error is returned).
 */
int sk_generations_healthy(struct sk_generations *g, struct sk_err *err);
int sk_generations_unhealthy(struct sk_generations *g, const char *reason, struct sk_err *err);

/** The one that runs (trying or good), the newest good one; NULL if there is none. Borrowed. */
const struct sk_generation *sk_generations_running(const struct sk_generations *g);
const struct sk_generation *sk_generations_good(const struct sk_generations *g);
/**
 * sk_generations_park() - a good one cannot run, as its release file is damaged, or can again
 * While it is parked the newest good one before it takes its place. Not recorded: the next start tries to load it.
 * The version floor stays where it is.
 */
void sk_generations_park(struct sk_generations *g, uint64_t number, bool parked);
bool sk_generations_is_parked(const struct sk_generations *g, uint64_t number);
/** The newest good one that a reboot leaves: no release below its version may come (floor). */
const struct sk_generation *sk_generations_floor(const struct sk_generations *g);
const struct sk_generation *sk_generations_get(const struct sk_generations *g, uint64_t number);
/** All that are on record, oldest first; borrowed array. */
const struct sk_generation *sk_generations_all(const struct sk_generations *g, size_t *ret_n);
/**
 * sk_generations_collect() - forget old ones
 * Kept are the running one, trying ones, staged ones that no later one was applied after, the floor, the last
 * @keep_good good ones, and the newest bad one while nothing good came after it, for its reason.
 */
int sk_generations_collect(struct sk_generations *g, unsigned keep_good, struct sk_err *err);
/**
 * sk_generations_verify() - are the records still what they were when they were read or written?
 * @ret_damaged: names of those that are not, added to the list. Each is written anew, from what is known here, but
 *               for one that was damaged at the start already, as its content is not known.
 * Return: how many were looked at, or -errno when the disk does not take one of them
 */
int sk_generations_verify(struct sk_generations *g, char ***ret_damaged, struct sk_err *err);
