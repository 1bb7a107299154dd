/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "io/http/server.h"

/*
 * Devices that wait for work: suspended long polls, one a device. A poll looks into the database,
 * then waits; a change of the database then wakes. So that none falls between the two, a poll takes
 * the epoch first and sk_waiters_add() refuses when it has moved on: the poll looks again.
 */
struct sk_waiters;

/** A device that waits; or which ones are meant, 0 for any. */
struct sk_waiting {
	int64_t org;
	int64_t deployment;
	int64_t device;
};

/** @device_of: the device of a request, from its authentication. */
struct sk_waiters *sk_waiters_new(int64_t (*device_of)(const struct sk_http_req *req));
void sk_waiters_free(struct sk_waiters *w);
SK_DEFINE_CLEANUP(struct sk_waiters, sk_waiters_free);

uint64_t sk_waiters_epoch(struct sk_waiters *w);

/**
 * sk_waiters_add() - suspend @req until woken or @until_ms (monotonic)
 * An older poll of the same device is answered 204.
 * Return: 0 suspended; 1 the epoch moved on, look again; or a failure
 */
int sk_waiters_add(struct sk_waiters *w, struct sk_http_req *req, const struct sk_waiting *who,
		   uint64_t until_ms, uint64_t epoch, struct sk_err *err);

/** sk_waiters_touch() - the database changed: polls under way must look again. */
void sk_waiters_touch(struct sk_waiters *w);

/**
 * sk_waiters_list() - which of those that are meant wait now
 * *ret is owned by the caller; returns how many, 0 without memory.
 */
size_t sk_waiters_list(struct sk_waiters *w, const struct sk_waiting *meant,
		       struct sk_waiting **ret);

/** sk_waiters_answer() - end a device's poll with @steals, or 204 with NULL. 1 if it waited. */
int sk_waiters_answer(struct sk_waiters *w, int64_t device, json_t *steals);

/** sk_waiters_drop() - the device's session ended: 401 now. */
void sk_waiters_drop(struct sk_waiters *w, int64_t device);

/** sk_waiters_expire() - 204 for those whose time is over. */
void sk_waiters_expire(struct sk_waiters *w, uint64_t now_ms);

size_t sk_waiters_count(struct sk_waiters *w);
bool sk_waiters_has(struct sk_waiters *w, int64_t device);
