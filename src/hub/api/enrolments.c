/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "hub/api/deployments.h"
#include "hub/api/routes.h"
#include "hub/db/enrolments.h"
#include "hub/domain/secret.h"
#include "hub/request/page.h"
#include "hub/request/params.h"
#include "io/json.h"

#define DEFAULT_S (7 * 86400u)
#define MOST_S	  (3650 * 86400u)
#define USES_MAX  1000000u

static int enrolments_do_list(struct sk_call *call, struct sk_err *err)
{
	struct sk_deployment d;
	json_t *list = NULL;
	struct sk_page p;
	int r = sk_call_page_after(call, SK_PAGE_MAX, &p, err);

	if (r < 0)
		return r;
	r = sk_call_deployment(call, &d, err);
	if (r < 0)
		return r;
	r = call->db->enrolments->list(call->db, d.org, d.id, &p, &list, err);
	return r < 0 ? r : sk_call_list(call, "enrolment_tokens", list, &p, err);
}

static int enrolments_list(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, enrolments_do_list, err);
}

static int read_new(const struct sk_call *call, const char **name, int64_t *expires_s,
		    uint64_t *uses_max, struct sk_err *err)
{
	static const char *const known[] = { "name", "expires_in_s", "uses_max", NULL };
	int r = sk_json_only(call->body, known, err);

	if (r < 0)
		return r;
	r = sk_call_name(call, "name", name, err);
	if (r < 0)
		return r;
	r = sk_call_expiry(call, DEFAULT_S, MOST_S, expires_s, err);
	if (r < 0)
		return r;
	r = sk_json_get_u64(call->body, "uses_max", uses_max, err);
	if (r < 0)
		return r;
	if (*uses_max > USES_MAX)
		return sk_err_set(err, -EINVAL, "bad-value", "uses_max: at most %u", USES_MAX);
	return 0;
}

static int enrolments_do_create(struct sk_call *call, struct sk_err *err)
{
	char secret[SK_SECRET_MAX];
	struct sk_deployment d;
	struct sk_digest hash;
	const char *name;
	int64_t expires_s, id = 0;
	uint64_t uses_max = 0;
	int r = read_new(call, &name, &expires_s, &uses_max, err);

	if (r < 0)
		return r;
	r = sk_call_deployment(call, &d, err);
	if (r < 0)
		return r;
	r = sk_secret_new("ske_", secret, &hash, err);
	if (r < 0)
		return r;
	r = call->db->enrolments->add(call->db, d.org, d.id, name, &hash, expires_s,
				      (int64_t)uses_max, &id, err);
	if (r < 0)
		return r;
	r = call->db->enrolments->show(call->db, d.org, id, &call->answer, err);
	if (r < 0)
		return r;
	(void)json_object_set_new(call->answer, "token", json_string(secret));
	call->status = 201;
	return 0;
}

static int enrolments_create(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "enrolment-token.create", enrolments_do_create, err);
}

static int enrolments_do_revoke(struct sk_call *call, struct sk_err *err)
{
	const char *id = sk_http_param(call->req, "token");
	struct sk_deployment d;
	int r = sk_call_deployment(call, &d, err);

	if (r < 0)
		return r;
	r = call->db->enrolments->revoke(call->db, d.org, d.id, id, err);
	return r == 0 ? sk_call_none("enrolment token", id, err) : r;
}

static int enrolments_revoke(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "enrolment-token.revoke", enrolments_do_revoke, err);
}

#define PATH "/api/v1/projects/{project}/deployments/{deployment}/enrolment-tokens"

const struct sk_http_route sk_api_enrolment_routes[] = {
	{ "GET", PATH, enrolments_list, 0, NULL, 0 },
	{ "POST", PATH, enrolments_create, SK_HUB_BODY_MAX, NULL, SK_HUB_OWNER },
	{ "DELETE", PATH "/{token}", enrolments_revoke, 0, NULL, SK_HUB_OWNER },
	{ 0 },
};
