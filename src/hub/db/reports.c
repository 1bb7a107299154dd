/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/reports.h"

#include "base/clock.h"

int sk_inventory_set(struct sk_conn *c, int64_t device, const char *json, struct sk_err *err)
{
	int r = sk_db_run(c, err,
			  "INSERT INTO inventory (device_id, at_s, data) VALUES (?, ?, ?)"
			  " ON CONFLICT (device_id) DO UPDATE SET at_s = excluded.at_s,"
			  " data = excluded.data",
			  "iis", device, sk_wall_s(), json);

	return r < 0 ? r : 0;
}

int sk_inventory_get(struct sk_conn *c, int64_t device, json_t **ret, struct sk_err *err)
{
	return sk_db_one(c, ret, err,
			 "SELECT at_s, data AS \"inventory:json\" FROM inventory"
			 " WHERE device_id = ?",
			 "i", device);
}

int sk_logs_add(struct sk_conn *c, int64_t device, const char *job, const char *capsule,
		const char *text, struct sk_err *err)
{
	int r = sk_db_insert(c, NULL, err,
			     "INSERT INTO logs (device_id, job, capsule, at_s, text)"
			     " VALUES (?, ?, ?, ?, ?)",
			     "issis", device, job, capsule, sk_wall_s(), text);

	if (r == 0)
		r = sk_db_run(c, err,
			      "DELETE FROM logs WHERE device_id = ?1 AND id IN (SELECT id FROM"
			      " (SELECT id, row_number() OVER newest AS n,"
			      " sum(length(CAST(text AS BLOB))) OVER newest AS bytes FROM logs"
			      " WHERE device_id = ?1 WINDOW newest AS (ORDER BY id DESC))"
			      " WHERE n > ?2 OR bytes > ?3)",
			      "idd", device, SK_LOGS_KEPT, SK_LOGS_KEPT_BYTES);
	return r < 0 ? r : 0;
}

int sk_logs_list(struct sk_conn *c, int64_t device, const char *capsule, const char *job,
		 const struct sk_page *p, json_t **ret, struct sk_err *err)
{
	return sk_db_list(c, ret, err,
			  "SELECT id AS row, capsule, job, at_s, text FROM logs WHERE device_id = ?"
			  " AND (?2 IS NULL OR capsule = ?2) AND (?3 IS NULL OR job = ?3)"
			  " AND id < ? ORDER BY id DESC LIMIT ?",
			  "issid", device, capsule, job, p->from, p->rows);
}
