/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/claims/claims.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "engine/release/release.h"
#include "io/sys/child.h"

#define CLAIMANTS_MAX 8

/**
 * struct freeing - a child that gives back the room of removed files
 * Freeing the blocks of a large file takes its time; they are free when the last descriptor is closed.
 * @gate: read end of a pipe whose other end this process closes after its own descriptors
 */
struct freeing {
	struct freeing *next;
	struct sk_claims *c;
	struct sk_child *child;
	int gate;
};

struct sk_claims {
	sd_event *event;
	struct sk_store *store;
	struct sk_claimant who[CLAIMANTS_MAX];
	size_t n_who;
	struct freeing *freeing;
};

struct sk_marks {
	struct sk_claims *c;
	struct sk_map *keep;
};

int sk_claims_new(sd_event *event, struct sk_store *store, struct sk_claims **ret,
		  struct sk_err *err)
{
	struct sk_claims *c = calloc(1, sizeof(*c));

	if (!c)
		return sk_err_oom(err);
	c->event = sd_event_ref(event);
	c->store = store;
	*ret = c;
	return 0;
}

static void freeing_free(struct freeing *f)
{
	struct freeing **at = &f->c->freeing;

	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	if (f->child)
		sk_child_free(f->child);
	free(f);
}

void sk_claims_free(struct sk_claims *c)
{
	if (!c)
		return;
	while (c->freeing)
		freeing_free(c->freeing);
	(void)sd_event_unref(c->event);
	free(c);
}

int sk_claims_register(struct sk_claims *c, const struct sk_claimant *who, struct sk_err *err)
{
	if (c->n_who == CLAIMANTS_MAX)
		return sk_err_set(err, -ENOSPC, "too-many", "no more than %d claimants",
				  CLAIMANTS_MAX);
	c->who[c->n_who++] = *who;
	return 0;
}

int sk_marks_image(struct sk_marks *m, const struct sk_digest *d)
{
	int r = sk_map_add(m->keep, SK_DIGEST_STR(d), m);

	return r == -EEXIST ? 0 : r;
}

int sk_marks_release(struct sk_marks *m, const struct sk_digest *id, struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	int r = sk_marks_image(m, id);

	if (r < 0)
		return sk_err_oom(err);
	r = sk_release_load(m->c->store, id, &rel, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < rel->manifest->n_images; i++)
		if (sk_marks_image(m, &rel->manifest->images[i].digest) < 0)
			return sk_err_oom(err);
	return 0;
}

static bool claims_keep(void *arg, const struct sk_digest *d)
{
	const struct sk_marks *m = arg;

	if (sk_map_get(m->keep, SK_DIGEST_STR(d)))
		return true;
	for (size_t i = 0; i < m->c->n_who; i++) {
		const struct sk_claimant *who = &m->c->who[i];

		if (who->needs && who->needs(who->arg, d))
			return true;
	}
	return false;
}

/* In the child. Its copies of the descriptors are the last ones, as it ends only after the gate is closed. */
static int freeing_task(void *arg)
{
	const struct freeing *f = arg;
	char c;

	return read(f->gate, &c, 1) < 0;
}

static void on_freed(void *arg, int status, const char *out, const char *err_tail)
{
	struct freeing *f = arg;

	sk_store_refill_ballast(f->c->store);
	freeing_free(f);
}

static int start_freeing(struct sk_claims *c, const struct sk_store_removed *removed, int gate)
{
	struct freeing *f = calloc(1, sizeof(*f));
	int fds[SK_STORE_REMOVED_MAX + 1];
	struct sk_task task = {
		.run = freeing_task, .arg = f, .keep_fds = fds, .n_keep = removed->n + 1
	};
	int r;

	if (!f)
		return -ENOMEM;
	memcpy(fds, removed->fds, removed->n * sizeof(*fds));
	fds[removed->n] = gate;
	*f = (struct freeing){ .next = c->freeing, .c = c, .gate = gate };
	c->freeing = f;
	r = sk_child_task(c->event, &task, on_freed, f, &f->child, NULL);
	if (r < 0)
		freeing_free(f);
	return r;
}

/* Where no child can be had, closing the descriptors frees the blocks here. */
static void free_in_child(struct sk_claims *c, struct sk_store_removed *removed)
{
	int gate[2] = { -1, -1 };

	if (removed->n > 0 && pipe2(gate, O_CLOEXEC) == 0)
		(void)start_freeing(c, removed, gate[0]);
	sk_store_removed_close(c->store, removed);
	if (gate[0] >= 0) {
		(void)close(gate[0]);
		(void)close(gate[1]);
	}
}

static int claims_mark_all(struct sk_claims *c, struct sk_marks *m, struct sk_err *err)
{
	for (size_t i = 0; i < c->n_who; i++) {
		int r = c->who[i].mark ? c->who[i].mark(c->who[i].arg, m, err) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static int claims_collect_marked(struct sk_claims *c, struct sk_store_removed *removed,
				 uint64_t *ret_freed, struct sk_err *err)
{
	_cleanup_(sk_map_freep) struct sk_map *keep = sk_map_new(NULL);
	struct sk_marks m = { .c = c, .keep = keep };
	int r;

	if (!keep)
		return sk_err_oom(err);
	r = claims_mark_all(c, &m, err);
	return r < 0 ? r : sk_store_collect(c->store, claims_keep, &m, removed, ret_freed, err);
}

static void claims_collect(struct sk_claims *c, struct sk_store_removed *removed)
{
	struct sk_err err = SK_ERR_INIT;
	uint64_t freed = 0;
	char size[32];
	int r = claims_collect_marked(c, removed, &freed, &err);

	for (size_t i = 0; i < c->n_who; i++)
		if (c->who[i].collected)
			c->who[i].collected(c->who[i].arg);
	if (r < 0)
		sk_warning("nothing collected: %s", err.text);
	else if (freed > 0)
		sk_info("collected %s that nothing needs", sk_format_size(size, freed));
}

void sk_claims_collect(struct sk_claims *c)
{
	struct sk_store_removed removed = { .n = 0 };

	claims_collect(c, &removed);
	free_in_child(c, &removed);
}

void sk_claims_make_room(struct sk_claims *c)
{
	claims_collect(c, NULL);
}

pid_t sk_claims_freeing(const struct sk_claims *c)
{
	return c->freeing ? sk_child_pid(c->freeing->child) : 0;
}
