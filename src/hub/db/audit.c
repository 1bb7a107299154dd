/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/audit.h"

#include "base/clock.h"

int sk_audit_add(struct sk_conn *c, const struct sk_audit *a, struct sk_err *err)
{
	return sk_db_insert(c, NULL, err,
			    "INSERT INTO audit (org_id, at_s, actor, action, object, peer, outcome,"
			    " times) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			    "iisssssi", a->org, sk_wall_s(), a->actor, a->action, a->object,
			    a->peer, a->outcome, (int64_t)SK_MAX(a->times, 1u));
}

int sk_audit_list(struct sk_conn *c, int64_t org, const struct sk_page *p, json_t **ret,
		  struct sk_err *err)
{
	return sk_db_list(c, ret, err,
			  "SELECT id AS row, id, at_s, actor, action, object, peer, outcome, times"
			  " FROM audit"
			  " WHERE org_id = ? AND id < ? ORDER BY id DESC LIMIT ?",
			  "iid", org, p->from, p->rows);
}
