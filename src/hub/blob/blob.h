/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/macros.h"

/*
 * Where image and release files lie. One back end today, a folder (sk_blobs_dir_new); an object
 * store fits behind the same operations. A blob is there whole or not at all; what arrived of an
 * upload that was cut stays and is resumed.
 */
struct sk_blobs;
struct sk_upload;

/** A blob belongs to one organisation: equal bytes of two organisations are two blobs. */
struct sk_blob_key {
	int64_t org;
	struct sk_digest digest;
};

struct sk_blob_entry {
	struct sk_blob_key key;
	bool complete;
};

struct sk_blobs_ops {
	/* *ret_offset: bytes there, of the blob or of its unfinished upload */
	int (*stat)(struct sk_blobs *b, const struct sk_blob_key *key, bool *ret_have,
		    uint64_t *ret_offset, struct sk_err *err);
	int (*open)(struct sk_blobs *b, const struct sk_blob_key *key, int *ret_fd,
		    struct sk_err *err);
	int (*begin)(struct sk_blobs *b, const struct sk_blob_key *key, uint64_t size_bytes,
		     uint64_t offset, struct sk_upload **ret, struct sk_err *err);
	int (*remove)(struct sk_blobs *b, const struct sk_blob_key *key, struct sk_err *err);
	int (*each)(struct sk_blobs *b, int (*fn)(const struct sk_blob_entry *e, void *arg),
		    void *arg, struct sk_err *err);
	void (*free)(struct sk_blobs *b);
};

struct sk_upload_ops {
	int (*write)(struct sk_upload *u, const void *data, size_t len, struct sk_err *err);
	int (*end)(struct sk_upload *u, bool *ret_complete, uint64_t *ret_offset,
		   struct sk_err *err);
	void (*free)(struct sk_upload *u);
};

struct sk_blobs {
	const struct sk_blobs_ops *ops;
};
struct sk_upload {
	const struct sk_upload_ops *ops;
};

/** sk_blobs_dir_new() - blobs as files <path>/<org>/<digest>; makes the folder. */
int sk_blobs_dir_new(const char *path, struct sk_blobs **ret, struct sk_err *err);
void sk_blobs_free(struct sk_blobs *b);
SK_DEFINE_CLEANUP(struct sk_blobs, sk_blobs_free);

int sk_blob_stat(struct sk_blobs *b, const struct sk_blob_key *key, bool *ret_have,
		 uint64_t *ret_offset, struct sk_err *err);
/** sk_blob_open() - for reading; the caller closes it. "not-found" */
int sk_blob_open(struct sk_blobs *b, const struct sk_blob_key *key, int *ret_fd,
		 struct sk_err *err);
int sk_blob_remove(struct sk_blobs *b, const struct sk_blob_key *key, struct sk_err *err);
int sk_blob_each(struct sk_blobs *b, int (*fn)(const struct sk_blob_entry *e, void *arg), void *arg,
		 struct sk_err *err);

/**
 * sk_upload_begin() - go on with an upload
 * @offset: must be where the last one stopped (sk_blob_stat): "bad-state" otherwise
 * "in-use" while another upload of the same blob runs, "no-space" before any byte is taken.
 */
int sk_upload_begin(struct sk_blobs *b, const struct sk_blob_key *key, uint64_t size_bytes,
		    uint64_t offset, struct sk_upload **ret, struct sk_err *err);
/** sk_upload_write() - "too-large" beyond the blob's size, "no-space", "io" */
int sk_upload_write(struct sk_upload *u, const void *data, size_t len, struct sk_err *err);
/**
 * sk_upload_end() - make what arrived last
 * *ret_complete: all bytes are there, their digest is right, and the blob is listed. On
 * "digest-mismatch" everything is thrown away. Nothing more may be written afterwards.
 */
int sk_upload_end(struct sk_upload *u, bool *ret_complete, uint64_t *ret_offset,
		  struct sk_err *err);
/** sk_upload_free() - without _end before it, what arrived stays for the next attempt. */
void sk_upload_free(struct sk_upload *u);
SK_DEFINE_CLEANUP(struct sk_upload, sk_upload_free);
