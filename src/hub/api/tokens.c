/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "hub/api/routes.h"
#include "hub/db/tokens.h"
#include "hub/domain/secret.h"
#include "hub/request/call.h"
#include "hub/request/page.h"
#include "hub/request/params.h"
#include "io/json.h"

#define DEFAULT_S  (90 * 86400u)
#define MOST_S	   (730 * 86400u)
#define TOKENS_MAX 100 /* of one user, whatever his role */

/* Owners see and end everybody's tokens, users their own. */
static int64_t whose(const struct sk_call *call)
{
	return call->who->owner ? 0 : call->who->user;
}

static int tokens_do_list(struct sk_call *call, struct sk_err *err)
{
	json_t *list = NULL;
	struct sk_page p;
	int r = sk_call_page_after(call, SK_PAGE_MAX, &p, err);

	if (r < 0)
		return r;
	r = call->db->tokens->list(call->db, call->who->org, whose(call), &p, &list, err);
	return r < 0 ? r : sk_call_list(call, "tokens", list, &p, err);
}

static int tokens_list(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, tokens_do_list, err);
}

static int tokens_check_room(struct sk_call *call, struct sk_err *err)
{
	int64_t n = 0;
	int r = call->db->tokens->count(call->db, call->who->user, &n, err);

	if (r < 0)
		return r;
	if (n >= TOKENS_MAX)
		return sk_err_set(err, -EAGAIN, "too-many", "you have %d tokens: revoke one first",
				  TOKENS_MAX);
	return 0;
}

static int tokens_do_create(struct sk_call *call, struct sk_err *err)
{
	static const char *const known[] = { "name", "expires_in_s", NULL };
	char secret[SK_SECRET_MAX];
	struct sk_digest hash;
	const char *name;
	int64_t expires_s, id = 0;
	int r = sk_json_only(call->body, known, err);

	if (r < 0)
		return r;
	r = sk_call_name(call, "name", &name, err);
	if (r < 0)
		return r;
	r = sk_call_expiry(call, DEFAULT_S, MOST_S, &expires_s, err);
	if (r < 0)
		return r;
	r = sk_secret_new("sku_", secret, &hash, err);
	if (r < 0)
		return r;
	r = tokens_check_room(call, err);
	if (r < 0)
		return r;
	sk_call_object(call, "%s", name);
	r = call->db->tokens->add(call->db, call->who->org, call->who->user, name, "api", &hash,
				  expires_s, &id, err);
	if (r < 0)
		return r;
	r = call->db->tokens->show(call->db, call->who->org, id, &call->answer, err);
	if (r < 0)
		return r;
	(void)json_object_set_new(call->answer, "token", json_string(secret));
	call->status = 201;
	return 0;
}

static int tokens_create(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "token.create", tokens_do_create, err);
}

static int tokens_do_revoke(struct sk_call *call, struct sk_err *err)
{
	const char *id = sk_http_param(call->req, "token");
	int r = call->db->tokens->remove(call->db, call->who->org, whose(call), id, err);

	sk_call_object(call, "%s", id);
	call->rights_ended = true;
	return r == 0 ? sk_call_none("token", id, err) : r;
}

static int tokens_revoke(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "token.revoke", tokens_do_revoke, err);
}

/* Any user may make tokens: each can do what its user can. */
const struct sk_http_route sk_api_token_routes[] = {
	{ "GET", "/api/v1/tokens", tokens_list, 0, NULL, 0 },
	{ "POST", "/api/v1/tokens", tokens_create, SK_HUB_BODY_MAX, NULL, 0 },
	{ "DELETE", "/api/v1/tokens/{token}", tokens_revoke, 0, NULL, 0 },
	{ 0 },
};
