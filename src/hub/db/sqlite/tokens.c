/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/tokens.h"

#include <stdio.h>

#include "base/clock.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"

static int token_add(struct sk_conn *c, int64_t org, int64_t user, const char *name,
		     const char *kind, const struct sk_digest *hash, int64_t expires_s,
		     int64_t *ret_id, struct sk_err *err)
{
	return sk_sql_insert(c, ret_id, err,
			     "INSERT INTO tokens (org_id, user_id, name, kind, hash, created_s,"
			     " expires_s) VALUES (?, ?, ?, ?, ?, ?, ?)",
			     SK_BIND(SK_INT(org), SK_INT(user), SK_TEXT(name), SK_TEXT(kind),
				     SK_HASH(hash), SK_INT(sk_wall_s()), SK_INT(expires_s)));
}

static int token_check(struct sk_conn *c, const struct sk_digest *hash, int64_t now_s,
		       struct sk_token_owner *ret, struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT t.id, u.id, u.org_id, u.role = 'owner', u.temporary, u.name"
			    " FROM tokens t JOIN users u ON u.id = t.user_id"
			    " WHERE t.hash = ? AND t.expires_s > ?",
			    SK_BIND(SK_HASH(hash), SK_INT(now_s)));
	int r = sk_query_step(&q, err);

	if (r <= 0)
		return r;
	*ret = (struct sk_token_owner){
		.token = sk_query_int(&q, 0),
		.user = sk_query_int(&q, 1),
		.org = sk_query_int(&q, 2),
		.owner = sk_query_int(&q, 3) != 0,
		.temporary = sk_query_int(&q, 4) != 0,
	};
	(void)snprintf(ret->name, sizeof(ret->name), "%s", sk_query_text(&q, 5));
	return 1;
}

static int token_trim_logins(struct sk_conn *c, int64_t user, int most, struct sk_err *err)
{
	int r = sk_sql_run(c, err,
			   "DELETE FROM tokens WHERE user_id = ?1 AND kind = 'login' AND id <="
			   " (SELECT id FROM tokens WHERE user_id = ?1 AND kind = 'login'"
			   " ORDER BY id DESC LIMIT 1 OFFSET ?2)",
			   SK_BIND(SK_INT(user), SK_INT(most)));

	return SK_MIN(r, 0);
}

static int token_count(struct sk_conn *c, int64_t user, int64_t *ret, struct sk_err *err)
{
	int r = sk_sql_int(c, ret, err,
			   "SELECT count(*) FROM tokens WHERE user_id = ? AND kind = 'api'",
			   SK_BIND(SK_INT(user)));

	return SK_MIN(r, 0);
}

#define TOKEN_COLUMNS                                                  \
	"t.uid AS id, t.name AS name, t.kind AS kind, u.name AS user," \
	" t.created_s AS created_s, t.expires_s AS expires_s"          \
	" FROM tokens t JOIN users u ON u.id = t.user_id"

static int token_show(struct sk_conn *c, int64_t org, int64_t id, json_t **ret, struct sk_err *err)
{
	return sk_sql_one(c, ret, err, "SELECT " TOKEN_COLUMNS " WHERE t.org_id = ? AND t.id = ?",
			  SK_BIND(SK_INT(org), SK_INT(id)));
}

static int token_list(struct sk_conn *c, int64_t org, int64_t user, const struct sk_page *p,
		      json_t **ret, struct sk_err *err)
{
	return sk_sql_list(c, ret, err,
			   "SELECT t.id AS row, " TOKEN_COLUMNS
			   " WHERE t.org_id = ? AND (?2 = 0 OR t.user_id = ?2)"
			   " AND t.expires_s > ? AND t.id > ? ORDER BY t.id LIMIT ?",
			   SK_BIND(SK_INT(org), SK_INT(user), SK_INT(sk_wall_s()), SK_INT(p->from),
				   SK_INT(p->rows)));
}

static int token_remove(struct sk_conn *c, int64_t org, int64_t user, const char *uid,
			struct sk_err *err)
{
	return sk_sql_run(c, err,
			  "DELETE FROM tokens WHERE org_id = ? AND (?2 = 0 OR user_id = ?2)"
			  " AND uid = ?",
			  SK_BIND(SK_INT(org), SK_INT(user), SK_TEXT(uid)));
}

static int token_remove_id(struct sk_conn *c, int64_t org, int64_t id, struct sk_err *err)
{
	return sk_sql_run(c, err, "DELETE FROM tokens WHERE org_id = ? AND id = ?",
			  SK_BIND(SK_INT(org), SK_INT(id)));
}

const struct sk_token_repo sk_sqlite_tokens = {
	.add = token_add,
	.check = token_check,
	.trim_logins = token_trim_logins,
	.count = token_count,
	.show = token_show,
	.list = token_list,
	.remove = token_remove,
	.remove_id = token_remove_id,
};
