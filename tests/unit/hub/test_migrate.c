/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/schema.h"
#include "hub/db/sqlite/sqlite.h"
#include "temp.h"

/*
 * Migrations that are killed: a child brings an older database to the newest schema and dies by SIGKILL
 * as it starts its n-th statement, for every n there is. Whoever opens the file next must find the
 * whole schema and every row.
 */
static struct sk_err err;

/* In the place of the C library's, for SQLite too: a killed process loses nothing that it wrote, and only a disk
 * whose power goes shows a missing sync. */
int fsync(int fd)
{
	return 0;
}

int fdatasync(int fd)
{
	return 0;
}

/* Rows of each schema version, so that a later step has something to lose. */
static const char *const rows[] = {
	"INSERT INTO orgs (id, name, created_s) VALUES (1, 'acme', 1);"
	"INSERT INTO users (id, org_id, name, role, password, created_s) VALUES (1, 1, 'a', 'owner', 'x', 1);"
	"INSERT INTO tokens (id, org_id, user_id, name, kind, hash, created_s, expires_s)"
	" VALUES (1, 1, 1, 't', 'api', x'00', 1, 2);"
	"INSERT INTO audit (id, org_id, at_s, actor, action, outcome) VALUES (1, 1, 1, 'a', 'b', 'ok');",
	"INSERT INTO projects VALUES (1, 1, 'p', 1);"
	"INSERT INTO images VALUES (1, 1, 'ii', 3, 1);"
	"INSERT INTO releases VALUES (1, 1, 1, 'dd', '1', 'ff', 1, 1, 0, 'x', '[]', '{}');"
	"INSERT INTO release_images VALUES (1, 1, 'web');"
	"INSERT INTO deployments (id, org_id, project_id, name, release_id, created_s)"
	" VALUES (1, 1, 1, 'd', 1, 1);"
	"INSERT INTO devices (id, uid, org_id, deployment_id, status, name, public_key, compatible, peer,"
	" enrolled_s) VALUES (1, 'u', 1, 1, 'accepted', 'n', 'k', '[]', 'p', 1);"
	"INSERT INTO sessions VALUES (1, x'01', 2);"
	"INSERT INTO jobs (id, org_id, device_id, kind, state, created_s, updated_s, created_by)"
	" VALUES (1, 1, 1, 'release', 'waiting', 1, 1, 'a');"
	"INSERT INTO job_events VALUES (1, 1, 1, 'waiting', 0, 0, NULL);",
	"INSERT INTO inventory VALUES (1, 1, '{}');"
	"INSERT INTO logs VALUES (1, 1, NULL, 'web', 1, 'text');"
	"UPDATE orgs SET ca = 'pem', quota_bytes = 7;",
	"INSERT INTO crls VALUES (1, 1, 'id', 'root', 1, 'd', 'pem', 0, 1, NULL, 1, 'a');"
	"INSERT INTO device_crls VALUES (1, 'id', 'root', 1, NULL);"
	"UPDATE devices SET crls_due = 1; UPDATE orgs SET crls_version = 9;",
	"SELECT 1;",
	"UPDATE orgs SET quota_bytes = 8;"
	"INSERT INTO audit (id, org_id, at_s, actor, action, outcome, times)"
	" VALUES (2, 1, 1, 'a', 'b', 'forbidden', 7);",
	"SELECT 1;",
};

static void close_conn(struct sk_sqlite_conn *c)
{
	for (size_t i = 0; i < SK_SQL_STATEMENTS; i++)
		(void)sqlite3_finalize(c->cache[i].stmt);
	(void)sqlite3_close(c->handle);
}

static void open_conn(const char *path, struct sk_sqlite_conn *c)
{
	memset(c, 0, sizeof(*c));
	if (sqlite3_open(path, &c->handle) != SQLITE_OK ||
	    sqlite3_exec(c->handle,
			 "PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON; PRAGMA synchronous=OFF",
			 NULL, NULL, NULL) != SQLITE_OK)
		abort();
}

static void make_old_anew(const char *path, int version)
{
	struct sk_sqlite_conn c;

	open_conn(path, &c);
	for (int v = 1; v <= version; v++) {
		assert_int_equal(sk_schema_migrate_to(&c.base, v, &err), 0);
		if (sqlite3_exec(c.handle, rows[v - 1], NULL, NULL, NULL) != SQLITE_OK)
			fail_msg("rows of %d: %s", v, sqlite3_errmsg(c.handle));
	}
	close_conn(&c);
}

/* A database as the hub of that version left it; made once, then copied. */
static void make_old(const char *path, int version)
{
	static struct {
		char *data;
		size_t len;
	} made[ARRAY_SIZE(rows) + 1];

	if (!made[version].data) {
		make_old_anew(path, version);
		assert_int_equal(sk_file_read(AT_FDCWD, path, 1 << 20, &made[version].data,
					      &made[version].len),
				 0);
		return;
	}
	assert_int_equal(sk_file_write(AT_FDCWD, path, made[version].data, made[version].len, 0600),
			 0);
}

static unsigned left; /* statements until the end */

static int die_in_time(unsigned what, void *arg, void *stmt, void *text)
{
	if (left-- == 0)
		(void)kill(getpid(), SIGKILL);
	return 0;
}

/* Was it killed at its @n-th statement? If not, it was through before. */
static bool migrate_and_die(const char *path, unsigned n)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct sk_sqlite_conn c;

		open_conn(path, &c);
		left = n;
		(void)sqlite3_trace_v2(c.handle, SQLITE_TRACE_STMT, die_in_time, NULL);
		_exit(sk_schema_migrate(&c.base, &err) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		assert_int_equal(WTERMSIG(status), SIGKILL);
	else
		assert_int_equal(WEXITSTATUS(status), 0);
	return WIFSIGNALED(status);
}

/* Everything that the file says of its tables, or every row that it has, as one text. */
static char *text_of(sqlite3 *h, const char *sql)
{
	sqlite3_stmt *q = NULL;
	char *all = strdup("");

	assert_int_equal(sqlite3_prepare_v2(h, sql, -1, &q, NULL), SQLITE_OK);
	while (sqlite3_step(q) == SQLITE_ROW) {
		char *longer = NULL;

		assert_true(asprintf(&longer, "%s%s\n", all, sqlite3_column_text(q, 0)) > 0);
		free(all);
		all = longer;
	}
	(void)sqlite3_finalize(q);
	return all;
}

#define SCHEMA \
	"SELECT coalesce(sql, name) FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' ORDER BY name"
#define ROWS                                                                                                                         \
	"SELECT (SELECT group_concat(name || coalesce(ca, '-') || quota_bytes || crls_version) FROM orgs)"                           \
	" || (SELECT group_concat(name || role) FROM users) || (SELECT group_concat(hex(hash)) FROM tokens)"                         \
	" || (SELECT group_concat(outcome || times) FROM audit) || (SELECT count(*) FROM projects) || (SELECT count(*) FROM images)" \
	" || (SELECT count(*) FROM releases) || (SELECT count(*) FROM release_images)"                                               \
	" || (SELECT count(*) FROM deployments) || (SELECT group_concat(uid || crls_due) FROM devices)"                              \
	" || (SELECT count(*) FROM sessions) || (SELECT count(*) FROM jobs) || (SELECT count(*) FROM job_events)"                    \
	" || (SELECT count(*) FROM inventory) || (SELECT count(*) FROM logs) || (SELECT count(*) FROM crls)"                         \
	" || (SELECT count(*) FROM device_crls)"

static void must_be(sqlite3 *h, const char *sql, const char *want, unsigned n)
{
	_cleanup_free_ char *got = text_of(h, sql);

	if (strcmp(got, want) != 0)
		fail_msg("after a kill at statement %u:\n%s\ninstead of:\n%s", n, got, want);
}

/* Opened as the hub does it. */
static void must_be_whole(const char *path, const char *schema, const char *data, unsigned n)
{
	_cleanup_(sk_db_closep) struct sk_db *db = NULL;
	struct sk_conn *c;

	assert_int_equal(sk_sqlite_open(path, &db, &err), 0);
	assert_int_equal(sk_db_read(db, &c, &err), 0);
	must_be(sk_sqlite_of(c)->handle, SCHEMA, schema, n);
	must_be(sk_sqlite_of(c)->handle, ROWS, data, n);
	must_be(sk_sqlite_of(c)->handle, "PRAGMA integrity_check", "ok\n", n);
	must_be(sk_sqlite_of(c)->handle, "SELECT count(*) FROM pragma_foreign_key_check", "0\n", n);
	must_be(sk_sqlite_of(c)->handle,
		"SELECT max(version) || '/' || count(*) FROM schema_version", "7/7\n", n);
}

/* What it should come to: migrated in peace. */
static void in_peace(int version, char **ret_schema, char **ret_rows)
{
	_cleanup_temp_ struct temp t;
	struct sk_sqlite_conn c;

	temp_make(&t);
	make_old(temp_path(&t, "hub.db"), version);
	open_conn(t.path, &c);
	assert_int_equal(sk_schema_migrate(&c.base, &err), 0);
	*ret_schema = text_of(c.handle, SCHEMA);
	*ret_rows = text_of(c.handle, ROWS);
	close_conn(&c);
}

static void killed_from(int version)
{
	_cleanup_free_ char *schema = NULL, *data = NULL;
	unsigned n = 0;
	bool killed = true;

	in_peace(version, &schema, &data);
	for (; killed; n++) {
		_cleanup_temp_ struct temp t;

		temp_make(&t);
		make_old(temp_path(&t, "hub.db"), version);
		killed = migrate_and_die(t.path, n);
		/* Killed again on the way back, at another place. */
		if (killed && n % 3 == 1)
			(void)migrate_and_die(t.path, n / 2);
		must_be_whole(t.path, schema, data, n);
	}
	/* At least the statement that asks for the version, and those of the steps that are to come. */
	assert_true(n > 1 + 4 * (unsigned)(sk_schema_newest() - version));
}

static void killed_within_any_step(void **state)
{
	assert_int_equal(ARRAY_SIZE(rows), sk_schema_newest());
	for (int v = 1; v <= sk_schema_newest(); v++)
		killed_from(v);
}

/* Every table whose rows have an id; none is left out of what follows. */
static const char *const tables[] = {
	"orgs",	    "users",	   "tokens",	       "audit",	  "projects", "images",
	"releases", "deployments", "enrolment_tokens", "devices", "jobs",     "job_events",
	"logs",	    "crls",
};

#define WITH_ID                                                                 \
	"SELECT count(*) FROM sqlite_schema s JOIN pragma_table_info(s.name) i" \
	" WHERE s.type = 'table' AND i.name = 'id' AND s.name NOT LIKE 'sqlite%'"

static void exec_on(struct sk_sqlite_conn *c, const char *sql)
{
	if (sqlite3_exec(c->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(c->handle));
}

/* Takes away every row that was there, and adds one: it must get an id that none of them had. */
static void must_get_a_new_id(struct sk_sqlite_conn *c, const char *table, const char *greatest)
{
	_cleanup_free_ char *copy = NULL, *sql = NULL, *got = NULL;

	assert_true(asprintf(&sql,
			     "CREATE TEMP TABLE one AS SELECT * FROM %s LIMIT 1;"
			     "DELETE FROM %s; UPDATE temp.one SET id = NULL;"
			     "INSERT INTO %s SELECT * FROM temp.one; DROP TABLE temp.one;",
			     table, table, table) > 0);
	exec_on(c, sql);
	assert_true(asprintf(&copy, "SELECT min(id) > %s FROM %s", greatest, table) > 0);
	got = text_of(c->handle, copy);
	if (strcmp(got, "1\n") != 0)
		fail_msg("%s gave an id twice", table);
}

/* Rows that had their ids from an older hub keep them; new rows never get one of these. */
static void ids_are_never_used_twice(void **state)
{
	for (int v = 3; v <= sk_schema_newest(); v++) {
		_cleanup_temp_ struct temp t;
		struct sk_sqlite_conn c;
		_cleanup_free_ char *n = NULL;

		temp_make(&t);
		make_old(temp_path(&t, "hub.db"), v);
		open_conn(t.path, &c);
		assert_int_equal(sk_schema_migrate(&c.base, &err), 0);
		exec_on(&c,
			"PRAGMA foreign_keys=OFF; DROP TRIGGER audit_no_early_delete;"
			"INSERT OR IGNORE INTO crls VALUES (1, 1, 'i', 'r', 1, 'd', 'p', 0, 1, 1, 1, 'a');"
			"INSERT INTO enrolment_tokens (id, org_id, deployment_id, name, hash,"
			" created_s, expires_s, uses_max) VALUES (1, 1, 1, 't', x'05', 1, 1, 1)");
		n = text_of(c.handle, WITH_ID);
		assert_int_equal(atoi(n), ARRAY_SIZE(tables));
		for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
			must_get_a_new_id(&c, tables[i],
					  sk_streq(tables[i], "audit") && v > 5 ? "2" : "1");
		close_conn(&c);
	}
}

/* A hub that was killed before it said so must not forget what it gave. */
static void the_greatest_id_is_on_disk(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_sqlite_conn c;

	temp_make(&t);
	make_old(temp_path(&t, "hub.db"), sk_schema_newest());
	open_conn(t.path, &c);
	exec_on(&c, "INSERT INTO logs VALUES (9, 1, NULL, 'web', 1, 'text'); DELETE FROM logs;");
	close_conn(&c);
	open_conn(t.path, &c);
	exec_on(&c, "INSERT INTO logs (device_id, capsule, at_s, text) VALUES (1, 'web', 1, 'x')");
	must_be(c.handle, "SELECT id FROM logs", "10\n", 0);
	close_conn(&c);
}

static void killed_as_it_is_made(void **state)
{
	bool killed = true;

	for (unsigned n = 0; killed; n++) {
		_cleanup_temp_ struct temp t;
		_cleanup_(sk_db_closep) struct sk_db *db = NULL;
		struct sk_conn *c;

		temp_make(&t);
		killed = migrate_and_die(temp_path(&t, "hub.db"), n);
		assert_int_equal(sk_sqlite_open(t.path, &db, &err), 0);
		assert_int_equal(sk_db_read(db, &c, &err), 0);
		must_be(sk_sqlite_of(c)->handle,
			"SELECT max(version) || '/' || count(*) FROM schema_version", "7/7\n", n);
	}
}

/* A step that fails half-way, for want of room: the same from the next start on. */
static void a_step_that_fails(void **state)
{
	_cleanup_free_ char *schema = NULL, *data = NULL;

	in_peace(1, &schema, &data);
	for (int more = 0; more < 60; more++) {
		_cleanup_temp_ struct temp t;
		struct sk_sqlite_conn c;
		char sql[80];

		temp_make(&t);
		make_old(temp_path(&t, "hub.db"), 1);
		open_conn(t.path, &c);
		(void)snprintf(sql, sizeof(sql), "PRAGMA max_page_count=%d", 20 + more);
		assert_int_equal(sqlite3_exec(c.handle, sql, NULL, NULL, NULL), SQLITE_OK);
		if (sk_schema_migrate(&c.base, &err) < 0)
			assert_string_equal(err.slug, "no-space");
		close_conn(&c);
		must_be_whole(t.path, schema, data, (unsigned)more);
	}
}

static off_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void overwrite(const char *path, off_t at, size_t len, int with)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	char junk[4096];

	memset(junk, with, sizeof(junk));
	assert_true(fd >= 0 && len <= sizeof(junk));
	assert_int_equal(pwrite(fd, junk, len, at), (ssize_t)len);
	(void)close(fd);
}

/* Damage wherever it may be: opened or refused, never a crash, never a database made anew in its place. */
static void a_damaged_file(void **state)
{
	for (int page = 0; page < 40; page++) {
		_cleanup_temp_ struct temp t;
		struct sk_db *db = NULL;
		off_t size;
		int r;

		temp_make(&t);
		make_old(temp_path(&t, "hub.db"), sk_schema_newest());
		size = size_of(t.path);
		if ((off_t)(page + 1) * 4096 > size)
			break;
		overwrite(t.path, (off_t)page * 4096, 4096, 0xa5);
		r = sk_sqlite_open(t.path, &db, &err);
		if (page == 0)
			assert_true(r < 0);
		if (r < 0) {
			assert_string_equal(err.slug, "damaged");
			assert_non_null(strstr(err.text, "hub.db"));
			assert_non_null(strstr(err.text, "backup"));
		} else {
			sk_db_close(db);
		}
		assert_true(size_of(t.path) >= size);
	}
}

static void a_file_that_was_cut(void **state)
{
	for (int pages = 1; pages < 20; pages++) {
		_cleanup_temp_ struct temp t;
		struct sk_db *db = NULL;

		temp_make(&t);
		make_old(temp_path(&t, "hub.db"), sk_schema_newest());
		assert_int_equal(truncate(t.path, pages * 4096), 0);
		assert_true(sk_sqlite_open(t.path, &db, &err) < 0);
		assert_string_equal(err.slug, "damaged");
	}
}

static void a_database_of_something_else(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_db *db = NULL;
	struct sk_sqlite_conn c;

	temp_make(&t);
	open_conn(temp_path(&t, "hub.db"), &c);
	assert_int_equal(sqlite3_exec(c.handle, "CREATE TABLE users (x)", NULL, NULL, NULL),
			 SQLITE_OK);
	close_conn(&c);
	assert_true(sk_sqlite_open(t.path, &db, &err) < 0);
	assert_string_equal(err.slug, "not-supported");
}

static void a_newer_database(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_db *db = NULL;
	struct sk_sqlite_conn c;

	temp_make(&t);
	make_old(temp_path(&t, "hub.db"), sk_schema_newest());
	open_conn(t.path, &c);
	assert_int_equal(sqlite3_exec(c.handle, "INSERT INTO schema_version VALUES (8, 1);", NULL,
				      NULL, NULL),
			 SQLITE_OK);
	close_conn(&c);
	assert_int_equal(sk_sqlite_open(t.path, &db, &err), -EPROTO);
	assert_string_equal(err.slug, "not-supported");
	assert_non_null(strstr(err.text, "newer skerry-hub"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_within_any_step),
		cmocka_unit_test(ids_are_never_used_twice),
		cmocka_unit_test(the_greatest_id_is_on_disk),
		cmocka_unit_test(killed_as_it_is_made),
		cmocka_unit_test(a_step_that_fails),
		cmocka_unit_test(a_damaged_file),
		cmocka_unit_test(a_file_that_was_cut),
		cmocka_unit_test(a_database_of_something_else),
		cmocka_unit_test(a_newer_database),
	};

	return cmocka_run_group_tests_name("hub/migrate", tests, NULL, NULL);
}
