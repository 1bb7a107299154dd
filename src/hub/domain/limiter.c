/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/domain/limiter.h"

#include <pthread.h>

#include "base/map.h"

struct entry {
	uint64_t since_ms;
	unsigned count;
};

struct sk_limiter {
	pthread_mutex_t lock;
	struct sk_map *entries;
	size_t keys_max;
	uint64_t window_ms;
};

struct sk_limiter *sk_limiter_new(size_t keys_max, uint64_t window_ms)
{
	struct sk_limiter *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->entries = sk_map_new(free);
	if (!l->entries) {
		free(l);
		return NULL;
	}
	(void)pthread_mutex_init(&l->lock, NULL);
	l->keys_max = keys_max;
	l->window_ms = window_ms;
	return l;
}

void sk_limiter_free(struct sk_limiter *l)
{
	sk_map_free(l->entries);
	(void)pthread_mutex_destroy(&l->lock);
	free(l);
}

static bool limiter_over(const struct sk_limiter *l, const struct entry *e, uint64_t now_ms)
{
	return now_ms - e->since_ms >= l->window_ms;
}

/* Drops what expired; when that is nothing, the oldest: the map keeps the order of adding. */
static void make_room(struct sk_limiter *l, uint64_t now_ms)
{
	const char *key, *oldest = NULL;
	struct entry *e;

	SK_MAP_FOREACH (l->entries, key, e) {
		if (limiter_over(l, e, now_ms))
			sk_map_del(l->entries, key);
		else if (!oldest)
			oldest = key;
	}
	if (sk_map_len(l->entries) >= l->keys_max && oldest)
		sk_map_del(l->entries, oldest);
}

static struct entry *limiter_find(struct sk_limiter *l, const char *key, uint64_t now_ms)
{
	struct entry *e = sk_map_get(l->entries, key);

	if (e && limiter_over(l, e, now_ms)) {
		sk_map_del(l->entries, key);
		return NULL;
	}
	return e;
}

unsigned sk_limiter_count(struct sk_limiter *l, const char *key, uint64_t now_ms)
{
	const struct entry *e;
	unsigned n;

	(void)pthread_mutex_lock(&l->lock);
	e = limiter_find(l, key, now_ms);
	n = e ? e->count : 0;
	(void)pthread_mutex_unlock(&l->lock);
	return n;
}

static struct entry *limiter_add(struct sk_limiter *l, const char *key, uint64_t now_ms)
{
	struct entry *e;

	if (sk_map_len(l->entries) >= l->keys_max)
		make_room(l, now_ms);
	e = calloc(1, sizeof(*e));
	if (e && sk_map_add(l->entries, key, e) < 0) {
		free(e);
		e = NULL;
	}
	if (e)
		e->since_ms = now_ms;
	return e;
}

unsigned sk_limiter_hit(struct sk_limiter *l, const char *key, uint64_t now_ms)
{
	struct entry *e;
	unsigned n = UINT32_MAX; /* without memory to count: refuse */

	(void)pthread_mutex_lock(&l->lock);
	e = limiter_find(l, key, now_ms);
	if (!e)
		e = limiter_add(l, key, now_ms);
	if (e)
		n = ++e->count;
	(void)pthread_mutex_unlock(&l->lock);
	return n;
}

void sk_limiter_forget(struct sk_limiter *l, const char *key)
{
	(void)pthread_mutex_lock(&l->lock);
	sk_map_del(l->entries, key);
	(void)pthread_mutex_unlock(&l->lock);
}

void sk_limiter_forgive(struct sk_limiter *l, const char *key, uint64_t now_ms)
{
	struct entry *e;

	(void)pthread_mutex_lock(&l->lock);
	e = limiter_find(l, key, now_ms);
	if (e && e->count > 0)
		e->count--;
	(void)pthread_mutex_unlock(&l->lock);
}
