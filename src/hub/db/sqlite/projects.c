/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/projects.h"

#include <errno.h>

#include "base/clock.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"

static int project_add(struct sk_conn *c, int64_t org, const char *name, struct sk_err *err)
{
	int r = sk_sql_insert(c, NULL, err,
			      "INSERT INTO projects (org_id, name, created_s) VALUES (?, ?, ?)",
			      SK_BIND(SK_INT(org), SK_TEXT(name), SK_INT(sk_wall_s())));

	if (r == -EEXIST)
		return sk_err_set(err, r, "already-exists", "there is a project \"%s\" already",
				  name);
	return r;
}

static int project_find(struct sk_conn *c, int64_t org, const char *name, int64_t *ret_id,
			struct sk_err *err)
{
	return sk_sql_int(c, ret_id, err, "SELECT id FROM projects WHERE org_id = ? AND name = ?",
			  SK_BIND(SK_INT(org), SK_TEXT(name)));
}

#define PROJECT_COLUMNS                                                                    \
	"name, created_s,"                                                                 \
	" (SELECT count(*) FROM deployments d WHERE d.project_id = projects.id)"           \
	" AS deployments,"                                                                 \
	" (SELECT count(*) FROM releases r WHERE r.project_id = projects.id) AS releases," \
	" (SELECT count(*) FROM devices v JOIN deployments d ON d.id = v.deployment_id"    \
	" WHERE d.project_id = projects.id) AS devices"

static int project_show(struct sk_conn *c, int64_t org, const char *name, json_t **ret,
			struct sk_err *err)
{
	return sk_sql_one(c, ret, err,
			  "SELECT " PROJECT_COLUMNS " FROM projects WHERE org_id = ? AND name = ?",
			  SK_BIND(SK_INT(org), SK_TEXT(name)));
}

static int project_list(struct sk_conn *c, int64_t org, const struct sk_page *p, json_t **ret,
			struct sk_err *err)
{
	return sk_sql_list(c, ret, err,
			   "SELECT id AS row, " PROJECT_COLUMNS " FROM projects WHERE org_id = ?"
			   " AND id > ? ORDER BY id LIMIT ?",
			   SK_BIND(SK_INT(org), SK_INT(p->from), SK_INT(p->rows)));
}

static int project_remove(struct sk_conn *c, int64_t org, const char *name, struct sk_err *err)
{
	int r = sk_sql_run(c, err, "DELETE FROM projects WHERE org_id = ? AND name = ?",
			   SK_BIND(SK_INT(org), SK_TEXT(name)));

	if (r == -EBUSY)
		return sk_err_set(err, r, "in-use",
				  "project %s still has deployments or releases: delete them first",
				  name);
	return r;
}

const struct sk_project_repo sk_sqlite_projects = {
	.add = project_add,
	.find = project_find,
	.show = project_show,
	.list = project_list,
	.remove = project_remove,
};
