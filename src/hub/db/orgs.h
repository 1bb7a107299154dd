/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/db.h"

struct sk_org_repo {
	/** "already-exists" */
	int (*add)(struct sk_conn *c, const char *name, int64_t *ret_id, struct sk_err *err);
	/** 1 with its id, 0 when there is none. */
	int (*find)(struct sk_conn *c, const char *name, int64_t *ret_id, struct sk_err *err);
	/** 1 when there is an organisation at all. */
	int (*any)(struct sk_conn *c, struct sk_err *err);
	/** 1 with its id when the hub has exactly one organisation. */
	int (*only)(struct sk_conn *c, int64_t *ret_id, struct sk_err *err);
	/** Name, counts, quota; new reference. */
	int (*show)(struct sk_conn *c, int64_t org, json_t **ret, struct sk_err *err);
	int (*list)(struct sk_conn *c, json_t **ret, struct sk_err *err);
	/** Root certificates that uploaded releases must be signed under; NULL: not checked. */
	int (*set_ca)(struct sk_conn *c, int64_t org, const char *pem, struct sk_err *err);
	/** *ret is owned by the caller, NULL when none is set. */
	int (*ca)(struct sk_conn *c, int64_t org, char **ret, struct sk_err *err);
	int (*set_quota)(struct sk_conn *c, int64_t org, uint64_t bytes, struct sk_err *err);
	/** Bytes of all images, whole or claimed, and the bound (0: none). */
	int (*storage)(struct sk_conn *c, int64_t org, uint64_t *ret_used, uint64_t *ret_quota,
		       struct sk_err *err);
};
