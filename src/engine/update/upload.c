/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/capability.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "engine/update/private.h"

/* Up to here hashing, syncing and sealing are quick enough for the loop itself. */
#define COMMIT_INLINE_MAX (UINT64_C(256) << 10)
#define VERDICT_MAX	  2048u

/**
 * struct sk_upload - an image that arrives, later one that is being sealed
 * @req:   NULL once the peer went away; a seal under way is finished all the same
 * @child: seals; it is the owner then, before that the request is
 */
struct sk_upload {
	struct sk_upload *next;
	struct sk_update *u;
	struct sk_http_req *req;
	struct sk_staged *st;
	struct sk_child *child;
	struct sk_digest digest;
	uint64_t size;
	bool have; /* it was here already: the bytes are not looked at */
};

static void upload_free(void *arg)
{
	struct sk_upload *up = arg;
	struct sk_upload **at = &up->u->uploads;

	while (*at != up)
		at = &(*at)->next;
	*at = up->next;
	if (up->child)
		sk_child_free(up->child);
	/* What arrived stays, and is resumed. */
	if (up->st)
		sk_staged_close(up->st);
	free(up);
}

bool sk_update_uploading(const struct sk_update *u, const struct sk_digest *d)
{
	for (const struct sk_upload *up = u->uploads; up; up = up->next)
		if (sk_digest_equal(&up->digest, d))
			return true;
	return false;
}

void sk_update_uploads_done(struct sk_update *u)
{
	while (u->uploads)
		upload_free(u->uploads);
}

static int check_offset(struct sk_upload *up, struct sk_http_req *req, struct sk_err *err)
{
	const char *text = sk_http_query(req, "offset");
	uint64_t offset = 0, have = up->st ? sk_staged_offset(up->st) : offset;

	if (text && sk_parse_u64(text, &offset) < 0)
		return sk_err_set(err, -EINVAL, "bad-request", "offset=%s is not a number", text);
	if (up->have || offset == have)
		return 0;
	return sk_err_set(err, -EBUSY, "bad-state",
			  "%" PRIu64 " bytes of image %s are here; send the rest from there", have,
			  SK_DIGEST_STR(&up->digest));
}

/* What is announced to be too much is refused before a byte of it is taken. */
static int check_length(const struct sk_upload *up, struct sk_http_req *req, struct sk_err *err)
{
	const char *text = sk_http_header(req, "Content-Length");
	uint64_t len = 0;

	if (up->have || !text || sk_parse_u64(text, &len) < 0 ||
	    len <= up->size - sk_staged_offset(up->st))
		return 0;
	return sk_err_set(err, -EFBIG, "too-large",
			  "image %s has %" PRIu64 " bytes, and more are announced",
			  SK_DIGEST_STR(&up->digest), up->size);
}

static int begin(struct sk_http_req *req, struct sk_update *u, struct sk_upload **ret,
		 struct sk_err *err)
{
	const char *hex = sk_http_param(req, "digest");
	struct sk_digest d;
	struct sk_upload *up;
	uint64_t size;
	int r;

	if (!hex || sk_digest_parse(hex, &d) < 0)
		return sk_err_set(err, -EINVAL, "bad-request", "not a digest: %s", hex ?: "");
	r = sk_update_claimed(u, &d, &size, err);
	if (r < 0)
		return r;
	up = calloc(1, sizeof(*up));
	if (!up)
		return sk_err_oom(err);
	*up = (struct sk_upload){
		.next = u->uploads, .u = u, .req = req, .digest = d, .size = size
	};
	u->uploads = up;
	sk_http_set_user(req, up, upload_free);
	up->have = sk_store_has(u->store, &d);
	if (!up->have)
		r = sk_staged_open(u->store, &d, size, &up->st, err);
	if (r == 0)
		r = check_offset(up, req, err);
	if (r == 0)
		r = check_length(up, req, err);
	*ret = up;
	return r;
}

int sk_update_upload_body(struct sk_http_req *req, void *arg, const void *data, size_t len,
			  struct sk_err *err)
{
	struct sk_upload *up = sk_http_user(req);
	int r;

	if (!up) {
		r = begin(req, sk_update_of(arg), &up, err);
		if (r < 0)
			return r;
	}
	return len > 0 && !up->have ? sk_staged_write(up->st, data, len, err) : 0;
}

static int reply(struct sk_http_req *req, uint64_t offset, bool complete)
{
	return sk_http_reply_json(
		req, 200,
		json_pack("{s:I, s:b}", "offset", (json_int_t)offset, "complete", complete));
}

static void on_restarted(void *arg, const struct sk_err *why)
{
	if (why)
		sk_warning("cannot restart a capsule: %s", why->text);
}

/* A damaged copy was replaced while a capsule runs from it: the capsule changes to the good one. */
static void refresh_capsules(struct sk_update *u, const struct sk_digest *d)
{
	struct sk_capsule *c;
	size_t pos = 0;

	while ((c = sk_engine_next(u->engine, &pos))) {
		struct sk_capsule_view v;
		struct sk_err err = SK_ERR_INIT;

		sk_capsule_view(c, &v);
		if (!sk_digest_equal(&v.image, d) || v.state != SK_CAPSULE_RUNNING)
			continue;
		sk_notice("restarting %s from its repaired image", v.app->name);
		if (sk_capsule_restart(c, UINT64_MAX, on_restarted, u, &err) < 0)
			sk_warning("cannot restart %s: %s", v.app->name, err.text);
	}
}

static void arrived(struct sk_update *u, const struct sk_digest *d)
{
	sk_info("image %s is complete", SK_DIGEST_STR(d));
	refresh_capsules(u, d);
	/* A release that could not run for want of it can now. */
	if (u->repair)
		sk_update_reconcile(u);
}

/* In the child. */
static int seal_task(void *arg)
{
	struct sk_upload *up = arg;
	struct sk_err err = SK_ERR_INIT;

	return sk_staged_commit(up->st, &err) < 0 ? sk_task_fail(&err) : 0;
}

static void on_sealed(void *arg, int status, const char *out, const char *err_tail)
{
	struct sk_upload *up = arg;
	struct sk_update *u = up->u;
	struct sk_http_req *req = up->req;
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest d = up->digest;
	uint64_t size = up->size;
	int r = sk_task_verdict("sealing the image", status, out, err_tail, &err);

	if (r == 0 && !sk_store_has(u->store, &d))
		r = sk_err_set(&err, -EIO, "io", "the image could not be sealed");
	if (r < 0)
		sk_warning("image %s: %s", SK_DIGEST_STR(&d), err.text);
	upload_free(up);
	if (req && r == 0)
		(void)reply(req, size, true);
	else if (req)
		(void)sk_http_reply_err(req, &err);
	if (r == 0)
		arrived(u, &d);
}

static void on_gone(struct sk_http_req *req, void *arg)
{
	struct sk_upload *up = arg;

	up->req = NULL;
}

/* The upload changes owner: from the request to the child. */
static struct sk_upload *disown(struct sk_upload *up, struct sk_err *err)
{
	struct sk_upload *mine = calloc(1, sizeof(*mine));

	if (!mine) {
		(void)sk_err_oom(err);
		return NULL;
	}
	*mine = *up;
	mine->next = up->u->uploads;
	up->u->uploads = mine;
	up->st = NULL;
	return mine;
}

static int seal_in_child(struct sk_upload *from, struct sk_http_req *req, struct sk_err *err)
{
	struct sk_upload *up = disown(from, err);
	int fds[SK_STORE_TASK_FDS_MAX];
	/* fs-verity is only for who could write to the image, which is read-only by then. */
	struct sk_task task = {
		.run = seal_task,
		.arg = up,
		.keep_fds = fds,
		.caps = SK_CAP(CAP_DAC_OVERRIDE),
		.out_max = VERDICT_MAX,
	};
	int r;

	if (!up)
		return -ENOMEM;
	r = sk_staged_end_writing(up->st, err);
	if (r == 0)
		r = sk_http_suspend(req, UINT64_MAX, on_gone, up);
	if (r < 0) {
		upload_free(up);
		return r;
	}
	task.n_keep = sk_store_task_fds(up->u->store, up->st, fds);
	r = sk_child_task(up->u->event, &task, on_sealed, up, &up->child, err);
	if (r < 0) {
		upload_free(up);
		(void)sk_http_reply_err(req, err);
	}
	return 0; /* answered or suspended: not to be answered again */
}

int sk_update_route_upload(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_update *u = sk_update_of(arg);
	struct sk_upload *up = sk_http_user(req);
	struct sk_digest d;
	uint64_t size, offset;
	int r;

	if (!up) {
		r = begin(req, u, &up, err); /* an empty body */
		if (r < 0)
			return r;
	}
	d = up->digest;
	size = up->size;
	if (up->have)
		return reply(req, size, true);
	offset = sk_staged_offset(up->st);
	if (offset < size)
		return reply(req, offset, false);
	if (size > COMMIT_INLINE_MAX || sk_staged_rehash_bytes(up->st) > COMMIT_INLINE_MAX)
		return seal_in_child(up, req, err);
	r = sk_staged_commit(TAKE_PTR(up->st), err);
	if (r < 0)
		return r;
	arrived(u, &d);
	return reply(req, size, true);
}
