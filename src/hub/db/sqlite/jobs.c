/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/jobs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"

/* Ends open jobs; which ones is the WHERE of the caller. Their history gets a last line each. */
#define END_JOBS(where)                                                                   \
	"UPDATE jobs SET state = 'aborted', open = 0, reason = ?1, updated_s = ?2 WHERE " \
	"open AND " where
#define END_EVENTS(where)                                                              \
	"INSERT INTO job_events (job_id, at_s, step, bytes_done, bytes_total, reason)" \
	" SELECT id, ?2, 'aborted', bytes_done, bytes_total, ?1 FROM jobs WHERE open AND " where

#define OF_ROLLOUT                                                  \
	"kind = 'release' AND device_id IN (SELECT id FROM devices" \
	" WHERE deployment_id = ?3 AND status = 'accepted')"

/* The state of a device's last release job; what it said to run last is sure only after "done": a job
 * that was taken back may still be carried out. */
#define LAST_STATE(device)                                                 \
	"coalesce((SELECT j.state FROM jobs j WHERE j.device_id = " device \
	" AND j.kind = 'release' ORDER BY j.id DESC LIMIT 1), 'done')"

static int job_last_not_done(struct sk_conn *c, int64_t device, struct sk_err *err)
{
	int64_t one;

	return sk_sql_int(c, &one, err, "SELECT 1 WHERE " LAST_STATE("?") " <> 'done'",
			  SK_BIND(SK_INT(device)));
}

static int job_rollout(struct sk_conn *c, const struct sk_job_rollout *n, struct sk_err *err)
{
	static const char reason[] = "a newer release took its place";
	int64_t now = sk_wall_s();
	int r = sk_sql_run(c, err, END_EVENTS(OF_ROLLOUT),
			   SK_BIND(SK_TEXT(reason), SK_INT(now), SK_INT(n->deployment)));

	if (r >= 0)
		r = sk_sql_run(c, err, END_JOBS(OF_ROLLOUT),
			       SK_BIND(SK_TEXT(reason), SK_INT(now), SK_INT(n->deployment)));
	if (r < 0)
		return r;
	return sk_sql_run(c, err,
			  "INSERT INTO jobs (org_id, device_id, kind, state, release_id, release,"
			  " version, deployment_id, rollout, created_s, updated_s, created_by)"
			  " SELECT v.org_id, v.id, 'release', 'waiting', r.id, r.digest, r.version,"
			  " ?1, ?2, ?3, ?3, ?4 FROM devices v JOIN releases r ON r.id = ?5"
			  " AND r.org_id = v.org_id WHERE v.deployment_id = ?1 AND v.org_id = ?6"
			  " AND v.status = 'accepted' AND (?7 OR v.release IS NOT r.digest"
			  " OR " LAST_STATE("v.id") " <> 'done')",
			  SK_BIND(SK_INT(n->deployment), SK_INT(n->rollout), SK_INT(now),
				  SK_TEXT(n->by), SK_INT(n->release), SK_INT(n->org),
				  SK_INT(n->again)));
}

static int supersede(struct sk_conn *c, int64_t device, struct sk_err *err)
{
	static const char reason[] = "a newer job took its place";
	int r = sk_sql_run(c, err, END_EVENTS("kind = 'release' AND device_id = ?3"),
			   SK_BIND(SK_TEXT(reason), SK_INT(sk_wall_s()), SK_INT(device)));

	if (r >= 0)
		r = sk_sql_run(c, err, END_JOBS("kind = 'release' AND device_id = ?3"),
			       SK_BIND(SK_TEXT(reason), SK_INT(sk_wall_s()), SK_INT(device)));
	return r < 0 ? r : 0;
}

static int job_add(struct sk_conn *c, const struct sk_job_new *n, int64_t *ret_id,
		   struct sk_err *err)
{
	int64_t now = sk_wall_s();
	int r = n->release ? supersede(c, n->device, err) : 0;

	if (r < 0)
		return r;
	return sk_sql_insert(
		c, ret_id, err,
		"INSERT INTO jobs (org_id, device_id, kind, state, release_id, release,"
		" version, deployment_id, rollout, params, created_s, updated_s,"
		" created_by) VALUES (?1, ?2, ?3, 'waiting', nullif(?4, 0),"
		" (SELECT digest FROM releases WHERE id = ?4),"
		" (SELECT version FROM releases WHERE id = ?4),"
		" nullif(?5, 0), nullif(?6, 0), ?7, ?8, ?8, ?9)",
		SK_BIND(SK_INT(n->org), SK_INT(n->device), SK_TEXT(n->kind), SK_INT(n->release),
			SK_INT(n->deployment), SK_INT(n->rollout), SK_TEXT(n->params), SK_INT(now),
			SK_TEXT(n->by)));
}

static int job_count_open(struct sk_conn *c, int64_t device, int64_t *ret, struct sk_err *err)
{
	int r = sk_sql_int(c, ret, err, "SELECT count(*) FROM jobs WHERE device_id = ? AND open",
			   SK_BIND(SK_INT(device)));

	return r < 0 ? r : 0;
}

static int job_for_device(const struct sk_query *q, json_t **ret, struct sk_err *err)
{
	const char *kind = sk_query_text(q, 1), *params = sk_query_text(q, 4);
	json_t *options = params ? json_loads(params, 0, NULL) : NULL;
	json_t *job = json_pack("{s:s, s:s}", "id", sk_query_text(q, 0), "kind", kind);
	int r = job ? 0 : -1;

	if (r == 0 && sk_streq(kind, "release"))
		r = json_object_set_new(job, "release", json_string(sk_query_text(q, 2))) ||
		    json_object_set_new(job, "size_bytes", json_integer(sk_query_int(q, 3)));
	if (r == 0 && options)
		r = json_object_update(job, options);
	json_decref(options);
	if (r != 0) {
		json_decref(job);
		return sk_err_oom(err);
	}
	*ret = job;
	return 0;
}

static int job_next(struct sk_conn *c, int64_t device, const char *except, json_t **ret,
		    struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT j.uid, j.kind, r.digest, r.file_size, j.params FROM jobs j"
			    " LEFT JOIN releases r ON r.id = j.release_id"
			    " WHERE j.device_id = ?1 AND j.open AND j.uid IS NOT ?2"
			    " ORDER BY j.id LIMIT 1",
			    SK_BIND(SK_INT(device), SK_TEXT(except)));
	int r = sk_query_step(&q, err);

	*ret = NULL;
	return r <= 0 ? r : job_for_device(&q, ret, err);
}

static int job_fill(struct sk_query *q, struct sk_job *ret, struct sk_err *err)
{
	int r = sk_query_step(q, err);

	if (r <= 0)
		return r;
	*ret = (struct sk_job){
		.id = sk_query_int(q, 0),
		.org = sk_query_int(q, 1),
		.device = sk_query_int(q, 2),
		.open = sk_query_int(q, 6) != 0,
		.bytes_done = (uint64_t)sk_query_int(q, 9),
		.bytes_total = (uint64_t)sk_query_int(q, 10),
	};
	(void)snprintf(ret->uid, sizeof(ret->uid), "%s", sk_query_text(q, 3));
	(void)snprintf(ret->kind, sizeof(ret->kind), "%s", sk_query_text(q, 4));
	(void)snprintf(ret->state, sizeof(ret->state), "%s", sk_query_text(q, 5));
	(void)snprintf(ret->release, sizeof(ret->release), "%s", sk_query_text(q, 7));
	(void)snprintf(ret->version, sizeof(ret->version), "%s", sk_query_text(q, 8));
	return 1;
}

#define ROW                                                                     \
	"id, org_id, device_id, uid, kind, state, open, coalesce(release, '')," \
	" coalesce(version, ''), bytes_done, bytes_total FROM jobs"

static int job_find(struct sk_conn *c, int64_t org, const char *uid, struct sk_job *ret,
		    struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c, "SELECT " ROW " WHERE org_id = ? AND uid = ?",
			    SK_BIND(SK_INT(org), SK_TEXT(uid)));

	return job_fill(&q, ret, err);
}

static int job_of_device(struct sk_conn *c, int64_t device, const char *uid, struct sk_job *ret,
			 struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c, "SELECT " ROW " WHERE device_id = ? AND uid = ?",
			    SK_BIND(SK_INT(device), SK_TEXT(uid)));

	return job_fill(&q, ret, err);
}

static int job_save(struct sk_conn *c, const struct sk_job *j, const char *reason, bool event,
		    struct sk_err *err)
{
	int64_t now = sk_wall_s();
	int r = sk_sql_run(
		c, err,
		"UPDATE jobs SET state = ?, open = ?, bytes_done = ?, bytes_total = ?,"
		" reason = coalesce(?, reason), updated_s = ? WHERE org_id = ? AND id = ?",
		SK_BIND(SK_TEXT(j->state), SK_INT(j->open), SK_INT(j->bytes_done),
			SK_INT(j->bytes_total), SK_TEXT(reason), SK_INT(now), SK_INT(j->org),
			SK_INT(j->id)));

	if (r >= 0 && event)
		r = sk_sql_insert(c, NULL, err,
				  "INSERT INTO job_events (job_id, at_s, step, bytes_done,"
				  " bytes_total, reason) VALUES (?, ?, ?, ?, ?, ?)",
				  SK_BIND(SK_INT(j->id), SK_INT(now), SK_TEXT(j->state),
					  SK_INT(j->bytes_done), SK_INT(j->bytes_total),
					  SK_TEXT(reason)));
	return r < 0 ? r : 0;
}

static int job_add_event(struct sk_conn *c, const struct sk_job *j, const char *step,
			 const char *reason, struct sk_err *err)
{
	int r = sk_sql_run(c, err,
			   "INSERT INTO job_events (job_id, at_s, step, bytes_done, bytes_total,"
			   " reason) SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS (SELECT 1 FROM"
			   " job_events WHERE job_id = ?1 AND step = ?3)",
			   SK_BIND(SK_INT(j->id), SK_INT(sk_wall_s()), SK_TEXT(step),
				   SK_INT(j->bytes_done), SK_INT(j->bytes_total), SK_TEXT(reason)));

	return SK_MIN(r, 0);
}

static int job_revoked_reason(struct sk_conn *c, int64_t device, const char *digest,
			      char **ret_reason, struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT coalesce(j.reason, 'it was taken back') FROM jobs j"
			    " WHERE j.device_id = ?1 AND j.state = 'aborted' AND (j.release = ?2"
			    " OR EXISTS (SELECT 1 FROM release_images ri JOIN images i"
			    " ON i.id = ri.image_id WHERE ri.release_id = j.release_id"
			    " AND i.digest = ?2)) ORDER BY j.id DESC LIMIT 1",
			    SK_BIND(SK_INT(device), SK_TEXT(digest)));
	int r = sk_query_step(&q, err);

	if (r <= 0)
		return r;
	*ret_reason = strdup(sk_query_text(&q, 0));
	return *ret_reason ? 1 : sk_err_oom(err);
}

static int job_abort_rollout(struct sk_conn *c, int64_t deployment, const char *reason,
			     struct sk_err *err)
{
	int64_t now = sk_wall_s();
	int r = sk_sql_run(c, err, END_EVENTS("deployment_id = ?3"),
			   SK_BIND(SK_TEXT(reason), SK_INT(now), SK_INT(deployment)));

	return r < 0 ? r
		     : sk_sql_run(c, err, END_JOBS("deployment_id = ?3"),
				  SK_BIND(SK_TEXT(reason), SK_INT(now), SK_INT(deployment)));
}

static int job_abort_device(struct sk_conn *c, int64_t device, const char *reason,
			    struct sk_err *err)
{
	int64_t now = sk_wall_s();
	int r = sk_sql_run(c, err, END_EVENTS("device_id = ?3"),
			   SK_BIND(SK_TEXT(reason), SK_INT(now), SK_INT(device)));

	return r < 0 ? r
		     : sk_sql_run(c, err, END_JOBS("device_id = ?3"),
				  SK_BIND(SK_TEXT(reason), SK_INT(now), SK_INT(device)));
}

#define SHOW                                                                              \
	"j.uid AS id, j.kind AS kind, j.state AS step, v.uid AS device,"                  \
	" v.name AS device_name, j.release AS release, j.version AS version,"             \
	" p.name AS project, d.name AS deployment, j.rollout AS rollout,"                 \
	" j.bytes_done AS bytes_done, j.bytes_total AS bytes_total, j.reason AS reason,"  \
	" j.created_s AS created_s, j.updated_s AS updated_s, j.created_by AS created_by" \
	" FROM jobs j JOIN devices v ON v.id = j.device_id"                               \
	" LEFT JOIN deployments d ON d.id = j.deployment_id"                              \
	" LEFT JOIN projects p ON p.id = d.project_id"

/* One statement each, so that the index of what narrows most serves it ("+": not that of the org). */
#define LIST(narrow)                                                  \
	"SELECT j.id AS row, " SHOW " WHERE " narrow " AND j.id < ?2" \
	" AND (?3 IS NULL OR j.state = ?3) ORDER BY j.id DESC LIMIT ?4"
#define OF_ORG	      "j.org_id = ?1"
#define OF_DEVICE     "j.device_id = ?5 AND +j.org_id = ?1"
#define OF_DEPLOYMENT "j.deployment_id = ?5 AND j.rollout = ?6 AND +j.org_id = ?1"

static int job_list(struct sk_conn *c, int64_t org, const struct sk_job_filter *f,
		    const struct sk_page *p, json_t **ret, struct sk_err *err)
{
	if (f->device)
		return sk_sql_list(c, ret, err, LIST(OF_DEVICE),
				   SK_BIND(SK_INT(org), SK_INT(p->from), SK_TEXT(f->state),
					   SK_INT(p->rows), SK_INT(f->device)));
	if (f->deployment)
		return sk_sql_list(c, ret, err, LIST(OF_DEPLOYMENT),
				   SK_BIND(SK_INT(org), SK_INT(p->from), SK_TEXT(f->state),
					   SK_INT(p->rows), SK_INT(f->deployment),
					   SK_INT(f->rollout)));
	return sk_sql_list(
		c, ret, err, LIST(OF_ORG),
		SK_BIND(SK_INT(org), SK_INT(p->from), SK_TEXT(f->state), SK_INT(p->rows)));
}

static int job_show(struct sk_conn *c, int64_t org, int64_t id, json_t **ret, struct sk_err *err)
{
	json_t *history = NULL;
	int r = sk_sql_one(c, ret, err, "SELECT " SHOW " WHERE j.org_id = ? AND j.id = ?",
			   SK_BIND(SK_INT(org), SK_INT(id)));

	if (r < 0 || !*ret)
		return r;
	r = sk_sql_list(c, &history, err,
			"SELECT at_s, step, bytes_done, bytes_total, reason FROM job_events"
			" WHERE job_id = ? ORDER BY id",
			SK_BIND(SK_INT(id)));
	if (r == 0 && json_object_set_new(*ret, "history", history))
		r = sk_err_oom(err);
	if (r < 0) {
		json_decref(*ret);
		*ret = NULL;
	}
	return r;
}

const struct sk_job_repo sk_sqlite_jobs = {
	.rollout = job_rollout,
	.add = job_add,
	.count_open = job_count_open,
	.next = job_next,
	.find = job_find,
	.of_device = job_of_device,
	.save = job_save,
	.add_event = job_add_event,
	.revoked_reason = job_revoked_reason,
	.last_not_done = job_last_not_done,
	.abort_rollout = job_abort_rollout,
	.abort_device = job_abort_device,
	.list = job_list,
	.show = job_show,
};
