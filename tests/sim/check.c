/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "model/version.h"
#include "world.h"

/* What must hold, whatever was cut off and when. */

#define N(number) ((unsigned long long)(number))

struct sim_known *sim_known_of(struct sim_world *w, uint64_t number)
{
	for (size_t i = 0; i < w->n_known; i++)
		if (w->known[i].gen.number == number)
			return &w->known[i];
	return NULL;
}

const struct sim_release *sim_release_of(const struct sim_world *w, const struct sk_digest *id)
{
	for (unsigned i = 0; i < RELEASES; i++)
		if (sk_digest_equal(&w->releases[i].id, id))
			return &w->releases[i];
	return NULL;
}

static bool is_doing(const struct sim_world *w, enum sim_action action, uint64_t number)
{
	return w->doing == action && (w->doing_number == 0 || w->doing_number == number);
}

/* A restart of the machine ends no attempt before its boots are spent, but where a boot could not be counted. */
static bool ended_by_boot(const struct sim_world *w, const struct sk_generation *from,
			  const struct sk_generation *to)
{
	bool full = sim_disk_left(w->disk) < 16384 && strstr(to->reason, "could not be recorded");

	return full || from->ephemeral || from->boots >= from->boots_max || w->doing != ACT_NONE ||
	       w->glitchy || w->was_glitchy;
}

/* May @from have become @to by what was going on, and by this start? */
static bool explained(const struct sim_world *w, const struct sk_generation *from,
		      const struct sk_generation *to, bool new_boot)
{
	uint64_t n = from->number;

	if (from->state == to->state)
		return true;
	if (from->state == SK_GEN_STAGED && to->state == SK_GEN_TRYING)
		return is_doing(w, ACT_APPLY, n);
	if (from->state == SK_GEN_TRYING && to->state == SK_GEN_GOOD)
		return is_doing(w, ACT_HEALTHY, n);
	if (from->state == SK_GEN_TRYING && to->state == SK_GEN_BAD)
		return (new_boot && ended_by_boot(w, from, to)) || w->doing == ACT_BOOT ||
		       is_doing(w, ACT_UNHEALTHY, n) || is_doing(w, ACT_CANCEL, n);
	if (from->state == SK_GEN_STAGED && to->state == SK_GEN_BAD)
		return is_doing(w, ACT_CANCEL, n) ||
		       /* It was tried, and the restart ended that at once. */
		       (new_boot && is_doing(w, ACT_APPLY, n));
	return false;
}

static void check_known(struct sim_world *w, const struct sim_known *k, bool new_boot)
{
	const struct sk_generation *now = sk_generations_get(w->gens, k->gen.number);
	const char *was = sk_gen_state_name(k->gen.state);
	uint32_t spent;

	if (!now) {
		bool ended = (new_boot || w->doing == ACT_BOOT) && k->gen.ephemeral &&
			     (k->gen.state == SK_GEN_GOOD || k->unsure ||
			      is_doing(w, ACT_HEALTHY, k->gen.number));

		SIM_CHECK(ended || k->unsure || w->doing == ACT_COLLECT,
			  "generation %llu (%s) is lost", N(k->gen.number), was);
		SIM_CHECK(k->gen.number != w->floor, "the good generation %llu is lost",
			  N(w->floor));
		return;
	}
	SIM_CHECK(sk_digest_equal(&now->release, &k->gen.release) &&
			  sk_streq(now->version, k->gen.version) &&
			  now->ephemeral == k->gen.ephemeral,
		  "generation %llu is another one now", N(now->number));
	SIM_CHECK(k->unsure || explained(w, &k->gen, now, new_boot),
		  "generation %llu was %s and is %s", N(now->number), was,
		  sk_gen_state_name(now->state));
	SIM_CHECK(k->gen.state != SK_GEN_GOOD || now->state == SK_GEN_GOOD,
		  "generation %llu was good and is %s", N(now->number),
		  sk_gen_state_name(now->state));
	spent = k->boots_seen + (new_boot && k->gen.state == SK_GEN_TRYING && !w->glitchy);
	SIM_CHECK(now->state != SK_GEN_TRYING || now->boots >= spent,
		  "generation %llu has %u boots, %u were spent", N(now->number), now->boots, spent);
}

/* Those that were not known: only one that was being staged can have come. */
static void check_new(struct sim_world *w)
{
	size_t n;
	const struct sk_generation *all = sk_generations_all(w->gens, &n);

	for (size_t i = 0; i < n; i++) {
		SIM_CHECK(i == 0 || all[i - 1].number < all[i].number, "numbers out of order");
		SIM_CHECK(all[i].boots <= all[i].boots_max, "generation %llu: %u of %u boots",
			  N(all[i].number), all[i].boots, all[i].boots_max);
		if (sim_known_of(w, all[i].number))
			continue;
		SIM_CHECK(all[i].number > w->last_number || w->was_glitchy,
			  "generation %llu came back", N(all[i].number));
		SIM_CHECK(w->doing == ACT_STAGE || w->was_glitchy,
			  "generation %llu came from nowhere", N(all[i].number));
	}
}

static int check_image(void *arg, const struct sk_digest *d, uint64_t size_bytes)
{
	struct sim_world *w = arg;
	int r = sk_store_verify_image(w->store, d, NULL);
	bool known = false;

	for (unsigned i = 0; i < IMAGES; i++)
		known = known || (w->images[i].damaged && sk_digest_equal(&w->images[i].digest, d));
	SIM_CHECK(r == 0 || known, "image %s is listed and wrong", SK_DIGEST_STR(d));
	return 0;
}

static void check_store(struct sim_world *w)
{
	int r = sk_store_list(w->store, check_image, w);

	SIM_CHECK(r == 0, "images cannot be listed");
	for (unsigned i = 0; i < IMAGES; i++) {
		bool has = sk_store_has(w->store, &w->images[i].digest);

		SIM_CHECK(!w->images[i].stored || has || w->doing == ACT_COLLECT || w->glitchy,
			  "image %u is lost", i);
		SIM_CHECK(!has || w->glitchy ||
				  sk_store_part_bytes(w->store, &w->images[i].digest) == 0,
			  "image %u is listed, and its part is there too", i);
		w->images[i].stored = has;
		if (has)
			w->images[i].damaged = false;
	}
	/* What a disk with errors does not let go is removed at a later start. */
	SIM_CHECK(w->glitchy || (!sim_disk_has_prefix(w->disk, SK_FS_RECORDS, SK_FS_TMP_PREFIX) &&
				 !sim_disk_has_prefix(w->disk, SK_FS_RELEASES, SK_FS_TMP_PREFIX)),
		  "temporary files are left");
}

static void check_release(struct sim_world *w, struct sim_release *rel)
{
	_cleanup_free_ char *got = NULL;
	char want[128];
	size_t len, want_len = sim_release_text(rel, want);
	int r = sk_store_get_release(w->store, &rel->id, &got, &len, NULL);

	if (r == 0)
		SIM_CHECK(len == want_len && memcmp(got, want, len) == 0,
			  "release file %s is damaged", rel->version);
	else
		SIM_CHECK(!rel->stored || rel->damaged || w->doing == ACT_COLLECT || w->glitchy,
			  "release file %s is lost", rel->version);
	rel->stored = r == 0;
}

/* Whatever else is wrong: what runs was verified. */
void sim_check_verified(const struct sim_world *w)
{
	const struct sk_generation *run = sk_generations_running(w->gens);
	const struct sim_release *rel = run ? sim_release_of(w, &run->release) : NULL;

	SIM_CHECK(!run || (rel && rel->verified),
		  "generation %llu runs a release that was not verified", N(run->number));
}

/* It can be started: its release file and its images are here. */
static void check_bootable(struct sim_world *w, const struct sk_generation *gen, const char *as)
{
	const struct sim_release *rel = sim_release_of(w, &gen->release);

	SIM_CHECK(rel && (rel->stored || rel->damaged || w->glitchy),
		  "generation %llu, %s, has no release file", N(gen->number), as);
	for (unsigned i = 0; i < RELEASE_IMAGES; i++) {
		const struct sim_image *image = &w->images[rel->images[i]];

		SIM_CHECK(image->damaged || w->glitchy || sk_store_has(w->store, &image->digest),
			  "generation %llu, %s, is without its image %u", N(gen->number), as,
			  rel->images[i]);
	}
}

static void check_running(struct sim_world *w)
{
	const struct sk_generation *run = sk_generations_running(w->gens);
	const struct sk_generation *good = sk_generations_good(w->gens);
	const struct sk_generation *floor = sk_generations_floor(w->gens);

	SIM_CHECK(run || w->floor == 0, "nothing runs, though generation %llu was good",
		  N(w->floor));
	if (!run)
		return;
	SIM_CHECK(run->state == SK_GEN_TRYING || run->state == SK_GEN_GOOD,
		  "generation %llu runs and is %s", N(run->number), sk_gen_state_name(run->state));
	sim_check_verified(w);
	check_bootable(w, run, "which runs");
	/* What a failure or a power cut would lead back to. */
	if (good)
		check_bootable(w, good, "the newest good one");
	if (floor)
		check_bootable(w, floor, "the newest good one that lasts");
}

void sim_check_running(struct sim_world *w)
{
	sim_disk_quiet(w->disk, true);
	check_running(w);
	sim_disk_quiet(w->disk, false);
}

static void check_floor(struct sim_world *w)
{
	const struct sk_generation *floor = sk_generations_floor(w->gens);

	SIM_CHECK(w->floor == 0 || (floor && floor->number >= w->floor),
		  "the newest good generation was %llu and is %llu", N(w->floor),
		  N(floor ? floor->number : 0));
}

/* At the start, before anything else was done. */
static void check_start(struct sim_world *w, bool new_boot, const struct sk_generation *running)
{
	for (size_t i = 0; i < w->n_known; i++)
		check_known(w, &w->known[i], new_boot);
	check_new(w);
	check_store(w);
	for (unsigned i = 0; i < RELEASES; i++)
		check_release(w, &w->releases[i]);
	check_floor(w);
	check_running(w);
	SIM_CHECK(!new_boot || !running || !running->ephemeral,
		  "the ephemeral generation %llu runs after a reboot", N(running->number));
}

/* Whatever was cut off: the link leads to one that proved good, and that a reboot leaves. */
void sim_check_link(struct sim_world *w, uint64_t current)
{
	const struct sk_generation *gen = sk_generations_get(w->gens, current);

	SIM_CHECK(current == 0 || w->was_glitchy || w->glitchy ||
			  (gen && gen->state == SK_GEN_GOOD && !gen->ephemeral),
		  "the link leads to generation %llu, which is %s", N(current),
		  gen ? sk_gen_state_name(gen->state) : "not there");
}

void sim_check_start(struct sim_world *w, bool new_boot, const struct sk_generation *running)
{
	sim_disk_quiet(w->disk, true);
	check_start(w, new_boot, running);
	sim_disk_quiet(w->disk, false);
}

/* No way leads to an older version but a release that is signed for it. */
static void check_version(struct sim_world *w, const struct sk_generation *floor)
{
	const struct sim_release *rel = floor ? sim_release_of(w, &floor->release) : NULL;
	bool older = floor && w->floor_version[0] &&
		     sk_version_cmp(floor->version, w->floor_version) < 0;

	SIM_CHECK(!older || (rel && rel->back),
		  "version %s of generation %llu is older than %s, and not signed for that",
		  floor ? floor->version : "", N(floor ? floor->number : 0), w->floor_version);
	w->counts.downgrades += older;
	(void)snprintf(w->floor_version, sizeof(w->floor_version), "%s",
		       floor ? floor->version : "");
}

/* From now on this is what must be remembered. */
void sim_learn(struct sim_world *w)
{
	const struct sk_generation *floor = sk_generations_floor(w->gens);
	struct sim_known old[SK_GENERATIONS_MAX];
	size_t n, n_old = w->n_known;
	const struct sk_generation *all = sk_generations_all(w->gens, &n);

	check_floor(w);
	check_version(w, floor);
	w->floor = floor ? floor->number : 0;
	memcpy(old, w->known, n_old * sizeof(old[0]));
	w->n_known = n;
	for (size_t i = 0, k = 0; i < n; i++) {
		while (k < n_old && old[k].gen.number < all[i].number)
			k++;
		w->known[i] = (struct sim_known){ .gen = all[i] };
		if (k < n_old && old[k].gen.number == all[i].number)
			w->known[i].unsure = old[k].unsure;
		if (all[i].state == SK_GEN_TRYING)
			w->known[i].boots_seen = all[i].boots;
		w->last_number = SK_MAX(w->last_number, all[i].number);
	}
}

static int check_reachable(void *arg, const struct sk_digest *d, uint64_t size_bytes)
{
	struct sim_world *w = arg;
	size_t n;
	const struct sk_generation *all = sk_generations_all(w->gens, &n);

	for (unsigned r = 0; r < RELEASES; r++) {
		struct sim_release *rel = &w->releases[r];
		bool used = rel->wanted;

		for (size_t i = 0; i < n; i++)
			used = used || sk_digest_equal(&all[i].release, &rel->id);
		for (unsigned i = 0; used && i < RELEASE_IMAGES; i++)
			if (sk_digest_equal(&w->images[rel->images[i]].digest, d))
				return 0;
	}
	sim_violation("image %s was not collected", SK_DIGEST_STR(d));
}

void sim_check_collected(struct sim_world *w)
{
	sim_disk_quiet(w->disk, true);
	SIM_CHECK(sk_store_list(w->store, check_reachable, w) == 0, "images cannot be listed");
	sim_disk_quiet(w->disk, false);
}
