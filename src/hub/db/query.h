/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/digest.h"
#include "hub/db/db.h"

/*
 * Prepared statements. @sql must be a string constant (its address is the key of the statement
 * cache); values go in by @types only, one letter each:
 *   i  int64_t            d  int
 *   s  const char *, NULL for null     b  const struct sk_digest *, as 32 bytes
 */
struct sk_query {
	struct sk_conn *conn;
	sqlite3_stmt *stmt;
	size_t slot; /* SK_DB_STATEMENTS when the statement is not a cached one */
	bool failed; /* to prepare or to bind: the first step tells */
};

/** sk_query_of() - a statement with its values; every function and macro below starts here. */
struct sk_query sk_query_of(struct sk_conn *c, const char *sql, const char *types, ...);

/** sk_query_step() - 1: a row is there; 0: no more; or a failure, of the statement's making too. */
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

/** sk_db_run() - a statement without rows. Return: number of rows changed, or a failure. */
#define sk_db_run(c, err, ...) sk_query_run(sk_query_of(c, __VA_ARGS__), err)
int sk_query_run(struct sk_query q, struct sk_err *err);

/** sk_db_insert() - as above; *ret_id is the new row's. 0 or a failure. */
#define sk_db_insert(c, ret_id, err, ...) sk_query_insert(sk_query_of(c, __VA_ARGS__), ret_id, err)
int sk_query_insert(struct sk_query q, int64_t *ret_id, struct sk_err *err);

/** sk_db_list() - every row as an object; new reference. */
#define sk_db_list(c, ret, err, ...) sk_query_list(sk_query_of(c, __VA_ARGS__), ret, err)
int sk_query_list(struct sk_query q, json_t **ret, struct sk_err *err);

/** sk_db_one() - first row as an object, or *ret = NULL when there is none. 0 or a failure. */
#define sk_db_one(c, ret, err, ...) sk_query_one(sk_query_of(c, __VA_ARGS__), ret, err)
int sk_query_one(struct sk_query q, json_t **ret, struct sk_err *err);

/** sk_db_int() - first column of the first row. 1 found, 0 no row, or a failure. */
#define sk_db_int(c, ret, err, ...) sk_query_first(sk_query_of(c, __VA_ARGS__), ret, err)
int sk_query_first(struct sk_query q, int64_t *ret, struct sk_err *err);

/**
 * struct sk_page - one page of a list
 * @from: internal id of the last row of the page before; rows come in the order of their ids, which
 *        never change, so that what comes or goes meanwhile moves nothing to another page
 * @rows: how many to fetch
 * Lists that come in pages carry each row's internal id as "row", for the caller to remove.
 */
struct sk_page {
	int64_t from;
	int rows;
};
