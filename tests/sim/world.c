/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "model/release.h"

#define BOOT_RECORD "boot-id"

size_t sim_release_text(const struct sim_release *r, char buf[static 128])
{
	int n = snprintf(buf, 128, "release %u %s %u %u %u\n", r->serial, r->version, r->images[0],
			 r->images[1], r->images[2]);

	return (size_t)n;
}

static void make_contents(struct sim_world *w)
{
	for (unsigned i = 0; i < IMAGES; i++) {
		struct sim_image *image = &w->images[i];

		image->size =
			1 + rng_below(&w->rng, rng_one_in(&w->rng, 3) ? IMAGE_SIZE_MAX : 1500);
		for (size_t b = 0; b < image->size; b++)
			image->bytes[b] = (unsigned char)rng_next(&w->rng);
		(void)sk_digest_of(image->bytes, image->size, &image->digest);
	}
	for (unsigned i = 0; i < RELEASES; i++) {
		struct sim_release *r = &w->releases[i];
		char text[128];

		/* Some versions come twice, and they come in any order; no two have one digest. */
		r->serial = i;
		(void)snprintf(r->version, sizeof(r->version), "1.%u", i - i / 8);
		for (unsigned k = 0; k < RELEASE_IMAGES; k++)
			r->images[k] = (unsigned)rng_below(&w->rng, IMAGES);
		r->signed_right = !rng_one_in(&w->rng, 6);
		r->for_us = !rng_one_in(&w->rng, 8);
		r->verified = r->signed_right && r->for_us;
		r->back = rng_one_in(&w->rng, 6);
		r->ephemeral = rng_one_in(&w->rng, 4);
		r->boots_max = (uint32_t)rng_below(&w->rng, 4);
		r->os = 1 + i / 4;
		r->os_starts = r->os % 4 != 3;
		(void)sk_digest_of(text, sim_release_text(r, text), &r->id);
		w->known_releases[i].id = r->id;
	}
}

/* From here until the next start, one of these may happen at any operation. */
static void plan_end(struct sim_world *w, uint64_t one_in)
{
	if (!rng_one_in(&w->rng, one_in))
		return;
	sim_disk_end_after(w->disk, 1 + rng_below(&w->rng, 60),
			   rng_one_in(&w->rng, 3) ? SIM_KILL : SIM_POWER_CUT);
}

static void close_all(struct sim_world *w)
{
	sim_machine_stop(w);
	sim_close_uploads(w);
	if (w->gens)
		sk_generations_close(w->gens);
	if (w->store)
		sk_store_close(w->store);
	w->gens = NULL;
	w->store = NULL;
}

static void after_power_cut(struct sim_world *w)
{
	w->boot_count++;
	w->rebooted = true;
	sim_parts_boot(w);
	for (unsigned i = 0; i < IMAGES; i++)
		w->images[i].tainted = true;
}

/* The daemon and perhaps the machine are gone. */
static void fall_dead(struct sim_world *w)
{
	close_all(w);
	if (sim_disk_dead(w->disk)) {
		enum sim_end how = sim_disk_ended_how(w->disk);

		if (how == SIM_POWER_CUT)
			after_power_cut(w);
		w->counts.kills += how == SIM_KILL;
		w->counts.cuts += how == SIM_POWER_CUT;
	}
	sim_disk_revive(w->disk);
	if (rng_one_in(&w->rng, 2))
		sim_disk_fill(w->disk, 0);
}

static bool is_new_boot(struct sim_world *w)
{
	_cleanup_free_ char *kept = NULL,
			    *now = sk_asprintf("%llu", (unsigned long long)w->boot_count);
	int r = sk_store_get_record(w->store, BOOT_RECORD, &kept, NULL, NULL);

	return r < 0 || !sk_streq(kept, now);
}

static int keep_boot(struct sim_world *w)
{
	char now[32];
	int n = snprintf(now, sizeof(now), "%llu", (unsigned long long)w->boot_count);

	return sk_store_put_record(w->store, BOOT_RECORD, now, (size_t)n, NULL);
}

static void mark_unsure(struct sim_world *w, uint64_t number)
{
	for (size_t i = 0; i < w->n_known; i++)
		if (number == 0 || w->known[i].gen.number == number)
			w->known[i].unsure = true;
}

/* Where the link leads on disk, before anything puts it right; 0 for nowhere. */
uint64_t sim_current_on_disk(struct sim_world *w)
{
	_cleanup_free_ char *text = NULL;
	struct sk_gen_link link = { 0 };
	size_t len;

	sim_disk_quiet(w->disk, true);
	if (sk_store_get_record(w->store, "current", &text, &len, NULL) == 0)
		(void)sk_gen_link_decode(text, len, &link);
	sim_disk_quiet(w->disk, false);
	return link.current;
}

/* What the daemon does first. 0 when it runs; else it ended again. */
static int start(struct sim_world *w)
{
	const struct sk_generation *running = NULL;
	struct sk_err err = SK_ERR_INIT;
	uint64_t current = 0;
	bool new_boot;
	int r = sk_store_open_fs(sim_disk_mount(w->disk), &w->store, &err);

	if (r == 0) {
		current = sim_current_on_disk(w);
		r = sk_generations_open(w->store, &w->gens, &err);
	}
	if (r < 0) {
		SIM_CHECK(sim_disk_dead(w->disk) || sim_disk_glitched(w->disk),
			  "the store does not open: %s", err.text);
		return r;
	}
	if (!sim_disk_dead(w->disk) && sk_generations_whole(w->gens))
		sim_check_link(w, current);
	new_boot = is_new_boot(w) && w->mutation != SIM_BOOTS_UNCOUNTED;
	SIM_CHECK(new_boot || !w->rebooted || sim_disk_dead(w->disk),
		  "the restart of the machine went unnoticed");
	r = sk_generations_boot(w->gens, new_boot, &running, &err);
	if (sim_disk_dead(w->disk)) {
		w->doing = w->doing == ACT_NONE ? ACT_BOOT : w->doing;
		/* Any part of it may have been recorded. */
		mark_unsure(w, 0);
		return -EIO;
	}
	w->glitchy = w->glitchy || sim_disk_glitched(w->disk);
	if (!sk_generations_whole(w->gens)) {
		/* It runs what it knows of; nothing must be lost for good when it is started again. */
		sim_check_verified(w);
		w->doing = w->doing == ACT_NONE ? ACT_BOOT : w->doing;
		mark_unsure(w, 0);
		return -EIO;
	}
	sim_check_start(w, new_boot, running);
	for (size_t i = 0; i < w->n_known; i++)
		w->known[i].unsure = r < 0;
	sim_learn(w);
	if (r < 0)
		mark_unsure(w, 0);
	if (r == 0) {
		w->rebooted = false;
		(void)keep_boot(w);
	}
	w->doing = ACT_NONE;
	return sim_disk_dead(w->disk) ? -EIO : 0;
}

static void restart_once(struct sim_world *w)
{
	do {
		fall_dead(w);
		w->was_glitchy = w->was_glitchy || w->glitchy;
		w->glitchy = false;
		(void)sim_disk_glitched(w->disk);
		plan_end(w, 5);
	} while (start(w) < 0);
	w->was_glitchy = false;
	sim_machine_start(w);
}

static void restart(struct sim_world *w)
{
	do
		restart_once(w);
	while (sim_disk_dead(w->disk));
}

/* Begins an action on generations, ends it: afterwards what it did is known, or it is unsure. */
void sim_begin(struct sim_world *w, enum sim_action action, uint64_t number)
{
	w->doing = action;
	w->doing_number = number;
}

void sim_end(struct sim_world *w, int r)
{
	if (sim_disk_dead(w->disk))
		return;
	w->glitchy = w->glitchy || sim_disk_glitched(w->disk);
	sim_learn(w);
	if (r < 0)
		mark_unsure(w, w->doing_number);
	sim_check_running(w);
	w->doing = ACT_NONE;
}

uint64_t sim_trying_number(const struct sim_world *w)
{
	const struct sk_generation *g = sk_generations_running(w->gens);

	return g && g->state == SK_GEN_TRYING ? g->number : 0;
}

static bool keep(void *arg, const struct sk_digest *d)
{
	struct sim_world *w = arg;
	size_t n;
	const struct sk_generation *all = sk_generations_all(w->gens, &n);

	for (unsigned k = 0; k < RELEASES; k++) {
		struct sim_release *rel = &w->releases[k];
		bool used = rel->wanted;

		for (size_t i = 0; i < n; i++)
			used = used || sk_digest_equal(&all[i].release, &rel->id);
		if (used && sk_digest_equal(&rel->id, d))
			return true;
		for (unsigned i = 0; used && i < RELEASE_IMAGES; i++)
			if (sk_digest_equal(&w->images[rel->images[i]].digest, d))
				return true;
	}
	return false;
}

static uint64_t running_number(const struct sim_world *w)
{
	const struct sk_generation *g = sk_generations_running(w->gens);

	return g ? g->number : 0;
}

static uint64_t good_number(const struct sim_world *w)
{
	const struct sk_generation *g = sk_generations_good(w->gens);

	return g ? g->number : 0;
}

void sim_collect(struct sim_world *w)
{
	uint64_t running = running_number(w), good = good_number(w);
	int r;

	sim_begin(w, ACT_COLLECT, 0);
	r = sk_generations_collect(w->gens, (unsigned)rng_below(&w->rng, 4), NULL);
	if (r == 0)
		r = sk_store_collect(w->store, keep, w, NULL, NULL, NULL);
	if (sim_disk_dead(w->disk))
		return;
	SIM_CHECK(running_number(w) == running, "the running generation %llu was collected",
		  (unsigned long long)running);
	SIM_CHECK(good_number(w) == good, "generation %llu, to fall back to, was collected",
		  (unsigned long long)good);
	w->glitchy = w->glitchy || sim_disk_glitched(w->disk);
	SIM_CHECK(r < 0 || w->glitchy || sim_disk_names_synced(w->disk, SK_FS_IMAGES),
		  "what was collected may come back");
	if (r == 0)
		sim_check_collected(w);
	w->counts.collected += r == 0;
	for (unsigned i = 0; i < IMAGES; i++)
		w->images[i].stored = sk_store_has(w->store, &w->images[i].digest);
	for (unsigned i = 0; i < RELEASES; i++)
		w->releases[i].stored = w->releases[i].stored && keep(w, &w->releases[i].id);
	sim_end(w, r);
}

/* The real rule about device type and version, asked with what is on record. */
static bool suits(struct sim_world *w, const struct sim_release *rel)
{
	static char *const mine[] = { (char *)"acme,box", NULL }, *const others[] = {
		(char *)"acme,boat", NULL
	};
	const struct sk_generation *floor = sk_generations_floor(w->gens);
	const struct sk_device_facts facts = {
		.compatible = mine,
		.project = floor ? floor->project : NULL,
		.version = floor ? floor->version : NULL,
	};
	const struct sk_manifest m = {
		.project = (char *)"sim",
		.version = (char *)rel->version,
		.compatible = (char **)(rel->for_us ? mine : others),
		.allow_downgrade = rel->back,
	};
	bool good = sk_release_suits(&m, &facts, NULL) == 0;

	w->counts.unsuitable += !good;
	return good;
}

static void intake(struct sim_world *w)
{
	struct sim_release *rel = &w->releases[rng_below(&w->rng, RELEASES)];
	char text[128];
	size_t len = sim_release_text(rel, text);

	/* The signature check is elsewhere; here what it refuses is never put down. */
	if (!rel->signed_right || !suits(w, rel))
		return;
	rel->wanted = true;
	if (sk_store_put_release(w->store, &rel->id, text, len, NULL) == 0) {
		rel->stored = true;
		rel->damaged = false;
	}
}

static bool complete(const struct sim_world *w, const struct sim_release *rel)
{
	for (unsigned i = 0; i < RELEASE_IMAGES; i++)
		if (!sk_store_has(w->store, &w->images[rel->images[i]].digest))
			return false;
	return rel->stored;
}

static void stage(struct sim_world *w)
{
	struct sim_release *rel = &w->releases[rng_below(&w->rng, RELEASES)];
	const struct sk_gen_new what = {
		.release = &rel->id,
		.project = "sim",
		.version = rel->version,
		.ephemeral = rel->ephemeral,
		.boots_max = rel->boots_max,
	};
	uint64_t number = 0, last = w->last_number;
	int r;

	if (!complete(w, rel) || !suits(w, rel))
		return;
	sim_begin(w, ACT_STAGE, 0);
	r = sk_generations_add(w->gens, &what, &number, NULL);
	if (r == 0) {
		struct sim_known *k = sim_known_of(w, number);

		SIM_CHECK(k || number > last, "number %llu is used twice",
			  (unsigned long long)number);
		SIM_CHECK(!k || k->gen.state == SK_GEN_STAGED || k->unsure,
			  "number %llu is given out again", (unsigned long long)number);
		w->last_number = SK_MAX(last, number);
		rel->wanted = false;
	}
	sim_end(w, r);
}

uint64_t sim_pick(struct sim_world *w, enum sk_gen_state state)
{
	size_t n, start_at;
	const struct sk_generation *all = sk_generations_all(w->gens, &n);

	start_at = rng_below(&w->rng, n);
	for (size_t i = 0; i < n; i++)
		if (all[(start_at + i) % n].state == state)
			return all[(start_at + i) % n].number;
	return 0;
}

/* All of it here, and still suitable: the daemon too asks both when it applies, not only at intake. */
bool sim_runnable(struct sim_world *w, uint64_t number)
{
	const struct sk_generation *g = sk_generations_get(w->gens, number);
	const struct sim_release *rel = g ? sim_release_of(w, &g->release) : NULL;

	return rel && complete(w, rel) && suits(w, rel);
}

static void cancel(struct sim_world *w)
{
	uint64_t number = sim_pick(w, SK_GEN_STAGED);
	int r;

	if (number == 0)
		return;
	sim_begin(w, ACT_CANCEL, number);
	r = sk_generations_cancel(w->gens, number, "no longer wanted", NULL);
	sim_end(w, r);
}

/* Found, and fetched again as the agent does it. */
static void rot_release(struct sim_world *w)
{
	struct sim_release *rel = &w->releases[rng_below(&w->rng, RELEASES)];
	_cleanup_free_ char *name = sk_asprintf("%s.skr", SK_DIGEST_STR(&rel->id));
	char text[128];
	size_t len = sim_release_text(rel, text);
	int r;

	if (!rel->stored || rel->damaged || !sim_disk_rot(w->disk, SK_FS_RELEASES, name))
		return;
	rel->damaged = true;
	do {
		r = sk_store_verify_release(w->store, &rel->id, NULL);
		SIM_CHECK(r != 0, "damage of release %s was not found", rel->version);
	} while (r == -EIO && !sim_disk_dead(w->disk));
	if (sk_store_put_release(w->store, &rel->id, text, len, NULL) == 0)
		rel->damaged = false;
	rel->stored = !rel->damaged;
}

static void rot(struct sim_world *w)
{
	struct sim_image *image = &w->images[rng_below(&w->rng, IMAGES)];
	int r;

	if (!sk_store_has(w->store, &image->digest) ||
	    !sim_disk_rot(w->disk, SK_FS_IMAGES, SK_DIGEST_STR(&image->digest)))
		return;
	image->stored = false;
	image->damaged = true;
	/* The system must see it before it is started from again: the checks look at all images. */
	do {
		r = sk_store_verify_image(w->store, &image->digest, NULL);
		SIM_CHECK(r != 0, "damage was not found");
	} while (r == -EIO && !sim_disk_dead(w->disk));
	w->glitchy = w->glitchy || sim_disk_glitched(w->disk);
	SIM_CHECK(w->glitchy || sim_disk_dead(w->disk) ||
			  sim_disk_names_synced(w->disk, SK_FS_IMAGES),
		  "a damaged image may come back");
	if (!sim_disk_dead(w->disk))
		rot_release(w);
}

void sim_reboot(struct sim_world *w)
{
	sim_disk_end_after(w->disk, 0, SIM_KILL);
	close_all(w);
	sim_disk_sync(w->disk);
	w->boot_count++;
	w->rebooted = true;
	w->counts.rebooted++;
	sim_parts_boot(w);
	restart(w);
}

static void shut_down(struct sim_world *w)
{
	if (rng_one_in(&w->rng, 2)) {
		sim_reboot(w);
		return;
	}
	sim_disk_end_after(w->disk, 0, SIM_KILL);
	close_all(w);
	restart(w);
}

static void fill_disk(struct sim_world *w)
{
	uint64_t level = rng_below(&w->rng, 3);

	sim_disk_fill(w->disk, level == 0   ? w->capacity - rng_below(&w->rng, 4096)
			       : level == 1 ? rng_below(&w->rng, w->capacity)
					    : 0);
}

void sim_world_step(struct sim_world *w)
{
	static const struct {
		unsigned weight;
		void (*act)(struct sim_world *w);
	} table[] = {
		{ 40, sim_upload },
		{ 24, sim_machine_step },
		{ 10, intake },
		{ 10, stage },
		{ 10, sim_machine_apply },
		{ 2, cancel },
		{ 2, sim_collect },
		{ 1, rot },
		{ 1, shut_down },
		{ 1, fill_disk },
	};
	unsigned dice = (unsigned)rng_below(&w->rng, 101);

	w->steps++;
	plan_end(w, 40);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (dice < table[i].weight) {
			table[i].act(w);
			break;
		}
		dice -= table[i].weight;
	}
	if (sim_disk_dead(w->disk))
		restart(w);
}

void sim_world_init(struct sim_world *w, uint64_t seed, enum sim_mutation mutation)
{
	memset(w, 0, sizeof(*w));
	w->rng.state = seed;
	w->mutation = mutation;
	sim_parts_init(&w->parts);
	w->capacity = 48 * 1024u << rng_below(&w->rng, 3);
	/* Some are large enough for the ballast. */
	if (rng_one_in(&w->rng, 8))
		w->capacity = 5u << 20;
	w->disk = sim_disk_new(&w->rng, w->capacity, mutation);
	make_contents(w);
	if (rng_one_in(&w->rng, 4))
		sim_disk_glitches(w->disk, 400 + rng_below(&w->rng, 4000));
	w->boot_count = 1;
	w->rebooted = true;
	restart(w);
}

void sim_world_done(struct sim_world *w)
{
	close_all(w);
	sim_disk_free(w->disk);
}
