/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/devices.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"

int sk_device_add(struct sk_conn *c, const struct sk_device_new *n, int64_t *ret_id,
		  struct sk_err *err)
{
	return sk_db_insert(c, ret_id, err,
			    "INSERT INTO devices (uid, org_id, deployment_id, status, name,"
			    " public_key, compatible, peer, enrolled_s)"
			    " VALUES (?, ?, nullif(?3, 0),"
			    " CASE WHEN ?3 = 0 THEN 'pending' ELSE 'accepted' END, ?, ?, ?, ?, ?)",
			    "siissssi", n->uid, n->org, n->deployment, n->name, n->public_key,
			    n->compatible, n->peer, sk_wall_s());
}

static int fill(struct sk_query *q, struct sk_device *ret, struct sk_err *err)
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

int sk_device_known(struct sk_conn *c, const char *uid, struct sk_device *ret, struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c, "SELECT " ROW " WHERE uid = ?", "s", uid);

	return fill(&q, ret, err);
}

int sk_device_find(struct sk_conn *c, int64_t org, const char *uid, struct sk_device *ret,
		   struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c, "SELECT " ROW " WHERE org_id = ? AND uid = ?", "is", org, uid);

	return fill(&q, ret, err);
}

int sk_device_key(struct sk_conn *c, int64_t id, char ret[static SK_PUBLIC_KEY_MAX],
		  struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c, "SELECT public_key FROM devices WHERE id = ?", "i", id);
	int r = sk_query_step(&q, err);

	if (r > 0)
		(void)snprintf(ret, SK_PUBLIC_KEY_MAX, "%s", sk_query_text(&q, 0));
	return r;
}

int sk_device_count_pending(struct sk_conn *c, int64_t org, const char *peer, int64_t *ret_org,
			    int64_t *ret_peer, struct sk_err *err)
{
	int r = sk_db_int(c, ret_org, err,
			  "SELECT count(*) FROM devices WHERE org_id = ? AND status = 'pending'",
			  "i", org);

	if (r >= 0)
		r = sk_db_int(c, ret_peer, err,
			      "SELECT count(*) FROM devices WHERE peer = ? AND status = 'pending'",
			      "s", peer);
	return r < 0 ? r : 0;
}

int sk_device_set_status(struct sk_conn *c, const struct sk_device *d, const char *status,
			 int64_t deployment, struct sk_err *err)
{
	int r = sk_db_run(c, err,
			  "UPDATE devices SET status = ?, deployment_id = nullif(?, 0)"
			  " WHERE org_id = ? AND id = ?",
			  "siii", status, deployment, d->org, d->id);

	if (r >= 0 && !sk_streq(status, "accepted"))
		r = sk_session_end(c, d->id, err);
	return r < 0 ? r : 0;
}

int sk_device_set_name(struct sk_conn *c, const struct sk_device *d, const char *name,
		       struct sk_err *err)
{
	int r = sk_db_run(c, err, "UPDATE devices SET name = ? WHERE org_id = ? AND id = ?", "sii",
			  name, d->org, d->id);

	return r < 0 ? r : 0;
}

int sk_device_set_facts(struct sk_conn *c, int64_t id, const char *name, const char *compatible,
			struct sk_err *err)
{
	int r = sk_db_run(c, err,
			  "UPDATE devices SET compatible = ?2,"
			  " name = CASE WHEN status = 'pending' THEN ?1 ELSE name END"
			  " WHERE id = ?3 AND (compatible <> ?2 OR status = 'pending')",
			  "ssi", name, compatible, id);

	return r < 0 ? r : 0;
}

int sk_device_set_release(struct sk_conn *c, int64_t id, const char *release, const char *version,
			  struct sk_err *err)
{
	int r = sk_db_run(c, err, "UPDATE devices SET release = ?, version = ? WHERE id = ?", "ssi",
			  release, version, id);

	return r < 0 ? r : 0;
}

int sk_device_set_seen(struct sk_conn *c, int64_t id, int64_t at_s, struct sk_err *err)
{
	int r = sk_db_run(c, err, "UPDATE devices SET last_seen_s = ? WHERE id = ?", "ii", at_s,
			  id);

	return r < 0 ? r : 0;
}

int sk_device_del(struct sk_conn *c, const struct sk_device *d, struct sk_err *err)
{
	int r = sk_db_run(c, err, "DELETE FROM devices WHERE org_id = ? AND id = ?", "ii", d->org,
			  d->id);

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

int sk_device_list(struct sk_conn *c, int64_t org, const struct sk_device_filter *f,
		   const struct sk_page *p, json_t **ret, struct sk_err *err)
{
	const char *sql = f->deployment ? LIST(OF_DEPLOYMENT)
			  : f->status	? LIST(OF_STATUS)
					: LIST(OF_ORG);

	return sk_db_list(c, ret, err, sql, "iisiisd", org, p->from, f->status, f->project,
			  f->deployment, f->name, p->rows);
}

int sk_device_show(struct sk_conn *c, int64_t org, int64_t id, json_t **ret, struct sk_err *err)
{
	return sk_db_one(c, ret, err, "SELECT " SHOW " WHERE v.org_id = ? AND v.id = ?", "ii", org,
			 id);
}

int sk_session_set(struct sk_conn *c, int64_t device, const struct sk_digest *hash,
		   int64_t expires_s, struct sk_err *err)
{
	int r = sk_db_run(c, err,
			  "INSERT INTO sessions (device_id, hash, expires_s) VALUES (?, ?, ?)"
			  " ON CONFLICT (device_id) DO UPDATE SET hash = excluded.hash,"
			  " expires_s = excluded.expires_s",
			  "ibi", device, hash, expires_s);

	return r < 0 ? r : 0;
}

int sk_session_check(struct sk_conn *c, const struct sk_digest *hash, int64_t now_s,
		     struct sk_session *ret, struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT v.id, v.org_id, coalesce(v.deployment_id, 0),"
			    " EXISTS (SELECT 1 FROM jobs j WHERE j.device_id = v.id AND j.open),"
			    " v.crls_due"
			    " FROM sessions s JOIN devices v ON v.id = s.device_id"
			    " WHERE s.hash = ? AND s.expires_s > ? AND v.status = 'accepted'",
			    "bi", hash, now_s);
	int r = sk_query_step(&q, err);

	if (r > 0)
		*ret = (struct sk_session){
			.device = sk_query_int(&q, 0),
			.org = sk_query_int(&q, 1),
			.deployment = sk_query_int(&q, 2),
			.has_work = sk_query_int(&q, 3) != 0,
			.crls_due = sk_query_int(&q, 4) != 0,
		};
	return r;
}

int sk_session_device(struct sk_conn *c, const struct sk_digest *hash,
		      char ret[static SK_DIGEST_HEX + 1], struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT v.uid FROM sessions s JOIN devices v ON v.id = s.device_id"
			    " WHERE s.hash = ?",
			    "b", hash);
	int r = sk_query_step(&q, err);

	if (r > 0)
		(void)snprintf(ret, SK_DIGEST_HEX + 1, "%s", sk_query_text(&q, 0));
	return r;
}

int sk_session_end(struct sk_conn *c, int64_t device, struct sk_err *err)
{
	return sk_db_run(c, err, "DELETE FROM sessions WHERE device_id = ?", "i", device);
}
