/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/core/config.h"
#include "hub/db/db.h"

/** sk_hub_open_db() - the database below config->data. The one place that names an implementation. */
int sk_hub_open_db(const struct sk_hub_config *config, struct sk_db **ret, struct sk_err *err);
