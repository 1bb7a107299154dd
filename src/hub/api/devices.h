/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/api/call.h"
#include "hub/db/devices.h"

/** sk_call_device() - "{device}" of the path. 0 or "not-found". */
int sk_call_device(struct sk_call *call, struct sk_device *ret, struct sk_err *err);

/* What devices reported, and asking for more of it: reports.c. */
int sk_hub_inventory(struct sk_http_req *req, void *arg, struct sk_err *err);
int sk_hub_ask_inventory(struct sk_http_req *req, void *arg, struct sk_err *err);
int sk_hub_logs(struct sk_http_req *req, void *arg, struct sk_err *err);
int sk_hub_ask_logs(struct sk_http_req *req, void *arg, struct sk_err *err);
