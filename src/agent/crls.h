/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/device.h"
#include "agent/hub.h"

/**
 * sk_crls_sync() - bring the hub's revocation lists to skerryd, and report to the hub what it has now
 * The hub is only a carrier: skerryd takes a list when one of its roots signed it and it is newer.
 * One that it refuses is reported with its words, and is no failure here. A hub or a skerryd
 * that knows nothing of lists is none either.
 */
int sk_crls_sync(struct sk_hub_link *hub, struct sk_device_link *device, struct sk_err *err);
