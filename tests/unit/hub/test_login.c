/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <crypt.h>
#include <errno.h>
#include <stdio.h>

#include "hub/auth/login.h"
#include "hub/auth/session.h"
#include "hub/db/devices.h"
#include "hub/db/orgs.h"
#include "hub/db/tokens.h"
#include "temp.h"

/* Limits of failed logins. A password's hash is itself here: hundreds are checked. */
static struct sk_err err;

#define PASSWORD "correct-horse-battery"
#define WRONG	 "wrong-horse-battery"

char *__wrap_crypt_r(const char *key, const char *salt, struct crypt_data *data);
char *__wrap_crypt_r(const char *key, const char *salt, struct crypt_data *data)
{
	(void)snprintf(data->output, sizeof(data->output), "%s", key);
	return data->output;
}

static bool no_secret;

int __real_sk_secret_new(const char *prefix, char ret[static SK_SECRET_MAX],
			 struct sk_digest *ret_hash, struct sk_err *e);
int __wrap_sk_secret_new(const char *prefix, char ret[static SK_SECRET_MAX],
			 struct sk_digest *ret_hash, struct sk_err *e);
int __wrap_sk_secret_new(const char *prefix, char ret[static SK_SECRET_MAX],
			 struct sk_digest *ret_hash, struct sk_err *e)
{
	return no_secret ? sk_err_set(e, -EIO, "io", "no random bytes")
			 : __real_sk_secret_new(prefix, ret, ret_hash, e);
}

struct world {
	struct temp temp;
	struct sk_hub *hub;
};

static void start(struct world *w)
{
	struct sk_hub_config config;
	struct sk_conn *c;
	int64_t org;

	temp_make(&w->temp);
	sk_hub_config_defaults(&config);
	(void)snprintf(config.data, sizeof(config.data), "%s", w->temp.dir);
	assert_int_equal(sk_hub_new(&config, &w->hub, &err), 0);
	assert_int_equal(sk_db_begin(w->hub->db, &c, &err), 0);
	assert_int_equal(c->orgs->add(c, "acme", &org, &err), 0);
	assert_int_equal(c->users->add(c, org, "alice", "owner", PASSWORD, false, &err), 0);
	assert_int_equal(c->users->add(c, org, "bob", "user", PASSWORD, false, &err), 0);
	assert_int_equal(sk_db_commit(c, &err), 0);
}

static void stop(struct world *w)
{
	sk_hub_free(w->hub);
	temp_done(&w->temp);
}
#define _cleanup_world_ _cleanup_(stop)

/* 0, -EACCES for a wrong password, -EAGAIN when it was not even looked at. */
static int try(struct world *w, const char *peer, const char *user, const char *password)
{
	struct sk_login_result got = { 0 };
	int r = sk_login_check(w->hub, &(struct sk_login){ "acme", user, password, peer }, &got,
			       &err);

	assert_int_equal(w->hub->hashing, 0);
	return r < 0 ? r : got.r;
}

static void guess_wrong(struct world *w, int times, const char *peer, const char *user)
{
	for (int i = 0; i < times; i++)
		assert_int_equal(try(w, peer, user, WRONG), -EACCES);
}

static void of_one_user_from_one_address(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	guess_wrong(&w, 5, "192.0.2.1", "alice");
	/* The right one is not told from a wrong one any more. */
	assert_int_equal(try(&w, "192.0.2.1", "alice", PASSWORD), -EAGAIN);
	assert_string_equal(err.slug, "too-many");
	assert_int_equal(try(&w, "192.0.2.2", "alice", PASSWORD), 0);
	assert_int_equal(try(&w, "192.0.2.1", "bob", PASSWORD), 0);
}

static void from_one_address(void **state)
{
	_cleanup_world_ struct world w;
	char user[16];

	start(&w);
	for (int i = 0; i < 30; i++) {
		(void)snprintf(user, sizeof(user), "u%d", i);
		guess_wrong(&w, 1, "192.0.2.1", user);
	}
	assert_int_equal(try(&w, "192.0.2.1", "bob", PASSWORD), -EAGAIN);
	assert_int_equal(try(&w, "192.0.2.2", "bob", PASSWORD), 0);
}

static void of_one_user(void **state)
{
	_cleanup_world_ struct world w;
	char peer[32];

	start(&w);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(peer, sizeof(peer), "192.0.2.%d", i);
		guess_wrong(&w, 1, peer, "alice");
	}
	assert_int_equal(try(&w, "198.51.100.1", "alice", PASSWORD), -EAGAIN);
	assert_int_equal(try(&w, "198.51.100.1", "bob", PASSWORD), 0);
}

/* Who has one address of a /64 has them all. */
static void networks_count_as_one(void **state)
{
	_cleanup_world_ struct world w;
	char peer[32];

	start(&w);
	for (int i = 0; i < 5; i++) {
		(void)snprintf(peer, sizeof(peer), "2001:db8::%d", i + 1);
		guess_wrong(&w, 1, peer, "alice");
	}
	assert_int_equal(try(&w, "2001:db8::ffff", "alice", PASSWORD), -EAGAIN);
	assert_int_equal(try(&w, "2001:db8:0:1::1", "alice", PASSWORD), 0);
}

/* One that succeeds clears its own pair, and takes back no more than itself from the rest. */
static void a_success_does_not_clear_the_way(void **state)
{
	_cleanup_world_ struct world w;
	char user[16];

	start(&w);
	for (int round = 0; round < 3; round++) {
		guess_wrong(&w, 4, "192.0.2.1", "alice");
		assert_int_equal(try(&w, "192.0.2.1", "alice", PASSWORD), 0);
	}
	for (int i = 12; i < 30; i++) {
		(void)snprintf(user, sizeof(user), "u%d", i);
		guess_wrong(&w, 1, "192.0.2.1", user);
	}
	assert_int_equal(try(&w, "192.0.2.1", "alice", PASSWORD), -EAGAIN);
}

static void changes_of_a_password(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	for (int i = 0; i < 10; i++)
		assert_int_equal(sk_login_limit_change(w.hub, 1, &err), 0);
	assert_int_equal(sk_login_limit_change(w.hub, 1, &err), -EAGAIN);
	assert_int_equal(sk_login_limit_change(w.hub, 2, &err), 0);
}

/* Half of the threads at most check passwords: who comes on top is not counted as a failed login. */
static void at_most_half_of_the_threads(void **state)
{
	struct sk_login l = { "acme", "alice", PASSWORD, "192.0.2.1" };
	_cleanup_world_ struct world w;
	struct sk_login_result got = { 0 };
	unsigned half;

	start(&w);
	half = w.hub->config.threads / 2;
	assert_true(half > 1);
	w.hub->hashing = half;
	for (int i = 0; i < 2 * 5; i++)
		assert_int_equal(sk_login_check(w.hub, &l, &got, &err), -EAGAIN);
	assert_int_equal(w.hub->hashing, half);
	w.hub->hashing = half - 1;
	assert_int_equal(sk_login_check(w.hub, &l, &got, &err), 0);
	assert_int_equal(got.r, 0);
	assert_int_equal(w.hub->hashing, half - 1);
}

/* --- what is recorded of a login --- */

static struct sk_login_result checked_alice(struct world *w)
{
	struct sk_login l = { "acme", "alice", PASSWORD, "192.0.2.1" };
	struct sk_login_result got = { 0 };

	assert_int_equal(sk_login_check(w->hub, &l, &got, &err), 0);
	assert_int_equal(got.r, 0);
	return got;
}

static int64_t good_token(struct sk_conn *c, const struct sk_login_token *t)
{
	struct sk_token_owner owner;
	struct sk_digest hash;

	assert_int_equal(sk_secret_hash(t->secret, &hash), 0);
	return c->tokens->check(c, &hash, t->expires_s - 1, &owner, &err);
}

static void a_right_password_gets_a_token(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_login_token first, t = { 0 };
	struct sk_login_result got;
	struct sk_conn *c;

	start(&w);
	got = checked_alice(&w);
	assert_int_equal(sk_db_begin(w.hub->db, &c, &err), 0);
	assert_int_equal(sk_login_record(c, "alice", &got, &first, &err), 0);
	assert_int_equal(good_token(c, &first), 1);
	/* The oldest of 33 ends. */
	for (int i = 0; i < 32; i++)
		assert_int_equal(sk_login_record(c, "alice", &got, &t, &err), 0);
	assert_int_equal(good_token(c, &first), 0);
	assert_int_equal(good_token(c, &t), 1);
	sk_db_rollback(c);
}

static void assert_changed(struct sk_conn *c, const struct sk_login_result *was)
{
	struct sk_login_token t = { 0 };

	assert_int_equal(sk_login_same(c, "alice", &was->user, &err), -EACCES);
	assert_string_equal(err.slug, "unauthorized");
	assert_int_equal(sk_login_record(c, "alice", was, &t, &err), -EACCES);
	assert_string_equal(t.secret, "");
}

/* Between the check and the transaction: another password, another user of that name, none. */
static void not_when_the_user_was_changed_meanwhile(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_login_result got, other;
	struct sk_conn *c;

	start(&w);
	got = checked_alice(&w);
	assert_int_equal(sk_db_begin(w.hub->db, &c, &err), 0);
	assert_int_equal(sk_login_same(c, "alice", &got.user, &err), 0);
	other = got;
	other.user.id++;
	assert_changed(c, &other);
	other = got;
	other.user.password[0]++;
	assert_changed(c, &other);
	assert_int_equal(c->users->add(c, got.org, "carol", "owner", PASSWORD, false, &err), 0);
	assert_int_equal(c->users->remove(c, got.org, "alice", &err), 1);
	assert_changed(c, &got);
	sk_db_rollback(c);
}

static int find_fails(struct sk_conn *c, int64_t org, const char *name, struct sk_user *ret,
		      struct sk_err *e)
{
	return sk_err_set(e, -EIO, "io", "the disk");
}

static int add_fails(struct sk_conn *c, int64_t org, int64_t user, const char *name,
		     const char *kind, const struct sk_digest *hash, int64_t expires_s,
		     int64_t *ret_id, struct sk_err *e)
{
	return sk_err_set(e, -EIO, "io", "the disk");
}

/* A failure is told as what it is, and no token is given out that is not on record. */
static void a_failure_to_record_is_told(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_login_token t = { 0 };
	struct sk_login_result got;
	struct sk_user_repo users;
	struct sk_token_repo tokens;
	struct sk_conn *c;

	start(&w);
	got = checked_alice(&w);
	assert_int_equal(sk_db_begin(w.hub->db, &c, &err), 0);
	const struct sk_user_repo *real_users = c->users;
	const struct sk_token_repo *real_tokens = c->tokens;

	users = *real_users;
	users.find = find_fails;
	c->users = &users;
	assert_int_equal(sk_login_same(c, "alice", &got.user, &err), -EIO);
	assert_int_equal(sk_login_record(c, "alice", &got, &t, &err), -EIO);
	c->users = real_users;
	no_secret = true;
	assert_int_equal(sk_login_record(c, "alice", &got, &t, &err), -EIO);
	no_secret = false;
	tokens = *real_tokens;
	tokens.add = add_fails;
	c->tokens = &tokens;
	assert_int_equal(sk_login_record(c, "alice", &got, &t, &err), -EIO);
	c->tokens = real_tokens;
	sk_db_rollback(c);
}

/* --- sessions of devices --- */

static void add_device(struct sk_conn *c, const char *uid, const char *status)
{
	struct sk_device_new n = { .org = 1,
				   .uid = uid,
				   .name = "n",
				   .public_key = "k",
				   .compatible = "[]",
				   .peer = "p" };
	struct sk_device dev = { .org = 1 };

	assert_int_equal(c->devices->add(c, &n, &dev.id, &err), 0);
	assert_int_equal(c->devices->set_status(c, &dev, status, 0, &err), 0);
}

static void a_session_is_for_who_is_accepted(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_session_token t;
	struct sk_conn *c;

	start(&w);
	assert_int_equal(sk_db_begin(w.hub->db, &c, &err), 0);
	add_device(c, "a", "accepted");
	add_device(c, "p", "pending");
	add_device(c, "b", "blocked");
	assert_int_equal(sk_session_start(w.hub, c, "a", &t, &err), 1);
	assert_int_equal(t.device, 1);
	assert_int_equal(sk_session_start(w.hub, c, "p", &t, &err), -EPERM);
	assert_int_equal(sk_session_start(w.hub, c, "b", &t, &err), -EPERM);
	assert_string_equal(err.slug, "forbidden");
	assert_int_equal(sk_session_start(w.hub, c, "nobody", &t, &err), 0);
	sk_db_rollback(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_one_user_from_one_address),
		cmocka_unit_test(from_one_address),
		cmocka_unit_test(of_one_user),
		cmocka_unit_test(networks_count_as_one),
		cmocka_unit_test(a_success_does_not_clear_the_way),
		cmocka_unit_test(changes_of_a_password),
		cmocka_unit_test(at_most_half_of_the_threads),
		cmocka_unit_test(a_right_password_gets_a_token),
		cmocka_unit_test(not_when_the_user_was_changed_meanwhile),
		cmocka_unit_test(a_failure_to_record_is_told),
		cmocka_unit_test(a_session_is_for_who_is_accepted),
	};

	return cmocka_run_group_tests_name("hub/login", tests, NULL, NULL);
}
