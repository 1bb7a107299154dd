/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "io/http/server.h"

/** Every route of the hub: the users' API and the devices' protocols. */
extern const struct sk_http_route *const sk_hub_routes[];
extern const size_t sk_hub_n_routes;
