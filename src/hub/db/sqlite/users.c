/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/users.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"

static int user_add(struct sk_conn *c, int64_t org, const char *name, const char *role,
		    const char *hash, bool temporary, struct sk_err *err)
{
	int r = sk_sql_insert(c, NULL, err,
			      "INSERT INTO users (org_id, name, role, password, temporary,"
			      " created_s) VALUES (?, ?, ?, ?, ?, ?)",
			      SK_BIND(SK_INT(org), SK_TEXT(name), SK_TEXT(role), SK_TEXT(hash),
				      SK_INT(temporary), SK_INT(sk_wall_s())));

	if (r == -EEXIST)
		return sk_err_set(err, r, "already-exists", "there is a user \"%s\" already", name);
	return r;
}

static int user_find(struct sk_conn *c, int64_t org, const char *name, struct sk_user *ret,
		     struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT id, role = 'owner', temporary, password FROM users"
			    " WHERE org_id = ? AND name = ?",
			    SK_BIND(SK_INT(org), SK_TEXT(name)));
	int r = sk_query_step(&q, err);

	if (r <= 0)
		return r;
	ret->id = sk_query_int(&q, 0);
	ret->org = org;
	ret->owner = sk_query_int(&q, 1) != 0;
	ret->temporary = sk_query_int(&q, 2) != 0;
	(void)snprintf(ret->password, sizeof(ret->password), "%s", sk_query_text(&q, 3));
	return 1;
}

#define USER_COLUMNS "name, role, created_s, temporary AS \"password_temporary:bool\""

static int user_show(struct sk_conn *c, int64_t org, const char *name, json_t **ret,
		     struct sk_err *err)
{
	return sk_sql_one(c, ret, err,
			  "SELECT " USER_COLUMNS " FROM users WHERE org_id = ? AND name = ?",
			  SK_BIND(SK_INT(org), SK_TEXT(name)));
}

static int user_list(struct sk_conn *c, int64_t org, const struct sk_page *p, json_t **ret,
		     struct sk_err *err)
{
	return sk_sql_list(c, ret, err,
			   "SELECT id AS row, " USER_COLUMNS " FROM users WHERE org_id = ?"
			   " AND id > ? ORDER BY id LIMIT ?",
			   SK_BIND(SK_INT(org), SK_INT(p->from), SK_INT(p->rows)));
}

/* Would the organisation have an owner without @name? */
static int other_owner(struct sk_conn *c, int64_t org, const char *name, struct sk_err *err)
{
	int64_t n = 0;
	int r = sk_sql_int(c, &n, err,
			   "SELECT count(*) FROM users WHERE org_id = ? AND role = 'owner'"
			   " AND name <> ?",
			   SK_BIND(SK_INT(org), SK_TEXT(name)));

	if (r < 0)
		return r;
	if (n == 0)
		return sk_err_set(err, -EBUSY, "bad-state",
				  "%s is the last owner: make another user owner first", name);
	return 0;
}

static int user_set_role(struct sk_conn *c, int64_t org, const char *name, const char *role,
			 struct sk_err *err)
{
	int r = 0;

	if (!sk_streq(role, "owner"))
		r = other_owner(c, org, name, err);
	if (r < 0)
		return r;
	return sk_sql_run(c, err, "UPDATE users SET role = ? WHERE org_id = ? AND name = ?",
			  SK_BIND(SK_TEXT(role), SK_INT(org), SK_TEXT(name)));
}

static int user_remove(struct sk_conn *c, int64_t org, const char *name, struct sk_err *err)
{
	int r = other_owner(c, org, name, err);

	if (r < 0)
		return r;
	return sk_sql_run(c, err, "DELETE FROM users WHERE org_id = ? AND name = ?",
			  SK_BIND(SK_INT(org), SK_TEXT(name)));
}

static int user_set_password(struct sk_conn *c, int64_t org, const char *name, const char *hash,
			     bool temporary, int64_t keep_token, struct sk_err *err)
{
	int r = sk_sql_run(c, err,
			   "UPDATE users SET password = ?, temporary = ? WHERE org_id = ? AND"
			   " name = ?",
			   SK_BIND(SK_TEXT(hash), SK_INT(temporary), SK_INT(org), SK_TEXT(name)));

	if (r <= 0)
		return r;
	r = sk_sql_run(c, err,
		       "DELETE FROM tokens WHERE id <> ? AND user_id ="
		       " (SELECT id FROM users WHERE org_id = ? AND name = ?)",
		       SK_BIND(SK_INT(keep_token), SK_INT(org), SK_TEXT(name)));
	return r < 0 ? r : 1;
}

const struct sk_user_repo sk_sqlite_users = {
	.add = user_add,
	.find = user_find,
	.show = user_show,
	.list = user_list,
	.set_role = user_set_role,
	.remove = user_remove,
	.set_password = user_set_password,
};
