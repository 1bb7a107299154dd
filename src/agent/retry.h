/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/** Waiting times after failures: they double up to a bound, with jitter, so that a fleet whose hub
 *  was away does not come back in one instant. Pure: the caller brings the randomness. */
struct sk_retry {
	uint64_t min_ms, max_ms;
	uint64_t next_ms; /* 0: the last try worked */
};

void sk_retry_reset(struct sk_retry *r);
/** sk_retry_next() - how long to wait now: half of the present time and up to half more. */
uint64_t sk_retry_next(struct sk_retry *r, uint32_t random);
