/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/db/db.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "hub/db/schema.h"

#define BUSY_TIMEOUT_MS 10000

struct sk_db {
	char *path;
	pthread_mutex_t write_lock;
	struct sk_conn *writer;
	pthread_key_t key; /* this thread's reader */
	pthread_mutex_t list_lock;
	struct sk_conn *readers;
};

int sk_db_fail(struct sk_conn *c, struct sk_err *err)
{
	int code = sqlite3_extended_errcode(c->handle);
	const char *text = sqlite3_errmsg(c->handle);

	switch (code) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
		return sk_err_set(err, -EEXIST, "already-exists", "there is one already");
	case SQLITE_CONSTRAINT_FOREIGNKEY:
		return sk_err_set(err, -EBUSY, "in-use", "something else still uses it");
	default:
		break;
	}
	/* Its own words are for who runs the hub: a client is not told of tables and statements. */
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

static void conn_free(struct sk_conn *c)
{
	for (size_t i = 0; i < SK_DB_STATEMENTS; i++)
		(void)sqlite3_finalize(c->cache[i].stmt);
	(void)sqlite3_close(c->handle);
	free(c);
}
SK_DEFINE_CLEANUP(struct sk_conn, conn_free);

static int conn_setup(struct sk_conn *c, bool writer, struct sk_err *err)
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
		return sk_db_fail(c, err);
	if (sqlite3_exec(c->handle, common, NULL, NULL, NULL))
		return sk_db_fail(c, err);
	if (!writer && sqlite3_exec(c->handle, "PRAGMA query_only=ON", NULL, NULL, NULL))
		return sk_db_fail(c, err);
	return 0;
}

static int conn_new(struct sk_db *db, bool writer, struct sk_conn **ret, struct sk_err *err)
{
	_cleanup_(conn_freep) struct sk_conn *c = calloc(1, sizeof(*c));
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	int r;

	if (!c)
		return sk_err_oom(err);
	c->db = db;
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
	struct sk_conn *c = arg;
	struct sk_db *db = c->db;

	(void)pthread_mutex_lock(&db->list_lock);
	for (struct sk_conn **at = &db->readers; *at; at = &(*at)->next) {
		if (*at == c) {
			*at = c->next;
			break;
		}
	}
	(void)pthread_mutex_unlock(&db->list_lock);
	conn_free(c);
}

int sk_db_open(const char *path, struct sk_db **ret, struct sk_err *err)
{
	struct sk_db *db = calloc(1, sizeof(*db));
	int r;

	if (!db || !(db->path = strdup(path)) || pthread_key_create(&db->key, reader_gone) != 0) {
		if (db)
			free(db->path);
		free(db);
		return sk_err_oom(err);
	}
	(void)pthread_mutex_init(&db->write_lock, NULL);
	(void)pthread_mutex_init(&db->list_lock, NULL);
	r = conn_new(db, true, &db->writer, err);
	if (r == 0)
		r = sk_schema_migrate(db->writer, err);
	if (r < 0) {
		(void)sk_err_prefix(err, "%s", path);
		sk_db_close(db);
		return r;
	}
	*ret = db;
	return 0;
}

void sk_db_close(struct sk_db *db)
{
	(void)pthread_key_delete(db->key);
	while (db->readers) {
		struct sk_conn *c = db->readers;

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

int sk_db_read(struct sk_db *db, struct sk_conn **ret, struct sk_err *err)
{
	struct sk_conn *c = pthread_getspecific(db->key);
	int r;

	if (!c) {
		r = conn_new(db, false, &c, err);
		if (r < 0)
			return r;
		if (pthread_setspecific(db->key, c) != 0) {
			conn_free(c);
			return sk_err_oom(err);
		}
		(void)pthread_mutex_lock(&db->list_lock);
		c->next = db->readers;
		db->readers = c;
		(void)pthread_mutex_unlock(&db->list_lock);
	}
	*ret = c;
	return 0;
}

int sk_db_begin(struct sk_db *db, struct sk_conn **ret, struct sk_err *err)
{
	int r = 0;

	(void)pthread_mutex_lock(&db->write_lock);
	if (sqlite3_exec(db->writer->handle, "BEGIN IMMEDIATE", NULL, NULL, NULL)) {
		r = sk_db_fail(db->writer, err);
		(void)pthread_mutex_unlock(&db->write_lock);
		return r;
	}
	*ret = db->writer;
	return 0;
}

int sk_db_commit(struct sk_conn *c, struct sk_err *err)
{
	int r = 0;

	if (sqlite3_exec(c->handle, "COMMIT", NULL, NULL, NULL)) {
		r = sk_db_fail(c, err);
		(void)sqlite3_exec(c->handle, "ROLLBACK", NULL, NULL, NULL);
	}
	(void)pthread_mutex_unlock(&c->db->write_lock);
	return r;
}

void sk_db_rollback(struct sk_conn *c)
{
	(void)sqlite3_exec(c->handle, "ROLLBACK", NULL, NULL, NULL);
	(void)pthread_mutex_unlock(&c->db->write_lock);
}

int sk_db_end(struct sk_conn *c, int r, struct sk_err *err)
{
	if (r >= 0)
		return sk_db_commit(c, err);
	sk_db_rollback(c);
	return r;
}

int sk_db_backup(struct sk_conn *c, const char *path, struct sk_err *err)
{
	sqlite3 *to = NULL;
	sqlite3_backup *b = NULL;
	int r;

	if (access(path, F_OK) == 0)
		return sk_err_set(err, -EEXIST, "already-exists", "%s is there already", path);
	r = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
	if (r == SQLITE_OK)
		b = sqlite3_backup_init(to, "main", c->handle, "main");
	if (b) {
		(void)sqlite3_backup_step(b, -1);
		r = sqlite3_backup_finish(b);
	}
	if (!b || r != SQLITE_OK)
		r = sk_err_set(err, -EIO, (r & 0xff) == SQLITE_FULL ? "no-space" : "io",
			       "cannot write %s: %s", path, sqlite3_errstr(r));
	(void)sqlite3_close(to);
	/* Half a copy is none. */
	if (r < 0)
		(void)unlink(path);
	return r;
}
