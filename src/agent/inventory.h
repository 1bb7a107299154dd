/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>

#include "agent/config.h"
#include "agent/device.h"

/**
 * sk_inventory_collect() - what the device is and has now
 * Kernel, system, memory, disk, addresses, versions, generation and capsules. A skerryd that does
 * not answer only leaves its part out. New reference; NULL without memory.
 */
json_t *sk_inventory_collect(const struct sk_agent_config *config, struct sk_device_link *device);
