/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/devices.h"
#include "hub/request/call.h"

/** sk_call_device() - "{device}" of the path. 0 or "not-found". */
int sk_call_device(struct sk_call *call, struct sk_device *ret, struct sk_err *err);
