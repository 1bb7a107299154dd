/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/macros.h"

/*
 * The hub's database: SQLite in WAL mode, one connection that writes (one transaction at a time)
 * and one that reads for each thread. What a caller was told is on disk: synchronous=FULL.
 * Only src/hub/db knows SQL; everything above calls functions, so that another database can take
 * SQLite's place.
 */
struct sk_db;

#define SK_DB_STATEMENTS 256

/** One connection with its prepared statements, kept by the address of their (constant) text. */
struct sk_conn {
	struct sk_db *db;
	sqlite3 *handle;
	struct {
		const char *sql;
		sqlite3_stmt *stmt;
		bool busy;
	} cache[SK_DB_STATEMENTS];
	struct sk_conn *next;
};

/** sk_db_open() - open or make the file, and bring its schema up to date. "io", "damaged", "not-supported" */
int sk_db_open(const char *path, struct sk_db **ret, struct sk_err *err);

/** sk_db_close() - the threads that read must have ended. */
void sk_db_close(struct sk_db *db);
SK_DEFINE_CLEANUP(struct sk_db, sk_db_close);

/** sk_db_read() - this thread's connection for reading; borrowed. */
int sk_db_read(struct sk_db *db, struct sk_conn **ret, struct sk_err *err);

/**
 * sk_db_begin() - start a write transaction; waits for the one in progress
 * Ends with sk_db_end(), sk_db_commit() or sk_db_rollback(), in the same thread.
 */
int sk_db_begin(struct sk_db *db, struct sk_conn **ret, struct sk_err *err);

/** sk_db_commit() - 0 when it is on disk; otherwise it is rolled back. Ends the transaction. */
int sk_db_commit(struct sk_conn *c, struct sk_err *err);
void sk_db_rollback(struct sk_conn *c);
/** sk_db_end() - commit what came to @r, or roll it back if that is a failure. Return: 0 or the failure */
int sk_db_end(struct sk_conn *c, int r, struct sk_err *err);

/** sk_db_fail() - turn the connection's last failure into @err; returns its code. */
int sk_db_fail(struct sk_conn *c, struct sk_err *err);

/** sk_db_backup() - a whole, consistent copy in a new file. "already-exists", "io", "no-space" */
int sk_db_backup(struct sk_conn *c, const char *path, struct sk_err *err);
