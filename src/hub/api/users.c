/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "hub/api/routes.h"
#include "hub/db/users.h"
#include "hub/domain/password.h"
#include "hub/domain/secret.h"
#include "hub/request/call.h"
#include "hub/request/page.h"
#include "hub/request/params.h"
#include "io/json.h"

static int users_do_list(struct sk_call *call, struct sk_err *err)
{
	json_t *list = NULL;
	struct sk_page p;
	int r = sk_call_page_after(call, SK_PAGE_MAX, &p, err);

	if (r < 0)
		return r;
	r = call->db->users->list(call->db, call->who->org, &p, &list, err);
	return r < 0 ? r : sk_call_list(call, "users", list, &p, err);
}

static int users_list(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, users_do_list, err);
}

static int users_do_show(struct sk_call *call, struct sk_err *err)
{
	const char *name = sk_http_param(call->req, "user");
	int r = call->db->users->show(call->db, call->who->org, name, &call->answer, err);

	return r == 0 && !call->answer ? sk_call_none("user", name, err) : r;
}

static int users_show(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, users_do_show, err);
}

static int read_role(const struct sk_call *call, const char **ret, struct sk_err *err)
{
	int r = sk_json_need_str(call->body, "role", 16, ret, err);

	if (r < 0)
		return r;
	if (!sk_streq(*ret, "owner") && !sk_streq(*ret, "user"))
		return sk_err_set(err, -EINVAL, "bad-value", "role is owner or user");
	return 0;
}

/** What a request makes of a user, read and hashed before the transaction. */
struct user_change {
	const char *name;
	const char *role;		 /* NULL: as it is */
	char made[32];			 /* a password for the first login, "" when one was given */
	char hash[SK_PASSWORD_HASH_MAX]; /* "": as it is */
};

/* The given password, or a new one for the first login. */
static int choose_password(const struct sk_call *call, struct user_change *w, struct sk_err *err)
{
	const char *given = NULL;
	int r = sk_json_get_str(call->body, "password", &given, err);

	if (r < 0)
		return r;
	if (!given)
		r = sk_secret_password(w->made, err);
	return r < 0 ? r : sk_password_hash(given ? given : w->made, w->hash, err);
}

static void answer_password(struct sk_call *call, const struct user_change *w)
{
	if (w->made[0])
		(void)json_object_set_new(call->answer, "password", json_string(w->made));
}

static int prepare_create(struct sk_call *call, struct sk_err *err)
{
	static const char *const known[] = { "name", "role", "password", NULL };
	struct user_change *w = call->data;
	int r = sk_json_only(call->body, known, err);

	if (r < 0)
		return r;
	r = sk_call_name(call, "name", &w->name, err);
	if (r < 0)
		return r;
	r = read_role(call, &w->role, err);
	if (r < 0)
		return r;
	sk_call_object(call, "%s", w->name);
	return choose_password(call, w, err);
}

static int users_do_create(struct sk_call *call, struct sk_err *err)
{
	const struct user_change *w = call->data;
	int r = call->db->users->add(call->db, call->who->org, w->name, w->role, w->hash,
				     w->made[0] != '\0', err);

	if (r < 0)
		return r;
	r = call->db->users->show(call->db, call->who->org, w->name, &call->answer, err);
	if (r < 0)
		return r;
	answer_password(call, w);
	call->status = 201;
	return 0;
}

static int users_create(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct user_change w = { 0 };

	return sk_call_change_prepared(req, arg,
				       &(struct sk_call_steps){ .action = "user.create",
								.prepare = prepare_create,
								.run = users_do_create,
								.data = &w },
				       err);
}

static int prepare_change(struct sk_call *call, struct sk_err *err)
{
	static const char *const known[] = { "role", "password", "reset_password", NULL };
	struct user_change *w = call->data;
	bool reset = false;
	int r;

	w->name = sk_http_param(call->req, "user");
	sk_call_object(call, "%s", w->name);
	r = sk_json_only(call->body, known, err);
	if (r < 0)
		return r;
	r = sk_json_get_bool(call->body, "reset_password", &reset, err);
	if (r < 0)
		return r;
	if (json_object_get(call->body, "role")) {
		r = read_role(call, &w->role, err);
		if (r < 0)
			return r;
	}
	if (!reset && !json_object_get(call->body, "password"))
		return 0;
	return choose_password(call, w, err);
}

static int do_change(struct sk_call *call, struct sk_err *err)
{
	const struct user_change *w = call->data;
	int64_t org = call->who->org;
	struct sk_user user;
	int r = call->db->users->find(call->db, org, w->name, &user, err);

	if (r <= 0)
		return r < 0 ? r : sk_call_none("user", w->name, err);
	if (w->role) {
		r = call->db->users->set_role(call->db, org, w->name, w->role, err);
		if (r < 0)
			return r;
	}
	if (w->hash[0]) {
		r = call->db->users->set_password(call->db, org, w->name, w->hash, true, 0, err);
		if (r < 0)
			return r;
	}
	call->rights_ended = true;
	r = call->db->users->show(call->db, org, w->name, &call->answer, err);
	if (r < 0)
		return r;
	answer_password(call, w);
	return 0;
}

static int users_change(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct user_change w = { 0 };

	return sk_call_change_prepared(req, arg,
				       &(struct sk_call_steps){ .action = "user.change",
								.prepare = prepare_change,
								.run = do_change,
								.data = &w },
				       err);
}

static int users_do_delete(struct sk_call *call, struct sk_err *err)
{
	const char *name = sk_http_param(call->req, "user");
	struct sk_user user;
	int r = call->db->users->find(call->db, call->who->org, name, &user, err);

	sk_call_object(call, "%s", name);
	if (r == 0)
		return sk_call_none("user", name, err);
	call->rights_ended = true;
	if (r > 0)
		r = call->db->users->remove(call->db, call->who->org, name, err);
	return r < 0 ? r : 0;
}

static int users_remove(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "user.delete", users_do_delete, err);
}

const struct sk_http_route sk_api_user_routes[] = {
	{ "GET", "/api/v1/users", users_list, 0, NULL, 0 },
	{ "POST", "/api/v1/users", users_create, SK_HUB_BODY_MAX, NULL, SK_HUB_OWNER },
	{ "GET", "/api/v1/users/{user}", users_show, 0, NULL, 0 },
	{ "PATCH", "/api/v1/users/{user}", users_change, SK_HUB_BODY_MAX, NULL, SK_HUB_OWNER },
	{ "DELETE", "/api/v1/users/{user}", users_remove, 0, NULL, SK_HUB_OWNER },
	{ 0 },
};
