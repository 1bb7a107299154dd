/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/reports.h"

#include "base/clock.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"

static int report_set_inventory(struct sk_conn *c, int64_t device, const char *json,
				struct sk_err *err)
{
	int r = sk_sql_run(c, err,
			   "INSERT INTO inventory (device_id, at_s, data) VALUES (?, ?, ?)"
			   " ON CONFLICT (device_id) DO UPDATE SET at_s = excluded.at_s,"
			   " data = excluded.data",
			   SK_BIND(SK_INT(device), SK_INT(sk_wall_s()), SK_TEXT(json)));

	return r < 0 ? r : 0;
}

static int report_inventory(struct sk_conn *c, int64_t device, json_t **ret, struct sk_err *err)
{
	return sk_sql_one(c, ret, err,
			  "SELECT at_s, data AS \"inventory:json\" FROM inventory"
			  " WHERE device_id = ?",
			  SK_BIND(SK_INT(device)));
}

static int report_add_logs(struct sk_conn *c, int64_t device, const char *job, const char *capsule,
			   const char *text, struct sk_err *err)
{
	int r = sk_sql_insert(c, NULL, err,
			      "INSERT INTO logs (device_id, job, capsule, at_s, text)"
			      " VALUES (?, ?, ?, ?, ?)",
			      SK_BIND(SK_INT(device), SK_TEXT(job), SK_TEXT(capsule),
				      SK_INT(sk_wall_s()), SK_TEXT(text)));

	if (r < 0)
		return r;
	r = sk_sql_run(c, err,
		       "DELETE FROM logs WHERE device_id = ?1 AND id IN (SELECT id FROM"
		       " (SELECT id, row_number() OVER newest AS n,"
		       " sum(length(CAST(text AS BLOB))) OVER newest AS bytes FROM logs"
		       " WHERE device_id = ?1 WINDOW newest AS (ORDER BY id DESC))"
		       " WHERE n > ?2 OR bytes > ?3)",
		       SK_BIND(SK_INT(device), SK_INT(SK_LOGS_KEPT), SK_INT(SK_LOGS_KEPT_BYTES)));
	return r < 0 ? r : 0;
}

static int report_list_logs(struct sk_conn *c, int64_t device, const char *capsule, const char *job,
			    const struct sk_page *p, json_t **ret, struct sk_err *err)
{
	return sk_sql_list(
		c, ret, err,
		"SELECT id AS row, capsule, job, at_s, text FROM logs WHERE device_id = ?"
		" AND (?2 IS NULL OR capsule = ?2) AND (?3 IS NULL OR job = ?3)"
		" AND id < ? ORDER BY id DESC LIMIT ?",
		SK_BIND(SK_INT(device), SK_TEXT(capsule), SK_TEXT(job), SK_INT(p->from),
			SK_INT(p->rows)));
}

const struct sk_report_repo sk_sqlite_reports = {
	.set_inventory = report_set_inventory,
	.inventory = report_inventory,
	.add_logs = report_add_logs,
	.list_logs = report_list_logs,
};
