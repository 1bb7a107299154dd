/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "base/str.h"
#include "hub/db/audit.h"
#include "hub/db/orgs.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"
#include "hub/domain/limiter.h"
#include "hub/domain/password.h"
#include "hub/domain/proof.h"
#include "hub/domain/refusals.h"
#include "hub/domain/secret.h"
#include "hub/domain/seen.h"
#include "temp.h"

static struct sk_err err;

static void limiter_counts_within_a_window(void **state)
{
	_cleanup_(sk_limiter_freep) struct sk_limiter *l = sk_limiter_new(3, 100);

	assert_int_equal(sk_limiter_hit(l, "a", 0), 1);
	assert_int_equal(sk_limiter_hit(l, "a", 50), 2);
	assert_int_equal(sk_limiter_count(l, "a", 99), 2);
	assert_int_equal(sk_limiter_count(l, "a", 100), 0);
	assert_int_equal(sk_limiter_hit(l, "a", 100), 1);
	sk_limiter_forgive(l, "a", 100);
	assert_int_equal(sk_limiter_count(l, "a", 100), 0);
	sk_limiter_forgive(l, "a", 100);
	assert_int_equal(sk_limiter_hit(l, "a", 100), 1);
	sk_limiter_forget(l, "a");
	assert_int_equal(sk_limiter_count(l, "a", 100), 0);
}

static void limiter_is_bounded(void **state)
{
	_cleanup_(sk_limiter_freep) struct sk_limiter *l = sk_limiter_new(3, 100);
	char key[16];

	for (int i = 0; i < 1000; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(sk_limiter_hit(l, key, 1), 1);
	}
	assert_int_equal(sk_limiter_count(l, "k999", 1), 1);
	assert_int_equal(sk_limiter_count(l, "k0", 1), 0);
}

static void passwords(void **state)
{
	char a[SK_PASSWORD_HASH_MAX], b[SK_PASSWORD_HASH_MAX], longer[SK_PASSWORD_MAX + 2];

	assert_int_equal(sk_password_hash("correct-horse", a, &err), 0);
	assert_int_equal(sk_password_hash("correct-horse", b, &err), 0);
	assert_string_not_equal(a, b);
	assert_true(sk_str_starts(a, "$y$"));
	assert_true(sk_password_check("correct-horse", a));
	assert_false(sk_password_check("correct-hors", a));
	assert_false(sk_password_check("correct-horse", NULL));
	assert_false(sk_password_check("*0", "*0"));
	assert_false(sk_password_check("", ""));
	assert_int_equal(sk_password_hash("short", a, &err), -EINVAL);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(sk_password_hash(longer, a, &err), -EINVAL);
}

static void secrets(void **state)
{
	char a[SK_SECRET_MAX], b[SK_SECRET_MAX], word[32];
	struct sk_digest ha, hb, again;

	assert_int_equal(sk_secret_new("sku_", a, &ha, &err), 0);
	assert_int_equal(sk_secret_new("sku_", b, &hb, &err), 0);
	assert_string_not_equal(a, b);
	assert_int_equal(strlen(a), 68);
	assert_int_equal(sk_secret_hash(a, &again), 0);
	assert_true(sk_digest_equal(&ha, &again));
	memset(a, 'x', sizeof(a));
	assert_int_equal(sk_secret_hash((char[SK_SECRET_MAX + 1]){ 'x' }, &again), 0);
	assert_int_equal(sk_secret_password(word, &err), 0);
	assert_int_equal(strlen(word), 20);
}

static void challenges_are_good_once_and_for_a_minute(void **state)
{
	_cleanup_(sk_challenges_freep) struct sk_challenges *c = sk_challenges_new();
	_cleanup_(sk_challenges_freep) struct sk_challenges *other = sk_challenges_new();
	char a[SK_CHALLENGE_MAX], bad[SK_CHALLENGE_MAX];

	assert_int_equal(sk_challenge_new(c, 1000, a, &err), 0);
	assert_int_equal(sk_challenge_check(c, a, 1000, &err), 0);
	assert_int_equal(sk_challenge_check(c, a, 60999, &err), 0);
	assert_true(sk_challenge_check(c, a, 61000, &err) < 0);
	assert_true(sk_challenge_check(other, a, 1000, &err) < 0);
	for (size_t i = 0; a[i]; i++) {
		(void)snprintf(bad, sizeof(bad), "%s", a);
		bad[i] = bad[i] == '0' ? '1' : '0';
		assert_true(sk_challenge_check(c, bad, 1000, &err) < 0);
		bad[i] = '\0';
		assert_true(sk_challenge_check(c, bad, 1000, &err) < 0);
	}
	assert_int_equal(sk_challenge_use(c, a, 1000, &err), 0);
	assert_true(sk_challenge_use(c, a, 1000, &err) < 0);
	/* The list turns over while it is still valid: it stays used. */
	assert_true(sk_challenge_use(c, a, 60999, &err) < 0);
}

static void keys_are_p256(void **state)
{
	static const char good[] =
		"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEKqI6r1kWaDFYcJKiHPwU4lg/wnke"
		"f2tetsI2Fks+rZEYuv9LsMmEoT3J32GcpFJEDGgNMWahl8uia97gePWyhA==";
	char bad[sizeof(good)];
	struct sk_digest id;

	assert_int_equal(sk_proof_key(good, &id, &err), 0);
	for (size_t i = 0; i < sizeof(good) - 1; i += 7) {
		memcpy(bad, good, sizeof(bad));
		bad[i] = '\0';
		assert_true(sk_proof_key(bad, &id, &err) < 0);
		bad[i] = '!';
		assert_true(sk_proof_key(bad, &id, &err) < 0);
	}
	assert_true(sk_proof_key("", &id, &err) < 0);
	assert_true(sk_proof_verify(good, "p", "c", "d", "AAAA", &err) < 0);
	assert_true(sk_proof_verify(good, "p", "c", "d", "", &err) < 0);
}

static void seen_is_kept_and_flushed(void **state)
{
	_cleanup_temp_ struct temp t;
	_cleanup_(sk_seen_freep) struct sk_seen *s = sk_seen_new();
	_cleanup_(sk_db_closep) struct sk_db *db = NULL;
	struct sk_conn *c;

	temp_make(&t);
	assert_int_equal(sk_sqlite_open(temp_path(&t, "hub.db"), &db, &err), 0);
	sk_seen_mark(s, 5, 100);
	sk_seen_mark(s, 70000, 200);
	sk_seen_mark(s, 0, 1);
	sk_seen_mark(s, -1, 1);
	sk_seen_mark(s, INT64_MAX, 300);
	assert_int_equal(sk_seen_get(s, 5), 100);
	assert_int_equal(sk_seen_get(s, 6), 0);
	assert_int_equal(sk_seen_get(s, INT64_MAX), 300);
	assert_int_equal(sk_seen_flush(s, db, &err), 3);
	assert_int_equal(sk_seen_flush(s, db, &err), 0);
	sk_seen_mark(s, 5, 100);
	assert_int_equal(sk_seen_flush(s, db, &err), 0);
	assert_int_equal(sk_db_read(db, &c, &err), 0);
}

/* Ids are never used twice, so they grow for ever, with gaps; what is kept grows with the devices only. */
static void seen_finds_each_of_many(void **state)
{
	_cleanup_temp_ struct temp t;
	_cleanup_(sk_seen_freep) struct sk_seen *s = sk_seen_new();
	_cleanup_(sk_db_closep) struct sk_db *db = NULL;
	int64_t n = 5000;

	temp_make(&t);
	assert_int_equal(sk_sqlite_open(temp_path(&t, "hub.db"), &db, &err), 0);
	assert_int_equal(sk_seen_get(s, 1), 0);
	/* So far apart that all but the first few fall on a place that is taken. */
	for (int64_t i = 1; i <= n; i++)
		sk_seen_mark(s, (i << 6) + 7, 1000 + i);
	for (int64_t i = 1; i <= n; i++) {
		assert_int_equal(sk_seen_get(s, (i << 6) + 7), 1000 + i);
		assert_int_equal(sk_seen_get(s, (i << 6) + 8), 0);
	}
	assert_int_equal(sk_seen_flush(s, db, &err), n);
	assert_int_equal(sk_seen_flush(s, db, &err), 0);
}

/* --- refusals --- */

struct log {
	struct temp temp;
	struct sk_db *db;
	struct sk_refusals *refusals;
	int64_t org;
};

static void log_start(struct log *l, size_t keys_max)
{
	struct sk_conn *c;

	temp_make(&l->temp);
	assert_int_equal(sk_sqlite_open(temp_path(&l->temp, "hub.db"), &l->db, &err), 0);
	assert_int_equal(sk_db_begin(l->db, &c, &err), 0);
	assert_int_equal(c->orgs->add(c, "acme", &l->org, &err), 0);
	assert_int_equal(sk_db_commit(c, &err), 0);
	l->refusals = sk_refusals_new(keys_max);
	assert_non_null(l->refusals);
}

static void log_done(struct log *l)
{
	sk_refusals_freep(&l->refusals);
	sk_db_closep(&l->db);
	temp_done(&l->temp);
}
#define _cleanup_log_ _cleanup_(log_done)

/* What is to be written at once is, as the hub does it. */
static bool refuse(struct log *l, const char *actor, const char *object, uint64_t now_ms)
{
	struct sk_audit a = { l->org, actor, "token.revoke", object, "::1", "not-found", 0 };
	struct sk_conn *c;

	if (!sk_refusals_hit(l->refusals, &a, now_ms))
		return false;
	assert_int_equal(sk_db_begin(l->db, &c, &err), 0);
	assert_int_equal(c->audit->add(c, &a, &err), 0);
	assert_int_equal(sk_db_commit(c, &err), 0);
	return true;
}

static int64_t number(struct log *l, const char *sql)
{
	struct sk_conn *c;
	int64_t n = -1;

	assert_int_equal(sk_db_read(l->db, &c, &err), 0);
	assert_true(sk_sql_int(c, &n, &err, sql, SK_NO_BINDS) > 0);
	return n;
}

static void change_schema(struct log *l, const char *sql)
{
	struct sk_conn *c;

	assert_int_equal(sk_db_begin(l->db, &c, &err), 0);
	assert_int_equal(sqlite3_exec(sk_sqlite_of(c)->handle, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sk_db_commit(c, &err), 0);
}

static void equal_refusals_are_one_line_and_a_count(void **state)
{
	_cleanup_log_ struct log l = { 0 };

	log_start(&l, 100);
	assert_true(refuse(&l, "user:bob", "x", 5));
	for (int i = 0; i < 1000; i++)
		assert_false(refuse(&l, "user:bob", "x", 5));
	assert_true(refuse(&l, "user:bob", "y", 5));
	assert_true(refuse(&l, "user:eve", "x", 6));
	assert_int_equal(sk_refusals_flush(l.refusals, l.db, 4 + SK_REFUSALS_WINDOW_MS, &err), 0);
	assert_int_equal(number(&l, "SELECT count(*) FROM audit"), 3);
	assert_int_equal(sk_refusals_flush(l.refusals, l.db, 5 + SK_REFUSALS_WINDOW_MS, &err), 0);
	assert_int_equal(number(&l, "SELECT count(*) FROM audit"), 4);
	assert_int_equal(number(&l, "SELECT times FROM audit WHERE id = 4 AND object = 'x' AND"
				    " actor = 'user:bob' AND outcome = 'not-found'"),
			 1000);
	/* The window is over: the next is a line again. One that never came again leaves no count. */
	assert_true(refuse(&l, "user:bob", "x", 5 + SK_REFUSALS_WINDOW_MS));
	assert_int_equal(sk_refusals_flush(l.refusals, l.db, UINT64_MAX, &err), 0);
	assert_int_equal(number(&l, "SELECT sum(times) FROM audit"), 1004);
	assert_int_equal(number(&l, "SELECT count(*) FROM audit"), 5);
}

static void ever_new_refusals_are_bounded(void **state)
{
	_cleanup_log_ struct log l = { 0 };
	char object[16];

	log_start(&l, 1000);
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(object, sizeof(object), "%d", i);
		(void)refuse(&l, "user:bob", object, 5);
	}
	assert_int_equal(number(&l, "SELECT count(*) FROM audit"), SK_REFUSALS_LINES + 1);
	assert_true(refuse(&l, "user:eve", "1", 5));
	assert_int_equal(sk_refusals_flush(l.refusals, l.db, UINT64_MAX, &err), 0);
	assert_int_equal(number(&l, "SELECT sum(times) FROM audit WHERE actor = 'user:bob'"), 5000);
	assert_int_equal(number(&l, "SELECT count(*) FROM audit WHERE action = 'various'"
				    " AND actor = 'user:bob' AND object IS NULL"),
			 2);
}

static void refusals_of_many_are_bounded(void **state)
{
	_cleanup_log_ struct log l = { 0 };
	char actor[16];

	log_start(&l, 10);
	for (int i = 0; i < 500; i++) {
		(void)snprintf(actor, sizeof(actor), "user:%d", i);
		(void)refuse(&l, actor, "x", 5);
	}
	assert_int_equal(number(&l, "SELECT count(*) FROM audit"), 11);
	assert_int_equal(sk_refusals_flush(l.refusals, l.db, UINT64_MAX, &err), 0);
	assert_int_equal(number(&l, "SELECT sum(times) FROM audit WHERE actor = 'various'"), 490);
}

static void counts_survive_a_database_that_fails(void **state)
{
	_cleanup_log_ struct log l = { 0 };
	struct sk_audit a;

	log_start(&l, 10);
	a = (struct sk_audit){ l.org, "user:bob", "x", NULL, NULL, "forbidden", 0 };
	assert_true(sk_refusals_hit(l.refusals, &a, 5));
	sk_refusals_missed(l.refusals, &a); /* the line could not be written */
	assert_false(sk_refusals_hit(l.refusals, &a, 5));
	change_schema(&l, "CREATE TRIGGER no BEFORE INSERT ON audit BEGIN"
			  " SELECT RAISE(ABORT, 'no'); END");
	assert_true(sk_refusals_flush(l.refusals, l.db, UINT64_MAX, &err) < 0);
	assert_int_equal(number(&l, "SELECT count(*) FROM audit"), 0);
	change_schema(&l, "DROP TRIGGER no");
	assert_int_equal(sk_refusals_flush(l.refusals, l.db, UINT64_MAX, &err), 0);
	assert_int_equal(number(&l, "SELECT times FROM audit"), 2);
	assert_int_equal(sk_refusals_flush(l.refusals, l.db, UINT64_MAX, &err), 0);
	assert_int_equal(number(&l, "SELECT count(*) FROM audit"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limiter_counts_within_a_window),
		cmocka_unit_test(limiter_is_bounded),
		cmocka_unit_test(passwords),
		cmocka_unit_test(secrets),
		cmocka_unit_test(challenges_are_good_once_and_for_a_minute),
		cmocka_unit_test(keys_are_p256),
		cmocka_unit_test(seen_is_kept_and_flushed),
		cmocka_unit_test(seen_finds_each_of_many),
		cmocka_unit_test(equal_refusals_are_one_line_and_a_count),
		cmocka_unit_test(ever_new_refusals_are_bounded),
		cmocka_unit_test(refusals_of_many_are_bounded),
		cmocka_unit_test(counts_survive_a_database_that_fails),
	};

	return cmocka_run_group_tests_name("hub/domain", tests, NULL, NULL);
}
