/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "hub/api/routes.h"
#include "hub/db/crls.h"
#include "hub/db/orgs.h"
#include "hub/domain/release_file.h"
#include "hub/request/call.h"
#include "hub/request/page.h"
#include "io/json.h"

static int crls_do_list(struct sk_call *call, struct sk_err *err)
{
	json_t *list = NULL;
	int r = call->db->crls->list(call->db, call->who->org, &list, err);

	return r < 0 ? r : sk_call_list(call, "crls", list, NULL, err);
}

static int crls_list(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, crls_do_list, err);
}

static int crls_do_show(struct sk_call *call, struct sk_err *err)
{
	const char *id = sk_http_param(call->req, "crl");
	int r = call->db->crls->show(call->db, call->who->org, id, &call->answer, err);

	return r == 0 && !call->answer ? sk_call_none("revocation list", id, err) : r;
}

static int crls_show(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, crls_do_show, err);
}

/** The lists of one upload. */
struct upload {
	struct sk_crl_info *v;
	size_t n;
};

static void upload_done(struct upload *u)
{
	sk_crl_infos_free(u->v, u->n);
}

static void name(struct sk_call *call, const struct sk_crl_info *i)
{
	sk_call_object(call, "%s %lld", i->issuer, (long long)i->number);
}

/* All of them or none; a list that is there already is no failure. Return: number of new ones. */
static int put_all(struct sk_call *call, const struct upload *u, struct sk_err *err)
{
	int changed = 0;

	for (size_t i = 0; i < u->n; i++) {
		int r = call->db->crls->put(call->db, call->who->org, &u->v[i], call->by, err);

		name(call, &u->v[i]);
		if (r < 0)
			return r;
		changed += r;
	}
	return changed;
}

static int crls_prepare_upload(struct sk_call *call, struct sk_err *err)
{
	_cleanup_free_ char *ca = NULL;
	struct upload *u = call->data;
	size_t len;
	const char *body = sk_http_body(call->req, &len);
	int r = sk_crl_infos_read(body, len, SK_CRLS_MAX, &u->v, &u->n, err);

	if (r == 0)
		r = call->db->orgs->ca(call->db, call->who->org, &ca, err);
	for (size_t i = 0; r == 0 && ca && i < u->n; i++) {
		name(call, &u->v[i]);
		r = sk_roots_check_crl(ca, u->v[i].pem, err);
	}
	return r;
}

static int crls_do_upload(struct sk_call *call, struct sk_err *err)
{
	int r, changed = put_all(call, call->data, err);

	if (changed < 0)
		return changed;
	call->wake_crls = changed > 0;
	r = changed > 0 ? call->db->crls->announce(call->db, call->who->org, err) : 0;
	return r < 0 ? r : crls_do_list(call, err);
}

static int crls_upload(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	_cleanup_(upload_done) struct upload u = { 0 };

	return sk_call_change_prepared(req, arg,
				       &(struct sk_call_steps){ .raw = true,
								.action = "crl.upload",
								.prepare = crls_prepare_upload,
								.run = crls_do_upload,
								.data = &u },
				       err);
}

static int crls_do_delete(struct sk_call *call, struct sk_err *err)
{
	const char *id = sk_http_param(call->req, "crl");
	int r = call->db->crls->remove(call->db, call->who->org, id, err);

	sk_call_object(call, "%s", id);
	return r == 0 ? sk_call_none("revocation list", id, err) : SK_MIN(r, 0);
}

static int crls_remove(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_change(req, arg, "crl.delete", crls_do_delete, err);
}

const struct sk_http_route sk_api_crl_routes[] = {
	{ "GET", "/api/v1/crls", crls_list, 0, NULL, 0 },
	{ "POST", "/api/v1/crls", crls_upload, SK_CRL_INFO_SIZE_MAX, NULL, SK_HUB_OWNER },
	{ "GET", "/api/v1/crls/{crl}", crls_show, 0, NULL, 0 },
	{ "DELETE", "/api/v1/crls/{crl}", crls_remove, 0, NULL, SK_HUB_OWNER },
	{ 0 },
};
