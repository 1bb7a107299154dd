/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/device.h"
#include "agent/hub.h"

#define SK_REPAIR_GIVEN_UP_MAX 16

/**
 * struct sk_repair - release files and images that skerryd found damaged, fetched again without any job
 * @given_up: those that the hub does not have, or skerryd does not take; asked for again in the next session
 * @session:  the session in which they were
 */
struct sk_repair {
	struct sk_digest given_up[SK_REPAIR_GIVEN_UP_MAX];
	unsigned n_given_up;
	unsigned session;
};

/** sk_repair() - fetch what skerryd misses now; a failure is logged, and the next call tries again */
void sk_repair(struct sk_repair *m, struct sk_hub_link *hub, struct sk_device_link *device);
