/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/deployments.h"

#include <errno.h>

#include "base/clock.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"

static int deployment_add(struct sk_conn *c, int64_t org, int64_t project, const char *name,
			  struct sk_err *err)
{
	int r = sk_sql_insert(
		c, NULL, err,
		"INSERT INTO deployments (org_id, project_id, name, created_s)"
		" VALUES (?, ?, ?, ?)",
		SK_BIND(SK_INT(org), SK_INT(project), SK_TEXT(name), SK_INT(sk_wall_s())));

	if (r == -EEXIST)
		return sk_err_set(err, r, "already-exists", "there is a deployment \"%s\" already",
				  name);
	return r;
}

static int deployment_fill(struct sk_query *q, struct sk_deployment *ret, struct sk_err *err)
{
	int r = sk_query_step(q, err);

	if (r > 0)
		*ret = (struct sk_deployment){
			.id = sk_query_int(q, 0),
			.org = sk_query_int(q, 1),
			.project = sk_query_int(q, 2),
			.release = sk_query_int(q, 3),
			.rollout = sk_query_int(q, 4),
		};
	return r;
}

#define ROW "d.id, d.org_id, d.project_id, coalesce(d.release_id, 0), d.rollout"

static int deployment_find(struct sk_conn *c, int64_t org, const char *project, const char *name,
			   struct sk_deployment *ret, struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT " ROW " FROM deployments d"
			    " JOIN projects p ON p.id = d.project_id"
			    " WHERE p.org_id = ? AND d.org_id = p.org_id AND p.name = ?"
			    " AND d.name = ?",
			    SK_BIND(SK_INT(org), SK_TEXT(project), SK_TEXT(name)));

	return deployment_fill(&q, ret, err);
}

static int deployment_get(struct sk_conn *c, int64_t org, int64_t id, struct sk_deployment *ret,
			  struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c, "SELECT " ROW " FROM deployments d WHERE d.org_id = ? AND d.id = ?",
			    SK_BIND(SK_INT(org), SK_INT(id)));

	return deployment_fill(&q, ret, err);
}

#define SHOW                                                                        \
	"p.name AS project, d.name AS name, d.created_s AS created_s,"              \
	" r.digest AS release, r.version AS version, d.attached_s AS attached_s,"   \
	" d.rollout AS rollout,"                                                    \
	" (SELECT count(*) FROM devices v WHERE v.deployment_id = d.id) AS devices" \
	" FROM deployments d JOIN projects p ON p.id = d.project_id"                \
	" LEFT JOIN releases r ON r.id = d.release_id"

static int progress(struct sk_conn *c, int64_t id, json_t *into, struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT j.state, count(*) FROM jobs j JOIN deployments d"
			    " ON d.id = j.deployment_id AND d.rollout = j.rollout"
			    " WHERE d.id = ? GROUP BY j.state",
			    SK_BIND(SK_INT(id)));
	json_t *counts = json_object();
	int r;

	if (json_object_set_new(into, "progress", counts))
		return sk_err_oom(err);
	while ((r = sk_query_step(&q, err)) > 0)
		if (json_object_set_new(counts, sk_query_text(&q, 0),
					json_integer(sk_query_int(&q, 1))))
			return sk_err_oom(err);
	return r;
}

static int deployment_show(struct sk_conn *c, int64_t org, int64_t id, json_t **ret,
			   struct sk_err *err)
{
	int r = sk_sql_one(c, ret, err, "SELECT " SHOW " WHERE d.org_id = ? AND d.id = ?",
			   SK_BIND(SK_INT(org), SK_INT(id)));

	if (r == 0 && *ret)
		r = progress(c, id, *ret, err);
	if (r < 0) {
		json_decref(*ret);
		*ret = NULL;
	}
	return r;
}

static int deployment_list(struct sk_conn *c, int64_t org, int64_t project, const struct sk_page *p,
			   json_t **ret, struct sk_err *err)
{
	return sk_sql_list(c, ret, err,
			   "SELECT d.id AS row, " SHOW " WHERE d.org_id = ?"
			   " AND (?2 = 0 OR d.project_id = ?2) AND d.id > ? ORDER BY d.id LIMIT ?",
			   SK_BIND(SK_INT(org), SK_INT(project), SK_INT(p->from), SK_INT(p->rows)));
}

static int deployment_attach(struct sk_conn *c, struct sk_deployment *d, int64_t release,
			     struct sk_err *err)
{
	int r = sk_sql_run(
		c, err,
		"UPDATE deployments SET release_id = nullif(?, 0), attached_s ="
		" CASE WHEN ?1 = 0 THEN NULL ELSE ? END, rollout = rollout + 1"
		" WHERE org_id = ? AND id = ?",
		SK_BIND(SK_INT(release), SK_INT(sk_wall_s()), SK_INT(d->org), SK_INT(d->id)));

	if (r < 0)
		return r;
	d->release = release;
	d->rollout++;
	return 0;
}

static int deployment_remove(struct sk_conn *c, int64_t org, int64_t id, struct sk_err *err)
{
	int r = sk_sql_run(c, err, "DELETE FROM deployments WHERE org_id = ? AND id = ?",
			   SK_BIND(SK_INT(org), SK_INT(id)));

	if (r == -EBUSY)
		return sk_err_set(err, r, "in-use",
				  "devices still belong to this deployment: move or delete them "
				  "first");
	return r;
}

const struct sk_deployment_repo sk_sqlite_deployments = {
	.add = deployment_add,
	.find = deployment_find,
	.get = deployment_get,
	.show = deployment_show,
	.list = deployment_list,
	.attach = deployment_attach,
	.remove = deployment_remove,
};
