/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/db.h"

struct sk_project_repo {
	int (*add)(struct sk_conn *c, int64_t org, const char *name, struct sk_err *err);
	/** 1 with its id, or 0. */
	int (*find)(struct sk_conn *c, int64_t org, const char *name, int64_t *ret_id,
		    struct sk_err *err);
	int (*show)(struct sk_conn *c, int64_t org, const char *name, json_t **ret,
		    struct sk_err *err);
	int (*list)(struct sk_conn *c, int64_t org, const struct sk_page *p, json_t **ret,
		    struct sk_err *err);
	/** 1, 0 when there is none, "in-use" while it has deployments or releases. */
	int (*remove)(struct sk_conn *c, int64_t org, const char *name, struct sk_err *err);
};
