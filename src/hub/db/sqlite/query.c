/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/sqlite/query.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "base/text.h"

int sk_sql_fail(struct sk_conn *c, struct sk_err *err)
{
	sqlite3 *handle = sk_sqlite_of(c)->handle;
	int code = sqlite3_extended_errcode(handle);
	const char *text = sqlite3_errmsg(handle);

	switch (code) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
		return sk_err_set(err, -EEXIST, "already-exists", "there is one already");
	case SQLITE_CONSTRAINT_FOREIGNKEY:
		return sk_err_set(err, -EBUSY, "in-use", "something else still uses it");
	default:
		break;
	}
	/* SQLite's text goes to the log: clients are not shown names of tables and statements. */
	switch (code & 0xff) {
	case SQLITE_NOMEM:
		return sk_err_oom(err);
	case SQLITE_FULL:
		return sk_err_set(err, -ENOSPC, "no-space", "no room for the database");
	case SQLITE_BUSY:
		return sk_err_set(err, -EBUSY, "timeout", "the database is busy; try again");
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		sk_error("the database is damaged: %s", text);
		return sk_err_set(err, -EBADMSG, "damaged",
				  "the database is damaged: put back a backup of it");
	default:
		sk_error("database: %s", text);
		return sk_err_set(err, -EIO, "io", "the database failed; the hub's log tells why");
	}
}

static size_t slot_of(const struct sk_sqlite_conn *c, const char *sql)
{
	size_t at = ((uintptr_t)sql >> 3) * 2654435761u % SK_SQL_STATEMENTS;

	for (size_t i = 0; i < SK_SQL_STATEMENTS; i++) {
		if (!c->cache[at].sql || c->cache[at].sql == sql)
			return at;
		at = (at + 1) % SK_SQL_STATEMENTS;
	}
	return SK_SQL_STATEMENTS;
}

static bool query_prepare(struct sk_query *q, const char *sql)
{
	struct sk_sqlite_conn *c = q->conn;
	size_t slot = slot_of(c, sql);
	unsigned flags = 0;

	if (slot < SK_SQL_STATEMENTS && c->cache[slot].busy)
		slot = SK_SQL_STATEMENTS; /* a caller is stepping through it: prepare another */
	q->slot = slot;
	if (slot < SK_SQL_STATEMENTS) {
		flags = SQLITE_PREPARE_PERSISTENT;
		q->stmt = c->cache[slot].stmt;
	}
	if (!q->stmt && sqlite3_prepare_v3(c->handle, sql, -1, flags, &q->stmt, NULL))
		return false;
	if (slot < SK_SQL_STATEMENTS) {
		c->cache[slot].sql = sql;
		c->cache[slot].stmt = q->stmt;
		c->cache[slot].busy = true;
	}
	return true;
}

static int bind_one(sqlite3_stmt *stmt, int at, const struct sk_bind *b)
{
	switch (b->type) {
	case SK_BIND_INT:
		return sqlite3_bind_int64(stmt, at, b->integer);
	case SK_BIND_TEXT:
		return sqlite3_bind_text(stmt, at, b->text, -1, SQLITE_TRANSIENT);
	case SK_BIND_HASH:
		return sqlite3_bind_blob(stmt, at, b->hash->bytes, SK_DIGEST_SIZE,
					 SQLITE_TRANSIENT);
	default:
		return SQLITE_MISUSE;
	}
}

static bool bind_all(sqlite3_stmt *stmt, struct sk_binds binds)
{
	if (sqlite3_bind_parameter_count(stmt) != (int)binds.n) {
		sk_error("%zu values for: %s", binds.n, sqlite3_sql(stmt));
		return false;
	}
	for (size_t i = 0; i < binds.n; i++)
		if (bind_one(stmt, (int)i + 1, &binds.v[i]) != SQLITE_OK)
			return false;
	return true;
}

struct sk_query sk_query_of(struct sk_conn *c, const char *sql, struct sk_binds binds)
{
	struct sk_query q = { .conn = sk_sqlite_of(c) };

	q.failed = !query_prepare(&q, sql) || !bind_all(q.stmt, binds);
	return q;
}

int sk_query_step(struct sk_query *q, struct sk_err *err)
{
	switch (q->failed ? SQLITE_ERROR : sqlite3_step(q->stmt)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return sk_sql_fail(&q->conn->base, err);
	}
}

void sk_query_done(struct sk_query *q)
{
	if (!q->stmt)
		return;
	if (q->slot < SK_SQL_STATEMENTS) {
		(void)sqlite3_reset(q->stmt);
		(void)sqlite3_clear_bindings(q->stmt);
		q->conn->cache[q->slot].busy = false;
	} else {
		(void)sqlite3_finalize(q->stmt);
	}
	q->stmt = NULL;
}

int64_t sk_query_int(const struct sk_query *q, int col)
{
	return sqlite3_column_int64(q->stmt, col);
}

const char *sk_query_text(const struct sk_query *q, int col)
{
	return (const char *)sqlite3_column_text(q->stmt, col);
}

/* Text that is not UTF-8 is repaired: one such row must not fail the whole list. */
static json_t *text_value(const char *text)
{
	json_t *j = json_string(text);
	_cleanup_free_ char *copy = j ? NULL : strdup(text);

	if (copy) {
		sk_utf8_repair(copy);
		j = json_string(copy);
	}
	return j;
}

static json_t *column_value(const struct sk_query *q, int col, const char *form)
{
	sqlite3_stmt *s = q->stmt;

	switch (sqlite3_column_type(s, col)) {
	case SQLITE_INTEGER:
		return sk_streq(form, "bool") ? json_boolean(sqlite3_column_int(s, col))
					      : json_integer(sqlite3_column_int64(s, col));
	case SQLITE_TEXT:
		return sk_streq(form, "json")
			       ? json_loads(sk_query_text(q, col), JSON_DECODE_ANY, NULL)
			       : text_value(sk_query_text(q, col));
	default:
		return json_null();
	}
}

json_t *sk_query_object(const struct sk_query *q)
{
	json_t *obj = json_object();

	for (int i = 0; obj && i < sqlite3_column_count(q->stmt); i++) {
		const char *name = sqlite3_column_name(q->stmt, i);
		size_t len = strcspn(name, ":");
		char key[64];

		(void)snprintf(key, sizeof(key), "%.*s", (int)len, name);
		if (json_object_set_new(obj, key, column_value(q, i, name + len + !!name[len]))) {
			json_decref(obj);
			return NULL;
		}
	}
	return obj;
}

int sk_query_run(struct sk_query q, struct sk_err *err)
{
	int r;

	do
		r = sk_query_step(&q, err);
	while (r > 0);
	if (r == 0)
		r = sqlite3_changes(q.conn->handle);
	sk_query_done(&q);
	return r;
}

int sk_query_insert(struct sk_query q, int64_t *ret_id, struct sk_err *err)
{
	int r = sk_query_run(q, err);

	if (r >= 0 && ret_id)
		*ret_id = sqlite3_last_insert_rowid(q.conn->handle);
	return SK_MIN(r, 0);
}

int sk_query_list(struct sk_query q, json_t **ret, struct sk_err *err)
{
	json_t *list = json_array();
	int r = list ? 0 : sk_err_oom(err);

	while (r == 0 && (r = sk_query_step(&q, err)) > 0)
		r = json_array_append_new(list, sk_query_object(&q)) ? sk_err_oom(err) : 0;
	sk_query_done(&q);
	if (r < 0)
		json_decref(list);
	else
		*ret = list;
	return r;
}

int sk_query_one(struct sk_query q, json_t **ret, struct sk_err *err)
{
	int r = sk_query_step(&q, err);

	*ret = r > 0 ? sk_query_object(&q) : NULL;
	sk_query_done(&q);
	if (r > 0)
		r = *ret ? 0 : sk_err_oom(err);
	return r;
}

int sk_query_first(struct sk_query q, int64_t *ret, struct sk_err *err)
{
	int r = sk_query_step(&q, err);

	if (r > 0)
		*ret = sk_query_int(&q, 0);
	sk_query_done(&q);
	return r;
}
