/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/macros.h"

/**
 * struct sk_map - string keys to pointers, in the order of their adding
 *
 * Keys are copied. Values are owned when a free function was given. Finding is O(1) on average.
 */
struct sk_map;

struct sk_map *sk_map_new(void (*free_value)(void *));
void sk_map_free(struct sk_map *m);
SK_DEFINE_CLEANUP(struct sk_map, sk_map_free);

size_t sk_map_len(const struct sk_map *m);
void *sk_map_get(const struct sk_map *m, const char *key);

/** sk_map_add() - 0, -EEXIST (the map and @value are untouched) or -ENOMEM. */
int sk_map_add(struct sk_map *m, const char *key, void *value);

/** sk_map_take() - remove; returns the value, not freed, or NULL when the key is not there. */
void *sk_map_take(struct sk_map *m, const char *key);

/** sk_map_del() - remove and free the value. */
void sk_map_del(struct sk_map *m, const char *key);

/**
 * sk_map_next() - iterate: *pos starts at 0; returns 0 at the end
 * Removing the entry just returned is allowed; adding during an iteration is not.
 */
int sk_map_next(const struct sk_map *m, size_t *pos, const char **key, void **value);

#define SK_MAP_FOREACH(m, k, v) \
	for (size_t _sk_pos = 0; sk_map_next((m), &_sk_pos, &(k), (void **)&(v));)
