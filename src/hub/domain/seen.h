/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/db.h"

/*
 * When each device was last heard of: kept in memory, written in batches, so that polls write
 * nothing. A crash loses the last batch only, and the devices' next polls bring it back.
 */
struct sk_seen;

struct sk_seen *sk_seen_new(void);
void sk_seen_free(struct sk_seen *s);
SK_DEFINE_CLEANUP(struct sk_seen, sk_seen_free);

void sk_seen_mark(struct sk_seen *s, int64_t device, int64_t at_s);
/** sk_seen_get() - 0 when it was not heard of since the start. */
int64_t sk_seen_get(struct sk_seen *s, int64_t device);
/**
 * sk_seen_flush() - write what changed since the last time, some thousands in each transaction
 * Return: number written, or a failure
 */
int sk_seen_flush(struct sk_seen *s, struct sk_db *db, struct sk_err *err);
