/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/sqlite/sqlite.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/schema.h"

#define BUSY_TIMEOUT_MS 10000

struct sqlite_db {
	struct sk_db base; /* first */
	char *path;
	pthread_mutex_t write_lock;
	struct sk_sqlite_conn *writer;
	pthread_key_t key; /* this thread's reader */
	pthread_mutex_t list_lock;
	struct sk_sqlite_conn *readers;
};

static struct sqlite_db *sqlite_db_of(struct sk_db *db)
{
	return (struct sqlite_db *)db;
}

static void conn_free(struct sk_sqlite_conn *c)
{
	for (size_t i = 0; i < SK_SQL_STATEMENTS; i++)
		(void)sqlite3_finalize(c->cache[i].stmt);
	(void)sqlite3_close(c->handle);
	free(c);
}
SK_DEFINE_CLEANUP(struct sk_sqlite_conn, conn_free);

static int conn_setup(struct sk_sqlite_conn *c, bool writer, struct sk_err *err)
{
	static const char common[] = "PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL;"
				     "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-16384;"
				     "PRAGMA mmap_size=268435456;";

	(void)sqlite3_extended_result_codes(c->handle, 1);
	(void)sqlite3_busy_timeout(c->handle, BUSY_TIMEOUT_MS);
	/* A file that someone else wrote cannot run code by its schema. */
	(void)sqlite3_db_config(c->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_db_config(c->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (writer && sqlite3_exec(c->handle, "PRAGMA journal_mode=WAL", NULL, NULL, NULL))
		return sk_sql_fail(&c->base, err);
	if (sqlite3_exec(c->handle, common, NULL, NULL, NULL))
		return sk_sql_fail(&c->base, err);
	if (!writer && sqlite3_exec(c->handle, "PRAGMA query_only=ON", NULL, NULL, NULL))
		return sk_sql_fail(&c->base, err);
	return 0;
}

static void conn_init(struct sk_sqlite_conn *c, struct sqlite_db *db)
{
	c->base = (struct sk_conn){
		.db = &db->base,
		.audit = &sk_sqlite_audit,
		.crls = &sk_sqlite_crls,
		.deployments = &sk_sqlite_deployments,
		.devices = &sk_sqlite_devices,
		.enrolments = &sk_sqlite_enrolments,
		.expiry = &sk_sqlite_expiry,
		.images = &sk_sqlite_images,
		.jobs = &sk_sqlite_jobs,
		.orgs = &sk_sqlite_orgs,
		.projects = &sk_sqlite_projects,
		.releases = &sk_sqlite_releases,
		.reports = &sk_sqlite_reports,
		.sessions = &sk_sqlite_sessions,
		.tokens = &sk_sqlite_tokens,
		.users = &sk_sqlite_users,
	};
}

static int conn_new(struct sqlite_db *db, bool writer, struct sk_sqlite_conn **ret,
		    struct sk_err *err)
{
	_cleanup_(conn_freep) struct sk_sqlite_conn *c = calloc(1, sizeof(*c));
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	int r;

	if (!c)
		return sk_err_oom(err);
	conn_init(c, db);
	if (writer)
		flags |= SQLITE_OPEN_CREATE;
	r = sqlite3_open_v2(db->path, &c->handle, flags, NULL);
	if (r != SQLITE_OK) {
		sk_error("cannot open the database: %s", sqlite3_errstr(r));
		return sk_err_set(err, -EIO, "io",
				  "cannot open the database; the hub's log tells why");
	}
	r = conn_setup(c, writer, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

/* A thread ended: its connection goes with it. */
static void reader_gone(void *arg)
{
	struct sk_sqlite_conn *c = arg;
	struct sqlite_db *db = sqlite_db_of(c->base.db);

	(void)pthread_mutex_lock(&db->list_lock);
	for (struct sk_sqlite_conn **at = &db->readers; *at; at = &(*at)->next) {
		if (*at == c) {
			*at = c->next;
			break;
		}
	}
	(void)pthread_mutex_unlock(&db->list_lock);
	conn_free(c);
}

static void sqlite_close(struct sk_db *base)
{
	struct sqlite_db *db = sqlite_db_of(base);

	(void)pthread_key_delete(db->key);
	while (db->readers) {
		struct sk_sqlite_conn *c = db->readers;

		db->readers = c->next;
		conn_free(c);
	}
	if (db->writer)
		conn_free(db->writer);
	(void)pthread_mutex_destroy(&db->write_lock);
	(void)pthread_mutex_destroy(&db->list_lock);
	free(db->path);
	free(db);
}

static int add_reader(struct sqlite_db *db, struct sk_sqlite_conn **ret, struct sk_err *err)
{
	_cleanup_(conn_freep) struct sk_sqlite_conn *c = NULL;
	int r = conn_new(db, false, &c, err);

	if (r < 0)
		return r;
	if (pthread_setspecific(db->key, c) != 0)
		return sk_err_oom(err);
	(void)pthread_mutex_lock(&db->list_lock);
	c->next = db->readers;
	db->readers = c;
	(void)pthread_mutex_unlock(&db->list_lock);
	*ret = TAKE_PTR(c);
	return 0;
}

static int sqlite_read(struct sk_db *base, struct sk_conn **ret, struct sk_err *err)
{
	struct sqlite_db *db = sqlite_db_of(base);
	struct sk_sqlite_conn *c = pthread_getspecific(db->key);
	int r = c ? 0 : add_reader(db, &c, err);

	if (r == 0)
		*ret = &c->base;
	return r;
}

static int sqlite_begin_read(struct sk_conn *c, struct sk_err *err)
{
	return SK_MIN(sk_sql_run(c, err, "BEGIN", SK_NO_BINDS), 0);
}

static void sqlite_end_read(struct sk_conn *c)
{
	struct sk_err ignored = SK_ERR_INIT;

	(void)sk_sql_run(c, &ignored, "ROLLBACK", SK_NO_BINDS);
}

static int sqlite_begin(struct sk_db *base, struct sk_conn **ret, struct sk_err *err)
{
	struct sqlite_db *db = sqlite_db_of(base);
	struct sk_sqlite_conn *c = db->writer;
	int r;

	(void)pthread_mutex_lock(&db->write_lock);
	if (sqlite3_exec(c->handle, "BEGIN IMMEDIATE", NULL, NULL, NULL)) {
		r = sk_sql_fail(&c->base, err);
		(void)pthread_mutex_unlock(&db->write_lock);
		return r;
	}
	*ret = &c->base;
	return 0;
}

static int sqlite_commit(struct sk_conn *base, struct sk_err *err)
{
	struct sk_sqlite_conn *c = sk_sqlite_of(base);
	int r = 0;

	if (sqlite3_exec(c->handle, "COMMIT", NULL, NULL, NULL)) {
		r = sk_sql_fail(base, err);
		(void)sqlite3_exec(c->handle, "ROLLBACK", NULL, NULL, NULL);
	}
	(void)pthread_mutex_unlock(&sqlite_db_of(base->db)->write_lock);
	return r;
}

static void sqlite_rollback(struct sk_conn *c)
{
	(void)sqlite3_exec(sk_sqlite_of(c)->handle, "ROLLBACK", NULL, NULL, NULL);
	(void)pthread_mutex_unlock(&sqlite_db_of(c->db)->write_lock);
}

static int sqlite_backup(struct sk_conn *c, const char *path, struct sk_err *err)
{
	sqlite3 *to = NULL;
	sqlite3_backup *b = NULL;
	int r;

	if (access(path, F_OK) == 0)
		return sk_err_set(err, -EEXIST, "already-exists", "%s is there already", path);
	r = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
	if (r == SQLITE_OK)
		b = sqlite3_backup_init(to, "main", sk_sqlite_of(c)->handle, "main");
	if (b) {
		(void)sqlite3_backup_step(b, -1);
		r = sqlite3_backup_finish(b);
	}
	if (!b || r != SQLITE_OK)
		r = sk_err_set(err, -EIO, (r & 0xff) == SQLITE_FULL ? "no-space" : "io",
			       "cannot write %s: %s", path, sqlite3_errstr(r));
	(void)sqlite3_close(to);
	/* An incomplete copy must not be taken for a backup. */
	if (r < 0)
		(void)unlink(path);
	return r;
}

static const struct sk_db_ops sqlite_ops = {
	.read = sqlite_read,
	.begin_read = sqlite_begin_read,
	.end_read = sqlite_end_read,
	.begin = sqlite_begin,
	.commit = sqlite_commit,
	.rollback = sqlite_rollback,
	.backup = sqlite_backup,
	.close = sqlite_close,
};

int sk_sqlite_open(const char *path, struct sk_db **ret, struct sk_err *err)
{
	struct sqlite_db *db = calloc(1, sizeof(*db));
	int r;

	if (!db || !(db->path = strdup(path)) || pthread_key_create(&db->key, reader_gone) != 0) {
		if (db)
			free(db->path);
		free(db);
		return sk_err_oom(err);
	}
	db->base.ops = &sqlite_ops;
	(void)pthread_mutex_init(&db->write_lock, NULL);
	(void)pthread_mutex_init(&db->list_lock, NULL);
	r = conn_new(db, true, &db->writer, err);
	if (r == 0)
		r = sk_schema_migrate(&db->writer->base, err);
	if (r < 0) {
		(void)sk_err_prefix(err, "%s", path);
		sqlite_close(&db->base);
		return r;
	}
	*ret = &db->base;
	return 0;
}
