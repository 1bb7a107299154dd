/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/crls.h"

#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/str.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"

/* 1 when there is one: *ret_number, and whether it is the very same. */
static int present(struct sk_conn *c, int64_t org, const struct sk_crl_info *info,
		   int64_t *ret_number, bool *ret_same, struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT number, digest = ? FROM crls WHERE org_id = ?"
			    " AND issuer_id = ?",
			    SK_BIND(SK_TEXT(SK_DIGEST_STR(&info->digest)), SK_INT(org),
				    SK_TEXT(SK_DIGEST_STR(&info->issuer_id))));
	int r = sk_query_step(&q, err);

	if (r > 0) {
		*ret_number = sk_query_int(&q, 0);
		*ret_same = sk_query_int(&q, 1) != 0;
	}
	return r;
}

static int crl_check_room(struct sk_conn *c, int64_t org, struct sk_err *err)
{
	int64_t n = 0;
	int r = sk_sql_int(c, &n, err, "SELECT count(*) FROM crls WHERE org_id = ?",
			   SK_BIND(SK_INT(org)));

	if (r >= 0 && n >= SK_CRLS_MAX)
		return sk_err_set(err, -EAGAIN, "too-many",
				  "the hub keeps revocation lists of at most %d roots: delete one",
				  SK_CRLS_MAX);
	return SK_MIN(r, 0);
}

static int save(struct sk_conn *c, int64_t org, const struct sk_crl_info *i, const char *by,
		struct sk_err *err)
{
	return sk_sql_run(c, err,
			  "INSERT INTO crls (org_id, issuer_id, issuer, number, digest, pem,"
			  " entries, issued_s, due_s, created_s, created_by)"
			  " VALUES (?, ?, ?, ?, ?, ?, ?, ?, nullif(?, -9223372036854775808), ?, ?)"
			  " ON CONFLICT (org_id, issuer_id) DO UPDATE SET issuer = excluded.issuer,"
			  " number = excluded.number, digest = excluded.digest, pem = excluded.pem,"
			  " entries = excluded.entries, issued_s = excluded.issued_s,"
			  " due_s = excluded.due_s, created_s = excluded.created_s,"
			  " created_by = excluded.created_by",
			  SK_BIND(SK_INT(org), SK_TEXT(SK_DIGEST_STR(&i->issuer_id)),
				  SK_TEXT(i->issuer), SK_INT(i->number),
				  SK_TEXT(SK_DIGEST_STR(&i->digest)), SK_TEXT(i->pem),
				  SK_INT(i->n_revoked), SK_INT(i->from_s), SK_INT(i->to_s),
				  SK_INT(sk_wall_s()), SK_TEXT(by)));
}

static int crl_put(struct sk_conn *c, int64_t org, const struct sk_crl_info *info, const char *by,
		   struct sk_err *err)
{
	int64_t number = 0;
	bool same = false;
	int r;

	if (info->number == INT64_MAX)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "revocation list: its number is beyond 2^63-2");
	r = present(c, org, info, &number, &same, err);

	if (r == 0)
		r = crl_check_room(c, org, err);
	else if (r > 0 && same)
		return 0;
	else if (r > 0 && info->number <= number)
		return sk_err_set(err, -EBUSY, "bad-state",
				  "the hub has list number %" PRId64 " of %s already; this one is "
				  "number %" PRId64,
				  number, info->issuer, info->number);
	if (r >= 0)
		r = save(c, org, info, by, err);
	return r < 0 ? r : 1;
}

static int crl_announce(struct sk_conn *c, int64_t org, struct sk_err *err)
{
	int r = sk_sql_run(c, err, "UPDATE orgs SET crls_version = crls_version + 1 WHERE id = ?",
			   SK_BIND(SK_INT(org)));

	if (r >= 0)
		r = sk_sql_run(c, err,
			       "UPDATE devices SET crls_due = 1 WHERE org_id = ? AND NOT crls_due"
			       " AND status = 'accepted'",
			       SK_BIND(SK_INT(org)));
	return r < 0 ? r : 0;
}

#define COLUMNS                                                                        \
	"issuer_id AS id, issuer, number, digest, length(pem) AS size_bytes, entries," \
	" issued_s, due_s, created_s, created_by,"                                     \
	" (SELECT count(*) FROM device_crls d JOIN devices v ON v.id = d.device_id"    \
	" WHERE d.issuer_id = crls.issuer_id AND d.number >= crls.number"              \
	" AND v.org_id = crls.org_id AND v.status = 'accepted') AS devices"

static int crl_list(struct sk_conn *c, int64_t org, json_t **ret, struct sk_err *err)
{
	return sk_sql_list(c, ret, err,
			   "SELECT " COLUMNS
			   " FROM crls WHERE org_id = ? ORDER BY issuer, issuer_id",
			   SK_BIND(SK_INT(org)));
}

static int crl_show(struct sk_conn *c, int64_t org, const char *issuer_id, json_t **ret,
		    struct sk_err *err)
{
	return sk_sql_one(c, ret, err,
			  "SELECT " COLUMNS ", pem FROM crls WHERE org_id = ? AND issuer_id = ?",
			  SK_BIND(SK_INT(org), SK_TEXT(issuer_id)));
}

static int crl_remove(struct sk_conn *c, int64_t org, const char *issuer_id, struct sk_err *err)
{
	return sk_sql_run(c, err, "DELETE FROM crls WHERE org_id = ? AND issuer_id = ?",
			  SK_BIND(SK_INT(org), SK_TEXT(issuer_id)));
}

static int crl_pems(struct sk_conn *c, int64_t org, char ***ret, struct sk_err *err)
{
	_cleanup_strv_ char **v = NULL;
	_cleanup_query_ struct sk_query q =
		sk_query_of(c, "SELECT pem FROM crls WHERE org_id = ?", SK_BIND(SK_INT(org)));
	int r;

	while ((r = sk_query_step(&q, err)) > 0)
		if (sk_strv_add(&v, sk_query_text(&q, 0)) < 0)
			return sk_err_oom(err);
	if (r == 0)
		*ret = TAKE_PTR(v);
	return r;
}

static int crl_offer(struct sk_conn *c, int64_t org, json_t **ret, struct sk_err *err)
{
	json_t *list = NULL;
	int64_t version = 0;
	int r = sk_sql_int(c, &version, err, "SELECT crls_version FROM orgs WHERE id = ?",
			   SK_BIND(SK_INT(org)));

	if (r >= 0)
		r = sk_sql_list(c, &list, err,
				"SELECT issuer_id, issuer, number FROM crls WHERE org_id = ?"
				" ORDER BY issuer_id",
				SK_BIND(SK_INT(org)));
	if (r < 0)
		return r;
	*ret = json_pack("{s:I, s:o}", "version", (json_int_t)version, "crls", list);
	return *ret ? 0 : sk_err_oom(err);
}

static int add_report(struct sk_conn *c, int64_t device, const struct sk_crl_report *rep,
		      struct sk_err *err)
{
	int r = sk_sql_run(
		c, err,
		"INSERT INTO device_crls (device_id, issuer_id, issuer, number, refused)"
		" VALUES (?, ?, ?, ?, ?) ON CONFLICT (device_id, issuer_id) DO UPDATE SET"
		" issuer = excluded.issuer, number = excluded.number,"
		" refused = excluded.refused",
		SK_BIND(SK_INT(device), SK_TEXT(rep->issuer_id), SK_TEXT(rep->issuer),
			SK_INT(rep->number), SK_TEXT(rep->refused)));

	return SK_MIN(r, 0);
}

static int crl_set_device(struct sk_conn *c, int64_t org, int64_t device, int64_t version,
			  const struct sk_crl_report *v, size_t n, struct sk_err *err)
{
	int r = sk_sql_run(c, err, "DELETE FROM device_crls WHERE device_id = ?",
			   SK_BIND(SK_INT(device)));

	for (size_t i = 0; r >= 0 && i < n; i++)
		r = add_report(c, device, &v[i], err);
	if (r >= 0)
		r = sk_sql_run(c, err,
			       "UPDATE devices SET crls_due = (SELECT crls_version <> ? FROM orgs"
			       " WHERE id = ?) WHERE id = ? AND org_id = ?2",
			       SK_BIND(SK_INT(version), SK_INT(org), SK_INT(device)));
	return SK_MIN(r, 0);
}

const struct sk_crl_repo sk_sqlite_crls = {
	.put = crl_put,
	.announce = crl_announce,
	.list = crl_list,
	.show = crl_show,
	.remove = crl_remove,
	.pems = crl_pems,
	.offer = crl_offer,
	.set_device = crl_set_device,
};
