/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/intake/upload.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdlib.h>

#include "base/log.h"
#include "io/sys/child.h"

/* Up to here hashing, syncing and sealing are quick enough for the loop itself. */
#define COMMIT_INLINE_MAX (UINT64_C(256) << 10)
#define VERDICT_MAX	  2048u

struct sk_uploads {
	sd_event *event;
	struct sk_store *store;
	void (*arrived)(void *arg, const struct sk_digest *d);
	void *arg;
	struct sk_upload *list;
};

/**
 * struct sk_upload - an image that arrives, later one that is being sealed
 * @st:    NULL once it is committed, and for an image that was here already
 * @child: seals
 * @done:  NULL when nobody waits for the seal
 */
struct sk_upload {
	struct sk_upload *next;
	struct sk_uploads *us;
	struct sk_staged *st;
	struct sk_child *child;
	struct sk_digest digest;
	uint64_t size;
	sk_upload_done_fn done;
	void *arg;
};

int sk_uploads_new(sd_event *event, struct sk_store *store,
		   void (*arrived)(void *arg, const struct sk_digest *d), void *arg,
		   struct sk_uploads **ret, struct sk_err *err)
{
	struct sk_uploads *us = calloc(1, sizeof(*us));

	if (!us)
		return sk_err_oom(err);
	*us = (struct sk_uploads){
		.event = sd_event_ref(event), .store = store, .arrived = arrived, .arg = arg
	};
	*ret = us;
	return 0;
}

void sk_uploads_free(struct sk_uploads *us)
{
	if (!us)
		return;
	while (us->list)
		sk_upload_close(us->list);
	(void)sd_event_unref(us->event);
	free(us);
}

bool sk_uploads_has(const struct sk_uploads *us, const struct sk_digest *d)
{
	for (const struct sk_upload *up = us->list; up; up = up->next)
		if (sk_digest_equal(&up->digest, d))
			return true;
	return false;
}

size_t sk_uploads_len(const struct sk_uploads *us)
{
	size_t n = 0;

	for (const struct sk_upload *up = us->list; up; up = up->next)
		n++;
	return n;
}

void sk_upload_close(struct sk_upload *up)
{
	struct sk_upload **at = &up->us->list;

	while (*at != up)
		at = &(*at)->next;
	*at = up->next;
	if (up->child)
		sk_child_free(up->child);
	if (up->st)
		sk_staged_close(up->st);
	free(up);
}

uint64_t sk_upload_offset(const struct sk_upload *up)
{
	return up->st ? sk_staged_offset(up->st) : up->size;
}

bool sk_upload_complete(const struct sk_upload *up)
{
	return !up->st;
}

static int upload_check(const struct sk_upload *up, const struct sk_upload_spec *spec,
			struct sk_err *err)
{
	uint64_t have;

	if (!up->st)
		return 0;
	have = sk_staged_offset(up->st);
	if (spec->offset != have)
		return sk_err_set(err, -EBUSY, "bad-state",
				  "%" PRIu64
				  " bytes of image %s are here; send the rest from there",
				  have, SK_DIGEST_STR(&up->digest));
	/* What is announced to be too much is refused before a byte of it is taken. */
	if (spec->announced != UINT64_MAX && spec->announced > up->size - have)
		return sk_err_set(err, -EFBIG, "too-large",
				  "image %s has %" PRIu64 " bytes, and more are announced",
				  SK_DIGEST_STR(&up->digest), up->size);
	return 0;
}

int sk_upload_open(struct sk_uploads *us, const struct sk_upload_spec *spec, struct sk_upload **ret,
		   struct sk_err *err)
{
	struct sk_upload *up = calloc(1, sizeof(*up));
	int r = 0;

	if (!up)
		return sk_err_oom(err);
	*up = (struct sk_upload){
		.next = us->list, .us = us, .digest = spec->digest, .size = spec->size
	};
	us->list = up;
	if (!sk_store_has(us->store, &spec->digest))
		r = sk_staged_open(us->store, &spec->digest, spec->size, &up->st, err);
	if (r == 0)
		r = upload_check(up, spec, err);
	if (r < 0) {
		sk_upload_close(up);
		return r;
	}
	*ret = up;
	return 0;
}

int sk_upload_write(struct sk_upload *up, const void *data, size_t len, struct sk_err *err)
{
	return up->st ? sk_staged_write(up->st, data, len, err) : 0;
}

static void upload_arrived(struct sk_uploads *us, const struct sk_digest *d)
{
	sk_info("image %s is complete", SK_DIGEST_STR(d));
	us->arrived(us->arg, d);
}

int sk_upload_finish(struct sk_upload *up, struct sk_err *err)
{
	int r;

	if (!up->st || sk_staged_offset(up->st) < up->size)
		return 0;
	if (up->size > COMMIT_INLINE_MAX || sk_staged_rehash_bytes(up->st) > COMMIT_INLINE_MAX)
		return SK_UPLOAD_SEALS;
	r = sk_staged_commit(TAKE_PTR(up->st), err);
	if (r < 0)
		return r;
	upload_arrived(up->us, &up->digest);
	return 0;
}

/* In the child. */
static int upload_seal_task(void *arg)
{
	struct sk_upload *up = arg;
	struct sk_err err = SK_ERR_INIT;

	return sk_staged_commit(up->st, &err) < 0 ? sk_task_fail(&err) : 0;
}

static void upload_sealed(void *arg, int status, const char *out, const char *err_tail)
{
	struct sk_upload *up = arg;
	struct sk_uploads *us = up->us;
	struct sk_digest d = up->digest;
	sk_upload_done_fn done = up->done;
	void *done_arg = up->arg;
	uint64_t size = up->size;
	struct sk_err err = SK_ERR_INIT;
	int r = sk_task_verdict("sealing the image", status, out, err_tail, &err);

	if (r == 0 && !sk_store_has(us->store, &d))
		r = sk_err_set(&err, -EIO, "io", "the image could not be sealed");
	if (r < 0)
		sk_warning("image %s: %s", SK_DIGEST_STR(&d), err.text);
	sk_upload_close(up);
	if (done)
		done(done_arg, size, r < 0 ? &err : NULL);
	if (r == 0)
		upload_arrived(us, &d);
}

static int upload_start_seal(struct sk_upload *up, struct sk_err *err)
{
	int fds[SK_STORE_TASK_FDS_MAX];
	/* fs-verity is only for who could write to the image, which is read-only by then. */
	struct sk_task task = {
		.run = upload_seal_task,
		.arg = up,
		.keep_fds = fds,
		.caps = SK_CAP(CAP_DAC_OVERRIDE),
		.out_max = VERDICT_MAX,
	};
	int r = sk_staged_end_writing(up->st, err);

	if (r < 0)
		return r;
	task.n_keep = sk_store_task_fds(up->us->store, up->st, fds);
	return sk_child_task(up->us->event, &task, upload_sealed, up, &up->child, err);
}

int sk_upload_seal(struct sk_upload *up, sk_upload_done_fn done, void *arg, struct sk_err *err)
{
	int r = upload_start_seal(up, err);

	if (r < 0) {
		sk_upload_close(up);
		return r;
	}
	up->done = done;
	up->arg = arg;
	return 0;
}

void sk_upload_detach(struct sk_upload *up)
{
	up->done = NULL;
}
