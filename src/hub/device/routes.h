/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "io/http/server.h"

/* What devices ask in Skerry's own protocol; docs/explanation/architecture.md. */
extern const struct sk_http_route sk_device_enrol_routes[];
extern const struct sk_http_route sk_device_work_routes[];
extern const struct sk_http_route sk_device_crl_routes[];
