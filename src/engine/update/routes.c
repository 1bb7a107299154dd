/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "engine/update/private.h"
#include "io/crypto/crl_info.h"
#include "io/json.h"

/* The update half of /skerry/v1: docs/reference/skerryd-api.yaml */

#define CRL_MAX (1u << 20)

static int digest_param(struct sk_http_req *req, const char *name, struct sk_digest *ret,
			struct sk_err *err)
{
	const char *hex = sk_http_param(req, name);

	if (hex && sk_digest_parse(hex, ret) == 0)
		return 0;
	return sk_err_set(err, -EINVAL, "bad-request", "\"%s\" is not a digest: 64 hex digits",
			  hex ?: "");
}

static int get_status(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_http_reply_json(req, 200, sk_update_status_json(sk_update_of(arg)));
}

static int get_generations(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_http_reply_json(req, 200, sk_update_generations_json(sk_update_of(arg)));
}

static int check_release(struct sk_update *u, const void *der, size_t len, struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;

	return sk_update_check(u, der, len, &rel, err);
}

static int take_release(struct sk_update *u, struct sk_http_req *req, struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	size_t len;
	const char *der = sk_http_body(req, &len);
	int r = sk_update_intake(u, der, len, &rel, err);

	if (r < 0)
		return r;
	sk_info("release %s %s was verified and kept", rel->manifest->project,
		rel->manifest->version);
	return sk_http_reply_json(req, 200, sk_update_release_json(u, rel));
}

static int post_release(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	static const struct sk_vet_kind kind = { "release", check_release, take_release };

	return sk_update_vet(sk_update_of(arg), req, &kind, err);
}

static int get_release(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_update *u = sk_update_of(arg);
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	struct sk_digest id;
	int r = digest_param(req, "id", &id, err);

	if (r == 0)
		r = sk_update_load(u, &id, &rel, err);
	return r < 0 ? r : sk_http_reply_json(req, 200, sk_update_release_json(u, rel));
}

static int list_release(void *arg, const struct sk_digest *id, uint64_t size_bytes)
{
	json_t *list = ((void **)arg)[0];
	struct sk_update *u = ((void **)arg)[1];
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;

	if (sk_update_load(u, id, &rel, NULL) == 0)
		(void)json_array_append_new(list, sk_update_release_json(u, rel));
	return 0;
}

static int get_releases(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_update *u = sk_update_of(arg);
	_cleanup_json_ json_t *list = json_array();
	void *both[] = { list, u };

	if (!list)
		return sk_err_oom(err);
	(void)sk_store_list_releases(u->store, list_release, both);
	return sk_http_reply_json(req, 200, TAKE_PTR(list));
}

static int apply_release(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_digest id;
	uint64_t generation;
	int r = digest_param(req, "id", &id, err);

	if (r == 0)
		r = sk_update_apply(sk_update_of(arg), &id, &generation, err);
	if (r < 0)
		return r;
	return sk_http_reply_json(req, 202,
				  json_pack("{s:I}", "generation", (json_int_t)generation));
}

static int list_image(void *arg, const struct sk_digest *d, uint64_t size_bytes)
{
	json_t *list = ((void **)arg)[0];
	struct sk_update *u = ((void **)arg)[1];

	(void)json_array_append_new(list, sk_update_image_json(u, d, size_bytes));
	return 0;
}

static int get_images(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_update *u = sk_update_of(arg);
	_cleanup_json_ json_t *list = json_array();
	void *both[] = { list, u };

	if (!list)
		return sk_err_oom(err);
	(void)sk_store_list(u->store, list_image, both);
	return sk_http_reply_json(req, 200, TAKE_PTR(list));
}

static int get_image(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_update *u = sk_update_of(arg);
	_cleanup_close_ int fd = -1;
	struct sk_digest d;
	uint64_t size;
	int r = digest_param(req, "digest", &d, err);

	if (r < 0)
		return r;
	if (sk_store_image_fd(u->store, &d, &fd, &size, NULL) < 0)
		r = sk_update_claimed(u, &d, &size, err);
	return r < 0 ? r : sk_http_reply_json(req, 200, sk_update_image_json(u, &d, size));
}

static int get_trust(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_update *u = sk_update_of(arg);
	_cleanup_json_ json_t *list = json_array();
	struct sk_crl_info *v = NULL;
	size_t n = 0;
	int r = sk_update_trust(u, err);

	if (r == 0)
		r = sk_trust_crls(u->trust, &v, &n, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		(void)json_array_append_new(list,
					    json_pack("{s:s, s:s, s:I, s:s}", "issuer", v[i].issuer,
						      "issuer_id", SK_DIGEST_STR(&v[i].issuer_id),
						      "number", (json_int_t)v[i].number, "digest",
						      SK_DIGEST_STR(&v[i].digest)));
	sk_crl_infos_free(v, n);
	return r < 0 ? r : sk_http_reply_json(req, 200, json_pack("{s:O}", "crls", list));
}

static int check_crl(struct sk_update *u, const void *crl, size_t len, struct sk_err *err)
{
	return sk_trust_check_crl(u->trust, crl, len, err);
}

static int take_crl(struct sk_update *u, struct sk_http_req *req, struct sk_err *err)
{
	size_t len;
	const char *crl = sk_http_body(req, &len);
	int r = sk_update_trust(u, err);

	if (r == 0)
		r = sk_trust_update_crl(u->trust, crl, len, err);
	if (r < 0)
		return r;
	if (r == 0)
		sk_notice("a newer revocation list was taken");
	return sk_http_reply_json(req, 200, json_pack("{s:b}", "changed", r == 0));
}

static int put_crl(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	static const struct sk_vet_kind kind = { "revocation list", check_crl, take_crl };

	return sk_update_vet(sk_update_of(arg), req, &kind, err);
}

const struct sk_http_route sk_update_routes[] = {
	{ "GET", "/skerry/v1/status", get_status, .flags = SK_UPDATE_ROUTE_AGENT },
	{ "GET", "/skerry/v1/generations", get_generations, .flags = SK_UPDATE_ROUTE_AGENT },
	{ "GET", "/skerry/v1/releases", get_releases, .flags = SK_UPDATE_ROUTE_AGENT },
	{ "POST", "/skerry/v1/releases", post_release, SK_RELEASE_FILE_MAX,
	  .flags = SK_UPDATE_ROUTE_AGENT },
	{ "GET", "/skerry/v1/releases/{id}", get_release, .flags = SK_UPDATE_ROUTE_AGENT },
	{ "POST", "/skerry/v1/releases/{id}/apply", apply_release, 64,
	  .flags = SK_UPDATE_ROUTE_AGENT },
	{ "GET", "/skerry/v1/images", get_images, .flags = SK_UPDATE_ROUTE_AGENT },
	{ "GET", "/skerry/v1/images/{digest}", get_image, .flags = SK_UPDATE_ROUTE_AGENT },
	{ "PUT", "/skerry/v1/images/{digest}", sk_update_route_upload, SK_IMAGE_SIZE_MAX,
	  sk_update_upload_body, SK_UPDATE_ROUTE_AGENT },
	{ "GET", "/skerry/v1/update", sk_update_route_news, .flags = SK_UPDATE_ROUTE_AGENT },
	{ "GET", "/skerry/v1/trust", get_trust, .flags = SK_UPDATE_ROUTE_AGENT },
	{ "PUT", "/skerry/v1/trust/crl", put_crl, CRL_MAX, .flags = SK_UPDATE_ROUTE_AGENT },
	{ "GET", "/skerry/v1/capsules/{name}/logs", sk_update_route_logs,
	  .flags = SK_UPDATE_ROUTE_AGENT },
	{ "POST", "/skerry/v1/store/verify", sk_update_route_verify, 64 },
	{ 0 },
};
