/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/request/call.h"

/* What a request says in its body and its query, read and checked. */

/** sk_call_name() - a body member that must be a name. */
int sk_call_name(const struct sk_call *call, const char *key, const char **ret, struct sk_err *err);
/** A numeric query member (default 0). */
int sk_call_query_u64(struct sk_call *call, const char *key, uint64_t *ret, struct sk_err *err);
/** sk_call_expiry() - "expires_in_s" of the body, as a time; bounded. */
int sk_call_expiry(const struct sk_call *call, uint64_t default_s, uint64_t max_s, int64_t *ret_s,
		   struct sk_err *err);
