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
};

int sk_query_start(struct sk_query *q, struct sk_conn *c, struct sk_err *err, const char *sql,
		   const char *types, ...);
/** sk_query_step() - 1: a row is there; 0: no more; or a failure. */
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

/** sk_db_run() - a statement without rows. Return: number of rows changed, or a failure. */
int sk_db_run(struct sk_conn *c, struct sk_err *err, const char *sql, const char *types, ...);

/** sk_db_insert() - as above; *ret_id is the new row's. 0 or a failure. */
int sk_db_insert(struct sk_conn *c, int64_t *ret_id, struct sk_err *err, const char *sql,
		 const char *types, ...);

/** sk_db_list() - every row as an object; new reference. */
int sk_db_list(struct sk_conn *c, json_t **ret, struct sk_err *err, const char *sql,
	       const char *types, ...);

/** sk_db_one() - first row as an object, or *ret = NULL when there is none. 0 or a failure. */
int sk_db_one(struct sk_conn *c, json_t **ret, struct sk_err *err, const char *sql,
	      const char *types, ...);

/** sk_db_int() - first column of the first row. 1 found, 0 no row, or a failure. */
int sk_db_int(struct sk_conn *c, int64_t *ret, struct sk_err *err, const char *sql,
	      const char *types, ...);
