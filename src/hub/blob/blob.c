/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/blob/blob.h"

void sk_blobs_free(struct sk_blobs *b)
{
	b->ops->free(b);
}

int sk_blob_stat(struct sk_blobs *b, const struct sk_blob_key *key, bool *ret_have,
		 uint64_t *ret_offset, struct sk_err *err)
{
	return b->ops->stat(b, key, ret_have, ret_offset, err);
}

int sk_blob_open(struct sk_blobs *b, const struct sk_blob_key *key, int *ret_fd, struct sk_err *err)
{
	return b->ops->open(b, key, ret_fd, err);
}

int sk_blob_remove(struct sk_blobs *b, const struct sk_blob_key *key, struct sk_err *err)
{
	return b->ops->remove(b, key, err);
}

int sk_blob_each(struct sk_blobs *b, int (*fn)(const struct sk_blob_entry *e, void *arg), void *arg,
		 struct sk_err *err)
{
	return b->ops->each(b, fn, arg, err);
}

int sk_upload_begin(struct sk_blobs *b, const struct sk_blob_key *key, uint64_t size_bytes,
		    uint64_t offset, struct sk_upload **ret, struct sk_err *err)
{
	return b->ops->begin(b, key, size_bytes, offset, ret, err);
}

int sk_upload_write(struct sk_upload *u, const void *data, size_t len, struct sk_err *err)
{
	return u->ops->write(u, data, len, err);
}

int sk_upload_end(struct sk_upload *u, bool *ret_complete, uint64_t *ret_offset, struct sk_err *err)
{
	return u->ops->end(u, ret_complete, ret_offset, err);
}

void sk_upload_free(struct sk_upload *u)
{
	u->ops->free(u);
}
