/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "hub/db/crls.h"
#include "hub/device/body.h"
#include "hub/device/routes.h"
#include "hub/request/call.h"
#include "io/json.h"

static int do_offer(struct sk_call *call, struct sk_err *err)
{
	return call->db->crls->offer(call->db, call->who->org, &call->answer, err);
}

static int offer(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, do_offer, err);
}

static int have_crls_file(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_hub *hub = arg;
	const struct sk_principal *p = sk_http_user(req);
	const char *id = sk_http_param(req, "crl"), *pem;
	_cleanup_json_ json_t *row = NULL;
	struct sk_conn *c;
	int r = sk_db_read(hub->db, &c, err);

	if (r < 0)
		return r;
	r = c->crls->show(c, p->org, id, &row, err);
	if (r < 0)
		return r;
	pem = json_string_value(json_object_get(row, "pem"));
	if (!pem)
		return sk_call_none("revocation list", id, err);
	r = sk_http_reply(req, 200, "application/x-pem-file", pem, strlen(pem));
	return r < 0 ? sk_err_oom(err) : 0;
}

static int do_have(struct sk_call *call, struct sk_err *err)
{
	struct sk_crl_report v[SK_CRLS_MAX];
	uint64_t version = 0;
	size_t n = 0;
	int r = sk_crl_reports_read(call->body, v, &n, &version, err);

	return r < 0 ? r
		     : call->db->crls->set_device(call->db, call->who->org, call->who->device,
						  (int64_t)version, v, n, err);
}

static int have(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, NULL, do_have, err);
}

const struct sk_http_route sk_device_crl_routes[] = {
	{ "GET", "/device/v1/crls", offer, 0, NULL, SK_HUB_DEVICE },
	{ "GET", "/device/v1/crls/{crl}", have_crls_file, 0, NULL, SK_HUB_DEVICE },
	{ "PUT", "/device/v1/crls", have, SK_HUB_BODY_MAX, NULL, SK_HUB_DEVICE },
	{ 0 },
};
