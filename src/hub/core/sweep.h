/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/core/config.h"
#include "hub/db/db.h"
#include "hub/db/expiry.h"

/** Removing what is over, step by step: which kind, how far, and when the next round begins. */
struct sk_sweep {
	unsigned what; /* enum sk_expiry */
	struct sk_expiry_place place;
	int64_t next_s; /* wall clock; 0: at once */
};

/** sk_sweep_step() - one slice of work, one transaction; to be called every second or so. */
void sk_sweep_step(struct sk_sweep *s, const struct sk_hub_config *config, struct sk_db *db,
		   int64_t now_s);
