/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

/*
 * Counts events by key (a user, an address) within a window and says when it is too many. Bounded:
 * when it is full, the entries that expire first go. Safe from several threads. The time is given
 * by the caller, so that tests need not wait.
 */
struct sk_limiter;

struct sk_limiter *sk_limiter_new(size_t keys_max, uint64_t window_ms);
void sk_limiter_free(struct sk_limiter *l);
SK_DEFINE_CLEANUP(struct sk_limiter, sk_limiter_free);

/** sk_limiter_count() - events counted for @key in its present window. */
unsigned sk_limiter_count(struct sk_limiter *l, const char *key, uint64_t now_ms);
/** sk_limiter_hit() - count one more; returns how many there are now. */
unsigned sk_limiter_hit(struct sk_limiter *l, const char *key, uint64_t now_ms);
void sk_limiter_forget(struct sk_limiter *l, const char *key);
/** sk_limiter_forgive() - take one back: it was not a failure after all. */
void sk_limiter_forgive(struct sk_limiter *l, const char *key, uint64_t now_ms);
