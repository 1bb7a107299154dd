/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/query.h"

/* What devices tell of themselves: inventory (the newest) and logs (the last ones, bounded). */
#define SK_LOGS_KEPT	   64
#define SK_LOGS_KEPT_BYTES (8 << 20)

int sk_inventory_set(struct sk_conn *c, int64_t device, const char *json, struct sk_err *err);
/** {at_s, inventory}, or *ret = NULL. */
int sk_inventory_get(struct sk_conn *c, int64_t device, json_t **ret, struct sk_err *err);

/** @job: public id of the job that asked, or NULL. The oldest beyond SK_LOGS_KEPT, or SK_LOGS_KEPT_BYTES, go. */
int sk_logs_add(struct sk_conn *c, int64_t device, const char *job, const char *capsule,
		const char *text, struct sk_err *err);
/** Newest first; @capsule, @job: NULL for any. */
int sk_logs_list(struct sk_conn *c, int64_t device, const char *capsule, const char *job,
		 const struct sk_page *p, json_t **ret, struct sk_err *err);
