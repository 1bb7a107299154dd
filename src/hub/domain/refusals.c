/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/audit.h"
#include "hub/domain/refusals.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "hub/domain/limiter.h"

#define HOUR_MS (60 * 60 * 1000)

struct entry {
	uint64_t since_ms;
	uint64_t times; /* not written yet */
	struct sk_audit line;
	char *actor, *action, *object, *peer, *outcome; /* what @line points to */
};

struct sk_refusals {
	pthread_mutex_t lock;
	struct sk_map *entries;
	struct sk_limiter *lines; /* different ones, by actor */
	size_t keys_max;
};

static void entry_free(void *arg)
{
	struct entry *e = arg;

	free(e->actor);
	free(e->action);
	free(e->object);
	free(e->peer);
	free(e->outcome);
	free(e);
}
SK_DEFINE_CLEANUP(struct entry, entry_free);

static struct entry *entry_new(const struct sk_audit *a, uint64_t now_ms)
{
	_cleanup_(entry_freep) struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->since_ms = now_ms;
	e->actor = strdup(a->actor);
	e->action = strdup(a->action);
	e->object = a->object ? strdup(a->object) : NULL;
	e->peer = a->peer ? strdup(a->peer) : NULL;
	e->outcome = strdup(a->outcome);
	if (!e->actor || !e->action || !e->outcome || !e->object != !a->object ||
	    !e->peer != !a->peer)
		return NULL;
	e->line =
		(struct sk_audit){ a->org, e->actor, e->action, e->object, e->peer, e->outcome, 0 };
	return TAKE_PTR(e);
}

struct sk_refusals *sk_refusals_new(size_t keys_max)
{
	_cleanup_(sk_refusals_freep) struct sk_refusals *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	(void)pthread_mutex_init(&r->lock, NULL);
	r->keys_max = keys_max;
	r->entries = sk_map_new(entry_free);
	r->lines = sk_limiter_new(keys_max, HOUR_MS);
	return r->entries && r->lines ? TAKE_PTR(r) : NULL;
}

void sk_refusals_free(struct sk_refusals *r)
{
	if (r->entries)
		sk_map_free(r->entries);
	sk_limiter_freep(&r->lines);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

/* No part has a line break: names and slugs have none, and an object is cleaned. */
static char *key_of(const struct sk_audit *a)
{
	return sk_asprintf("%" PRId64 "\n%s\n%s\n%s\n%s\n%s", a->org, a->actor, a->action,
			   a->object ? a->object : "", a->peer ? a->peer : "", a->outcome);
}

static struct entry *refusals_find(const struct sk_refusals *r, const struct sk_audit *a)
{
	_cleanup_free_ char *key = key_of(a);

	return key ? sk_map_get(r->entries, key) : NULL;
}

static struct entry *refusals_add(struct sk_refusals *r, const struct sk_audit *a, uint64_t now_ms)
{
	_cleanup_(entry_freep) struct entry *e = entry_new(a, now_ms);
	_cleanup_free_ char *key = key_of(a);

	return e && key && sk_map_add(r->entries, key, e) == 0 ? TAKE_PTR(e) : NULL;
}

/* The line for all that has none of its own: of the actor, or when @full of the organisation. */
static struct sk_audit rest_of(const struct sk_audit *a, bool full)
{
	return (struct sk_audit){ .org = a->org,
				  .actor = full ? SK_REFUSALS_REST : a->actor,
				  .action = SK_REFUSALS_REST,
				  .outcome = SK_REFUSALS_REST };
}

static bool too_many(struct sk_refusals *r, const struct sk_audit *a, uint64_t now_ms)
{
	_cleanup_free_ char *key = sk_asprintf("%" PRId64 "\n%s", a->org, a->actor);

	return !key || sk_limiter_hit(r->lines, key, now_ms) > SK_REFUSALS_LINES;
}

static bool hit(struct sk_refusals *r, struct sk_audit *what, uint64_t now_ms)
{
	struct entry *e = refusals_find(r, what);

	if (!e) {
		bool full = sk_map_len(r->entries) >= r->keys_max;

		if (full || too_many(r, what, now_ms)) {
			*what = rest_of(what, full);
			e = refusals_find(r, what);
		}
	}
	if (e)
		e->times++;
	else
		(void)refusals_add(
			r, what, now_ms); /* without memory it is not counted, but still written */
	return !e;
}

bool sk_refusals_hit(struct sk_refusals *r, struct sk_audit *what, uint64_t now_ms)
{
	bool first;

	(void)pthread_mutex_lock(&r->lock);
	first = hit(r, what, now_ms);
	(void)pthread_mutex_unlock(&r->lock);
	return first;
}

void sk_refusals_missed(struct sk_refusals *r, const struct sk_audit *what)
{
	struct entry *e;

	(void)pthread_mutex_lock(&r->lock);
	e = refusals_find(r, what);
	if (e)
		e->times++;
	(void)pthread_mutex_unlock(&r->lock);
}

static bool refusals_over(const struct entry *e, uint64_t now_ms)
{
	return now_ms == UINT64_MAX ||
	       (now_ms >= e->since_ms && now_ms - e->since_ms >= SK_REFUSALS_WINDOW_MS);
}

static int write_counts(struct sk_refusals *r, struct sk_conn *c, uint64_t now_ms,
			struct sk_err *err)
{
	const char *key;
	struct entry *e;
	int ret = 0;

	SK_MAP_FOREACH (r->entries, key, e) {
		if (ret == 0 && e->times > 0 && refusals_over(e, now_ms)) {
			e->line.times = e->times;
			ret = c->audit->add(c, &e->line, err);
		}
	}
	return ret;
}

static int write_all(struct sk_refusals *r, struct sk_db *db, uint64_t now_ms, struct sk_err *err)
{
	struct sk_conn *c;
	int ret = sk_db_begin(db, &c, err);

	if (ret < 0)
		return ret;
	ret = write_counts(r, c, now_ms, err);
	return sk_db_end(c, ret, err);
}

/* Forgets windows that ended without a count. Return: is there anything to write? */
static bool forget(struct sk_refusals *r, uint64_t now_ms, bool written)
{
	const char *key;
	struct entry *e;
	bool left = false;

	SK_MAP_FOREACH (r->entries, key, e) {
		if (!refusals_over(e, now_ms))
			continue;
		if (written || e->times == 0)
			sk_map_del(r->entries, key);
		else
			left = true;
	}
	return left;
}

int sk_refusals_flush(struct sk_refusals *r, struct sk_db *db, uint64_t now_ms, struct sk_err *err)
{
	int ret = 0;

	/* Held while it is written: nothing is counted in what is about to be forgotten. */
	(void)pthread_mutex_lock(&r->lock);
	if (forget(r, now_ms, false)) {
		ret = write_all(r, db, now_ms, err);
		if (ret == 0)
			(void)forget(r, now_ms, true);
	}
	(void)pthread_mutex_unlock(&r->lock);
	return ret;
}
