/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/device.h"
#include "agent/hub.h"

#define SK_MEND_GIVEN_UP_MAX 16

/**
 * struct sk_mend - release files and images that skerryd found damaged, fetched again without any job
 * @given_up: those that the hub does not have, or skerryd does not take; asked for again in the next session
 * @session:  the session in which they were
 */
struct sk_mend {
	struct sk_digest given_up[SK_MEND_GIVEN_UP_MAX];
	unsigned n_given_up;
	unsigned session;
};

/** sk_mend() - once through what skerryd misses now; failures are logged, and tried again next time */
void sk_mend(struct sk_mend *m, struct sk_hub_link *hub, struct sk_device_link *device);
