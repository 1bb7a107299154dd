/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void freeing_free(struct sk_freeing *f)
{
	struct sk_freeing **at = &f->u->freeing;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	if (f->child)
		sk_child_free(f->child);
	free(f);
}

void sk_update_freeing_done(struct sk_update *u)
{
	while (u->freeing)
		freeing_free(u->freeing);
}

/* It is the last to close them, as it ends only after we did. */
static int free_task(void *arg)
{
	const struct sk_freeing *f = arg;
	char c;

	return read(f->gate, &c, 1) < 0;
}

static void on_freed(void *arg, int status, const char *out, const char *err_tail)
{
	struct sk_freeing *f = arg;

	sk_store_settle(f->u->store);
	freeing_free(f);
}

static int start_freeing(struct sk_update *u, const struct sk_store_removed *removed, int gate)
{
	struct sk_freeing *f = calloc(1, sizeof(*f));
	int fds[SK_STORE_REMOVED_MAX + 1];
	struct sk_task task = {
		.run = free_task, .arg = f, .keep_fds = fds, .n_keep = removed->n + 1
	};
	int r;

	if (!f)
		return -ENOMEM;
	memcpy(fds, removed->fds, removed->n * sizeof(*fds));
	fds[removed->n] = gate;
	*f = (struct sk_freeing){ .next = u->freeing, .u = u, .gate = gate };
	u->freeing = f;
	r = sk_child_task(u->event, &task, on_freed, f, &f->child, NULL);
	if (r < 0)
		freeing_free(f);
	return r;
}

/* Without a child it is done here, late rather than never. */
static void free_in_child(struct sk_update *u, struct sk_store_removed *removed)
{
	int gate[2] = { -1, -1 };

	if (removed->n > 0 && pipe2(gate, O_CLOEXEC) == 0)
		(void)start_freeing(u, removed, gate[0]);
	sk_store_removed_close(u->store, removed);
	if (gate[0] >= 0) {
		(void)close(gate[0]);
		(void)close(gate[1]);
	}
}

static int mark_all(struct sk_update *u, struct sk_map *keep, struct sk_err *err)
{
	int r = sk_generations_collect(u->gens, SK_UPDATE_KEEP_GOOD, err);

	if (r == 0)
		r = mark_generations(u, keep);
	if (r == 0)
		r = mark_kept(u, keep);
	return r == 0 ? mark_capsules(u, keep) : r;
}

static void collect(struct sk_update *u, struct sk_store_removed *removed)
{
	_cleanup_(sk_map_freep) struct sk_map *keep = sk_map_new(NULL);
	struct keeping k = { u, keep };
	struct sk_err err = SK_ERR_INIT;
	uint64_t freed = 0;
	char size[32];
	int r;

	if (!keep)
		return;
	r = mark_all(u, keep, &err);
	if (r == 0)
		r = sk_store_collect(u->store, is_kept, &k, removed, &freed, &err);
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

void sk_update_collect(struct sk_update *u)
{
	struct sk_store_removed removed = { .n = 0 };

	collect(u, &removed);
	free_in_child(u, &removed);
}

void sk_update_make_room(struct sk_update *u)
{
	collect(u, NULL);
}
