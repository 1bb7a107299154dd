/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/update/missing.h"

#include <errno.h>
#include <stdlib.h>

#include "base/map.h"
#include "engine/release/sizes.h"

/** struct sk_missing - @needed: digest -> size, of all images that generations need; NULL: to be read anew */
struct sk_missing {
	struct sk_store *store;
	const struct sk_generations *gens;
	struct sk_map *needed;
};

int sk_missing_new(struct sk_store *store, const struct sk_generations *gens,
		   struct sk_missing **ret, struct sk_err *err)
{
	struct sk_missing *m = calloc(1, sizeof(*m));

	if (!m)
		return sk_err_oom(err);
	m->store = store;
	m->gens = gens;
	*ret = m;
	return 0;
}

void sk_missing_free(struct sk_missing *m)
{
	if (!m)
		return;
	sk_missing_forget(m);
	free(m);
}

void sk_missing_forget(struct sk_missing *m)
{
	if (m->needed)
		sk_map_free(m->needed);
	m->needed = NULL;
}

/* Has an earlier generation the same release? */
static bool missing_seen(const struct sk_generation *all, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (all[k].state != SK_GEN_BAD && sk_digest_equal(&all[k].release, &all[i].release))
			return true;
	return false;
}

void sk_missing_releases(const struct sk_missing *m,
			 void (*each)(void *arg, const struct sk_digest *id), void *arg)
{
	size_t n;
	const struct sk_generation *all = sk_generations_all(m->gens, &n);

	for (size_t i = 0; i < n; i++) {
		const struct sk_digest *id = &all[i].release;

		if (all[i].state == SK_GEN_BAD || missing_seen(all, i))
			continue;
		if (!sk_store_has_release(m->store, id) ||
		    sk_generations_is_parked(m->gens, all[i].number))
			each(arg, id);
	}
}

static int missing_add_release(struct sk_missing *m, const struct sk_release *running,
			       struct sk_map *sizes, const struct sk_digest *id)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;

	if (running && sk_digest_equal(&running->id, id))
		return sk_sizes_add(sizes, running->manifest);
	/* One that is lost comes back first; then its images are known. */
	if (sk_release_load(m->store, id, &rel, NULL) < 0)
		return 0;
	return sk_sizes_add(sizes, rel->manifest);
}

/* Kept until generations change, as each release file has to be read for it. */
static const struct sk_map *missing_needed(struct sk_missing *m, const struct sk_release *running)
{
	_cleanup_(sk_map_freep) struct sk_map *sizes = m->needed ? NULL : sk_map_new(free);
	size_t n;
	const struct sk_generation *all = sk_generations_all(m->gens, &n);

	if (m->needed || !sizes)
		return m->needed;
	for (size_t i = 0; i < n; i++)
		if (all[i].state != SK_GEN_BAD && !missing_seen(all, i) &&
		    missing_add_release(m, running, sizes, &all[i].release) < 0)
			return NULL;
	m->needed = TAKE_PTR(sizes);
	return m->needed;
}

void sk_missing_images(struct sk_missing *m, const struct sk_release *running,
		       void (*each)(void *arg, const struct sk_digest *d, uint64_t size_bytes),
		       void *arg)
{
	const struct sk_map *sizes = missing_needed(m, running);
	const char *hex;
	const uint64_t *size;

	if (!sizes)
		return;
	SK_MAP_FOREACH (sizes, hex, size) {
		struct sk_digest d;

		if (sk_digest_parse(hex, &d) == 0 && !sk_store_has(m->store, &d))
			each(arg, &d, *size);
	}
}
