/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/audit.h"
#include "hub/db/db.h"

/*
 * What was refused is worth a line of the audit log, but not a line per request: who may only look
 * could fill the disk. The first of equal refusals is written at once; those that follow are counted,
 * and the count is written when their window ends. An actor that is refused in ever new ways gets
 * SK_REFUSALS_LINES lines an hour; the rest is counted in one line of its own. Safe from several
 * threads. The time is given by the caller, so that tests need not wait.
 */
#define SK_REFUSALS_WINDOW_MS (15 * 60 * 1000)
#define SK_REFUSALS_LINES     100
/* What stands for the rest, instead of an action (or, when even that is too much, of an actor). */
#define SK_REFUSALS_REST "various"

struct sk_refusals;

/** @keys_max: different refusals that are counted at a time */
struct sk_refusals *sk_refusals_new(size_t keys_max);
void sk_refusals_free(struct sk_refusals *r);
SK_DEFINE_CLEANUP(struct sk_refusals, sk_refusals_free);

/**
 * sk_refusals_hit() - one more
 * @what: in: what was refused, outcome included; out: the line to write, as it may stand for the rest
 * Return: true when the line is to be written now; false: it is counted
 */
bool sk_refusals_hit(struct sk_refusals *r, struct sk_audit *what, uint64_t now_ms);

/** sk_refusals_missed() - the line of @what could not be written now: it is counted instead. */
void sk_refusals_missed(struct sk_refusals *r, const struct sk_audit *what);

/**
 * sk_refusals_flush() - write the counts of windows that ended by @now_ms (UINT64_MAX: of all)
 * In one transaction; after a failure they are all still there.
 */
int sk_refusals_flush(struct sk_refusals *r, struct sk_db *db, uint64_t now_ms, struct sk_err *err);
