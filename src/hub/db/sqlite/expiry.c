/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/expiry.h"

#include "base/clock.h"
#include "base/macros.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"

/** How a kind is removed: ?1 is before when, ?2 how many. */
struct rule {
	const char *sql;
	int rows;
};

static const struct rule rules[SK_EXPIRIES] = {
	[SK_EXPIRY_SESSIONS] = { "DELETE FROM sessions WHERE device_id IN (SELECT device_id FROM"
				 " sessions WHERE expires_s < ?1 ORDER BY expires_s LIMIT ?2)",
				 500 },
	[SK_EXPIRY_TOKENS] = { "DELETE FROM tokens WHERE id IN (SELECT id FROM tokens"
			       " WHERE expires_s < ?1 ORDER BY expires_s LIMIT ?2)",
			       500 },
	[SK_EXPIRY_ENROLMENTS] = { "DELETE FROM enrolment_tokens WHERE id IN (SELECT id FROM"
				   " enrolment_tokens WHERE expires_s < ?1 ORDER BY expires_s"
				   " LIMIT ?2)",
				   500 },
	[SK_EXPIRY_WAITING] = { "DELETE FROM devices WHERE id IN (SELECT id FROM devices WHERE"
				" status = 'pending' AND enrolled_s < ?1 ORDER BY enrolled_s"
				" LIMIT ?2)",
				100 },
	/* Few at once: a text may have half a megabyte. */
	[SK_EXPIRY_LOGS] = { "DELETE FROM logs WHERE id IN (SELECT id FROM logs"
			     " WHERE at_s < ?1 ORDER BY at_s LIMIT ?2)",
			     16 },
	[SK_EXPIRY_AUDIT] = { "DELETE FROM audit WHERE id IN (SELECT id FROM audit"
			      " WHERE at_s < ?1 ORDER BY at_s LIMIT ?2)",
			      500 },
};

static int remove_oldest(struct sk_conn *c, const struct rule *rule, int64_t before_s,
			 struct sk_err *err)
{
	return sk_sql_run(c, err, rule->sql, SK_BIND(SK_INT(before_s), SK_INT(rule->rows)));
}

/* In the same order as those that are removed. */
static int note_waiting(struct sk_conn *c, int64_t before_s, struct sk_err *err)
{
	int r = sk_sql_run(c, err,
			   "INSERT INTO audit (org_id, at_s, actor, action, object, outcome)"
			   " SELECT org_id, ?3, 'hub', 'device.expire', uid, 'ok' FROM devices"
			   " WHERE status = 'pending' AND enrolled_s < ?1 ORDER BY enrolled_s"
			   " LIMIT ?2",
			   SK_BIND(SK_INT(before_s), SK_INT(rules[SK_EXPIRY_WAITING].rows),
				   SK_INT(sk_wall_s())));

	return SK_MIN(r, 0);
}

#define JOBS_AT_ONCE	  500
#define ENDED_AFTER(when) "NOT open AND updated_s < ?1 AND (updated_s, id) > (?2, ?3)" when

/* The newest release job of the same device, whose release is (or is not) what it runs. */
#define LAST_JOB(more)                                                       \
	"(SELECT max(k.id) FROM jobs k JOIN devices v ON v.id = k.device_id" \
	" WHERE k.device_id = jobs.device_id AND k.kind = 'release' AND " more ")"

/* What stays of a device's release jobs. */
#define NEEDED                                                                                         \
	"kind = 'release' AND (id >= coalesce((SELECT k.id FROM jobs k"                                \
	" WHERE k.device_id = jobs.device_id AND k.kind = 'release' ORDER BY k.id DESC"                \
	" LIMIT 1 OFFSET ?6 - 1), 0)"                                                                  \
	" OR id IS " LAST_JOB("k.release = v.release AND k.state <> 'aborted'") " OR id IS " LAST_JOB( \
		"k.release <> v.release AND k.state = 'done'") ")"

static int end_of_slice(struct sk_conn *c, int64_t before_s, const struct sk_expiry_place *from,
			struct sk_expiry_place *ret, struct sk_err *err)
{
	_cleanup_query_ struct sk_query q =
		sk_query_of(c,
			    "SELECT updated_s, id FROM jobs WHERE " ENDED_AFTER(
				    "") " ORDER BY updated_s, id LIMIT ?4",
			    SK_BIND(SK_INT(before_s), SK_INT(from->at_s), SK_INT(from->id),
				    SK_INT(JOBS_AT_ONCE)));
	int n = 0, r;

	for (; (r = sk_query_step(&q, err)) > 0; n++)
		*ret = (struct sk_expiry_place){ sk_query_int(&q, 0), sk_query_int(&q, 1) };
	return r < 0 ? r : n;
}

/* Jobs that are still needed stay, so each slice starts behind the last one. */
static int remove_jobs(struct sk_conn *c, int64_t before_s, struct sk_expiry_place *place,
		       struct sk_err *err)
{
	struct sk_expiry_place end = *place;
	int n = end_of_slice(c, before_s, place, &end, err), r;

	if (n <= 0)
		return n;
	r = sk_sql_run(c, err,
		       "DELETE FROM jobs WHERE " ENDED_AFTER(
			       " AND (updated_s, id) <= (?4, ?5)") " AND NOT (" NEEDED ")",
		       SK_BIND(SK_INT(before_s), SK_INT(place->at_s), SK_INT(place->id),
			       SK_INT(end.at_s), SK_INT(end.id), SK_INT(SK_JOBS_KEPT)));
	*place = end;
	return r < 0 ? r : n;
}

static int expiry_remove_some(struct sk_conn *c, enum sk_expiry what, int64_t before_s,
			      struct sk_expiry_place *place, struct sk_err *err)
{
	int r = what == SK_EXPIRY_WAITING ? note_waiting(c, before_s, err) : 0;

	if (r < 0)
		return r;
	return what == SK_EXPIRY_JOBS ? remove_jobs(c, before_s, place, err)
				      : remove_oldest(c, &rules[what], before_s, err);
}

const struct sk_expiry_repo sk_sqlite_expiry = {
	.remove_some = expiry_remove_some,
};
