/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/deployments.h"
#include "hub/request/call.h"

/** sk_call_deployment() - "{project}" and "{deployment}" of the path. 0 or "not-found". */
int sk_call_deployment(struct sk_call *call, struct sk_deployment *ret, struct sk_err *err);
