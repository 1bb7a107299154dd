/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "disk.h"
#include "engine/update/generations.h"
#include "engine/update/machine.h"
#include "parts.h"

#define IMAGES	       12
#define IMAGE_SIZE_MAX 6000
#define RELEASES       24
#define RELEASE_IMAGES 3
#define UPLOADS	       2

/** struct sim_image - @stored: the store said so, and it was neither removed nor damaged since */
struct sim_image {
	struct sk_digest digest;
	size_t size;
	bool stored;
	bool damaged; /* found so; legitimately missing until it was fetched again */
	bool tainted; /* what is in its part may be wrong */
	unsigned char bytes[IMAGE_SIZE_MAX];
};

/**
 * struct sim_release - @verified: its signature is right and it is for this type of device; one that
 * is not must never run. @back: signed with allow-downgrade
 */
struct sim_release {
	struct sk_digest id;
	char version[16];
	unsigned serial, images[RELEASE_IMAGES];
	unsigned os; /* version of its OS image; several releases have the same */
	bool os_starts;
	bool signed_right, for_us, verified, ephemeral, back, stored, wanted, damaged;
	uint32_t boots_max;
};

/** What was going on when the machine or the daemon ended. */
enum sim_action {
	ACT_NONE,
	ACT_STAGE,
	ACT_APPLY,
	ACT_HEALTHY,
	ACT_UNHEALTHY,
	ACT_CANCEL,
	ACT_COLLECT,
	ACT_BOOT,
	ACT_OTHER,
};

/** struct sim_known - what was acknowledged about one generation */
struct sim_known {
	struct sk_generation gen;
	bool unsure; /* a step on it failed: the disk may say the one or the other */
	uint32_t boots_seen;
};

/** struct sim_world - a device, what it does, and what it must therefore still know */
struct sim_world {
	struct rng rng;
	struct sim_disk *disk;
	struct sk_store *store;
	struct sk_generations *gens;
	struct sk_machine *machine;
	struct sim_parts parts;
	struct sk_part_target target;
	struct sk_release known_releases[RELEASES]; /* as the machine is given them: ids alone */
	bool deferred, watching, reboot_due, repair_due;
	unsigned repairs; /* in a row */
	enum sim_mutation mutation;
	struct sim_image images[IMAGES];
	struct sim_release releases[RELEASES];
	struct {
		struct sk_staged *st;
		unsigned image;
	} uploads[UPLOADS];
	struct sim_known known[SK_GENERATIONS_MAX];
	size_t n_known;
	uint64_t capacity, last_number, floor, boot_count;
	char floor_version[64];
	enum sim_action doing;
	uint64_t doing_number;	   /* 0 for any */
	bool glitchy, was_glitchy; /* an operation failed: since the start, since the one before */
	bool rebooted;
	uint64_t steps;
	struct sim_counts {
		uint64_t kills, cuts, commits, refused, good, bad, full, collected, rebooted;
		uint64_t downgrades, unsuitable, slots, fallbacks, part_failures, repairs;
	} counts;
};

void sim_world_init(struct sim_world *w, uint64_t seed, enum sim_mutation mutation);
void sim_world_done(struct sim_world *w);
/** sim_world_step() - one random thing happens; checks what must hold. */
void sim_world_step(struct sim_world *w);

/* Between the files of this folder. */
void sim_check_start(struct sim_world *w, bool new_boot, const struct sk_generation *running);
void sim_check_link(struct sim_world *w, uint64_t current);
void sim_check_running(struct sim_world *w);
void sim_check_verified(const struct sim_world *w);
void sim_learn(struct sim_world *w);
void sim_check_collected(struct sim_world *w);
struct sim_known *sim_known_of(struct sim_world *w, uint64_t number);
const struct sim_release *sim_release_of(const struct sim_world *w, const struct sk_digest *id);
void sim_upload(struct sim_world *w);
void sim_close_uploads(struct sim_world *w);
size_t sim_release_text(const struct sim_release *r, char buf[static 128]);

/* machine.c: the update machine in this world */
void sim_machine_start(struct sim_world *w);
void sim_machine_stop(struct sim_world *w);
/** Something happens to an update under way. */
void sim_machine_step(struct sim_world *w);
/** The machine is told to go to a staged generation. */
void sim_machine_apply(struct sim_world *w);

/* world.c, for machine.c */
void sim_begin(struct sim_world *w, enum sim_action action, uint64_t number);
void sim_end(struct sim_world *w, int r);
void sim_collect(struct sim_world *w);
void sim_reboot(struct sim_world *w);
uint64_t sim_trying_number(const struct sim_world *w);
uint64_t sim_pick(struct sim_world *w, enum sk_gen_state state);
bool sim_runnable(struct sim_world *w, uint64_t number);
uint64_t sim_current_on_disk(struct sim_world *w);

#define SIM_CHECK(cond, ...)                        \
	do {                                        \
		if (!(cond))                        \
			sim_violation(__VA_ARGS__); \
	} while (0)
