/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/macros.h"

/*
 * The hub's database as everything above it sees it: connections, transactions, and one table of
 * operations ("repository") for each kind of object. No SQL and no type of a database library is
 * in these headers. An implementation is one folder (db/sqlite/) that fills the tables and makes a
 * struct sk_db; several can be in one program (docs/explanation/hub.md).
 *
 * What a caller was told is on disk: a commit returns when it is.
 */
struct sk_db;
struct sk_audit_repo;
struct sk_crl_repo;
struct sk_deployment_repo;
struct sk_device_repo;
struct sk_enrolment_repo;
struct sk_expiry_repo;
struct sk_image_repo;
struct sk_job_repo;
struct sk_org_repo;
struct sk_project_repo;
struct sk_release_repo;
struct sk_report_repo;
struct sk_session_repo;
struct sk_token_repo;
struct sk_user_repo;

/**
 * struct sk_conn - a connection; used by one thread at a time
 * An operation takes the connection it is called through: c->devices->find(c, ...). Unless its
 * comment says otherwise it returns 0 or a failure, or, where it looks for one object, 1 found and
 * 0 not found. Internal ids (int64_t) are never given to a second object.
 */
struct sk_conn {
	struct sk_db *db;
	const struct sk_audit_repo *audit;
	const struct sk_crl_repo *crls;
	const struct sk_deployment_repo *deployments;
	const struct sk_device_repo *devices;
	const struct sk_enrolment_repo *enrolments;
	const struct sk_expiry_repo *expiry;
	const struct sk_image_repo *images;
	const struct sk_job_repo *jobs;
	const struct sk_org_repo *orgs;
	const struct sk_project_repo *projects;
	const struct sk_release_repo *releases;
	const struct sk_report_repo *reports;
	const struct sk_session_repo *sessions;
	const struct sk_token_repo *tokens;
	const struct sk_user_repo *users;
};

/** What an implementation does; called by the functions below only. */
struct sk_db_ops {
	int (*read)(struct sk_db *db, struct sk_conn **ret, struct sk_err *err);
	int (*begin_read)(struct sk_conn *c, struct sk_err *err);
	void (*end_read)(struct sk_conn *c);
	int (*begin)(struct sk_db *db, struct sk_conn **ret, struct sk_err *err);
	int (*commit)(struct sk_conn *c, struct sk_err *err);
	void (*rollback)(struct sk_conn *c);
	int (*backup)(struct sk_conn *c, const char *path, struct sk_err *err);
	void (*close)(struct sk_db *db);
};

struct sk_db {
	const struct sk_db_ops *ops;
};

/** sk_db_close() - the threads that read must have ended. */
void sk_db_close(struct sk_db *db);
SK_DEFINE_CLEANUP(struct sk_db, sk_db_close);

/**
 * sk_db_read() - this thread's connection for reading; borrowed
 * Outside of a transaction: each operation sees the database as it is then. Enough for one
 * operation; a request that needs more than one begins a read transaction.
 */
int sk_db_read(struct sk_db *db, struct sk_conn **ret, struct sk_err *err);

/**
 * sk_db_begin_read() - begin a read transaction on this thread's connection for reading
 * Until sk_db_end_read() every operation sees one and the same state of the database. Waits for
 * nobody, and nobody waits for it. They do not nest.
 */
int sk_db_begin_read(struct sk_db *db, struct sk_conn **ret, struct sk_err *err);
void sk_db_end_read(struct sk_conn *c);
SK_DEFINE_CLEANUP(struct sk_conn, sk_db_end_read);
/* For a variable that sk_db_begin_read() fills; NULL before. */
#define _cleanup_read_ _cleanup_(sk_db_end_readp)

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

/** sk_db_backup() - a whole, consistent copy in a new file. "already-exists", "io", "no-space" */
int sk_db_backup(struct sk_conn *c, const char *path, struct sk_err *err);

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
