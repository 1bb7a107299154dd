/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/audit.h"

#include "base/clock.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"

static int audit_add(struct sk_conn *c, const struct sk_audit *a, struct sk_err *err)
{
	return sk_sql_insert(
		c, NULL, err,
		"INSERT INTO audit (org_id, at_s, actor, action, object, peer, outcome,"
		" times) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		SK_BIND(SK_INT(a->org), SK_INT(sk_wall_s()), SK_TEXT(a->actor), SK_TEXT(a->action),
			SK_TEXT(a->object), SK_TEXT(a->peer), SK_TEXT(a->outcome),
			SK_INT((int64_t)SK_MAX(a->times, 1u))));
}

static int audit_list(struct sk_conn *c, int64_t org, const struct sk_page *p, json_t **ret,
		      struct sk_err *err)
{
	return sk_sql_list(c, ret, err,
			   "SELECT id AS row, id, at_s, actor, action, object, peer, outcome, times"
			   " FROM audit"
			   " WHERE org_id = ? AND id < ? ORDER BY id DESC LIMIT ?",
			   SK_BIND(SK_INT(org), SK_INT(p->from), SK_INT(p->rows)));
}

const struct sk_audit_repo sk_sqlite_audit = {
	.add = audit_add,
	.list = audit_list,
};
