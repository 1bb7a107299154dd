/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/auth/login.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "hub/db/orgs.h"
#include "hub/db/tokens.h"
#include "hub/domain/password.h"

#define LOGIN_VALID_S (12 * 3600)
#define LOGINS_MAX    32 /* of one user at once */

/* Failed logins in 15 minutes: of one user from one address, from one address, of one user. */
#define FAILED_PAIR_MAX 5
#define FAILED_PEER_MAX 30
#define FAILED_USER_MAX 100

/** Keys of the limiter. */
struct login_keys {
	char pair[256], peer[96], name[160];
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

static void login_keys_of(const struct sk_login *l, struct login_keys *ret)
{
	char network[INET6_ADDRSTRLEN];

	network_of(l->peer, network);
	(void)snprintf(ret->pair, sizeof(ret->pair), "b/%s/%s/%s", l->organisation, l->user,
		       network);
	(void)snprintf(ret->peer, sizeof(ret->peer), "p/%s", network);
	(void)snprintf(ret->name, sizeof(ret->name), "u/%s/%s", l->organisation, l->user);
}

/* Counted before the password is looked at, so that many at once do not slip through together. */
static int login_count(struct sk_hub *hub, const struct login_keys *k, struct sk_err *err)
{
	uint64_t now = sk_mono_ms();
	bool over = sk_limiter_hit(hub->logins, k->peer, now) > FAILED_PEER_MAX;

	/* An address over its limit adds no further keys: made-up names would push out the counts of others. */
	if (!over)
		over = sk_limiter_hit(hub->logins, k->pair, now) > FAILED_PAIR_MAX;
	if (!over)
		over = sk_limiter_hit(hub->logins, k->name, now) > FAILED_USER_MAX;
	if (over)
		return sk_err_set(err, -EAGAIN, "too-many",
				  "too many failed logins: wait a quarter of an hour");
	return 0;
}

/* A success takes its own count back, no more: one good account must not clear the way for others. */
static void login_uncount(struct sk_hub *hub, const struct login_keys *k)
{
	uint64_t now = sk_mono_ms();

	sk_limiter_forget(hub->logins, k->pair);
	sk_limiter_forgive(hub->logins, k->peer, now);
	sk_limiter_forgive(hub->logins, k->name, now);
}

/*
 * Strangers may have passwords checked, which keeps a thread busy for some 30 ms. At most half of the
 * threads do so at once, so that devices are answered during a flood of logins from everywhere.
 */
static int hashing_begin(struct sk_hub *hub, struct sk_err *err)
{
	if (atomic_fetch_add(&hub->hashing, 1) < SK_MAX(hub->config.threads / 2, 1u))
		return 0;
	atomic_fetch_sub(&hub->hashing, 1);
	return sk_err_set(err, -EAGAIN, "too-many", "too many people log in just now: try again");
}

static void hashing_end(struct sk_hub *hub)
{
	atomic_fetch_sub(&hub->hashing, 1);
}

/* 1 with the organisation and its user, 0, or a failure. */
static int find_user(struct sk_hub *hub, const struct sk_login *l, struct sk_login_result *ret,
		     struct sk_err *err)
{
	_cleanup_read_ struct sk_conn *c = NULL;
	int r = sk_db_begin_read(hub->db, &c, err);

	if (r < 0)
		return r;
	r = c->orgs->find(c, l->organisation, &ret->org, err);
	return r <= 0 ? r : c->users->find(c, ret->org, l->user, &ret->user, err);
}

static int check_password(struct sk_hub *hub, const struct sk_login *l, struct sk_login_result *ret,
			  struct sk_err *err)
{
	int found = find_user(hub, l, ret, err);

	if (found < 0)
		return found;
	if (!sk_password_check(l->password, found > 0 ? ret->user.password : NULL))
		return sk_err_set(err, -EACCES, "unauthorized",
				  "wrong organisation, user or password");
	return 0;
}

int sk_login_check(struct sk_hub *hub, const struct sk_login *l, struct sk_login_result *ret,
		   struct sk_err *err)
{
	struct login_keys keys;
	int r = hashing_begin(hub, err);

	if (r < 0)
		return r;
	login_keys_of(l, &keys);
	r = login_count(hub, &keys, err);
	if (r == 0)
		ret->r = check_password(hub, l, ret, &ret->err);
	hashing_end(hub);
	if (r == 0 && ret->r == 0)
		login_uncount(hub, &keys);
	return r;
}

int sk_login_same(struct sk_conn *c, const char *name, const struct sk_user *was,
		  struct sk_err *err)
{
	struct sk_user now;
	int r = c->users->find(c, was->org, name, &now, err);

	if (r < 0)
		return r;
	if (r == 0 || now.id != was->id || !sk_streq(now.password, was->password))
		return sk_err_set(err, -EACCES, "unauthorized",
				  "the user or the password was changed meanwhile: try again");
	return 0;
}

int sk_login_record(struct sk_conn *c, const char *name, const struct sk_login_result *checked,
		    struct sk_login_token *ret, struct sk_err *err)
{
	const struct sk_user *user = &checked->user;
	struct sk_digest hash;
	int r = sk_login_same(c, name, user, err);

	if (r < 0)
		return r;
	r = sk_secret_new("sku_", ret->secret, &hash, err);
	if (r < 0)
		return r;
	ret->expires_s = sk_wall_s() + LOGIN_VALID_S;
	r = c->tokens->add(c, user->org, user->id, "login", "login", &hash, ret->expires_s, NULL,
			   err);
	return r < 0 ? r : c->tokens->trim_logins(c, user->id, LOGINS_MAX, err);
}

int sk_login_limit_change(struct sk_hub *hub, int64_t user, struct sk_err *err)
{
	char key[64];

	(void)snprintf(key, sizeof(key), "w/%lld", (long long)user);
	if (sk_limiter_hit(hub->logins, key, sk_mono_ms()) > 2 * FAILED_PAIR_MAX)
		return sk_err_set(err, -EAGAIN, "too-many",
				  "too many attempts: wait a quarter of an hour");
	return 0;
}
