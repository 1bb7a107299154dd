/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/enrolments.h"

#include "base/clock.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"

static int enrolment_add(struct sk_conn *c, int64_t org, int64_t deployment, const char *name,
			 const struct sk_digest *hash, int64_t expires_s, int64_t uses_max,
			 int64_t *ret_id, struct sk_err *err)
{
	return sk_sql_insert(c, ret_id, err,
			     "INSERT INTO enrolment_tokens (org_id, deployment_id, name, hash,"
			     " created_s, expires_s, uses_max) VALUES (?, ?, ?, ?, ?, ?, ?)",
			     SK_BIND(SK_INT(org), SK_INT(deployment), SK_TEXT(name), SK_HASH(hash),
				     SK_INT(sk_wall_s()), SK_INT(expires_s), SK_INT(uses_max)));
}

static int enrolment_use(struct sk_conn *c, const struct sk_digest *hash, int64_t now_s,
			 struct sk_enrolment *ret, struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "UPDATE enrolment_tokens SET uses = uses + 1 WHERE hash = ?"
			    " AND expires_s > ? AND NOT revoked"
			    " AND (uses_max = 0 OR uses < uses_max)"
			    " RETURNING id, org_id, deployment_id",
			    SK_BIND(SK_HASH(hash), SK_INT(now_s)));
	int r = sk_query_step(&q, err);

	if (r > 0)
		*ret = (struct sk_enrolment){
			.id = sk_query_int(&q, 0),
			.org = sk_query_int(&q, 1),
			.deployment = sk_query_int(&q, 2),
		};
	return r;
}

#define COLUMNS                                                                         \
	"uid AS id, name, created_s, expires_s, nullif(uses_max, 0) AS uses_max, uses," \
	" revoked AS \"revoked:bool\" FROM enrolment_tokens"

static int enrolment_show(struct sk_conn *c, int64_t org, int64_t id, json_t **ret,
			  struct sk_err *err)
{
	return sk_sql_one(c, ret, err, "SELECT " COLUMNS " WHERE org_id = ? AND id = ?",
			  SK_BIND(SK_INT(org), SK_INT(id)));
}

static int enrolment_list(struct sk_conn *c, int64_t org, int64_t deployment,
			  const struct sk_page *p, json_t **ret, struct sk_err *err)
{
	return sk_sql_list(
		c, ret, err,
		"SELECT enrolment_tokens.id AS row, " COLUMNS
		" WHERE org_id = ? AND deployment_id = ? AND enrolment_tokens.id > ?"
		" ORDER BY enrolment_tokens.id LIMIT ?",
		SK_BIND(SK_INT(org), SK_INT(deployment), SK_INT(p->from), SK_INT(p->rows)));
}

static int enrolment_revoke(struct sk_conn *c, int64_t org, int64_t deployment, const char *uid,
			    struct sk_err *err)
{
	return sk_sql_run(c, err,
			  "UPDATE enrolment_tokens SET revoked = 1 WHERE org_id = ?"
			  " AND deployment_id = ? AND uid = ?",
			  SK_BIND(SK_INT(org), SK_INT(deployment), SK_TEXT(uid)));
}

const struct sk_enrolment_repo sk_sqlite_enrolments = {
	.add = enrolment_add,
	.use = enrolment_use,
	.show = enrolment_show,
	.list = enrolment_list,
	.revoke = enrolment_revoke,
};
