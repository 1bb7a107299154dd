/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/macros.h"
#include "store/store.h"

/*
 * Images that arrive: bytes are appended to what is here already, and the whole is sealed, in a child when
 * it is large. What arrived stays when an upload ends early, and the next one goes on from there.
 */
struct sk_uploads;
struct sk_upload;

/** @arrived: an image was sealed; called from the loop or from within sk_upload_finish() */
int sk_uploads_new(sd_event *event, struct sk_store *store,
		   void (*arrived)(void *arg, const struct sk_digest *d), void *arg,
		   struct sk_uploads **ret, struct sk_err *err);
/** Ends all of them; nothing is called. */
void sk_uploads_free(struct sk_uploads *us);
SK_DEFINE_CLEANUP(struct sk_uploads, sk_uploads_free);
/** Does this image arrive, or is it being sealed? */
bool sk_uploads_has(const struct sk_uploads *us, const struct sk_digest *d);
size_t sk_uploads_len(const struct sk_uploads *us);

/**
 * struct sk_upload_spec - what comes
 * @size:      of the whole image
 * @offset:    where the sender goes on
 * @announced: how many bytes it is about to send; UINT64_MAX when it does not say
 */
struct sk_upload_spec {
	struct sk_digest digest;
	uint64_t size, offset, announced;
};

/**
 * sk_upload_open() - "bad-state" for an offset that is not where the bytes here end, "too-large" for more than
 * the image has, or the store's. For an image that is complete already the bytes are taken and dropped.
 */
int sk_upload_open(struct sk_uploads *us, const struct sk_upload_spec *spec, struct sk_upload **ret,
		   struct sk_err *err);
int sk_upload_write(struct sk_upload *up, const void *data, size_t len, struct sk_err *err);
void sk_upload_close(struct sk_upload *up);

/** How many bytes are here, and whether the image is complete and sealed. */
uint64_t sk_upload_offset(const struct sk_upload *up);
bool sk_upload_complete(const struct sk_upload *up);

/** @err is NULL when the image is sealed. */
typedef void (*sk_upload_done_fn)(void *arg, uint64_t size, const struct sk_err *err);

#define SK_UPLOAD_SEALS 1
/**
 * sk_upload_finish() - no more bytes come in this upload
 * Return: 0: sk_upload_complete() tells whether it was all; SK_UPLOAD_SEALS: it is, and sk_upload_seal() is to
 * be called; or a failure, e.g. "digest-mismatch"
 */
int sk_upload_finish(struct sk_upload *up, struct sk_err *err);
/** sk_upload_seal() - in a child; always consumes @up. @done is called from the loop, if 0 is returned. */
int sk_upload_seal(struct sk_upload *up, sk_upload_done_fn done, void *arg, struct sk_err *err);
/** sk_upload_detach() - the seal is finished without calling @done */
void sk_upload_detach(struct sk_upload *up);
