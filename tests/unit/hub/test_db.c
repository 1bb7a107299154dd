/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <pthread.h>

#include "base/str.h"
#include "hub/db/audit.h"
#include "hub/db/devices.h"
#include "hub/db/enrolments.h"
#include "hub/db/orgs.h"
#include "hub/db/sessions.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/schema.h"
#include "hub/db/sqlite/sqlite.h"
#include "hub/db/tokens.h"
#include "hub/db/users.h"
#include "temp.h"

static struct sk_err err;

static struct sk_db *open_db(struct temp *t)
{
	struct sk_db *db = NULL;

	temp_make(t);
	assert_int_equal(sk_sqlite_open(temp_path(t, "hub.db"), &db, &err), 0);
	return db;
}

static struct sk_conn *begin(struct sk_db *db)
{
	struct sk_conn *c = NULL;

	assert_int_equal(sk_db_begin(db, &c, &err), 0);
	return c;
}

static int64_t add_org(struct sk_db *db, const char *name)
{
	struct sk_conn *c = begin(db);
	int64_t id = 0;

	assert_int_equal(c->orgs->add(c, name, &id, &err), 0);
	assert_int_equal(sk_db_commit(c, &err), 0);
	return id;
}

/* A connection to a file of its own, at an older schema. */
static void make_old(const char *path, int version)
{
	struct sk_sqlite_conn c = { 0 };

	assert_int_equal(sqlite3_open(path, &c.handle), SQLITE_OK);
	assert_int_equal(sk_schema_migrate_to(&c.base, version, &err), 0);
	assert_true(sk_sql_run(&c.base, &err,
			       "INSERT INTO orgs (name, created_s) VALUES ('old', 1)",
			       SK_NO_BINDS) == 1);
	for (size_t i = 0; i < SK_SQL_STATEMENTS; i++)
		(void)sqlite3_finalize(c.cache[i].stmt);
	assert_int_equal(sqlite3_close(c.handle), SQLITE_OK);
}

static void migrates_from_every_version(void **state)
{
	for (int v = 1; v <= sk_schema_newest(); v++) {
		_cleanup_temp_ struct temp t;
		_cleanup_(sk_db_closep) struct sk_db *db = NULL;
		json_t *org = NULL;
		struct sk_conn *c;
		int64_t id;

		temp_make(&t);
		make_old(temp_path(&t, "hub.db"), v);
		assert_int_equal(sk_sqlite_open(t.path, &db, &err), 0);
		assert_int_equal(sk_db_read(db, &c, &err), 0);
		assert_int_equal(c->orgs->find(c, "old", &id, &err), 1);
		assert_int_equal(c->orgs->show(c, id, &org, &err), 0);
		assert_int_equal(json_integer_value(json_object_get(org, "created_s")), 1);
		assert_true(json_is_false(json_object_get(org, "ca")));
		json_decref(org);
	}
}

static void refuses_a_newer_database(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_db *db = open_db(&t);
	struct sk_conn *c = begin(db);

	assert_int_equal(
		sk_sql_run(c, &err, "INSERT INTO schema_version VALUES (99, 1)", SK_NO_BINDS), 1);
	assert_int_equal(sk_db_commit(c, &err), 0);
	sk_db_close(db);
	assert_int_equal(sk_sqlite_open(t.path, &db, &err), -EPROTO);
	assert_string_equal(err.slug, "not-supported");
}

static void refuses_what_is_no_database(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_db *db;

	temp_make(&t);
	assert_int_equal(sk_file_write(AT_FDCWD, temp_path(&t, "hub.db"), "garbage garbage garbage",
				       23, 0600),
			 0);
	assert_true(sk_sqlite_open(t.path, &db, &err) < 0);
	assert_string_equal(err.slug, "damaged");
	assert_true(sk_sqlite_open("/nonexistent/hub.db", &db, &err) < 0);
}

static void rolls_back(void **state)
{
	_cleanup_temp_ struct temp t;
	_cleanup_(sk_db_closep) struct sk_db *db = open_db(&t);
	struct sk_conn *c = begin(db);
	int64_t id;

	assert_int_equal(c->orgs->add(c, "gone", &id, &err), 0);
	sk_db_rollback(c);
	assert_int_equal(sk_db_read(db, &c, &err), 0);
	assert_int_equal(c->orgs->find(c, "gone", &id, &err), 0);
	(void)add_org(db, "acme");
	c = begin(db);
	assert_int_equal(c->orgs->add(c, "acme", &id, &err), -EEXIST);
	assert_string_equal(err.slug, "already-exists");
	sk_db_rollback(c);
}

static void readers_cannot_write(void **state)
{
	_cleanup_temp_ struct temp t;
	_cleanup_(sk_db_closep) struct sk_db *db = open_db(&t);
	struct sk_conn *c;

	assert_int_equal(sk_db_read(db, &c, &err), 0);
	assert_true(c->orgs->add(c, "x", NULL, &err) < 0);
}

static void statements_nest(void **state)
{
	static const char sql[] = "SELECT id FROM orgs ORDER BY id";
	_cleanup_temp_ struct temp t;
	_cleanup_(sk_db_closep) struct sk_db *db = open_db(&t);
	struct sk_query a, b;
	struct sk_conn *c;
	int n = 0, r;

	(void)add_org(db, "one");
	(void)add_org(db, "two");
	assert_int_equal(sk_db_read(db, &c, &err), 0);
	a = sk_query_of(c, sql, SK_NO_BINDS);
	while ((r = sk_query_step(&a, &err)) > 0) {
		b = sk_query_of(c, sql, SK_NO_BINDS);
		while ((r = sk_query_step(&b, &err)) > 0)
			n++;
		assert_int_equal(r, 0);
		sk_query_done(&b);
	}
	assert_int_equal(r, 0);
	sk_query_done(&a);
	assert_int_equal(n, 4);
}

static int64_t n_orgs(struct sk_conn *c)
{
	int64_t n = 0;

	assert_int_equal(sk_sql_int(c, &n, &err, "SELECT count(*) FROM orgs", SK_NO_BINDS), 1);
	return n;
}

static void a_read_transaction_sees_one_state(void **state)
{
	_cleanup_temp_ struct temp t;
	_cleanup_(sk_db_closep) struct sk_db *db = open_db(&t);
	struct sk_conn *c, *again;

	assert_int_equal(sk_db_begin_read(db, &c, &err), 0);
	assert_int_equal(n_orgs(c), 0);
	(void)add_org(db, "acme");
	assert_int_equal(n_orgs(c), 0);
	assert_true(sk_db_begin_read(db, &again, &err) < 0); /* they do not nest */
	assert_int_equal(n_orgs(c), 0);
	sk_db_end_read(c);
	assert_int_equal(n_orgs(c), 1);
	assert_int_equal(sk_db_begin_read(db, &c, &err), 0);
	assert_int_equal(n_orgs(c), 1);
	sk_db_end_read(c);
}

static void values_must_fit_the_statement(void **state)
{
	_cleanup_temp_ struct temp t;
	_cleanup_(sk_db_closep) struct sk_db *db = open_db(&t);
	struct sk_conn *c;
	int64_t n = 0;

	assert_int_equal(sk_db_read(db, &c, &err), 0);
	assert_int_equal(sk_sql_int(c, &n, &err, "SELECT ?1 + ?2", SK_BIND(SK_INT(3), SK_INT(4))),
			 1);
	assert_int_equal(n, 7);
	assert_true(sk_sql_int(c, &n, &err, "SELECT ?1 + ?2", SK_BIND(SK_INT(3))) < 0);
	assert_true(sk_sql_int(c, &n, &err, "SELECT ?1 + ?2", SK_NO_BINDS) < 0);
	assert_true(sk_sql_int(c, &n, &err, "SELECT 1", SK_BIND(SK_TEXT("x"))) < 0);
	assert_string_equal(err.slug, "io");
}

static void audit_is_append_only(void **state)
{
	_cleanup_temp_ struct temp t;
	_cleanup_(sk_db_closep) struct sk_db *db = open_db(&t);
	int64_t org = add_org(db, "acme");
	struct sk_conn *c = begin(db);
	json_t *list = NULL;

	for (int i = 0; i < 3; i++)
		assert_int_equal(
			c->audit->add(c, &(struct sk_audit){ org, "user:a", "x", NULL, NULL, "ok" },
				      &err),
			0);
	assert_true(sk_sql_run(c, &err, "DELETE FROM audit", SK_NO_BINDS) < 0);
	assert_true(sk_sql_run(c, &err, "UPDATE audit SET actor = 'b'", SK_NO_BINDS) < 0);
	assert_int_equal(c->audit->list(c, org, &(struct sk_page){ 3, 10 }, &list, &err), 0);
	assert_int_equal(json_array_size(list), 2);
	json_decref(list);
	sk_db_rollback(c);
}

static void users_and_tokens(void **state)
{
	_cleanup_temp_ struct temp t;
	_cleanup_(sk_db_closep) struct sk_db *db = open_db(&t);
	int64_t org = add_org(db, "acme"), other = add_org(db, "evil"), id = 0;
	struct sk_digest hash = { { 7 } };
	struct sk_token_owner who;
	struct sk_user user;
	struct sk_conn *c = begin(db);

	assert_int_equal(c->users->add(c, org, "alice", "owner", "$y$x", true, &err), 0);
	assert_int_equal(c->users->add(c, org, "alice", "user", "$y$x", true, &err), -EEXIST);
	assert_int_equal(c->users->add(c, other, "alice", "user", "$y$x", false, &err), 0);
	assert_int_equal(c->users->find(c, org, "alice", &user, &err), 1);
	assert_true(user.owner && user.temporary);
	assert_int_equal(c->tokens->add(c, org, user.id, "t", "api", &hash, 100, &id, &err), 0);
	assert_int_equal(c->tokens->check(c, &hash, 99, &who, &err), 1);
	assert_int_equal(who.org, org);
	assert_int_equal(c->tokens->check(c, &hash, 100, &who, &err), 0);
	assert_int_equal(c->tokens->remove_id(c, other, id, &err), 0);
	assert_int_equal(c->users->remove(c, org, "alice", &err), -EBUSY);
	assert_int_equal(c->users->set_password(c, org, "alice", "$y$z", false, 0, &err), 1);
	assert_int_equal(c->tokens->check(c, &hash, 99, &who, &err), 0);
	/* The token by which he changes it stays; with a user go his tokens. */
	assert_int_equal(c->tokens->add(c, org, user.id, "a", "login", &hash, 100, &id, &err), 0);
	hash.bytes[0]++;
	assert_int_equal(c->tokens->add(c, org, user.id, "b", "api", &hash, 100, NULL, &err), 0);
	assert_int_equal(c->users->set_password(c, org, "alice", "$y$q", false, id, &err), 1);
	assert_int_equal(c->tokens->check(c, &hash, 99, &who, &err), 0);
	hash.bytes[0]--;
	assert_int_equal(c->tokens->check(c, &hash, 99, &who, &err), 1);
	assert_int_equal(c->users->add(c, org, "carol", "owner", "$y$x", false, &err), 0);
	assert_int_equal(c->users->remove(c, org, "alice", &err), 1);
	assert_int_equal(c->tokens->check(c, &hash, 99, &who, &err), 0);
	sk_db_rollback(c);
}

static void enrolment_tokens_are_counted(void **state)
{
	_cleanup_temp_ struct temp t;
	_cleanup_(sk_db_closep) struct sk_db *db = open_db(&t);
	int64_t org = add_org(db, "acme");
	struct sk_digest hash = { { 1 } };
	struct sk_enrolment e;
	struct sk_conn *c = begin(db);

	assert_int_equal(sk_sql_run(c, &err, "INSERT INTO projects VALUES (1, ?, 'p', 1)",
				    SK_BIND(SK_INT(org))),
			 1);
	assert_int_equal(sk_sql_run(c, &err,
				    "INSERT INTO deployments (id, org_id, project_id, name,"
				    " created_s) VALUES (1, ?, 1, 'd', 1)",
				    SK_BIND(SK_INT(org))),
			 1);
	assert_int_equal(c->enrolments->add(c, org, 1, "t", &hash, 50, 2, NULL, &err), 0);
	assert_int_equal(c->enrolments->use(c, &hash, 50, &e, &err), 0);
	assert_int_equal(c->enrolments->use(c, &hash, 1, &e, &err), 1);
	assert_int_equal(e.deployment, 1);
	assert_int_equal(c->enrolments->use(c, &hash, 1, &e, &err), 1);
	assert_int_equal(c->enrolments->use(c, &hash, 1, &e, &err), 0);
	sk_db_rollback(c);
}

static void one_session_a_device(void **state)
{
	_cleanup_temp_ struct temp t;
	_cleanup_(sk_db_closep) struct sk_db *db = open_db(&t);
	struct sk_digest a = { { 1 } }, b = { { 2 } };
	struct sk_device_new n = { .org = add_org(db, "acme"),
				   .uid = "u",
				   .name = "n",
				   .public_key = "k",
				   .compatible = "[]",
				   .peer = "p" };
	struct sk_device dev;
	struct sk_session s;
	struct sk_conn *c = begin(db);
	int64_t id, n_left = 0;

	assert_int_equal(c->devices->add(c, &n, &id, &err), 0);
	assert_int_equal(c->sessions->set(c, id, &a, 100, &err), 0);
	assert_int_equal(c->sessions->check(c, &a, 1, &s, &err), 0); /* pending */
	assert_int_equal(c->devices->find_any(c, "u", &dev, &err), 1);
	assert_int_equal(c->devices->set_status(c, &dev, "accepted", 0, &err), 0);
	assert_int_equal(c->sessions->check(c, &a, 1, &s, &err), 1);
	assert_int_equal(c->sessions->set(c, id, &b, 100, &err), 0);
	assert_int_equal(c->sessions->check(c, &a, 1, &s, &err), 0);
	assert_int_equal(c->sessions->check(c, &b, 1, &s, &err), 1);
	assert_int_equal(c->sessions->check(c, &b, 100, &s, &err), 0);
	assert_int_equal(c->devices->set_status(c, &dev, "blocked", 0, &err), 0);
	assert_int_equal(c->sessions->check(c, &b, 1, &s, &err), 0);
	/* It ended: who is let in again has to prove anew who it is. */
	assert_int_equal(c->devices->set_status(c, &dev, "accepted", 0, &err), 0);
	assert_int_equal(c->sessions->check(c, &b, 1, &s, &err), 0);
	assert_int_equal(c->sessions->set(c, id, &b, 100, &err), 0);
	assert_int_equal(c->devices->set_status(c, &dev, "accepted", 0, &err), 0);
	assert_int_equal(c->sessions->check(c, &b, 1, &s, &err), 1);
	assert_int_equal(c->devices->remove(c, &dev, &err), 0);
	assert_int_equal(c->sessions->check(c, &b, 1, &s, &err), 0);
	assert_int_equal(sk_sql_int(c, &n_left, &err, "SELECT count(*) FROM sessions", SK_NO_BINDS),
			 1);
	assert_int_equal(n_left, 0);
	sk_db_rollback(c);
}

static void *write_some(void *arg)
{
	for (int i = 0; i < 20; i++) {
		struct sk_err e = SK_ERR_INIT;
		struct sk_conn *c;

		if (sk_db_begin(arg, &c, &e) < 0)
			return arg;
		if (sk_sql_run(c, &e, "UPDATE orgs SET created_s = created_s + 1", SK_NO_BINDS) <
			    0 ||
		    sk_db_commit(c, &e) < 0)
			return arg;
		if (sk_db_read(arg, &c, &e) < 0)
			return arg;
	}
	return NULL;
}

static void threads_take_turns(void **state)
{
	_cleanup_temp_ struct temp t;
	_cleanup_(sk_db_closep) struct sk_db *db = open_db(&t);
	struct sk_conn *c = begin(db);
	pthread_t threads[4];
	int64_t n = 0;

	assert_int_equal(sk_sql_run(c, &err, "INSERT INTO orgs (name, created_s) VALUES ('x', 0)",
				    SK_NO_BINDS),
			 1);
	assert_int_equal(sk_db_commit(c, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_some, db), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		void *bad;

		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
	}
	assert_int_equal(sk_db_read(db, &c, &err), 0);
	assert_int_equal(sk_sql_int(c, &n, &err, "SELECT created_s FROM orgs", SK_NO_BINDS), 1);
	assert_int_equal(n, 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(migrates_from_every_version),
		cmocka_unit_test(refuses_a_newer_database),
		cmocka_unit_test(refuses_what_is_no_database),
		cmocka_unit_test(rolls_back),
		cmocka_unit_test(readers_cannot_write),
		cmocka_unit_test(statements_nest),
		cmocka_unit_test(a_read_transaction_sees_one_state),
		cmocka_unit_test(values_must_fit_the_statement),
		cmocka_unit_test(audit_is_append_only),
		cmocka_unit_test(users_and_tokens),
		cmocka_unit_test(enrolment_tokens_are_counted),
		cmocka_unit_test(one_session_a_device),
		cmocka_unit_test(threads_take_turns),
	};

	return cmocka_run_group_tests_name("hub/db", tests, NULL, NULL);
}
