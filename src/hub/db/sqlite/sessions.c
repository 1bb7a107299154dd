/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/sessions.h"

#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"

static int session_set(struct sk_conn *c, int64_t device, const struct sk_digest *hash,
		       int64_t expires_s, struct sk_err *err)
{
	int r = sk_sql_run(c, err,
			   "INSERT INTO sessions (device_id, hash, expires_s) VALUES (?, ?, ?)"
			   " ON CONFLICT (device_id) DO UPDATE SET hash = excluded.hash,"
			   " expires_s = excluded.expires_s",
			   SK_BIND(SK_INT(device), SK_HASH(hash), SK_INT(expires_s)));

	return r < 0 ? r : 0;
}

static int session_check(struct sk_conn *c, const struct sk_digest *hash, int64_t now_s,
			 struct sk_session *ret, struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT v.id, v.org_id, coalesce(v.deployment_id, 0),"
			    " EXISTS (SELECT 1 FROM jobs j WHERE j.device_id = v.id AND j.open),"
			    " v.crls_due"
			    " FROM sessions s JOIN devices v ON v.id = s.device_id"
			    " WHERE s.hash = ? AND s.expires_s > ? AND v.status = 'accepted'",
			    SK_BIND(SK_HASH(hash), SK_INT(now_s)));
	int r = sk_query_step(&q, err);

	if (r > 0)
		*ret = (struct sk_session){
			.device = sk_query_int(&q, 0),
			.org = sk_query_int(&q, 1),
			.deployment = sk_query_int(&q, 2),
			.has_work = sk_query_int(&q, 3) != 0,
			.crls_due = sk_query_int(&q, 4) != 0,
		};
	return r;
}

static int session_end(struct sk_conn *c, int64_t device, struct sk_err *err)
{
	return sk_sql_run(c, err, "DELETE FROM sessions WHERE device_id = ?",
			  SK_BIND(SK_INT(device)));
}

const struct sk_session_repo sk_sqlite_sessions = {
	.set = session_set,
	.check = session_check,
	.end = session_end,
};
