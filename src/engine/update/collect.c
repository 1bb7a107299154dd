/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "base/log.h"
#include "base/str.h"
#include "engine/update/private.h"

static int mark(struct sk_map *keep, const struct sk_digest *d)
{
	int r = sk_map_add(keep, SK_DIGEST_STR(d), keep);

	return r == -EEXIST ? 0 : r;
}

static int mark_release(struct sk_update *u, struct sk_map *keep, const struct sk_digest *id)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	int r = mark(keep, id);

	if (r == 0)
		r = sk_update_load(u, id, &rel, NULL);
	for (size_t i = 0; r == 0 && i < rel->manifest->n_images; i++)
		r = mark(keep, &rel->manifest->images[i].digest);
	return r;
}

/*
 * A generation whose release cannot be read stops the collection, as what it needs is not known; one
 * that was set aside for that only while another one runs in its place.
 */
static int mark_generations(struct sk_update *u, struct sk_map *keep)
{
	bool instead = sk_generations_running(u->gens) != NULL;
	size_t n;
	const struct sk_generation *all = sk_generations_all(u->gens, &n);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		if (all[i].state != SK_GEN_BAD &&
		    !(instead && sk_generations_is_aside(u->gens, all[i].number)))
			r = mark_release(u, keep, &all[i].release);
	return r;
}

/* One that cannot be read is useless as well: it goes, and can be loaded again. */
static int mark_kept(struct sk_update *u, struct sk_map *keep)
{
	int r = 0;

	SK_STRV_FOREACH (hex, u->kept) {
		struct sk_digest id;

		if (r == 0 && sk_digest_parse(*hex, &id) == 0)
			r = mark_release(u, keep, &id);
		if (r < 0 && r != -ENOMEM)
			r = 0;
	}
	return r;
}

/* Whatever made it: an image with a capsule stays. */
static int mark_capsules(struct sk_update *u, struct sk_map *keep)
{
	struct sk_capsule *c;
	size_t pos = 0;
	int r = 0;

	while (r == 0 && (c = sk_engine_next(u->engine, &pos))) {
		struct sk_capsule_view v;

		sk_capsule_view(c, &v);
		r = mark(keep, &v.image);
	}
	return r;
}

struct keeping {
	struct sk_update *u;
	struct sk_map *keep;
};

static bool is_kept(void *arg, const struct sk_digest *d)
{
	const struct keeping *k = arg;

	return sk_map_get(k->keep, SK_DIGEST_STR(d)) || sk_update_uploading(k->u, d) ||
	       (k->u->keep_image && k->u->keep_image(k->u->keep_arg, d));
}

void sk_update_collect(struct sk_update *u)
{
	_cleanup_(sk_map_freep) struct sk_map *keep = sk_map_new(NULL);
	struct keeping k = { u, keep };
	struct sk_err err = SK_ERR_INIT;
	uint64_t freed = 0;
	char size[32];
	int r;

	if (!keep)
		return;
	r = sk_generations_collect(u->gens, SK_UPDATE_KEEP_GOOD, &err);
	if (r == 0)
		r = mark_generations(u, keep);
	if (r == 0)
		r = mark_kept(u, keep);
	if (r == 0)
		r = mark_capsules(u, keep);
	if (r == 0)
		r = sk_store_collect(u->store, is_kept, &k, &freed, &err);
	sk_update_missing_stale(u);
	if (u->claimed)
		sk_map_free(u->claimed);
	u->claimed = NULL;
	if (r < 0)
		sk_warning("nothing collected: %s",
			   err.text[0] ? err.text : "a release is damaged");
	else if (freed > 0)
		sk_info("collected %s that nothing needs", sk_format_size(size, freed));
}
