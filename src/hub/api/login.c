/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "hub/api/routes.h"
#include "hub/auth/login.h"
#include "hub/db/orgs.h"
#include "hub/db/tokens.h"
#include "hub/db/users.h"
#include "hub/domain/password.h"
#include "hub/request/call.h"
#include "io/json.h"

static int read_login(struct sk_http_req *req, const json_t *body, struct sk_login *l,
		      struct sk_err *err)
{
	static const char *const known[] = { "organisation", "user", "password", NULL };
	int r = sk_json_only(body, known, err);

	if (r < 0)
		return r;
	r = sk_json_need_str(body, "organisation", SK_NAME_MAX, &l->organisation, err);
	if (r < 0)
		return r;
	r = sk_json_need_str(body, "user", SK_NAME_MAX, &l->user, err);
	if (r < 0)
		return r;
	l->peer = sk_http_peer(req);
	return sk_json_need_str(body, "password", SK_PASSWORD_MAX, &l->password, err);
}

static int answer_login(struct sk_call *call, const struct sk_login_token *t,
			const struct sk_user *user, struct sk_err *err)
{
	call->answer = json_pack("{s:s, s:I, s:s, s:b}", "token", t->secret, "expires_s",
				 (json_int_t)t->expires_s, "role", user->owner ? "owner" : "user",
				 "password_temporary", (int)user->temporary);
	return call->answer ? 0 : sk_err_oom(err);
}

static int do_login(struct sk_call *call, struct sk_err *err)
{
	const struct sk_login_result *checked = call->data;
	const char *user = json_string_value(json_object_get(call->body, "user"));
	struct sk_login_token token;
	int r;

	call->audit_org = checked->org;
	(void)snprintf(call->by, sizeof(call->by), "user:%s",
		       user && sk_name_ok(user) ? user : "?");
	if (checked->r < 0) {
		*err = checked->err;
		return checked->r;
	}
	r = sk_login_record(call->db, user, checked, &token, err);
	return r < 0 ? r : answer_login(call, &token, &checked->user, err);
}

static int login(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	_cleanup_json_ json_t *body = NULL;
	struct sk_login_result checked = { 0 };
	struct sk_login l = { 0 };
	int r = sk_http_body_json(req, &body, err);

	if (r < 0)
		return r;
	r = read_login(req, body, &l, err);
	if (r < 0)
		return r;
	r = sk_login_check(arg, &l, &checked, err);
	if (r < 0)
		return r;
	return sk_call_change_prepared(
		req, arg,
		&(struct sk_call_steps){ .action = "login", .run = do_login, .data = &checked },
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
	_cleanup_json_ json_t *org = NULL;
	int r = call->db->users->show(call->db, call->who->org, call->who->name, &call->answer,
				      err);

	if (r < 0)
		return r;
	r = call->db->orgs->show(call->db, call->who->org, &org, err);
	if (r < 0)
		return r;
	(void)json_object_set(call->answer, "organisation", json_object_get(org, "name"));
	return 0;
}

static int me(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, do_me, err);
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

	if (r < 0)
		return r;
	r = sk_json_need_str(call->body, "old", SK_PASSWORD_MAX, &old, err);
	if (r < 0)
		return r;
	r = sk_json_need_str(call->body, "new", SK_PASSWORD_MAX, &new, err);
	if (r < 0)
		return r;
	r = call->db->users->find(call->db, call->who->org, call->who->name, &n->user, err);
	if (r <= 0)
		return r < 0 ? r : sk_call_none("user", call->who->name, err);
	r = sk_login_limit_change(call->hub, call->who->user, err);
	if (r < 0)
		return r;
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
	int r = sk_login_same(call->db, name, &n->user, err);

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

	if (r < 0)
		return r;
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
