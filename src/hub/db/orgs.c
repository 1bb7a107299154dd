/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/orgs.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"

int sk_org_add(struct sk_conn *c, const char *name, int64_t *ret_id, struct sk_err *err)
{
	int r = sk_db_insert(c, ret_id, err, "INSERT INTO orgs (name, created_s) VALUES (?, ?)",
			     "si", name, sk_wall_s());

	if (r == -EEXIST)
		return sk_err_set(err, r, "already-exists",
				  "there is an organisation \"%s\" already", name);
	return r;
}

int sk_org_find(struct sk_conn *c, const char *name, int64_t *ret_id, struct sk_err *err)
{
	return sk_db_int(c, ret_id, err, "SELECT id FROM orgs WHERE name = ?", "s", name);
}

int sk_org_any(struct sk_conn *c, struct sk_err *err)
{
	int64_t one;

	return sk_db_int(c, &one, err, "SELECT 1 FROM orgs LIMIT 1", "");
}

int sk_org_only(struct sk_conn *c, int64_t *ret_id, struct sk_err *err)
{
	return sk_db_int(c, ret_id, err, "SELECT min(id) FROM orgs HAVING count(*) = 1", "");
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

int sk_org_show(struct sk_conn *c, int64_t org, json_t **ret, struct sk_err *err)
{
	return sk_db_one(c, ret, err, "SELECT " ORG_COLUMNS " FROM orgs WHERE id = ?", "i", org);
}

int sk_org_list(struct sk_conn *c, json_t **ret, struct sk_err *err)
{
	return sk_db_list(c, ret, err, "SELECT " ORG_COLUMNS " FROM orgs ORDER BY name", "");
}

int sk_org_set_ca(struct sk_conn *c, int64_t org, const char *pem, struct sk_err *err)
{
	int r = sk_db_run(c, err, "UPDATE orgs SET ca = ? WHERE id = ?", "si", pem, org);

	return r < 0 ? r : 0;
}

int sk_org_ca(struct sk_conn *c, int64_t org, char **ret, struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c, "SELECT ca FROM orgs WHERE id = ?", "i", org);
	int r = sk_query_step(&q, err);

	*ret = NULL;
	if (r <= 0 || !sk_query_text(&q, 0))
		return r < 0 ? r : 0;
	*ret = strdup(sk_query_text(&q, 0));
	return *ret ? 0 : sk_err_oom(err);
}

int sk_org_set_quota(struct sk_conn *c, int64_t org, uint64_t bytes, struct sk_err *err)
{
	int r = sk_db_run(c, err, "UPDATE orgs SET quota_bytes = ? WHERE id = ?", "ii",
			  (int64_t)bytes, org);

	return r < 0 ? r : 0;
}

int sk_org_storage(struct sk_conn *c, int64_t org, uint64_t *ret_used, uint64_t *ret_quota,
		   struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT (SELECT coalesce(sum(size_bytes), 0) FROM images"
			    " WHERE org_id = orgs.id), quota_bytes FROM orgs WHERE id = ?",
			    "i", org);
	int r = sk_query_step(&q, err);

	if (r <= 0)
		return r;
	*ret_used = (uint64_t)sk_query_int(&q, 0);
	*ret_quota = (uint64_t)sk_query_int(&q, 1);
	return 0;
}
