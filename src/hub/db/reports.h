/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/db.h"

/* What devices tell of themselves: inventory (the newest) and logs (the last ones, bounded). */
#define SK_LOGS_KEPT	   64
#define SK_LOGS_KEPT_BYTES (8 << 20)

struct sk_report_repo {
	int (*set_inventory)(struct sk_conn *c, int64_t device, const char *json,
			     struct sk_err *err);
	/** {at_s, inventory}, or *ret = NULL. */
	int (*inventory)(struct sk_conn *c, int64_t device, json_t **ret, struct sk_err *err);
	/** @job: public id of the job that asked, or NULL. The oldest beyond SK_LOGS_KEPT, or SK_LOGS_KEPT_BYTES, go. */
	int (*add_logs)(struct sk_conn *c, int64_t device, const char *job, const char *capsule,
			const char *text, struct sk_err *err);
	/** Newest first; @capsule, @job: NULL for any. */
	int (*list_logs)(struct sk_conn *c, int64_t device, const char *capsule, const char *job,
			 const struct sk_page *p, json_t **ret, struct sk_err *err);
};
