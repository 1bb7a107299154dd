/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/orgs.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"

static int org_add(struct sk_conn *c, const char *name, int64_t *ret_id, struct sk_err *err)
{
	int r = sk_sql_insert(c, ret_id, err, "INSERT INTO orgs (name, created_s) VALUES (?, ?)",
			      SK_BIND(SK_TEXT(name), SK_INT(sk_wall_s())));

	if (r == -EEXIST)
		return sk_err_set(err, r, "already-exists",
				  "there is an organisation \"%s\" already", name);
	return r;
}

static int org_find(struct sk_conn *c, const char *name, int64_t *ret_id, struct sk_err *err)
{
	return sk_sql_int(c, ret_id, err, "SELECT id FROM orgs WHERE name = ?",
			  SK_BIND(SK_TEXT(name)));
}

static int org_any(struct sk_conn *c, struct sk_err *err)
{
	int64_t one;

	return sk_sql_int(c, &one, err, "SELECT 1 FROM orgs LIMIT 1", SK_NO_BINDS);
}

static int org_only(struct sk_conn *c, int64_t *ret_id, struct sk_err *err)
{
	return sk_sql_int(c, ret_id, err, "SELECT min(id) FROM orgs HAVING count(*) = 1",
			  SK_NO_BINDS);
}

#define ORG_COLUMNS                                                                     \
	"name, created_s, ca IS NOT NULL AS \"ca:bool\", quota_bytes,"                  \
	" (SELECT count(*) FROM users WHERE org_id = orgs.id) AS users,"                \
	" (SELECT count(*) FROM projects WHERE org_id = orgs.id) AS projects,"          \
	" (SELECT count(*) FROM devices WHERE org_id = orgs.id) AS devices,"            \
	" (SELECT count(*) FROM devices WHERE org_id = orgs.id AND status = 'pending')" \
	" AS devices_pending,"                                                          \
	" (SELECT coalesce(sum(size_bytes), 0) FROM images WHERE org_id = orgs.id)"     \
	" AS storage_bytes"

static int org_show(struct sk_conn *c, int64_t org, json_t **ret, struct sk_err *err)
{
	return sk_sql_one(c, ret, err, "SELECT " ORG_COLUMNS " FROM orgs WHERE id = ?",
			  SK_BIND(SK_INT(org)));
}

static int org_list(struct sk_conn *c, json_t **ret, struct sk_err *err)
{
	return sk_sql_list(c, ret, err, "SELECT " ORG_COLUMNS " FROM orgs ORDER BY name",
			   SK_NO_BINDS);
}

static int org_set_ca(struct sk_conn *c, int64_t org, const char *pem, struct sk_err *err)
{
	int r = sk_sql_run(c, err, "UPDATE orgs SET ca = ? WHERE id = ?",
			   SK_BIND(SK_TEXT(pem), SK_INT(org)));

	return r < 0 ? r : 0;
}

static int org_ca(struct sk_conn *c, int64_t org, char **ret, struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c, "SELECT ca FROM orgs WHERE id = ?", SK_BIND(SK_INT(org)));
	int r = sk_query_step(&q, err);

	*ret = NULL;
	if (r <= 0 || !sk_query_text(&q, 0))
		return r < 0 ? r : 0;
	*ret = strdup(sk_query_text(&q, 0));
	return *ret ? 0 : sk_err_oom(err);
}

static int org_set_quota(struct sk_conn *c, int64_t org, uint64_t bytes, struct sk_err *err)
{
	int r = sk_sql_run(c, err, "UPDATE orgs SET quota_bytes = ? WHERE id = ?",
			   SK_BIND(SK_INT(bytes), SK_INT(org)));

	return r < 0 ? r : 0;
}

static int org_storage(struct sk_conn *c, int64_t org, uint64_t *ret_used, uint64_t *ret_quota,
		       struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT (SELECT coalesce(sum(size_bytes), 0) FROM images"
			    " WHERE org_id = orgs.id), quota_bytes FROM orgs WHERE id = ?",
			    SK_BIND(SK_INT(org)));
	int r = sk_query_step(&q, err);

	if (r <= 0)
		return r;
	*ret_used = (uint64_t)sk_query_int(&q, 0);
	*ret_quota = (uint64_t)sk_query_int(&q, 1);
	return 0;
}

const struct sk_org_repo sk_sqlite_orgs = {
	.add = org_add,
	.find = org_find,
	.any = org_any,
	.only = org_only,
	.show = org_show,
	.list = org_list,
	.set_ca = org_set_ca,
	.ca = org_ca,
	.set_quota = org_set_quota,
	.storage = org_storage,
};
