/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/devices.h"
#include "hub/db/sessions.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"

static int device_add(struct sk_conn *c, const struct sk_device_new *n, int64_t *ret_id,
		      struct sk_err *err)
{
	return sk_sql_insert(c, ret_id, err,
			     "INSERT INTO devices (uid, org_id, deployment_id, status, name,"
			     " public_key, compatible, peer, enrolled_s)"
			     " VALUES (?, ?, nullif(?3, 0),"
			     " CASE WHEN ?3 = 0 THEN 'pending' ELSE 'accepted' END, ?, ?, ?, ?, ?)",
			     SK_BIND(SK_TEXT(n->uid), SK_INT(n->org), SK_INT(n->deployment),
				     SK_TEXT(n->name), SK_TEXT(n->public_key),
				     SK_TEXT(n->compatible), SK_TEXT(n->peer),
				     SK_INT(sk_wall_s())));
}

static int device_fill(struct sk_query *q, struct sk_device *ret, struct sk_err *err)
{
	int r = sk_query_step(q, err);

	if (r <= 0)
		return r;
	*ret = (struct sk_device){
		.id = sk_query_int(q, 0),
		.org = sk_query_int(q, 1),
		.deployment = sk_query_int(q, 2),
	};
	(void)snprintf(ret->uid, sizeof(ret->uid), "%s", sk_query_text(q, 3));
	(void)snprintf(ret->status, sizeof(ret->status), "%s", sk_query_text(q, 4));
	(void)snprintf(ret->release, sizeof(ret->release), "%s", sk_query_text(q, 5));
	return 1;
}

#define ROW \
	"id, org_id, coalesce(deployment_id, 0), uid, status, coalesce(release, '') FROM devices"

static int device_find_any(struct sk_conn *c, const char *uid, struct sk_device *ret,
			   struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c, "SELECT " ROW " WHERE uid = ?", SK_BIND(SK_TEXT(uid)));

	return device_fill(&q, ret, err);
}

static int device_find(struct sk_conn *c, int64_t org, const char *uid, struct sk_device *ret,
		       struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c, "SELECT " ROW " WHERE org_id = ? AND uid = ?",
			    SK_BIND(SK_INT(org), SK_TEXT(uid)));

	return device_fill(&q, ret, err);
}

static int device_get(struct sk_conn *c, int64_t org, int64_t id, struct sk_device *ret,
		      struct sk_err *err)
{
	_cleanup_query_ struct sk_query q = sk_query_of(
		c, "SELECT " ROW " WHERE org_id = ? AND id = ?", SK_BIND(SK_INT(org), SK_INT(id)));

	return device_fill(&q, ret, err);
}

static int device_public_key(struct sk_conn *c, int64_t id, char ret[static SK_PUBLIC_KEY_MAX],
			     struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c, "SELECT public_key FROM devices WHERE id = ?", SK_BIND(SK_INT(id)));
	int r = sk_query_step(&q, err);

	if (r > 0)
		(void)snprintf(ret, SK_PUBLIC_KEY_MAX, "%s", sk_query_text(&q, 0));
	return r;
}

static int device_count_pending(struct sk_conn *c, int64_t org, const char *peer, int64_t *ret_org,
				int64_t *ret_peer, struct sk_err *err)
{
	int r = sk_sql_int(c, ret_org, err,
			   "SELECT count(*) FROM devices WHERE org_id = ? AND status = 'pending'",
			   SK_BIND(SK_INT(org)));

	if (r >= 0)
		r = sk_sql_int(c, ret_peer, err,
			       "SELECT count(*) FROM devices WHERE peer = ? AND status = 'pending'",
			       SK_BIND(SK_TEXT(peer)));
	return r < 0 ? r : 0;
}

static int device_set_status(struct sk_conn *c, const struct sk_device *d, const char *status,
			     int64_t deployment, struct sk_err *err)
{
	int r = sk_sql_run(
		c, err,
		"UPDATE devices SET status = ?, deployment_id = nullif(?, 0)"
		" WHERE org_id = ? AND id = ?",
		SK_BIND(SK_TEXT(status), SK_INT(deployment), SK_INT(d->org), SK_INT(d->id)));

	if (r >= 0 && !sk_streq(status, "accepted"))
		r = c->sessions->end(c, d->id, err);
	return r < 0 ? r : 0;
}

static int device_set_name(struct sk_conn *c, const struct sk_device *d, const char *name,
			   struct sk_err *err)
{
	int r = sk_sql_run(c, err, "UPDATE devices SET name = ? WHERE org_id = ? AND id = ?",
			   SK_BIND(SK_TEXT(name), SK_INT(d->org), SK_INT(d->id)));

	return r < 0 ? r : 0;
}

static int device_update_enrolment(struct sk_conn *c, int64_t id, const char *name,
				   const char *compatible, struct sk_err *err)
{
	int r = sk_sql_run(c, err,
			   "UPDATE devices SET compatible = ?2,"
			   " name = CASE WHEN status = 'pending' THEN ?1 ELSE name END"
			   " WHERE id = ?3 AND (compatible <> ?2 OR status = 'pending')",
			   SK_BIND(SK_TEXT(name), SK_TEXT(compatible), SK_INT(id)));

	return r < 0 ? r : 0;
}

static int device_set_release(struct sk_conn *c, int64_t id, const char *release,
			      const char *version, struct sk_err *err)
{
	int r = sk_sql_run(c, err, "UPDATE devices SET release = ?, version = ? WHERE id = ?",
			   SK_BIND(SK_TEXT(release), SK_TEXT(version), SK_INT(id)));

	return r < 0 ? r : 0;
}

static int device_set_seen(struct sk_conn *c, int64_t id, int64_t at_s, struct sk_err *err)
{
	int r = sk_sql_run(c, err, "UPDATE devices SET last_seen_s = ? WHERE id = ?",
			   SK_BIND(SK_INT(at_s), SK_INT(id)));

	return r < 0 ? r : 0;
}

static int device_remove(struct sk_conn *c, const struct sk_device *d, struct sk_err *err)
{
	int r = sk_sql_run(c, err, "DELETE FROM devices WHERE org_id = ? AND id = ?",
			   SK_BIND(SK_INT(d->org), SK_INT(d->id)));

	return r < 0 ? r : 0;
}

#define SHOW                                                                                 \
	"v.id AS row, v.uid AS id, v.name AS name, v.status AS status, p.name AS project,"   \
	" d.name AS deployment, v.compatible AS \"compatible:json\","                        \
	" v.enrolled_s AS enrolled_s, v.last_seen_s AS last_seen_s, v.peer AS peer,"         \
	" v.release AS release, v.version AS version,"                                       \
	" (SELECT j.state FROM jobs j WHERE j.device_id = v.id AND j.kind = 'release'"       \
	" ORDER BY j.id DESC LIMIT 1) AS update_step,"                                       \
	" (SELECT json_group_array(json_object('issuer', c.issuer, 'issuer_id',"             \
	" c.issuer_id, 'number', c.number, 'refused', c.refused)) FROM device_crls c"        \
	" WHERE c.device_id = v.id) AS \"crls:json\","                                       \
	" NOT EXISTS (SELECT 1 FROM crls k WHERE k.org_id = v.org_id AND NOT EXISTS"         \
	" (SELECT 1 FROM device_crls c WHERE c.device_id = v.id"                             \
	" AND c.issuer_id = k.issuer_id AND c.number >= k.number)) AS \"crls_current:bool\"" \
	" FROM devices v LEFT JOIN deployments d ON d.id = v.deployment_id"                  \
	" LEFT JOIN projects p ON p.id = d.project_id"

/*
 * One statement each, so that the index of what narrows most serves it ("+": not another one); what
 * "(? IS NULL OR ...)" asks for is only looked at in the rows that it finds.
 */
#define LIST(narrow)                                                            \
	"SELECT " SHOW " WHERE " narrow " AND v.id > ?2"                        \
	" AND (?3 IS NULL OR v.status = ?3) AND (?4 = 0 OR d.project_id = ?4)"  \
	" AND (?5 = 0 OR v.deployment_id = ?5)"                                 \
	" AND (?6 IS NULL OR v.name = ?6 OR substr(v.uid, 1, length(?6)) = ?6)" \
	" ORDER BY v.id LIMIT ?7"
#define OF_ORG	      "v.org_id = ?1"
#define OF_STATUS     "v.org_id = ?1 AND v.status = ?3"
#define OF_DEPLOYMENT "v.deployment_id = ?5 AND +v.org_id = ?1"

static int device_list(struct sk_conn *c, int64_t org, const struct sk_device_filter *f,
		       const struct sk_page *p, json_t **ret, struct sk_err *err)
{
	const char *sql = f->deployment ? LIST(OF_DEPLOYMENT)
			  : f->status	? LIST(OF_STATUS)
					: LIST(OF_ORG);

	return sk_sql_list(c, ret, err, sql,
			   SK_BIND(SK_INT(org), SK_INT(p->from), SK_TEXT(f->status),
				   SK_INT(f->project), SK_INT(f->deployment), SK_TEXT(f->name),
				   SK_INT(p->rows)));
}

static int device_show(struct sk_conn *c, int64_t org, int64_t id, json_t **ret, struct sk_err *err)
{
	return sk_sql_one(c, ret, err, "SELECT " SHOW " WHERE v.org_id = ? AND v.id = ?",
			  SK_BIND(SK_INT(org), SK_INT(id)));
}

const struct sk_device_repo sk_sqlite_devices = {
	.add = device_add,
	.find_any = device_find_any,
	.find = device_find,
	.get = device_get,
	.public_key = device_public_key,
	.count_pending = device_count_pending,
	.set_status = device_set_status,
	.set_name = device_set_name,
	.update_enrolment = device_update_enrolment,
	.set_release = device_set_release,
	.set_seen = device_set_seen,
	.remove = device_remove,
	.list = device_list,
	.show = device_show,
};
