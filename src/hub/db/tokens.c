/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/tokens.h"

#include <stdio.h>

#include "base/clock.h"

int sk_token_add(struct sk_conn *c, int64_t org, int64_t user, const char *name, const char *kind,
		 const struct sk_digest *hash, int64_t expires_s, int64_t *ret_id,
		 struct sk_err *err)
{
	return sk_db_insert(c, ret_id, err,
			    "INSERT INTO tokens (org_id, user_id, name, kind, hash, created_s,"
			    " expires_s) VALUES (?, ?, ?, ?, ?, ?, ?)",
			    "iissbii", org, user, name, kind, hash, sk_wall_s(), expires_s);
}

int sk_token_check(struct sk_conn *c, const struct sk_digest *hash, int64_t now_s,
		   struct sk_token_owner *ret, struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT t.id, u.id, u.org_id, u.role = 'owner', u.temporary, u.name"
			    " FROM tokens t JOIN users u ON u.id = t.user_id"
			    " WHERE t.hash = ? AND t.expires_s > ?",
			    "bi", hash, now_s);
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

int sk_token_trim_logins(struct sk_conn *c, int64_t user, int most, struct sk_err *err)
{
	int r = sk_db_run(c, err,
			  "DELETE FROM tokens WHERE user_id = ?1 AND kind = 'login' AND id <="
			  " (SELECT id FROM tokens WHERE user_id = ?1 AND kind = 'login'"
			  " ORDER BY id DESC LIMIT 1 OFFSET ?2)",
			  "id", user, most);

	return SK_MIN(r, 0);
}

int sk_token_count(struct sk_conn *c, int64_t user, int64_t *ret, struct sk_err *err)
{
	int r = sk_db_int(c, ret, err,
			  "SELECT count(*) FROM tokens WHERE user_id = ? AND kind = 'api'", "i",
			  user);

	return SK_MIN(r, 0);
}

#define TOKEN_COLUMNS                                                  \
	"t.uid AS id, t.name AS name, t.kind AS kind, u.name AS user," \
	" t.created_s AS created_s, t.expires_s AS expires_s"          \
	" FROM tokens t JOIN users u ON u.id = t.user_id"

int sk_token_show(struct sk_conn *c, int64_t org, int64_t id, json_t **ret, struct sk_err *err)
{
	return sk_db_one(c, ret, err, "SELECT " TOKEN_COLUMNS " WHERE t.org_id = ? AND t.id = ?",
			 "ii", org, id);
}

int sk_token_list(struct sk_conn *c, int64_t org, int64_t user, const struct sk_page *p,
		  json_t **ret, struct sk_err *err)
{
	return sk_db_list(c, ret, err,
			  "SELECT t.id AS row, " TOKEN_COLUMNS
			  " WHERE t.org_id = ? AND (?2 = 0 OR t.user_id = ?2)"
			  " AND t.expires_s > ? AND t.id > ? ORDER BY t.id LIMIT ?",
			  "iiiid", org, user, sk_wall_s(), p->from, p->rows);
}

int sk_token_del(struct sk_conn *c, int64_t org, int64_t user, const char *uid, struct sk_err *err)
{
	return sk_db_run(c, err,
			 "DELETE FROM tokens WHERE org_id = ? AND (?2 = 0 OR user_id = ?2)"
			 " AND uid = ?",
			 "iis", org, user, uid);
}

int sk_token_del_id(struct sk_conn *c, int64_t org, int64_t id, struct sk_err *err)
{
	return sk_db_run(c, err, "DELETE FROM tokens WHERE org_id = ? AND id = ?", "ii", org, id);
}
