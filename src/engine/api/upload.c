/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/str.h"
#include "engine/api/handlers.h"
#include "io/json.h"

static void upload_free(void *up)
{
	sk_upload_close(up);
}

static int upload_begin(struct sk_http_req *req, struct sk_api *api, struct sk_upload **ret,
			struct sk_err *err)
{
	const char *len = sk_http_header(req, "Content-Length");
	struct sk_upload_spec spec = { .announced = UINT64_MAX };
	int r = sk_api_digest_param(req, "digest", &spec.digest, err);

	if (r < 0)
		return r;
	r = sk_api_number_query(req, "offset", &spec.offset, err);
	if (r < 0)
		return r;
	if (len && sk_parse_u64(len, &spec.announced) < 0)
		spec.announced = UINT64_MAX;
	r = sk_intake_upload(api->intake, &spec, ret, err);
	if (r == 0)
		sk_http_set_user(req, *ret, upload_free);
	return r;
}

int sk_api_upload_body(struct sk_http_req *req, void *arg, const void *data, size_t len,
		       struct sk_err *err)
{
	struct sk_upload *up = sk_http_user(req);
	int r;

	if (!up) {
		r = upload_begin(req, arg, &up, err);
		if (r < 0)
			return r;
	}
	return len > 0 ? sk_upload_write(up, data, len, err) : 0;
}

static int upload_reply(struct sk_http_req *req, uint64_t offset, bool complete)
{
	return sk_http_reply_json(
		req, 200,
		json_pack("{s:I, s:b}", "offset", (json_int_t)offset, "complete", complete));
}

static void upload_answer(void *arg, uint64_t size, const struct sk_err *err)
{
	if (err)
		(void)sk_http_reply_err(arg, err);
	else
		(void)upload_reply(arg, size, true);
}

/* A seal under way is finished all the same. */
static void upload_left(struct sk_http_req *req, void *arg)
{
	sk_upload_detach(arg);
}

static int upload_seal(struct sk_http_req *req, struct sk_upload *up, struct sk_err *err)
{
	int r;

	/* From the request's hands into those of the seal. */
	sk_http_set_user(req, up, NULL);
	sk_http_set_user(req, NULL, NULL);
	r = sk_http_suspend(req, UINT64_MAX, upload_left, up);
	if (r < 0) {
		sk_upload_close(up);
		return r;
	}
	if (sk_upload_seal(up, upload_answer, req, err) < 0)
		(void)sk_http_reply_err(req, err);
	return 0; /* answered or suspended: not to be answered again */
}

int sk_api_upload(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_upload *up = sk_http_user(req);
	int r;

	if (!up) {
		r = upload_begin(req, arg, &up, err); /* an empty body */
		if (r < 0)
			return r;
	}
	r = sk_upload_finish(up, err);
	if (r == SK_UPLOAD_SEALS)
		return upload_seal(req, up, err);
	return r < 0 ? r : upload_reply(req, sk_upload_offset(up), sk_upload_complete(up));
}
