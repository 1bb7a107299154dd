/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/manifest.h"

/*
 * Whether and when a capsule that ended is started again. Pure: the caller brings the time.
 * Reference: docs/reference/capsules.md, "Restarts"
 */
#define SK_BACKOFF_MIN_MS   UINT64_C(250)   /* first delay when the policy gives none */
#define SK_BACKOFF_MAX_MS   UINT64_C(60000) /* longest delay when the policy gives none */
#define SK_BACKOFF_RESET_MS UINT64_C(10000) /* a run at least this long is a good one */

/**
 * struct sk_backoff_policy - the manifest's words
 * @max:       restarts within @window_ms before it counts as failed; 0: no bound
 * @window_ms: 0: the count never starts anew
 * @min_ms, @max_ms: bounds of the delay; 0 for the defaults above
 */
struct sk_backoff_policy {
	enum sk_restart restart;
	uint32_t max;
	uint64_t window_ms, min_ms, max_ms;
};

/** struct sk_backoff - what is remembered between restarts; all zero at first */
struct sk_backoff {
	uint32_t doublings; /* of the delay so far */
	uint32_t count;	    /* restarts since @window_start_ms */
	uint64_t window_start_ms;
};

enum sk_backoff_verdict {
	SK_BACKOFF_STAY_DOWN, /* it ended as it was meant to */
	SK_BACKOFF_RESTART,   /* after the delay */
	SK_BACKOFF_GIVE_UP,   /* too many restarts */
};

void sk_backoff_policy_of(const struct sk_app *app, struct sk_backoff_policy *ret);

/**
 * sk_backoff_ended() - a capsule ended that nobody had asked to stop
 * @now_ms: monotonic; @ran_ms: how long this run was; @failed: exit code not 0, or unhealthy
 * @ret_delay_ms: set with SK_BACKOFF_RESTART
 *
 * The delay doubles from restart to restart and starts anew after a run of SK_BACKOFF_RESET_MS or
 * the longest delay, whichever is more.
 */
enum sk_backoff_verdict sk_backoff_ended(struct sk_backoff *b, const struct sk_backoff_policy *p,
					 uint64_t now_ms, uint64_t ran_ms, bool failed,
					 uint64_t *ret_delay_ms);
