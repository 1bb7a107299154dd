/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/releases.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"

static int release_add(struct sk_conn *c, const struct sk_release_new *n, int64_t *ret_id,
		       struct sk_err *err)
{
	int r = sk_sql_insert(c, ret_id, err,
			      "INSERT INTO releases (org_id, project_id, digest, version,"
			      " file_digest, file_size, created_s, expires_s, created_by,"
			      " compatible, graph) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			      SK_BIND(SK_INT(n->org), SK_INT(n->project), SK_TEXT(n->digest),
				      SK_TEXT(n->version), SK_TEXT(n->file_digest),
				      SK_INT(n->file_size), SK_INT(sk_wall_s()),
				      SK_INT(n->expires_s), SK_TEXT(n->created_by),
				      SK_TEXT(n->compatible), SK_TEXT(n->graph)));

	if (r == -EEXIST)
		return sk_err_set(err, r, "already-exists",
				  "the project has a different release with version %s already: "
				  "build this one with a new version",
				  n->version);
	return r;
}

static int release_add_image(struct sk_conn *c, int64_t release, int64_t image, const char *name,
			     struct sk_err *err)
{
	return sk_sql_insert(c, NULL, err,
			     "INSERT INTO release_images (release_id, image_id, name)"
			     " VALUES (?, ?, ?)",
			     SK_BIND(SK_INT(release), SK_INT(image), SK_TEXT(name)));
}

#define ROW "r.id, r.project_id, r.digest, r.version, r.file_digest, r.file_size"

static int release_fill(struct sk_query *q, struct sk_release_row *ret, struct sk_err *err)
{
	int r = sk_query_step(q, err);

	if (r <= 0)
		return r;
	*ret = (struct sk_release_row){
		.id = sk_query_int(q, 0),
		.project = sk_query_int(q, 1),
		.file_size = (uint64_t)sk_query_int(q, 5),
	};
	(void)snprintf(ret->digest, sizeof(ret->digest), "%s", sk_query_text(q, 2));
	(void)snprintf(ret->version, sizeof(ret->version), "%s", sk_query_text(q, 3));
	(void)snprintf(ret->file_digest, sizeof(ret->file_digest), "%s", sk_query_text(q, 4));
	return 1;
}

static int release_find(struct sk_conn *c, int64_t org, const char *project, const char *digest,
			struct sk_release_row *ret, struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT " ROW " FROM releases r JOIN projects p"
			    " ON p.id = r.project_id AND p.org_id = r.org_id"
			    " WHERE r.org_id = ? AND p.name = ? AND r.digest = ?",
			    SK_BIND(SK_INT(org), SK_TEXT(project), SK_TEXT(digest)));

	return release_fill(&q, ret, err);
}

static int release_get(struct sk_conn *c, int64_t org, int64_t id, struct sk_release_row *ret,
		       struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c, "SELECT " ROW " FROM releases r WHERE r.org_id = ? AND r.id = ?",
			    SK_BIND(SK_INT(org), SK_INT(id)));

	return release_fill(&q, ret, err);
}

static int release_of_project(struct sk_conn *c, int64_t org, int64_t project, const char *digest,
			      struct sk_release_row *ret, struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT " ROW " FROM releases r WHERE r.org_id = ?"
			    " AND r.project_id = ? AND r.digest = ?",
			    SK_BIND(SK_INT(org), SK_INT(project), SK_TEXT(digest)));

	return release_fill(&q, ret, err);
}

/* What a device may fetch: the releases of its jobs, except of aborted ones. */
#define DEVICE_RELEASES                                                               \
	"SELECT release_id FROM jobs WHERE device_id = ?1 AND release_id IS NOT NULL" \
	" AND state <> 'aborted'"

static int release_of_device(struct sk_conn *c, int64_t device, const char *digest,
			     struct sk_release_row *ret, struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT " ROW " FROM releases r WHERE r.id IN (" DEVICE_RELEASES
			    ") AND r.digest = ?2 LIMIT 1",
			    SK_BIND(SK_INT(device), SK_TEXT(digest)));

	return release_fill(&q, ret, err);
}

static int release_image_of_device(struct sk_conn *c, int64_t device, const char *digest,
				   struct sk_err *err)
{
	int64_t one;

	return sk_sql_int(c, &one, err,
			  "SELECT 1 FROM release_images ri JOIN images i ON i.id = ri.image_id"
			  " WHERE ri.release_id IN (" DEVICE_RELEASES
			  ") AND i.digest = ?2 AND i.complete LIMIT 1",
			  SK_BIND(SK_INT(device), SK_TEXT(digest)));
}

static int release_missing(struct sk_conn *c, int64_t release, int64_t *ret, struct sk_err *err)
{
	int r = sk_sql_int(c, ret, err,
			   "SELECT count(*) FROM release_images ri JOIN images i"
			   " ON i.id = ri.image_id WHERE ri.release_id = ? AND NOT i.complete",
			   SK_BIND(SK_INT(release)));

	return r < 0 ? r : 0;
}

#define SHOW                                                                                \
	"r.digest AS id, p.name AS project, r.version AS version,"                          \
	" r.file_size AS size_bytes, r.created_s AS created_s, r.created_by AS created_by," \
	" nullif(r.expires_s, 0) AS expires_s, r.compatible AS \"compatible:json\","        \
	" NOT EXISTS (SELECT 1 FROM release_images ri JOIN images i ON i.id = ri.image_id"  \
	" WHERE ri.release_id = r.id AND NOT i.complete) AS \"complete:bool\""              \
	" FROM releases r JOIN projects p ON p.id = r.project_id"

static int release_show(struct sk_conn *c, int64_t org, int64_t id, json_t **ret,
			struct sk_err *err)
{
	json_t *images = NULL;
	int r = sk_sql_one(c, ret, err, "SELECT " SHOW " WHERE r.org_id = ? AND r.id = ?",
			   SK_BIND(SK_INT(org), SK_INT(id)));

	if (r < 0 || !*ret)
		return r;
	r = sk_sql_list(c, &images, err,
			"SELECT ri.name AS name, i.digest AS digest, i.size_bytes AS size_bytes,"
			" i.complete AS \"have:bool\" FROM release_images ri"
			" JOIN images i ON i.id = ri.image_id WHERE ri.release_id = ?"
			" ORDER BY ri.name",
			SK_BIND(SK_INT(id)));
	if (r == 0 && json_object_set_new(*ret, "images", images))
		r = sk_err_oom(err);
	if (r < 0) {
		json_decref(*ret);
		*ret = NULL;
	}
	return r;
}

static int release_list(struct sk_conn *c, int64_t org, int64_t project, const struct sk_page *p,
			json_t **ret, struct sk_err *err)
{
	return sk_sql_list(c, ret, err,
			   "SELECT r.id AS row, " SHOW " WHERE r.org_id = ? AND r.project_id = ?"
			   " AND r.id < ? ORDER BY r.id DESC LIMIT ?",
			   SK_BIND(SK_INT(org), SK_INT(project), SK_INT(p->from), SK_INT(p->rows)));
}

static int release_graph(struct sk_conn *c, int64_t org, int64_t id, json_t **ret,
			 struct sk_err *err)
{
	json_t *row = NULL;
	int r = sk_sql_one(
		c, &row, err,
		"SELECT graph AS \"graph:json\" FROM releases WHERE org_id = ? AND id = ?",
		SK_BIND(SK_INT(org), SK_INT(id)));

	*ret = json_incref(json_object_get(row, "graph"));
	json_decref(row);
	return r;
}

static int release_remove(struct sk_conn *c, int64_t org, int64_t id, struct sk_err *err)
{
	int64_t attached = 0, open = 0, running = 0;
	int r = sk_sql_int(c, &attached, err,
			   "SELECT count(*) FROM deployments WHERE release_id = ?",
			   SK_BIND(SK_INT(id)));

	if (r >= 0)
		r = sk_sql_int(c, &open, err,
			       "SELECT count(*) FROM jobs WHERE release_id = ? AND open",
			       SK_BIND(SK_INT(id)));
	if (r >= 0)
		r = sk_sql_int(c, &running, err,
			       "SELECT count(*) FROM devices v JOIN deployments d"
			       " ON d.id = v.deployment_id JOIN releases r ON r.id = ?2 AND"
			       " r.project_id = d.project_id AND r.digest = v.release"
			       " WHERE v.org_id = ?1",
			       SK_BIND(SK_INT(org), SK_INT(id)));
	if (r < 0)
		return r;
	if (attached || open || running)
		return sk_err_set(err, -EBUSY, "in-use",
				  "the release is in use: attached to %d deployments, on its way "
				  "to %d devices, running on %d",
				  (int)attached, (int)open, (int)running);
	r = sk_sql_run(c, err, "DELETE FROM releases WHERE org_id = ? AND id = ?",
		       SK_BIND(SK_INT(org), SK_INT(id)));
	return r < 0 ? r : 0;
}

static int release_has_file(struct sk_conn *c, int64_t org, const char *file_digest,
			    struct sk_err *err)
{
	int64_t one;

	return sk_sql_int(c, &one, err,
			  "SELECT 1 FROM releases WHERE org_id = ? AND file_digest = ? LIMIT 1",
			  SK_BIND(SK_INT(org), SK_TEXT(file_digest)));
}

const struct sk_release_repo sk_sqlite_releases = {
	.add = release_add,
	.add_image = release_add_image,
	.find = release_find,
	.of_project = release_of_project,
	.get = release_get,
	.of_device = release_of_device,
	.image_of_device = release_image_of_device,
	.missing = release_missing,
	.show = release_show,
	.list = release_list,
	.graph = release_graph,
	.remove = release_remove,
	.has_file = release_has_file,
};
