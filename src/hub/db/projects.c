/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/projects.h"

#include <errno.h>

#include "base/clock.h"

int sk_project_add(struct sk_conn *c, int64_t org, const char *name, struct sk_err *err)
{
	int r = sk_db_insert(c, NULL, err,
			     "INSERT INTO projects (org_id, name, created_s) VALUES (?, ?, ?)",
			     "isi", org, name, sk_wall_s());

	if (r == -EEXIST)
		return sk_err_set(err, r, "already-exists", "there is a project \"%s\" already",
				  name);
	return r;
}

int sk_project_find(struct sk_conn *c, int64_t org, const char *name, int64_t *ret_id,
		    struct sk_err *err)
{
	return sk_db_int(c, ret_id, err, "SELECT id FROM projects WHERE org_id = ? AND name = ?",
			 "is", org, name);
}

#define PROJECT_COLUMNS                                                                    \
	"name, created_s,"                                                                 \
	" (SELECT count(*) FROM deployments d WHERE d.project_id = projects.id)"           \
	" AS deployments,"                                                                 \
	" (SELECT count(*) FROM releases r WHERE r.project_id = projects.id) AS releases," \
	" (SELECT count(*) FROM devices v JOIN deployments d ON d.id = v.deployment_id"    \
	" WHERE d.project_id = projects.id) AS devices"

int sk_project_show(struct sk_conn *c, int64_t org, const char *name, json_t **ret,
		    struct sk_err *err)
{
	return sk_db_one(c, ret, err,
			 "SELECT " PROJECT_COLUMNS " FROM projects WHERE org_id = ? AND name = ?",
			 "is", org, name);
}

int sk_project_list(struct sk_conn *c, int64_t org, const struct sk_page *p, json_t **ret,
		    struct sk_err *err)
{
	return sk_db_list(c, ret, err,
			  "SELECT id AS row, " PROJECT_COLUMNS " FROM projects WHERE org_id = ?"
			  " AND id > ? ORDER BY id LIMIT ?",
			  "iid", org, p->from, p->rows);
}

int sk_project_del(struct sk_conn *c, int64_t org, const char *name, struct sk_err *err)
{
	int r = sk_db_run(c, err, "DELETE FROM projects WHERE org_id = ? AND name = ?", "is", org,
			  name);

	if (r == -EBUSY)
		return sk_err_set(err, r, "in-use",
				  "project %s still has deployments or releases: delete them first",
				  name);
	return r;
}
