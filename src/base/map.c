/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/*
 * Entries stand in an array in the order of adding; a removed one leaves a hole (key NULL) that
 * the next growth closes. Buckets hold entry index + 1; 0 is empty, and linear probing goes on
 * over holes.
 */
struct entry {
	char *key;
	void *value;
	uint32_t hash;
};

struct sk_map {
	void (*free_value)(void *);
	struct entry *entries;
	uint32_t *buckets;
	size_t used;	  /* entries in the array, holes too */
	size_t len;	  /* live entries */
	size_t n_buckets; /* power of two, at least twice @used */
	uint32_t seed;
};

struct sk_map *sk_map_new(void (*free_value)(void *))
{
	struct sk_map *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->free_value = free_value;
	/* Keys come from strangers: the address differs in each process, so collisions can't be made. */
	m->seed = (uint32_t)((uintptr_t)m >> 4) * 2654435761u;
	return m;
}

void sk_map_free(struct sk_map *m)
{
	for (size_t i = 0; i < m->used; i++) {
		if (m->entries[i].key && m->free_value)
			m->free_value(m->entries[i].value);
		free(m->entries[i].key);
	}
	free(m->entries);
	free(m->buckets);
	free(m);
}

size_t sk_map_len(const struct sk_map *m)
{
	return m->len;
}

static uint32_t hash_key(const struct sk_map *m, const char *key)
{
	uint32_t h = 2166136261u ^ m->seed;

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 16777619u;
	return h ^ h >> 15;
}

static void place(struct sk_map *m, uint32_t index)
{
	size_t b = m->entries[index].hash & (m->n_buckets - 1);

	while (m->buckets[b])
		b = (b + 1) & (m->n_buckets - 1);
	m->buckets[b] = index + 1;
}

static struct entry *find(const struct sk_map *m, const char *key)
{
	uint32_t h;

	if (m->len == 0)
		return NULL;
	h = hash_key(m, key);
	for (size_t b = h & (m->n_buckets - 1); m->buckets[b]; b = (b + 1) & (m->n_buckets - 1)) {
		struct entry *e = &m->entries[m->buckets[b] - 1];

		if (e->key && e->hash == h && strcmp(e->key, key) == 0)
			return e;
	}
	return NULL;
}

static void close_holes(struct sk_map *m)
{
	size_t to = 0;

	for (size_t i = 0; i < m->used; i++)
		if (m->entries[i].key)
			m->entries[to++] = m->entries[i];
	m->used = to;
}

/* On failure the map is as it was, but for room that it does not need. */
static int make_room(struct sk_map *m)
{
	size_t n_buckets = SK_MAX(m->n_buckets, (size_t)16);
	struct entry *entries;
	uint32_t *buckets;

	if (m->used * 2 < m->n_buckets)
		return 0;
	while (n_buckets < (m->len + 1) * 4)
		n_buckets *= 2;
	entries = reallocarray(m->entries, n_buckets / 2, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	m->entries = entries;
	buckets = calloc(n_buckets, sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	free(m->buckets);
	m->buckets = buckets;
	m->n_buckets = n_buckets;
	close_holes(m);
	for (size_t i = 0; i < m->used; i++)
		place(m, (uint32_t)i);
	return 0;
}

void *sk_map_get(const struct sk_map *m, const char *key)
{
	const struct entry *e = find(m, key);

	return e ? e->value : NULL;
}

int sk_map_add(struct sk_map *m, const char *key, void *value)
{
	char *copy;
	int r;

	if (find(m, key))
		return -EEXIST;
	r = make_room(m);
	if (r < 0)
		return r;
	copy = strdup(key);
	if (!copy)
		return -ENOMEM;
	m->entries[m->used] = (struct entry){ copy, value, hash_key(m, key) };
	place(m, (uint32_t)m->used);
	m->used++;
	m->len++;
	return 0;
}

void *sk_map_take(struct sk_map *m, const char *key)
{
	struct entry *e = find(m, key);
	void *value;

	if (!e)
		return NULL;
	value = e->value;
	free(e->key);
	e->key = NULL;
	e->value = NULL;
	m->len--;
	return value;
}

void sk_map_del(struct sk_map *m, const char *key)
{
	void *value = sk_map_take(m, key);

	if (value && m->free_value)
		m->free_value(value);
}

int sk_map_next(const struct sk_map *m, size_t *pos, const char **key, void **value)
{
	for (; *pos < m->used; (*pos)++) {
		const struct entry *e = &m->entries[*pos];

		if (!e->key)
			continue;
		*key = e->key;
		*value = e->value;
		(*pos)++;
		return 1;
	}
	return 0;
}
