/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/query.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/str.h"
#include "base/text.h"

static size_t slot_of(const struct sk_conn *c, const char *sql)
{
	size_t at = ((uintptr_t)sql >> 3) * 2654435761u % SK_DB_STATEMENTS;

	for (size_t i = 0; i < SK_DB_STATEMENTS; i++) {
		if (!c->cache[at].sql || c->cache[at].sql == sql)
			return at;
		at = (at + 1) % SK_DB_STATEMENTS;
	}
	return SK_DB_STATEMENTS;
}

static int prepare(struct sk_query *q, const char *sql, struct sk_err *err)
{
	struct sk_conn *c = q->conn;
	size_t slot = slot_of(c, sql);
	unsigned flags = 0;

	if (slot < SK_DB_STATEMENTS && c->cache[slot].busy)
		slot = SK_DB_STATEMENTS; /* in use further up the stack: a second one for this call */
	q->slot = slot;
	if (slot < SK_DB_STATEMENTS) {
		flags = SQLITE_PREPARE_PERSISTENT;
		q->stmt = c->cache[slot].stmt;
	}
	if (!q->stmt && sqlite3_prepare_v3(c->handle, sql, -1, flags, &q->stmt, NULL))
		return sk_db_fail(c, err);
	if (slot < SK_DB_STATEMENTS) {
		c->cache[slot].sql = sql;
		c->cache[slot].stmt = q->stmt;
		c->cache[slot].busy = true;
	}
	return 0;
}

static int bind_one(sqlite3_stmt *stmt, int at, char type, va_list *ap)
{
	const struct sk_digest *d;

	switch (type) {
	case 'i':
		return sqlite3_bind_int64(stmt, at, va_arg(*ap, int64_t));
	case 'd':
		return sqlite3_bind_int(stmt, at, va_arg(*ap, int));
	case 's':
		return sqlite3_bind_text(stmt, at, va_arg(*ap, const char *), -1, SQLITE_TRANSIENT);
	case 'b':
		d = va_arg(*ap, const struct sk_digest *);
		return sqlite3_bind_blob(stmt, at, d->bytes, SK_DIGEST_SIZE, SQLITE_TRANSIENT);
	default:
		return SQLITE_MISUSE;
	}
}

static int start(struct sk_query *q, struct sk_conn *c, struct sk_err *err, const char *sql,
		 const char *types, va_list *ap)
{
	int r;

	*q = (struct sk_query){ .conn = c };
	r = prepare(q, sql, err);
	if (r < 0)
		return r;
	for (int i = 0; types[i]; i++)
		if (bind_one(q->stmt, i + 1, types[i], ap) != SQLITE_OK) {
			sk_query_done(q);
			return sk_err_set(err, -EIO, "internal", "database: cannot bind a value");
		}
	return 0;
}

int sk_query_start(struct sk_query *q, struct sk_conn *c, struct sk_err *err, const char *sql,
		   const char *types, ...)
{
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(q, c, err, sql, types, &ap);
	va_end(ap);
	return r;
}

int sk_query_step(struct sk_query *q, struct sk_err *err)
{
	switch (sqlite3_step(q->stmt)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return sk_db_fail(q->conn, err);
	}
}

void sk_query_done(struct sk_query *q)
{
	if (!q->stmt)
		return;
	if (q->slot < SK_DB_STATEMENTS) {
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

/* What is in the database is shown, whatever it is: one row must not make a list unreadable. */
static json_t *text_value(const char *text)
{
	json_t *j = json_string(text);
	_cleanup_free_ char *copy = j ? NULL : strdup(text);

	if (copy) {
		sk_utf8_mend(copy);
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

static int run_to_end(struct sk_query *q, struct sk_err *err)
{
	int r;

	do
		r = sk_query_step(q, err);
	while (r > 0);
	return r;
}

int sk_db_run(struct sk_conn *c, struct sk_err *err, const char *sql, const char *types, ...)
{
	_cleanup_query_ struct sk_query q = { 0 };
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(&q, c, err, sql, types, &ap);
	va_end(ap);
	if (r == 0)
		r = run_to_end(&q, err);
	return r < 0 ? r : sqlite3_changes(c->handle);
}

int sk_db_insert(struct sk_conn *c, int64_t *ret_id, struct sk_err *err, const char *sql,
		 const char *types, ...)
{
	_cleanup_query_ struct sk_query q = { 0 };
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(&q, c, err, sql, types, &ap);
	va_end(ap);
	if (r == 0)
		r = run_to_end(&q, err);
	if (r == 0 && ret_id)
		*ret_id = sqlite3_last_insert_rowid(c->handle);
	return r;
}

static int collect(struct sk_query *q, json_t **ret, struct sk_err *err)
{
	json_t *list = json_array();
	int r = list ? 0 : sk_err_oom(err);

	while (r == 0 && (r = sk_query_step(q, err)) > 0)
		r = json_array_append_new(list, sk_query_object(q)) ? sk_err_oom(err) : 0;
	if (r < 0)
		json_decref(list);
	else
		*ret = list;
	return r;
}

int sk_db_list(struct sk_conn *c, json_t **ret, struct sk_err *err, const char *sql,
	       const char *types, ...)
{
	_cleanup_query_ struct sk_query q = { 0 };
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(&q, c, err, sql, types, &ap);
	va_end(ap);
	return r < 0 ? r : collect(&q, ret, err);
}

int sk_db_one(struct sk_conn *c, json_t **ret, struct sk_err *err, const char *sql,
	      const char *types, ...)
{
	_cleanup_query_ struct sk_query q = { 0 };
	va_list ap;
	int r;

	*ret = NULL;
	va_start(ap, types);
	r = start(&q, c, err, sql, types, &ap);
	va_end(ap);
	if (r == 0)
		r = sk_query_step(&q, err);
	if (r <= 0)
		return r;
	*ret = sk_query_object(&q);
	return *ret ? 0 : sk_err_oom(err);
}

int sk_db_int(struct sk_conn *c, int64_t *ret, struct sk_err *err, const char *sql,
	      const char *types, ...)
{
	_cleanup_query_ struct sk_query q = { 0 };
	va_list ap;
	int r;

	va_start(ap, types);
	r = start(&q, c, err, sql, types, &ap);
	va_end(ap);
	if (r == 0)
		r = sk_query_step(&q, err);
	if (r > 0)
		*ret = sk_query_int(&q, 0);
	return r;
}
