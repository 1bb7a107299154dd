/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/str.h"
#include "engine/update/private.h"
#include "io/json.h"

/*
 * What was found damaged and taken out of use is missed here, for the agent to fetch again: of the running
 * generation, and of those that would be gone back to.
 */

void sk_update_missing_stale(struct sk_update *u)
{
	if (u->needed)
		sk_map_free(u->needed);
	u->needed = NULL;
}

/* Has an earlier one the same release? */
static bool seen(const struct sk_generation *all, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (all[k].state != SK_GEN_BAD && sk_digest_equal(&all[k].release, &all[i].release))
			return true;
	return false;
}

json_t *sk_update_missing_releases_json(const struct sk_update *u)
{
	json_t *list = json_array();
	size_t n;
	const struct sk_generation *all = sk_generations_all(u->gens, &n);

	for (size_t i = 0; i < n; i++) {
		const struct sk_digest *id = &all[i].release;

		if (all[i].state == SK_GEN_BAD || seen(all, i))
			continue;
		if (!sk_store_has_release(u->store, id) ||
		    sk_generations_is_aside(u->gens, all[i].number))
			(void)json_array_append_new(list, json_string(SK_DIGEST_STR(id)));
	}
	return list;
}

static int add_release(struct sk_update *u, struct sk_map *map, const struct sk_digest *id)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;

	if (u->target && sk_digest_equal(&u->target->id, id))
		return sk_update_claim(map, u->target->manifest);
	/* One that is lost comes back first; then its images are known. */
	return sk_update_load(u, id, &rel, NULL) < 0 ? 0 : sk_update_claim(map, rel->manifest);
}

/* Kept until generations change, as each release file has to be read for it. */
static const struct sk_map *needed(struct sk_update *u)
{
	_cleanup_(sk_map_freep) struct sk_map *map = u->needed ? NULL : sk_map_new(free);
	size_t n;
	const struct sk_generation *all = sk_generations_all(u->gens, &n);

	if (u->needed || !map)
		return u->needed;
	for (size_t i = 0; i < n; i++)
		if (all[i].state != SK_GEN_BAD && !seen(all, i) &&
		    add_release(u, map, &all[i].release) < 0)
			return NULL;
	u->needed = TAKE_PTR(map);
	return u->needed;
}

json_t *sk_update_missing_images_json(struct sk_update *u)
{
	const struct sk_map *map = needed(u);
	const char *hex;
	const uint64_t *size;
	json_t *list = json_array();

	if (!map)
		return list;
	SK_MAP_FOREACH (map, hex, size) {
		struct sk_digest d;

		if (sk_digest_parse(hex, &d) == 0 && !sk_store_has(u->store, &d))
			(void)json_array_append_new(list, sk_update_image_json(u, &d, *size));
	}
	return list;
}
