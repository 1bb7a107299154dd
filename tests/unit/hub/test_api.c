/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <crypt.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hub/db/orgs.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/users.h"
#include "hub/domain/password.h"
#include "hub/domain/secret.h"
#include "hub/domain/release_file.h"
#include "hub/request/call.h"
#include "hub/routes.h"
#include "io/crypto/crl_info.h"
#include "io/http/client.h"
#include "io/json.h"
#include "temp.h"

/*
 * The hub's routes over a socket of their own, with what they stand on made to fail: the database full
 * or held by another, the disk full. What takes long is caught as it runs (by the linker's --wrap),
 * to see whether a transaction is open just then.
 */
#define PASSWORD "correct-horse-battery"

static struct sk_err err;

static struct {
	_Atomic(sqlite3 *) other;	 /* tries to write while something long runs */
	_Atomic unsigned ran, within;	 /* long things, and those of them within a transaction */
	_Atomic(const char *) meanwhile; /* done to the database while a password is hashed */
	_Atomic int write_error, sync_error;
	atomic_bool held; /* who hashes waits for this lock */
	_Atomic unsigned holding;
} watch;
static pthread_mutex_t hold = PTHREAD_MUTEX_INITIALIZER;

static void look(void)
{
	sqlite3 *other = watch.other;
	const char *sql = watch.meanwhile;

	if (!other)
		return;
	watch.ran++;
	if (sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
		watch.within++;
		return;
	}
	if (sql && sqlite3_exec(other, sql, NULL, NULL, NULL) != SQLITE_OK)
		abort();
	(void)sqlite3_exec(other, "COMMIT", NULL, NULL, NULL);
}

char *__real_crypt_r(const char *key, const char *salt, struct crypt_data *data);
char *__wrap_crypt_r(const char *key, const char *salt, struct crypt_data *data);
char *__wrap_crypt_r(const char *key, const char *salt, struct crypt_data *data)
{
	look();
	if (watch.held) {
		watch.holding++;
		(void)pthread_mutex_lock(&hold);
		(void)pthread_mutex_unlock(&hold);
	}
	return __real_crypt_r(key, salt, data);
}

int __real_sk_release_file_read(const void *skr, size_t len, const char *ca, char *const *crls,
				struct sk_release_file *ret, struct sk_err *e);
int __wrap_sk_release_file_read(const void *skr, size_t len, const char *ca, char *const *crls,
				struct sk_release_file *ret, struct sk_err *e);
int __wrap_sk_release_file_read(const void *skr, size_t len, const char *ca, char *const *crls,
				struct sk_release_file *ret, struct sk_err *e)
{
	look();
	return __real_sk_release_file_read(skr, len, ca, crls, ret, e);
}

int __real_sk_crl_infos_read(const void *data, size_t len, size_t max, struct sk_crl_info **ret,
			     size_t *ret_n, struct sk_err *e);
int __wrap_sk_crl_infos_read(const void *data, size_t len, size_t max, struct sk_crl_info **ret,
			     size_t *ret_n, struct sk_err *e);
int __wrap_sk_crl_infos_read(const void *data, size_t len, size_t max, struct sk_crl_info **ret,
			     size_t *ret_n, struct sk_err *e)
{
	look();
	return __real_sk_crl_infos_read(data, len, max, ret, ret_n, e);
}

int __real_sk_fd_write(int fd, const void *data, size_t len);
int __wrap_sk_fd_write(int fd, const void *data, size_t len);
int __wrap_sk_fd_write(int fd, const void *data, size_t len)
{
	return watch.write_error ? watch.write_error : __real_sk_fd_write(fd, data, len);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	if (!watch.sync_error)
		return __real_fsync(fd);
	errno = watch.sync_error;
	return -1;
}

/* --- a hub --- */

struct world {
	struct temp temp;
	struct sk_hub *hub;
	struct sk_http *http;
	struct sk_http_client *c;
	sqlite3 *other;
	int64_t org;
};

static void set_up_people(struct world *w)
{
	char hash[SK_PASSWORD_HASH_MAX];
	struct sk_conn *c;

	assert_int_equal(sk_password_hash(PASSWORD, hash, &err), 0);
	assert_int_equal(sk_db_begin(w->hub->db, &c, &err), 0);
	assert_int_equal(c->orgs->add(c, "acme", &w->org, &err), 0);
	assert_int_equal(c->users->add(c, w->org, "alice", "owner", hash, false, &err), 0);
	assert_int_equal(c->users->add(c, w->org, "bob", "user", hash, false, &err), 0);
	assert_int_equal(sk_db_commit(c, &err), 0);
}

/* Status of one request; *ret_json: the answer, or NULL. */
static long ask(struct world *w, const char *method, const char *path, json_t *steals, json_t **ret)
{
	_cleanup_http_call_ struct sk_http_call call =
		SK_HTTP_CALL(.method = method, .path = path, .json = steals);

	(void)sk_http_call(w->c, &call, &err);
	if (ret)
		*ret = call.answer.len ? json_loadb(call.answer.data, call.answer.len, 0, NULL)
				       : NULL;
	json_decref(steals);
	return call.status;
}

static long send_raw(struct world *w, const char *method, const char *path, const void *data,
		     size_t len)
{
	_cleanup_http_call_ struct sk_http_call call =
		SK_HTTP_CALL(.method = method, .path = path, .data = data, .len = len);

	(void)sk_http_call(w->c, &call, &err);
	return call.status;
}

/* On a connection of its own. */
static long send_anew(const struct world *w, const char *path)
{
	_cleanup_(sk_http_client_freep) struct sk_http_client *c = NULL;
	_cleanup_http_call_ struct sk_http_call call = SK_HTTP_CALL(.method = "GET", .path = path);

	assert_int_equal(
		sk_http_client_new(&(struct sk_http_client_config){ .base_url = "http://skerry",
								    .unix_socket = w->temp.path },
				   &c, &err),
		0);
	(void)sk_http_call(c, &call, &err);
	return call.status;
}

static long login(struct world *w, const char *user)
{
	json_t *answer = NULL;
	long status = ask(w, "POST", "/api/v1/login",
			  json_pack("{s:s, s:s, s:s}", "organisation", "acme", "user", user,
				    "password", PASSWORD),
			  &answer);
	const char *token = json_string_value(json_object_get(answer, "token"));

	if (token)
		(void)sk_http_client_set_bearer(w->c, token);
	json_decref(answer);
	return status;
}

/* --- routes of the test's own --- */

#define ORGS	"SELECT count(*) FROM orgs"
#define ADD_ORG "INSERT INTO orgs (name, created_s) VALUES (hex(randomblob(8)), 1)"

static int read_twice(struct sk_call *call, struct sk_err *e)
{
	int64_t before = 0, after = 0;
	int r = sk_sql_int(call->db, &before, e, ORGS, SK_NO_BINDS);

	if (r < 0)
		return r;
	if (sqlite3_exec(watch.other, ADD_ORG, NULL, NULL, NULL) != SQLITE_OK)
		abort();
	r = sk_sql_int(call->db, &after, e, ORGS, SK_NO_BINDS);
	if (r < 0)
		return r;
	call->answer =
		json_pack("{s:I, s:I}", "before", (json_int_t)before, "after", (json_int_t)after);
	return 0;
}

static int on_read(struct sk_http_req *req, void *arg, struct sk_err *e)
{
	return sk_call_read(req, arg, read_twice, e);
}

static int do_nothing(struct sk_call *call, struct sk_err *e)
{
	return 0;
}

static int on_prepare(struct sk_http_req *req, void *arg, struct sk_err *e)
{
	return sk_call_change_prepared(
		req, arg, &(struct sk_call_steps){ .prepare = read_twice, .run = do_nothing }, e);
}

static int end_every_token(struct sk_call *call, struct sk_err *e)
{
	if (sqlite3_exec(watch.other, "DELETE FROM tokens", NULL, NULL, NULL) != SQLITE_OK)
		abort();
	return 0;
}

static unsigned changed;

static int count_change(struct sk_call *call, struct sk_err *e)
{
	changed++;
	return 0;
}

static int on_change(struct sk_http_req *req, void *arg, struct sk_err *e)
{
	return sk_call_change_prepared(
		req, arg,
		&(struct sk_call_steps){ .prepare = end_every_token, .run = count_change }, e);
}

static const struct sk_http_route own_routes[] = {
	{ "POST", "/test/change", on_change, 0, NULL, 0 },
	{ "GET", "/test/read", on_read, 0, NULL, 0 },
	{ "POST", "/test/prepare", on_prepare, 0, NULL, 0 },
	{ 0 },
};

static void start(struct world *w)
{
	const struct sk_http_route *tables[32] = { own_routes };
	struct sk_hub_config config;
	struct sk_http_config http = { .threads = 4,
				       .connections_max = 16,
				       .authorize = sk_hub_authorize };
	char path[160];

	memset(w, 0, sizeof(*w));
	temp_make(&w->temp);
	sk_hub_config_defaults(&config);
	(void)snprintf(config.data, sizeof(config.data), "%s/data", w->temp.dir);
	assert_int_equal(sk_hub_new(&config, &w->hub, &err), 0);
	set_up_people(w);
	http.arg = w->hub;
	assert_int_equal(sk_http_listen_unix(temp_path(&w->temp, "sock"), 0600, (gid_t)-1,
					     &http.listen_fd, &err),
			 0);
	assert_true(sk_hub_n_routes < ARRAY_SIZE(tables));
	memcpy(tables + 1, sk_hub_routes, sk_hub_n_routes * sizeof(tables[0]));
	assert_int_equal(sk_http_new(&http, tables, sk_hub_n_routes + 1, &w->http, &err), 0);
	assert_int_equal(
		sk_http_client_new(&(struct sk_http_client_config){ .base_url = "http://skerry",
								    .unix_socket = w->temp.path },
				   &w->c, &err),
		0);
	(void)snprintf(path, sizeof(path), "%s/data/hub.db", w->temp.dir);
	assert_int_equal(sqlite3_open(path, &w->other), SQLITE_OK);
	assert_int_equal(login(w, "alice"), 200);
}

static void stop_world(struct world *w)
{
	watch.other = NULL;
	watch.meanwhile = NULL;
	watch.write_error = watch.sync_error = 0;
	sk_http_client_free(w->c);
	sk_http_free(w->http);
	sk_hub_free(w->hub);
	assert_int_equal(sqlite3_close(w->other), SQLITE_OK);
	temp_done(&w->temp);
}
#define _cleanup_world_ _cleanup_(stop_world)

static void start_watching(struct world *w)
{
	watch.ran = watch.within = 0;
	watch.other = w->other;
}

static int64_t count(struct world *w, const char *sql)
{
	sqlite3_stmt *q = NULL;
	int64_t n;

	assert_int_equal(sqlite3_prepare_v2(w->other, sql, -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	n = sqlite3_column_int64(q, 0);
	(void)sqlite3_finalize(q);
	return n;
}

static void exec(struct world *w, const char *sql)
{
	if (sqlite3_exec(w->other, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(w->other));
}

/* --- what one request reads is one state of the database --- */

static void must_be_one_state(struct world *w, const char *method, const char *path)
{
	json_t *answer = NULL;
	int64_t orgs = count(w, ORGS);

	assert_int_equal(ask(w, method, path, NULL, &answer), 200);
	assert_int_equal(json_integer_value(json_object_get(answer, "before")), orgs);
	assert_int_equal(json_integer_value(json_object_get(answer, "after")), orgs);
	assert_int_equal(count(w, ORGS), orgs + 1);
	json_decref(answer);
}

static void a_request_reads_one_state(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	start_watching(&w);
	for (int i = 0; i < 6; i++) /* on each thread, and again on the same */
		must_be_one_state(&w, i % 2 ? "GET" : "POST",
				  i % 2 ? "/test/read" : "/test/prepare");
}

/* --- nothing that takes long holds up those who write --- */

static void passwords_are_hashed_outside(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	start_watching(&w);
	assert_int_equal(login(&w, "alice"), 200);
	assert_int_equal(watch.ran, 1);
	assert_int_equal(ask(&w, "POST", "/api/v1/users",
			     json_pack("{s:s, s:s, s:s}", "name", "carol", "role", "user",
				       "password", PASSWORD),
			     NULL),
			 201);
	assert_int_equal(ask(&w, "POST", "/api/v1/users",
			     json_pack("{s:s, s:s}", "name", "dave", "role", "user"), NULL),
			 201);
	assert_int_equal(watch.ran, 3);
	assert_int_equal(ask(&w, "PATCH", "/api/v1/users/dave",
			     json_pack("{s:b}", "reset_password", 1), NULL),
			 200);
	assert_int_equal(watch.ran, 4);
	assert_int_equal(ask(&w, "POST", "/api/v1/me/password",
			     json_pack("{s:s, s:s}", "old", PASSWORD, "new", PASSWORD "2"), NULL),
			 204);
	assert_int_equal(watch.ran, 6); /* the old one checked, the new one hashed */
	assert_int_equal(ask(&w, "POST", "/api/v1/me/password",
			     json_pack("{s:s, s:s}", "old", PASSWORD, "new", PASSWORD "3"), NULL),
			 403);
	assert_int_equal(watch.ran, 7);
	assert_int_equal(watch.within, 0);
}

static void signatures_are_checked_outside(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	assert_int_equal(ask(&w, "POST", "/api/v1/projects", json_pack("{s:s}", "name", "p"), NULL),
			 201);
	start_watching(&w);
	assert_int_equal(send_raw(&w, "POST", "/api/v1/projects/p/releases", "x", 1), 400);
	assert_int_equal(send_raw(&w, "POST", "/api/v1/crls", "x", 1), 400);
	assert_int_equal(watch.ran, 2);
	assert_int_equal(watch.within, 0);
}

static void the_watch_sees_a_transaction(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_conn *c;

	start(&w);
	start_watching(&w);
	assert_int_equal(sk_db_begin(w.hub->db, &c, &err), 0);
	look();
	sk_db_rollback(c);
	assert_int_equal(watch.within, 1);
}

static void *log_in(void *arg)
{
	const struct world *w = arg;
	_cleanup_(sk_http_client_freep) struct sk_http_client *c = NULL;
	_cleanup_json_ json_t *body = json_pack("{s:s, s:s, s:s}", "organisation", "acme", "user",
						"bob", "password", PASSWORD);
	_cleanup_http_call_ struct sk_http_call call =
		SK_HTTP_CALL(.method = "POST", .path = "/api/v1/login", .json = body);
	struct sk_err e;

	if (sk_http_client_new(&(struct sk_http_client_config){ .base_url = "http://skerry",
								.unix_socket = w->temp.path },
			       &c, &e) == 0)
		(void)sk_http_call(c, &call, &e);
	return (void *)(intptr_t)call.status;
}

/* Half of the threads hash; the others answer, also those who log in: not now. */
static void a_flood_of_logins_leaves_threads_for_others(void **state)
{
	_cleanup_world_ struct world w;
	pthread_t threads[2];
	void *status;

	start(&w);
	(void)pthread_mutex_lock(&hold);
	watch.held = true;
	for (unsigned i = 0; i < ARRAY_SIZE(threads); i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, log_in, &w), 0);
		while (watch.holding <= i)
			(void)usleep(1000);
	}
	/* Often, and none of these counts as a failure of his. */
	for (int i = 0; i < 20; i++)
		assert_int_equal((intptr_t)log_in(&w), 429);
	assert_int_equal(send_anew(&w, "/healthz"), 200);
	watch.held = false;
	(void)pthread_mutex_unlock(&hold);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &status), 0);
		assert_int_equal((intptr_t)status, 200);
	}
	assert_int_equal((intptr_t)log_in(&w), 200);
}

static void logins_of_one_user_are_bounded(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	exec(&w, "INSERT INTO tokens (org_id, user_id, name, kind, hash, created_s, expires_s)"
		 " WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100)"
		 " SELECT 1, 1 + x % 2, 'login', iif(x < 5, 'api', 'login'), randomblob(32), 1,"
		 " 9999999999 FROM c");
	assert_int_equal(login(&w, "alice"), 200);
	assert_int_equal(
		count(&w, "SELECT count(*) FROM tokens WHERE user_id = 1 AND kind = 'login'"), 32);
	assert_int_equal(
		count(&w, "SELECT count(*) FROM tokens WHERE user_id = 1 AND kind = 'api'"), 2);
	assert_int_equal(count(&w, "SELECT count(*) FROM tokens WHERE user_id = 2"), 50);
	assert_int_equal(ask(&w, "GET", "/api/v1/projects", NULL, NULL),
			 200); /* the newest is there */
}

/* The row of a user who was deleted meanwhile may be another's: the token must not be for that one. */
static void a_login_is_for_whom_it_was_checked(void **state)
{
	static const char *const changes[] = {
		"DELETE FROM users WHERE name = 'bob';"
		"INSERT INTO users (id, org_id, name, role, password, created_s)"
		" VALUES (2, 1, 'mallory', 'owner', 'x', 1)",
		"UPDATE users SET password = 'another' WHERE name = 'bob'",
	};

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		_cleanup_world_ struct world w;

		start(&w);
		assert_int_equal(count(&w, "SELECT id FROM users WHERE name = 'bob'"), 2);
		start_watching(&w);
		watch.meanwhile = changes[i];
		assert_int_equal(login(&w, "bob"), 401);
		assert_int_equal(count(&w, "SELECT count(*) FROM tokens WHERE user_id = 2"), 0);
	}
}

static void a_new_password_does_not_undo_a_newer_one(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	start_watching(&w);
	watch.meanwhile = "UPDATE users SET password = 'by an owner' WHERE name = 'alice'";
	assert_int_equal(ask(&w, "POST", "/api/v1/me/password",
			     json_pack("{s:s, s:s}", "old", PASSWORD, "new", PASSWORD "2"), NULL),
			 401);
	assert_int_equal(count(&w, "SELECT count(*) FROM users WHERE password = 'by an owner'"), 1);
}

/* --- the database full, or held by another --- */

/* Requests that change something, each of another group. */
static long change(struct world *w, unsigned which)
{
	switch (which) {
	case 0:
		return ask(w, "POST", "/api/v1/projects", json_pack("{s:s}", "name", "new"), NULL);
	case 1:
		return ask(w, "POST", "/api/v1/tokens", json_pack("{s:s}", "name", "ci"), NULL);
	case 2:
		return ask(w, "POST", "/api/v1/users",
			   json_pack("{s:s, s:s}", "name", "zoe", "role", "user"), NULL);
	case 3:
		return ask(w, "PATCH", "/api/v1/users/bob", json_pack("{s:s}", "role", "owner"),
			   NULL);
	case 4:
		return ask(w, "DELETE", "/api/v1/users/bob", NULL, NULL);
	case 5:
		return ask(w, "POST", "/api/v1/login",
			   json_pack("{s:s, s:s, s:s}", "organisation", "acme", "user", "alice",
				     "password", PASSWORD),
			   NULL);
	default:
		return 0;
	}
}
#define CHANGES 6

#define STATE                                                                            \
	"SELECT (SELECT count(*) FROM projects) || '/' || (SELECT count(*) FROM tokens)" \
	" || '/' || (SELECT group_concat(name || role) FROM users) || '/'"               \
	" || (SELECT count(*) FROM audit) FROM orgs"

static void state_of(struct world *w, char ret[static 256])
{
	sqlite3_stmt *q = NULL;

	assert_int_equal(sqlite3_prepare_v2(w->other, STATE, -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	(void)snprintf(ret, 256, "%s", sqlite3_column_text(q, 0));
	(void)sqlite3_finalize(q);
}

static void no_change_is_half_done(struct world *w, long status, const char *slug)
{
	char before[256], after[256];

	state_of(w, before);
	for (unsigned i = 0; i < CHANGES; i++) {
		assert_int_equal(change(w, i), status);
		assert_string_equal(err.slug, slug);
		/* Who only reads is not disturbed. */
		assert_int_equal(ask(w, "GET", "/api/v1/projects", NULL, NULL), 200);
	}
	state_of(w, after);
	assert_string_equal(before, after);
}

static void all_goes_on(struct world *w)
{
	for (unsigned i = 0; i < CHANGES; i++)
		assert_uint_in_range(change(w, i), 200, 204);
}

static void with_writer(struct world *w, void (*fn)(sqlite3 *handle))
{
	struct sk_conn *c;

	assert_int_equal(sk_db_begin(w->hub->db, &c, &err), 0);
	fn(sk_sqlite_of(c)->handle);
	sk_db_rollback(c);
}

static int no_page_more(void *arg, int n, char **values, char **names)
{
	*(int *)arg = atoi(values[0]);
	return 0;
}

/* As many pages as there are, and none of them free: SQLITE_FULL for whatever needs one more. */
static void fill(sqlite3 *handle)
{
	char sql[64];
	int pages = 0;

	(void)sqlite3_exec(handle, "PRAGMA page_count", no_page_more, &pages, NULL);
	(void)snprintf(sql, sizeof(sql), "PRAGMA max_page_count=%d", pages);
	(void)sqlite3_exec(handle, sql, NULL, NULL, NULL);
}

static void give_room(sqlite3 *handle)
{
	(void)sqlite3_exec(handle, "PRAGMA max_page_count=1000000", NULL, NULL, NULL);
}

static void be_impatient(sqlite3 *handle)
{
	(void)sqlite3_busy_timeout(handle, 1);
}

static void a_full_database(void **state)
{
	_cleanup_world_ struct world w;
	char sql[160];
	long status = 0;

	start(&w);
	with_writer(&w, fill);
	/* What is free within the pages that there are goes first: audit lines of what is refused. */
	for (int i = 0; i < 2000 && status != 507; i++) {
		(void)snprintf(sql, sizeof(sql), "/api/v1/projects/%0100d", i);
		(void)ask(&w, "DELETE", sql, NULL, NULL);
		(void)snprintf(sql, sizeof(sql), "{\"name\": \"n%050d\"}", i);
		status = ask(&w, "POST", "/api/v1/projects", json_loads(sql, 0, NULL), NULL);
	}
	assert_int_equal(status, 507);
	assert_string_equal(err.slug, "no-space");
	for (int i = 0; i < 300; i++)
		(void)ask(&w, "DELETE", "/api/v1/projects/x", NULL, NULL);
	assert_int_equal(ask(&w, "GET", "/api/v1/projects", NULL, NULL), 200);
	assert_int_equal(count(&w, "SELECT count(*) FROM pragma_integrity_check WHERE"
				   " integrity_check <> 'ok'"),
			 0);
	with_writer(&w, give_room);
	all_goes_on(&w);
}

static void a_database_that_another_holds(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	with_writer(&w, be_impatient);
	exec(&w, "BEGIN IMMEDIATE");
	no_change_is_half_done(&w, 504, "timeout");
	exec(&w, "COMMIT");
	all_goes_on(&w);
}

/* What a client is told: that it failed, and nothing of how the hub is made. */
static void a_database_that_fails(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	exec(&w, "CREATE TRIGGER inner BEFORE INSERT ON projects BEGIN"
		 " SELECT RAISE(ABORT, 'the inner words'); END");
	assert_int_equal(ask(&w, "POST", "/api/v1/projects", json_pack("{s:s}", "name", "p"), NULL),
			 500);
	assert_string_equal(err.slug, "io");
	assert_null(strstr(err.text, "inner"));
	assert_non_null(strstr(err.text, "log"));
	exec(&w, "DROP TRIGGER inner");
	exec(&w, "ALTER TABLE projects RENAME TO elsewhere");
	assert_int_equal(ask(&w, "GET", "/api/v1/projects", NULL, NULL), 500);
	assert_string_equal(err.slug, "io");
	assert_null(strstr(err.text, "projects"));
	exec(&w, "ALTER TABLE elsewhere RENAME TO projects");
	all_goes_on(&w);
}

/* A flood of what is refused is not a flood of writing. */
static void a_flood_of_refusals(void **state)
{
	_cleanup_world_ struct world w;
	char path[64];

	start(&w);
	for (int i = 0; i < 300; i++)
		assert_int_equal(ask(&w, "DELETE", "/api/v1/tokens/nothing", NULL, NULL), 404);
	assert_int_equal(count(&w, "SELECT count(*) FROM audit WHERE action = 'token.revoke'"), 1);
	for (int i = 0; i < 300; i++) {
		(void)snprintf(path, sizeof(path), "/api/v1/tokens/%d", i);
		assert_int_equal(ask(&w, "DELETE", path, NULL, NULL), 404);
	}
	assert_int_equal(count(&w, "SELECT count(*) FROM audit WHERE outcome <> 'ok'"), 101);
	/* What succeeds has a line each, all the same. */
	for (int i = 0; i < 30; i++) {
		(void)snprintf(path, sizeof(path), "p%d", i);
		assert_int_equal(
			ask(&w, "POST", "/api/v1/projects", json_pack("{s:s}", "name", path), NULL),
			201);
	}
	assert_int_equal(count(&w, "SELECT count(*) FROM audit WHERE action = 'project.create'"),
			 30);
	assert_int_equal(sk_refusals_flush(w.hub->refusals, w.hub->db, UINT64_MAX, &err), 0);
	assert_int_equal(count(&w, "SELECT sum(times) FROM audit WHERE outcome <> 'ok'"), 600);
}

/* Who may only look is refused before the route is reached: that he tried is told all the same. */
static void an_attempt_of_who_may_only_look(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	assert_int_equal(login(&w, "bob"), 200);
	for (int i = 0; i < 5; i++)
		assert_int_equal(ask(&w, "DELETE", "/api/v1/projects/p1", NULL, NULL), 403);
	assert_int_equal(count(&w,
			       "SELECT count(*) FROM audit WHERE actor = 'user:bob' AND "
			       "action = 'request' AND object = 'DELETE /api/v1/projects/p1' AND "
			       "outcome = 'forbidden' AND peer IS NOT NULL"),
			 1);
	assert_int_equal(ask(&w, "GET", "/api/v1/projects", NULL, NULL), 200);
	assert_int_equal(sk_refusals_flush(w.hub->refusals, w.hub->db, UINT64_MAX, &err), 0);
	assert_int_equal(count(&w, "SELECT sum(times) FROM audit WHERE outcome <> 'ok'"), 5);
	/* Not when it cannot be written either. */
	exec(&w, "CREATE TRIGGER t BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END");
	assert_int_equal(ask(&w, "POST", "/api/v1/projects", NULL, NULL), 403);
}

/* --- whoever loses his rights loses them at once --- */

#define DEVICE(n) #n "000000000000000000000000000000000000000000000000000000000000000"

static void add_device(struct world *w, const char *uid, const char *status)
{
	char sql[512];

	(void)snprintf(
		sql, sizeof(sql),
		"INSERT INTO devices (uid, org_id, status, name, public_key, compatible, peer,"
		" enrolled_s) VALUES ('%s', 1, '%s', 'd', 'k', '[]', 'p', 1)",
		uid, status);
	exec(w, sql);
}

/* What the public id of the last row is that was made by "POST @path". */
static void make_token(struct world *w, char path[128])
{
	json_t *answer = NULL;

	assert_int_equal(ask(w, "POST", "/api/v1/tokens", json_pack("{s:s}", "name", "t"), &answer),
			 201);
	(void)snprintf(path, 128, "/api/v1/tokens/%s",
		       json_string_value(json_object_get(answer, "id")));
	json_decref(answer);
}

/* Between the look at the token, before the body came, and the change itself. */
static void a_token_that_ends_meanwhile_changes_nothing(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	start_watching(&w);
	changed = 0;
	assert_int_equal(ask(&w, "POST", "/test/change", NULL, NULL), 401);
	assert_int_equal(changed, 0);
}

/* A transfer looks at the database again when this count has changed. */
static void must_end_rights(struct world *w, long status, const char *method, const char *path,
			    json_t *steals)
{
	uint64_t before = w->hub->rights;

	assert_int_equal(ask(w, method, path, steals, NULL), status);
	if (w->hub->rights == before)
		fail_msg("%s %s: transfers go on", method, path);
}

static void transfers_are_looked_at_when_rights_end(void **state)
{
	_cleanup_world_ struct world w;
	char token[128];

	start(&w);
	add_device(&w, DEVICE(1), "pending");
	add_device(&w, DEVICE(2), "accepted");
	make_token(&w, token);
	must_end_rights(&w, 200, "POST", "/api/v1/devices/" DEVICE(1) "/reject", NULL);
	must_end_rights(&w, 200, "POST", "/api/v1/devices/" DEVICE(2) "/block", NULL);
	must_end_rights(&w, 204, "DELETE", "/api/v1/devices/" DEVICE(2), NULL);
	must_end_rights(&w, 204, "DELETE", token, NULL);
	must_end_rights(&w, 200, "PATCH", "/api/v1/users/bob", json_pack("{s:s}", "role", "owner"));
	must_end_rights(&w, 204, "DELETE", "/api/v1/users/bob", NULL);
	must_end_rights(&w, 204, "POST", "/api/v1/me/password",
			json_pack("{s:s, s:s}", "old", PASSWORD, "new", PASSWORD "2"));
	must_end_rights(&w, 204, "POST", "/api/v1/logout", NULL);
}

static void who_is_removed_is_out(void **state)
{
	_cleanup_world_ struct world w;
	struct world bob;

	start(&w);
	bob = w;
	assert_int_equal(
		sk_http_client_new(&(struct sk_http_client_config){ .base_url = "http://skerry",
								    .unix_socket = w.temp.path },
				   &bob.c, &err),
		0);
	assert_int_equal(login(&bob, "bob"), 200);
	assert_int_equal(ask(&bob, "GET", "/api/v1/me", NULL, NULL), 200);
	assert_int_equal(ask(&w, "PATCH", "/api/v1/users/bob",
			     json_pack("{s:b}", "reset_password", 1), NULL),
			 200);
	assert_int_equal(ask(&bob, "GET", "/api/v1/me", NULL, NULL), 401);
	assert_int_equal(count(&w, "SELECT count(*) FROM tokens WHERE user_id = 2"), 0);
	exec(&w, "INSERT INTO tokens (org_id, user_id, name, kind, hash, created_s, expires_s)"
		 " VALUES (1, 2, 't', 'api', x'07', 1, 9999999999)");
	assert_int_equal(ask(&w, "DELETE", "/api/v1/users/bob", NULL, NULL), 204);
	assert_int_equal(count(&w, "SELECT count(*) FROM tokens WHERE user_id = 2"), 0);
	sk_http_client_free(bob.c);
}

static enum sk_poll_end poll_ended;
static unsigned polls_ended;

static int suspend_poll(void *poll, struct sk_waiters *waiters)
{
	return 0;
}

static void end_poll(void *poll, enum sk_poll_end why, json_t *job)
{
	poll_ended = why;
	polls_ended++;
}

static const struct sk_poll_ops poll_ops = { .suspend = suspend_poll, .end = end_poll };

/* A device that waits, with a session. */
static void wait_for_work(struct world *w, int64_t device)
{
	char sql[160];

	(void)snprintf(sql, sizeof(sql),
		       "INSERT INTO sessions VALUES (%d, randomblob(32), 9999999999)", (int)device);
	exec(w, sql);
	polls_ended = 0;
	assert_int_equal(sk_waiters_add(w->hub->waiters,
					&(struct sk_poll){ .ops = &poll_ops,
							   .poll = w,
							   .who = { 1, 0, device },
							   .until_ms = UINT64_MAX },
					sk_waiters_epoch(w->hub->waiters), &err),
			 0);
}

static void must_be_out(struct world *w)
{
	assert_int_equal(polls_ended, 1);
	assert_int_equal(poll_ended, SK_POLL_SESSION_ENDED);
	assert_int_equal(sk_waiters_count(w->hub->waiters), 0);
	assert_int_equal(count(w, "SELECT count(*) FROM sessions"), 0);
}

static void a_device_that_is_shut_out_stops_to_wait(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	add_device(&w, DEVICE(1), "accepted");
	wait_for_work(&w, 1);
	assert_int_equal(ask(&w, "POST", "/api/v1/devices/" DEVICE(1) "/block", NULL, NULL), 200);
	must_be_out(&w);
	exec(&w, "UPDATE devices SET status = 'accepted'");
	wait_for_work(&w, 1);
	assert_int_equal(ask(&w, "DELETE", "/api/v1/devices/" DEVICE(1), NULL, NULL), 204);
	must_be_out(&w);
}

/* --- the disk of the images full, or broken --- */

#define IMAGE  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" /* of "abc" */
#define UPLOAD "/api/v1/images/" IMAGE

static void want_image(struct world *w)
{
	exec(w, "INSERT INTO images (org_id, digest, size_bytes) VALUES (1, '" IMAGE "', 3)");
}

static void not_there(struct world *w)
{
	json_t *image = NULL;

	assert_int_equal(ask(w, "GET", UPLOAD, NULL, &image), 200);
	assert_true(json_is_false(json_object_get(image, "have")));
	json_decref(image);
	assert_int_equal(count(w, "SELECT count(*) FROM images WHERE complete"), 0);
}

static void an_image_that_the_disk_refuses(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	want_image(&w);
	watch.write_error = -ENOSPC;
	assert_int_equal(send_raw(&w, "PUT", UPLOAD, "abc", 3), 507);
	assert_string_equal(err.slug, "no-space");
	not_there(&w);
	watch.write_error = -EIO;
	assert_int_equal(send_raw(&w, "PUT", UPLOAD, "abc", 3), 500);
	not_there(&w);
	watch.write_error = 0;
	assert_int_equal(send_raw(&w, "PUT", UPLOAD, "abc", 3), 200);
	assert_int_equal(count(&w, "SELECT count(*) FROM images WHERE complete"), 1);
}

/* What is not surely on the disk is not said to be there. */
static void an_image_that_cannot_be_synced(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	want_image(&w);
	watch.sync_error = EIO;
	assert_int_equal(send_raw(&w, "PUT", UPLOAD, "abc", 3), 500);
	watch.sync_error = 0;
	not_there(&w);
	/* The kernel may have forgotten what it failed to write: all of it is to come again. */
	assert_int_equal(send_raw(&w, "PUT", UPLOAD "?offset=3", "", 0), 409);
	assert_int_equal(send_raw(&w, "PUT", UPLOAD, "abc", 3), 200);
	assert_int_equal(count(&w, "SELECT count(*) FROM images WHERE complete"), 1);
}

/* A crash after the last byte and before the name: there is nothing left to send. */
static void an_image_of_which_all_has_come(void **state)
{
	_cleanup_world_ struct world w;
	char path[256];

	start(&w);
	want_image(&w);
	(void)snprintf(path, sizeof(path), "%s/data/images/1", w.temp.dir);
	assert_int_equal(sk_mkdir_p(AT_FDCWD, path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/data/images/1/" IMAGE ".part", w.temp.dir);
	assert_int_equal(sk_file_write(AT_FDCWD, path, "abc", 3, 0600), 0);
	assert_int_equal(send_raw(&w, "PUT", UPLOAD "?offset=3", "", 0), 200);
	assert_int_equal(count(&w, "SELECT count(*) FROM images WHERE complete"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_watch_sees_a_transaction),
		cmocka_unit_test(a_request_reads_one_state),
		cmocka_unit_test(passwords_are_hashed_outside),
		cmocka_unit_test(signatures_are_checked_outside),
		cmocka_unit_test(a_flood_of_logins_leaves_threads_for_others),
		cmocka_unit_test(logins_of_one_user_are_bounded),
		cmocka_unit_test(a_login_is_for_whom_it_was_checked),
		cmocka_unit_test(a_new_password_does_not_undo_a_newer_one),
		cmocka_unit_test(a_full_database),
		cmocka_unit_test(a_database_that_another_holds),
		cmocka_unit_test(a_database_that_fails),
		cmocka_unit_test(a_flood_of_refusals),
		cmocka_unit_test(an_attempt_of_who_may_only_look),
		cmocka_unit_test(transfers_are_looked_at_when_rights_end),
		cmocka_unit_test(a_token_that_ends_meanwhile_changes_nothing),
		cmocka_unit_test(who_is_removed_is_out),
		cmocka_unit_test(a_device_that_is_shut_out_stops_to_wait),
		cmocka_unit_test(an_image_that_the_disk_refuses),
		cmocka_unit_test(an_image_that_cannot_be_synced),
		cmocka_unit_test(an_image_of_which_all_has_come),
	};

	return cmocka_run_group_tests_name("hub/api", tests, NULL, NULL);
}
