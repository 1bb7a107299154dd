/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/query.h"

int sk_project_add(struct sk_conn *c, int64_t org, const char *name, struct sk_err *err);
/** sk_project_find() - 1 with its id, or 0. */
int sk_project_find(struct sk_conn *c, int64_t org, const char *name, int64_t *ret_id,
		    struct sk_err *err);
int sk_project_show(struct sk_conn *c, int64_t org, const char *name, json_t **ret,
		    struct sk_err *err);
int sk_project_list(struct sk_conn *c, int64_t org, const struct sk_page *p, json_t **ret,
		    struct sk_err *err);
/** sk_project_del() - 1, 0 when there is none, "in-use" while it has deployments or releases. */
int sk_project_del(struct sk_conn *c, int64_t org, const char *name, struct sk_err *err);
