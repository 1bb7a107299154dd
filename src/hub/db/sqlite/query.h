/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sqlite3.h>

#include "hub/db/db.h"

#define SK_SQL_STATEMENTS 256

/** One connection with its prepared statements, kept by the address of their (constant) text. */
struct sk_sqlite_conn {
	struct sk_conn base; /* first */
	sqlite3 *handle;
	struct {
		const char *sql;
		sqlite3_stmt *stmt;
		bool busy;
	} cache[SK_SQL_STATEMENTS];
	struct sk_sqlite_conn *next;
};

static inline struct sk_sqlite_conn *sk_sqlite_of(struct sk_conn *c)
{
	return (struct sk_sqlite_conn *)c;
}

/** sk_sql_fail() - turn the connection's last failure into @err; returns its code. */
int sk_sql_fail(struct sk_conn *c, struct sk_err *err);

/** A value for one place of a statement; made by the macros below, which check its type. */
struct sk_bind {
	enum { SK_BIND_INT, SK_BIND_TEXT, SK_BIND_HASH } type;
	union {
		int64_t integer;
		const char *text; /* NULL: null */
		const struct sk_digest *hash;
	};
};
#define SK_INT(v)  ((struct sk_bind){ .type = SK_BIND_INT, .integer = (v) })
#define SK_TEXT(v) ((struct sk_bind){ .type = SK_BIND_TEXT, .text = (v) })
#define SK_HASH(v) ((struct sk_bind){ .type = SK_BIND_HASH, .hash = (v) }) /* as 32 bytes */

/** All values of a statement: SK_BIND(SK_TEXT(name), SK_INT(id)), in the order of its places. */
struct sk_binds {
	const struct sk_bind *v;
	size_t n;
};
#define SK_BIND(...)                                                          \
	((struct sk_binds){ (const struct sk_bind[]){ __VA_ARGS__ },          \
			    sizeof((const struct sk_bind[]){ __VA_ARGS__ }) / \
				    sizeof(struct sk_bind) })
#define SK_NO_BINDS ((struct sk_binds){ NULL, 0 })

/*
 * Prepared statements. @sql must be a string constant: its address is the key of the statement
 * cache. A statement with more or fewer places than values fails.
 */
struct sk_query {
	struct sk_sqlite_conn *conn;
	sqlite3_stmt *stmt;
	size_t slot; /* SK_SQL_STATEMENTS when the statement is not a cached one */
	bool failed; /* to prepare or to bind: the first step reports it */
};

/** sk_query_of() - a statement with its values; every function and macro below starts here. */
struct sk_query sk_query_of(struct sk_conn *c, const char *sql, struct sk_binds binds);

/** sk_query_step() - 1: a row is there; 0: no more; or a failure, also one of sk_query_of(). */
int sk_query_step(struct sk_query *q, struct sk_err *err);
void sk_query_done(struct sk_query *q);
#define _cleanup_query_ _cleanup_(sk_query_done)

int64_t sk_query_int(const struct sk_query *q, int col);
const char *sk_query_text(const struct sk_query *q, int col); /* until the next step; or NULL */

/**
 * sk_query_object() - the row as a JSON object, keyed by column names; new reference
 * "name:bool" makes a boolean, "name:json" parses a text column as JSON.
 */
json_t *sk_query_object(const struct sk_query *q);

/* A whole statement in one call; each of these ends the query. */

/** sk_sql_run() - a statement without rows. Return: number of rows changed, or a failure. */
#define sk_sql_run(c, err, ...) sk_query_run(sk_query_of(c, __VA_ARGS__), err)
int sk_query_run(struct sk_query q, struct sk_err *err);

/** sk_sql_insert() - as above; *ret_id is the new row's. 0 or a failure. */
#define sk_sql_insert(c, ret_id, err, ...) sk_query_insert(sk_query_of(c, __VA_ARGS__), ret_id, err)
int sk_query_insert(struct sk_query q, int64_t *ret_id, struct sk_err *err);

/** sk_sql_list() - every row as an object; new reference. */
#define sk_sql_list(c, ret, err, ...) sk_query_list(sk_query_of(c, __VA_ARGS__), ret, err)
int sk_query_list(struct sk_query q, json_t **ret, struct sk_err *err);

/** sk_sql_one() - first row as an object, or *ret = NULL when there is none. 0 or a failure. */
#define sk_sql_one(c, ret, err, ...) sk_query_one(sk_query_of(c, __VA_ARGS__), ret, err)
int sk_query_one(struct sk_query q, json_t **ret, struct sk_err *err);

/** sk_sql_int() - first column of the first row. 1 found, 0 no row, or a failure. */
#define sk_sql_int(c, ret, err, ...) sk_query_first(sk_query_of(c, __VA_ARGS__), ret, err)
int sk_query_first(struct sk_query q, int64_t *ret, struct sk_err *err);
