/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/query.h"

/** sk_org_add() - "already-exists" */
int sk_org_add(struct sk_conn *c, const char *name, int64_t *ret_id, struct sk_err *err);
/** sk_org_find() - 1 with its id, 0 when there is none. */
int sk_org_find(struct sk_conn *c, const char *name, int64_t *ret_id, struct sk_err *err);
/** sk_org_any() - 1 when there is an organisation at all. */
int sk_org_any(struct sk_conn *c, struct sk_err *err);
/** sk_org_only() - 1 with its id when the hub has exactly one organisation. */
int sk_org_only(struct sk_conn *c, int64_t *ret_id, struct sk_err *err);
/** sk_org_show() - name, counts, quota; new reference. */
int sk_org_show(struct sk_conn *c, int64_t org, json_t **ret, struct sk_err *err);
int sk_org_list(struct sk_conn *c, json_t **ret, struct sk_err *err);
/** Root certificates that uploaded releases must be signed under; NULL: not checked. */
int sk_org_set_ca(struct sk_conn *c, int64_t org, const char *pem, struct sk_err *err);
/** *ret is owned by the caller, NULL when none is set. */
int sk_org_ca(struct sk_conn *c, int64_t org, char **ret, struct sk_err *err);
int sk_org_set_quota(struct sk_conn *c, int64_t org, uint64_t bytes, struct sk_err *err);
/** sk_org_storage() - bytes of all images, whole or claimed, and the bound (0: none). */
int sk_org_storage(struct sk_conn *c, int64_t org, uint64_t *ret_used, uint64_t *ret_quota,
		   struct sk_err *err);
