/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "hub/request/call.h"
#include "hub/api/routes.h"
#include "hub/db/orgs.h"
#include "hub/db/tokens.h"
#include "hub/db/users.h"
#include "hub/domain/password.h"
#include "hub/domain/secret.h"
#include "io/json.h"

#define LOGIN_VALID_S (12 * 3600)
#define LOGINS_MAX    32 /* of one user at once */

/* Failed logins in 15 minutes: of one user from one address, from one address, of one user. */
#define FAILED_PAIR_MAX 5
#define FAILED_PEER_MAX 30
#define FAILED_USER_MAX 100

/** A login under way. */
struct attempt {
	const char *org, *user, *password;
	char pair[256], peer[96], name[160]; /* keys of the limiter */
};

/* Whoever has an IPv6 address has a whole /64 of them; these count as one. */
static void network_of(const char *peer, char ret[static INET6_ADDRSTRLEN])
{
	struct in6_addr a;

	(void)snprintf(ret, INET6_ADDRSTRLEN, "%s", peer);
	if (inet_pton(AF_INET6, peer, &a) != 1 || IN6_IS_ADDR_V4MAPPED(&a))
		return;
	memset(a.s6_addr + 8, 0, 8);
	(void)inet_ntop(AF_INET6, &a, ret, INET6_ADDRSTRLEN);
}

static int read_attempt(struct sk_http_req *req, const json_t *body, struct attempt *a,
			struct sk_err *err)
{
	static const char *const known[] = { "organisation", "user", "password", NULL };
	const char *peer = sk_http_peer(req);
	char network[INET6_ADDRSTRLEN];
	int r = sk_json_only(body, known, err);

	if (r == 0)
		r = sk_json_need_str(body, "organisation", SK_NAME_MAX, &a->org, err);
	if (r == 0)
		r = sk_json_need_str(body, "user", SK_NAME_MAX, &a->user, err);
	if (r == 0)
		r = sk_json_need_str(body, "password", SK_PASSWORD_MAX, &a->password, err);
	if (r < 0)
		return r;
	network_of(peer, network);
	(void)snprintf(a->pair, sizeof(a->pair), "b/%s/%s/%s", a->org, a->user, network);
	(void)snprintf(a->peer, sizeof(a->peer), "p/%s", network);
	(void)snprintf(a->name, sizeof(a->name), "u/%s/%s", a->org, a->user);
	return 0;
}

/* Counted before the password is looked at, so that many at once do not slip through together. */
static int count(struct sk_hub *hub, const struct attempt *a, struct sk_err *err)
{
	uint64_t now = sk_mono_ms();
	bool over = sk_limiter_hit(hub->logins, a->peer, now) > FAILED_PEER_MAX;

	/* Who is over it adds no further keys: made-up names would push out the counts of others. */
	if (!over)
		over = sk_limiter_hit(hub->logins, a->pair, now) > FAILED_PAIR_MAX;
	if (!over)
		over = sk_limiter_hit(hub->logins, a->name, now) > FAILED_USER_MAX;
	if (over)
		return sk_err_set(err, -EAGAIN, "too-many",
				  "too many failed logins: wait a quarter of an hour");
	return 0;
}

/* A success takes its own count back, no more: one good account must not clear the way for others. */
static void forget(struct sk_hub *hub, const struct attempt *a)
{
	uint64_t now = sk_mono_ms();

	sk_limiter_forget(hub->logins, a->pair);
	sk_limiter_forgive(hub->logins, a->peer, now);
	sk_limiter_forgive(hub->logins, a->name, now);
}

/*
 * Strangers may have passwords checked, which keeps a thread busy for some 30 ms. At most half of the
 * threads do so at once, so that devices are answered during a flood of logins from everywhere.
 */
static int enter(struct sk_hub *hub, struct sk_err *err)
{
	if (atomic_fetch_add(&hub->hashing, 1) < SK_MAX(hub->config.threads / 2, 1u))
		return 0;
	atomic_fetch_sub(&hub->hashing, 1);
	return sk_err_set(err, -EAGAIN, "too-many", "too many people log in just now: try again");
}

static void leave(struct sk_hub *hub)
{
	atomic_fetch_sub(&hub->hashing, 1);
}

/* 1 with the user and his organisation, 0, or a failure. */
static int find_user(struct sk_hub *hub, const struct attempt *a, struct sk_user *user,
		     int64_t *org, struct sk_err *err)
{
	_cleanup_read_ struct sk_conn *c = NULL;
	int r = sk_db_begin_read(hub->db, &c, err);

	if (r < 0)
		return r;
	r = c->orgs->find(c, a->org, org, err);
	return r <= 0 ? r : c->users->find(c, *org, a->user, user, err);
}

static int check(struct sk_hub *hub, const struct attempt *a, struct sk_user *user, int64_t *org,
		 struct sk_err *err)
{
	int found = find_user(hub, a, user, org, err);

	if (found < 0)
		return found;
	if (!sk_password_check(a->password, found > 0 ? user->password : NULL))
		return sk_err_set(err, -EACCES, "unauthorized",
				  "wrong organisation, user or password");
	return 0;
}

/* What the transaction needs to know of the check that was done before it (hashing takes long). */
struct outcome {
	struct sk_user user;
	int64_t org;
	struct sk_err err;
	int r;
};

/*
 * Is the user still the one whose password was checked, with that password? Since then he may have
 * been deleted (and his row's number be somebody else's) or have got another password.
 */
static int check_same(struct sk_conn *c, int64_t org, const char *name, const struct sk_user *was,
		      struct sk_err *err)
{
	struct sk_user now;
	int r = c->users->find(c, org, name, &now, err);

	if (r < 0)
		return r;
	if (r == 0 || now.id != was->id || !sk_streq(now.password, was->password))
		return sk_err_set(err, -EACCES, "unauthorized",
				  "the user or the password was changed meanwhile: try again");
	return 0;
}

static int record(struct sk_call *call, const struct outcome *o, const char *user,
		  struct sk_err *err)
{
	char secret[SK_SECRET_MAX];
	int64_t expires_s = sk_wall_s() + LOGIN_VALID_S;
	struct sk_digest hash;
	int r = check_same(call->db, o->org, user, &o->user, err);

	if (r == 0)
		r = sk_secret_new("sku_", secret, &hash, err);
	if (r == 0)
		r = call->db->tokens->add(call->db, o->org, o->user.id, "login", "login", &hash,
					  expires_s, NULL, err);
	if (r == 0)
		r = call->db->tokens->trim_logins(call->db, o->user.id, LOGINS_MAX, err);
	if (r < 0)
		return r;
	call->answer = json_pack("{s:s, s:I, s:s, s:b}", "token", secret, "expires_s",
				 (json_int_t)expires_s, "role", o->user.owner ? "owner" : "user",
				 "password_temporary", (int)o->user.temporary);
	return call->answer ? 0 : sk_err_oom(err);
}

static int do_login(struct sk_call *call, struct sk_err *err)
{
	const struct outcome *o = call->data;
	const char *user = json_string_value(json_object_get(call->body, "user"));

	call->audit_org = o->org;
	(void)snprintf(call->by, sizeof(call->by), "user:%s",
		       user && sk_name_ok(user) ? user : "?");
	if (o->r < 0) {
		*err = o->err;
		return o->r;
	}
	return record(call, o, user, err);
}

static int login(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	_cleanup_json_ json_t *body = NULL;
	struct outcome o = { 0 };
	struct attempt a = { 0 };
	int r = sk_http_body_json(req, &body, err);

	if (r == 0)
		r = read_attempt(req, body, &a, err);
	if (r == 0)
		r = enter(arg, err);
	if (r < 0)
		return r;
	r = count(arg, &a, err);
	if (r == 0)
		o.r = check(arg, &a, &o.user, &o.org, &o.err);
	leave(arg);
	if (r < 0)
		return r;
	if (o.r == 0)
		forget(arg, &a);
	return sk_call_change_prepared(
		req, arg, &(struct sk_call_steps){ .action = "login", .run = do_login, .data = &o },
		err);
}

static int do_logout(struct sk_call *call, struct sk_err *err)
{
	call->rights_ended = true;
	return call->db->tokens->remove_id(call->db, call->who->org, call->who->token, err);
}

static int logout(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "logout", do_logout, err);
}

static int do_me(struct sk_call *call, struct sk_err *err)
{
	json_t *org = NULL;
	int r = call->db->users->show(call->db, call->who->org, call->who->name, &call->answer,
				      err);

	if (r == 0)
		r = call->db->orgs->show(call->db, call->who->org, &org, err);
	if (r == 0)
		(void)json_object_set(call->answer, "organisation", json_object_get(org, "name"));
	json_decref(org);
	return r;
}

static int me(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, do_me, err);
}

/* A stolen token must not be a way to guess the password behind it. */
static int limit(struct sk_call *call, struct sk_err *err)
{
	char key[64];

	(void)snprintf(key, sizeof(key), "w/%lld", (long long)call->who->user);
	if (sk_limiter_hit(call->hub->logins, key, sk_mono_ms()) > 2 * FAILED_PAIR_MAX)
		return sk_err_set(err, -EAGAIN, "too-many",
				  "too many attempts: wait a quarter of an hour");
	return 0;
}

/** A new password, checked and hashed before the transaction. */
struct renewal {
	struct sk_user user; /* with the old one */
	char hash[SK_PASSWORD_HASH_MAX];
};

static int prepare_password(struct sk_call *call, struct sk_err *err)
{
	static const char *const known[] = { "old", "new", NULL };
	struct renewal *n = call->data;
	const char *old, *new;
	int r = sk_json_only(call->body, known, err);

	if (r == 0)
		r = sk_json_need_str(call->body, "old", SK_PASSWORD_MAX, &old, err);
	if (r == 0)
		r = sk_json_need_str(call->body, "new", SK_PASSWORD_MAX, &new, err);
	if (r == 0)
		r = call->db->users->find(call->db, call->who->org, call->who->name, &n->user, err);
	if (r <= 0)
		return r < 0 ? r : sk_call_none("user", call->who->name, err);
	if (limit(call, err) < 0)
		return err->code;
	if (!sk_password_check(old, n->user.password))
		return sk_err_set(err, -EPERM, "forbidden", "the old password is wrong");
	if (sk_streq(old, new))
		return sk_err_set(err, -EINVAL, "bad-value", "the new password is the old one");
	return sk_password_hash(new, n->hash, err);
}

static int do_password(struct sk_call *call, struct sk_err *err)
{
	const struct renewal *n = call->data;
	const char *name = call->who->name;
	int r = check_same(call->db, call->who->org, name, &n->user, err);

	if (r == 0)
		r = call->db->users->set_password(call->db, call->who->org, name, n->hash, false,
						  call->who->token, err);
	call->rights_ended = true;
	return SK_MIN(r, 0);
}

static int password(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct renewal n = { 0 };

	return sk_call_change_prepared(req, arg,
				       &(struct sk_call_steps){ .action = "user.password",
								.prepare = prepare_password,
								.run = do_password,
								.data = &n },
				       err);
}

static int health(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_hub *hub = arg;
	struct sk_conn *c;
	int64_t devices;
	int r = sk_db_read(hub->db, &c, err);

	if (r == 0)
		r = c->orgs->only(c, &devices, err);
	return r < 0 ? r
		     : sk_http_reply_json(
			       req, 200,
			       json_pack("{s:s, s:s}", "status", "ok", "version", SK_VERSION));
}

const struct sk_http_route sk_api_login_routes[] = {
	{ "GET", "/healthz", health, 0, NULL, SK_HUB_PUBLIC },
	{ "POST", "/api/v1/login", login, SK_HUB_BODY_MAX, NULL, SK_HUB_PUBLIC },
	{ "POST", "/api/v1/logout", logout, SK_HUB_BODY_MAX, NULL, SK_HUB_TEMPORARY },
	{ "GET", "/api/v1/me", me, 0, NULL, SK_HUB_TEMPORARY },
	{ "POST", "/api/v1/me/password", password, SK_HUB_BODY_MAX, NULL, SK_HUB_TEMPORARY },
	{ 0 },
};
