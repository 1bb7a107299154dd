/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/api/handlers.h"
#include "io/crypto/crl_info.h"
#include "io/json.h"

#define CRL_MAX (1u << 20)

void sk_api_start(struct sk_api *api)
{
	sk_update_listen(api->update, sk_api_progress_changed, api);
}

void sk_api_done(struct sk_api *api)
{
	sk_scrub_free(api->scrub);
	api->scrub = NULL;
	sk_api_progress_done(api);
}

static int get_status(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_http_reply_json(req, 200, sk_api_status_json(arg));
}

static int get_generations(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_http_reply_json(req, 200, sk_api_generations_json(arg));
}

/* --- releases --- */

/* The peer left while a child checks what it brought. */
static void job_left(struct sk_http_req *req, void *arg)
{
	sk_intake_cancel(arg);
}

/* @job answers from the loop, unless the server stops. */
static int job_wait(struct sk_http_req *req, struct sk_api *api, struct sk_intake_job *job)
{
	int r;

	sk_http_set_user(req, api, NULL);
	r = sk_http_suspend(req, UINT64_MAX, job_left, job);
	if (r < 0)
		sk_intake_cancel(job);
	return r;
}

static void job_release(void *arg, const struct sk_intake_result *result, const struct sk_err *err)
{
	struct sk_http_req *req = arg;

	if (result)
		(void)sk_http_reply_json(req, 200,
					 sk_api_release_json(sk_http_user(req), result->release));
	else
		(void)sk_http_reply_err(req, err);
}

static int post_release(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_api *api = arg;
	struct sk_intake_job *job;
	size_t len;
	const char *der = sk_http_body(req, &len);
	int r = sk_intake_release(api->intake, der, len, job_release, req, &job, err);

	return r < 0 ? r : job_wait(req, api, job);
}

static int get_release(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const struct sk_api *api = arg;
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	struct sk_digest id;
	int r = sk_api_digest_param(req, "id", &id, err);

	if (r < 0)
		return r;
	r = sk_release_load(api->store, &id, &rel, err);
	return r < 0 ? r : sk_http_reply_json(req, 200, sk_api_release_json(api, rel));
}

struct listing {
	const struct sk_api *api;
	json_t *list;
};

static int list_release(void *arg, const struct sk_digest *id, uint64_t size_bytes)
{
	const struct listing *l = arg;
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;

	if (sk_release_load(l->api->store, id, &rel, NULL) == 0)
		(void)json_array_append_new(l->list, sk_api_release_json(l->api, rel));
	return 0;
}

static int get_releases(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const struct sk_api *api = arg;
	_cleanup_json_ json_t *list = json_array();
	struct listing l = { api, list };

	if (!list)
		return sk_err_oom(err);
	(void)sk_store_list_releases(api->store, list_release, &l);
	return sk_http_reply_json(req, 200, TAKE_PTR(list));
}

static int apply_release(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const struct sk_api *api = arg;
	struct sk_digest id;
	uint64_t generation;
	int r = sk_api_digest_param(req, "id", &id, err);

	if (r < 0)
		return r;
	r = sk_update_apply(api->update, &id, &generation, err);
	if (r < 0)
		return r;
	return sk_http_reply_json(req, 202,
				  json_pack("{s:I}", "generation", (json_int_t)generation));
}

/* --- images --- */

static int list_image(void *arg, const struct sk_digest *d, uint64_t size_bytes)
{
	const struct listing *l = arg;

	(void)json_array_append_new(l->list, sk_api_image_json(l->api, d, size_bytes));
	return 0;
}

static int get_images(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const struct sk_api *api = arg;
	_cleanup_json_ json_t *list = json_array();
	struct listing l = { api, list };

	if (!list)
		return sk_err_oom(err);
	(void)sk_store_list(api->store, list_image, &l);
	return sk_http_reply_json(req, 200, TAKE_PTR(list));
}

static int get_image(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const struct sk_api *api = arg;
	_cleanup_close_ int fd = -1;
	struct sk_digest d;
	uint64_t size;
	int r = sk_api_digest_param(req, "digest", &d, err);

	if (r < 0)
		return r;
	if (sk_store_image_fd(api->store, &d, &fd, &size, NULL) < 0)
		r = sk_intake_expected(api->intake, &d, &size, err);
	return r < 0 ? r : sk_http_reply_json(req, 200, sk_api_image_json(api, &d, size));
}

/* --- trust --- */

static json_t *crl_json(const struct sk_crl_info *crl)
{
	return json_pack("{s:s, s:s, s:I, s:s}", "issuer", crl->issuer, "issuer_id",
			 SK_DIGEST_STR(&crl->issuer_id), "number", (json_int_t)crl->number,
			 "digest", SK_DIGEST_STR(&crl->digest));
}

static int get_trust(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const struct sk_api *api = arg;
	_cleanup_json_ json_t *list = json_array();
	struct sk_crl_info *crls = NULL;
	size_t n = 0;
	int r = sk_verifier_refresh(api->verifier, err);

	if (r < 0)
		return r;
	r = sk_trust_crls(sk_verifier_trust(api->verifier), &crls, &n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(list, crl_json(&crls[i]));
	sk_crl_infos_free(crls, n);
	return sk_http_reply_json(req, 200, json_pack("{s:O}", "crls", list));
}

static void job_crl(void *arg, const struct sk_intake_result *result, const struct sk_err *err)
{
	if (result)
		(void)sk_http_reply_json(arg, 200, json_pack("{s:b}", "changed", result->changed));
	else
		(void)sk_http_reply_err(arg, err);
}

static int put_crl(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_api *api = arg;
	struct sk_intake_job *job;
	size_t len;
	const char *crl = sk_http_body(req, &len);
	int r = sk_intake_crl(api->intake, crl, len, job_crl, req, &job, err);

	return r < 0 ? r : job_wait(req, api, job);
}

const struct sk_http_route sk_api_routes[] = {
	{ "GET", "/skerry/v1/status", get_status, .flags = SK_API_ROUTE_AGENT },
	{ "GET", "/skerry/v1/generations", get_generations, .flags = SK_API_ROUTE_AGENT },
	{ "GET", "/skerry/v1/releases", get_releases, .flags = SK_API_ROUTE_AGENT },
	{ "POST", "/skerry/v1/releases", post_release, SK_RELEASE_FILE_MAX,
	  .flags = SK_API_ROUTE_AGENT },
	{ "GET", "/skerry/v1/releases/{id}", get_release, .flags = SK_API_ROUTE_AGENT },
	{ "POST", "/skerry/v1/releases/{id}/apply", apply_release, 64,
	  .flags = SK_API_ROUTE_AGENT },
	{ "GET", "/skerry/v1/images", get_images, .flags = SK_API_ROUTE_AGENT },
	{ "GET", "/skerry/v1/images/{digest}", get_image, .flags = SK_API_ROUTE_AGENT },
	{ "PUT", "/skerry/v1/images/{digest}", sk_api_upload, SK_IMAGE_SIZE_MAX, sk_api_upload_body,
	  SK_API_ROUTE_AGENT },
	{ "GET", "/skerry/v1/update", sk_api_progress, .flags = SK_API_ROUTE_AGENT },
	{ "GET", "/skerry/v1/trust", get_trust, .flags = SK_API_ROUTE_AGENT },
	{ "PUT", "/skerry/v1/trust/crl", put_crl, CRL_MAX, .flags = SK_API_ROUTE_AGENT },
	{ "GET", "/skerry/v1/capsules/{name}/logs", sk_api_logs, .flags = SK_API_ROUTE_AGENT },
	{ "POST", "/skerry/v1/store/verify", sk_api_scrub, 64 },
	{ 0 },
};
