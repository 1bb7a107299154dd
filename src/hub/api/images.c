/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "hub/api/routes.h"
#include "hub/db/images.h"
#include "hub/request/call.h"
#include "hub/request/params.h"
#include "model/manifest.h"

/* An image can be sent once a release names it: its digest and size are known then. */
static int images_find(struct sk_call *call, struct sk_blob_key *key, struct sk_image_row *row,
		       struct sk_err *err)
{
	const char *hex = sk_http_param(call->req, "digest");
	int r = 0;

	key->org = call->who->org;
	sk_call_object(call, "%s", hex);
	if (sk_digest_parse(hex, &key->digest) == 0)
		r = call->db->images->find(call->db, key->org, SK_DIGEST_STR(&key->digest), row,
					   err);
	if (r == 0)
		return sk_err_set(err, -ENOENT, "not-found",
				  "no release names an image %s: upload the release first", hex);
	return SK_MIN(r, 0);
}

static int images_do_show(struct sk_call *call, struct sk_err *err)
{
	struct sk_image_row row;
	struct sk_blob_key key;
	uint64_t offset = 0;
	bool have = false;
	int r = images_find(call, &key, &row, err);

	if (r < 0)
		return r;
	r = sk_blob_stat(call->hub->images, &key, &have, &offset, err);
	if (r < 0)
		return r;
	call->answer = json_pack("{s:s, s:I, s:b, s:I}", "digest", SK_DIGEST_STR(&key.digest),
				 "size_bytes", (json_int_t)row.size_bytes, "have",
				 (int)row.complete, "offset", (json_int_t)offset);
	return call->answer ? 0 : sk_err_oom(err);
}

static int images_show(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_call_read(req, arg, images_do_show, err);
}

/** An image while it comes in; hangs on the principal. */
struct transfer {
	struct sk_upload *upload; /* NULL once it ended */
	bool complete;
	uint64_t offset;
};

static void transfer_free(void *data)
{
	struct transfer *t = data;

	if (t->upload)
		sk_upload_free(t->upload);
	free(t);
}

static int transfer_begin(struct sk_http_req *req, struct sk_hub *hub, struct transfer *t,
			  struct sk_err *err)
{
	struct sk_call call = { .hub = hub, .req = req, .who = sk_http_user(req) };
	struct sk_image_row row;
	struct sk_blob_key key;
	uint64_t offset = 0;
	int r = sk_db_read(hub->db, &call.db, err);

	if (r < 0)
		return r;
	r = images_find(&call, &key, &row, err);
	if (r < 0)
		return r;
	r = sk_call_query_u64(&call, "offset", &offset, err);
	if (r < 0)
		return r;
	if (row.complete)
		return sk_err_set(err, -EEXIST, "already-exists", "the hub has this image already");
	return sk_upload_begin(hub->images, &key, row.size_bytes, offset, &t->upload, err);
}

static int transfer_of(struct sk_http_req *req, struct sk_hub *hub, struct transfer **ret,
		       struct sk_err *err)
{
	struct sk_principal *p = sk_http_user(req);
	int r;

	if (!p->data) {
		struct transfer *t = calloc(1, sizeof(*t));

		if (!t)
			return sk_err_oom(err);
		sk_principal_set_data(p, t, transfer_free);
		r = transfer_begin(req, hub, t, err);
		if (r < 0)
			return r;
	}
	*ret = p->data;
	return 0;
}

static int transfer_take(struct sk_http_req *req, struct sk_hub *hub, const void *data, size_t len,
			 struct sk_err *err)
{
	struct transfer *t;
	int r;

	if (!sk_hub_go_on(req, hub))
		return sk_err_set(err, -EACCES, "unauthorized",
				  "the right to upload was taken away meanwhile");
	r = transfer_of(req, hub, &t, err);
	if (r < 0)
		return r;
	if (len > 0)
		return sk_upload_write(t->upload, data, len, err);
	return sk_upload_end(t->upload, &t->complete, &t->offset, err);
}

/*
 * The body as it comes; the last call, without data, finishes the upload. One that failed is freed at
 * once, though its connection may linger: the next attempt must not find it in use.
 */
static int on_body(struct sk_http_req *req, void *arg, const void *data, size_t len,
		   struct sk_err *err)
{
	int r = transfer_take(req, arg, data, len, err);

	if (r < 0)
		sk_principal_set_data(sk_http_user(req), NULL, NULL);
	return r;
}

/* The release may have been deleted and uploaded anew since the last byte came, the file with it. */
static int check_there(struct sk_call *call, const struct sk_blob_key *key, struct sk_err *err)
{
	uint64_t offset;
	bool have = false;
	int r = sk_blob_stat(call->hub->images, key, &have, &offset, err);

	if (r < 0)
		return r;
	if (!have)
		return sk_err_set(err, -EBUSY, "bad-state",
				  "image %s was removed meanwhile: send it again",
				  SK_DIGEST_STR(&key->digest));
	return 0;
}

static int do_put(struct sk_call *call, struct sk_err *err)
{
	const struct transfer *t = call->who->data;
	struct sk_image_row row;
	struct sk_blob_key key;
	int r = images_find(call, &key, &row, err);

	if (r < 0)
		return r;
	if (t->complete) {
		r = check_there(call, &key, err);
		if (r == 0)
			r = call->db->images->set_complete(call->db, key.org,
							   SK_DIGEST_STR(&key.digest), true, err);
	} else {
		call->action = NULL; /* only a whole image is worth a line */
	}
	call->answer = json_pack("{s:I, s:b}", "offset", (json_int_t)t->offset, "complete",
				 (int)t->complete);
	return r;
}

static int put(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct transfer *t = ((struct sk_principal *)sk_http_user(req))->data;

	/* Ended: the next upload of this image may begin, whatever becomes of this request. */
	if (t->upload)
		sk_upload_free(TAKE_PTR(t->upload));
	return sk_call_change_raw(req, arg, "image.upload", do_put, err);
}

const struct sk_http_route sk_api_image_routes[] = {
	{ "GET", "/api/v1/images/{digest}", images_show, 0, NULL, 0 },
	{ "PUT", "/api/v1/images/{digest}", put, SK_IMAGE_SIZE_MAX, on_body, SK_HUB_OWNER },
	{ 0 },
};
