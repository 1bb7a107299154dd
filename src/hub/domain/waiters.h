/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

/*
 * Devices that wait for work: suspended long polls, one a device. A poll looks into the database,
 * then waits; a change of the database then wakes. So that none falls between the two, a poll takes
 * the epoch first and sk_waiters_add() refuses when it has moved on: the poll looks again.
 *
 * What a poll is, and how it is answered, is its protocol's: struct sk_poll_ops.
 */
struct sk_waiters;

/** Why a poll ends. */
enum sk_poll_end {
	SK_POLL_NOTHING, /* its time is over, or the device asks anew */
	SK_POLL_JOB,
	SK_POLL_CRLS,	       /* revocation lists to look at */
	SK_POLL_SESSION_ENDED, /* it may not ask any more */
};

/**
 * struct sk_poll_ops - the polls of one protocol
 * @suspend: the request is to wait without a thread. When the peer leaves, sk_waiters_gone() is to be
 *           called, not from within. 0 or a failure
 * @end:     answer it; @job (borrowed) for SK_POLL_JOB. It is not touched afterwards
 * Both are called with the table locked and must not call back.
 */
struct sk_poll_ops {
	int (*suspend)(void *poll, struct sk_waiters *w);
	void (*end)(void *poll, enum sk_poll_end why, json_t *job);
};

/** A device that waits; or which ones are meant, 0 for any. */
struct sk_waiting {
	int64_t org;
	int64_t deployment;
	int64_t device;
};

/** A poll that is to wait. */
struct sk_poll {
	const struct sk_poll_ops *ops;
	void *poll; /* for @ops: the request */
	struct sk_waiting who;
	uint64_t until_ms; /* monotonic */
};

struct sk_waiters *sk_waiters_new(void);
void sk_waiters_free(struct sk_waiters *w);
SK_DEFINE_CLEANUP(struct sk_waiters, sk_waiters_free);

uint64_t sk_waiters_epoch(struct sk_waiters *w);

/**
 * sk_waiters_add() - suspend a poll until it is woken or its time is over
 * An older poll of the same device ends with SK_POLL_NOTHING.
 * Return: 0 suspended; 1 the epoch moved on, look again; or a failure
 */
int sk_waiters_add(struct sk_waiters *w, const struct sk_poll *poll, uint64_t epoch,
		   struct sk_err *err);

/** sk_waiters_gone() - the peer of @poll left; a newer poll of the same device stays. */
void sk_waiters_gone(struct sk_waiters *w, int64_t device, const void *poll);

/** sk_waiters_touch() - the database changed: polls under way must look again. */
void sk_waiters_touch(struct sk_waiters *w);

/**
 * sk_waiters_list() - which of those that are meant wait now
 * *ret is owned by the caller; returns how many, 0 without memory.
 */
size_t sk_waiters_list(struct sk_waiters *w, const struct sk_waiting *meant,
		       struct sk_waiting **ret);

/** sk_waiters_end() - end a device's poll; @job for SK_POLL_JOB, borrowed. 1 if it waited. */
int sk_waiters_end(struct sk_waiters *w, int64_t device, enum sk_poll_end why, json_t *job);

/** sk_waiters_drop() - the device's session ended: so does its poll, and none that was let in before waits. */
void sk_waiters_drop(struct sk_waiters *w, int64_t device);

/** sk_waiters_expire() - SK_POLL_NOTHING for those whose time is over. */
void sk_waiters_expire(struct sk_waiters *w, uint64_t now_ms);

size_t sk_waiters_count(struct sk_waiters *w);
bool sk_waiters_has(struct sk_waiters *w, int64_t device);
