/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "hub/api/routes.h"
#include "hub/db/audit.h"
#include "hub/db/orgs.h"
#include "hub/domain/release_file.h"
#include "hub/request/call.h"
#include "hub/request/page.h"
#include "io/json.h"

static int organisation_do_show(struct sk_call *call, struct sk_err *err)
{
	return call->db->orgs->show(call->db, call->who->org, &call->answer, err);
}

static int organisation_show(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, organisation_do_show, err);
}

static int do_set_ca(struct sk_call *call, struct sk_err *err)
{
	static const char *const known[] = { "pem", NULL };
	const char *pem;
	int r = sk_json_only(call->body, known, err);

	if (r < 0)
		return r;
	r = sk_json_need_str(call->body, "pem", SK_HUB_BODY_MAX, &pem, err);
	if (r < 0)
		return r;
	r = sk_roots_check(pem, err);
	return r < 0 ? r : call->db->orgs->set_ca(call->db, call->who->org, pem, err);
}

static int set_ca(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "organisation.set-ca", do_set_ca, err);
}

static int do_drop_ca(struct sk_call *call, struct sk_err *err)
{
	return call->db->orgs->set_ca(call->db, call->who->org, NULL, err);
}

static int drop_ca(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "organisation.drop-ca", do_drop_ca, err);
}

static int do_audit(struct sk_call *call, struct sk_err *err)
{
	json_t *list = NULL;
	struct sk_page p;
	int r = sk_call_page_before(call, SK_PAGE_MAX, &p, err);

	if (r < 0)
		return r;
	r = call->db->audit->list(call->db, call->who->org, &p, &list, err);
	return r < 0 ? r : sk_call_list(call, "audit", list, &p, err);
}

static int organisation_audit(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, do_audit, err);
}

const struct sk_http_route sk_api_org_routes[] = {
	{ "GET", "/api/v1/organisation", organisation_show, 0, NULL, 0 },
	{ "PUT", "/api/v1/organisation/ca", set_ca, SK_HUB_BODY_MAX, NULL, SK_HUB_OWNER },
	{ "DELETE", "/api/v1/organisation/ca", drop_ca, 0, NULL, SK_HUB_OWNER },
	{ "GET", "/api/v1/audit", organisation_audit, 0, NULL, 0 },
	{ 0 },
};
