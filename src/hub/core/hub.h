/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "hub/blob/blob.h"
#include "hub/core/config.h"
#include "hub/db/db.h"
#include "hub/domain/limiter.h"
#include "hub/domain/proof.h"
#include "hub/domain/refusals.h"
#include "hub/domain/seen.h"
#include "hub/domain/waiters.h"

/** Everything that a request may need; made once by main.c, safe from several threads. */
struct sk_hub {
	struct sk_hub_config config;
	struct sk_db *db;
	struct sk_blobs *images; /* capsule images, named by their SHA-256 */
	struct sk_blobs *files;	 /* release files, named by theirs */
	struct sk_waiters *waiters;
	struct sk_seen *seen;
	struct sk_limiter *logins; /* failed logins */
	struct sk_refusals *refusals;
	struct sk_challenges *challenges;
	_Atomic unsigned hashing; /* logins whose password is being checked */
	_Atomic uint64_t rights;  /* counts what may have ended somebody's rights */

	pthread_t ticker;
	bool has_ticker;
	pthread_mutex_t tick_lock;
	pthread_cond_t tick_cond;
	bool stopping;
};

/** sk_hub_new() - open database and stores under config->data, set right what a crash left. */
int sk_hub_new(const struct sk_hub_config *config, struct sk_hub **ret, struct sk_err *err);
/** The HTTP server must have ended. */
void sk_hub_free(struct sk_hub *hub);
SK_DEFINE_CLEANUP(struct sk_hub, sk_hub_free);

/** sk_hub_start() - the thread that ends long polls in time and writes batches. */
int sk_hub_start(struct sk_hub *hub, struct sk_err *err);

/** sk_hub_wake() - there may be work for a deployment's devices or one device (0: any). */
void sk_hub_wake(struct sk_hub *hub, int64_t deployment, int64_t device);

/** sk_hub_wake_crls() - the devices of @org are to look at its revocation lists. */
void sk_hub_wake_crls(struct sk_hub *hub, int64_t org);

/** sk_hub_collect() - remove images, and the release file @file, if nothing names them any more. */
int sk_hub_collect(struct sk_hub *hub, int64_t org, const char *file, struct sk_err *err);

/**
 * sk_hub_refused() - a line of the audit log for what was refused, or one more in a line's count
 * It must not cost the caller the real reason: when it cannot be written now, it is counted.
 */
void sk_hub_refused(struct sk_hub *hub, const struct sk_audit *what);
