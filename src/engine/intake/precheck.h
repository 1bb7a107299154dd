/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/err.h"
#include "base/macros.h"

/*
 * What the link to the hub brings is first checked by a child without rights: all of the check that the
 * daemon makes afterwards, on the child's own copy. The daemon's parsers are only given what passed there,
 * and check it once more. So neither a parser's mistake nor a file made to take long reaches the loop; what
 * is signed by a key that this device trusts is neither.
 *
 * One at a time, the others wait.
 */
struct sk_prechecks;
struct sk_precheck;

/**
 * struct sk_precheck_job - one thing to check
 * @check: in the child, whose verdict it is
 * @done:  in the daemon, from the loop; @r is what @check returned, or that the child failed. The precheck is
 *         freed before.
 */
struct sk_precheck_job {
	int (*check)(void *arg, struct sk_err *err);
	void (*done)(void *arg, int r, const struct sk_err *err);
	void *arg;
};

/** @uid: whom the children become; 0: this process's own user */
int sk_prechecks_new(sd_event *event, uid_t uid, struct sk_prechecks **ret, struct sk_err *err);
/** Ends all of them; no @done is called. */
void sk_prechecks_free(struct sk_prechecks *q);
SK_DEFINE_CLEANUP(struct sk_prechecks, sk_prechecks_free);
size_t sk_prechecks_len(const struct sk_prechecks *q);

/** sk_precheck_start() - begin, or wait for those before; "too-many" when there are too many of them */
int sk_precheck_start(struct sk_prechecks *q, const struct sk_precheck_job *job,
		      struct sk_precheck **ret, struct sk_err *err);
/** sk_precheck_cancel() - @done is not called; its child is ended */
void sk_precheck_cancel(struct sk_precheck *p);
