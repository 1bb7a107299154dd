/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <archive_entry.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/macros.h"

/*
 * A tar, plain or compressed (gzip, zstd, xz, bzip2, lz4), read once from a descriptor; the
 * uncompressed bytes are counted, bounded and hashed on the way. libarchive does the formats.
 * Failures are -EBADMSG ("bad-archive"), "io" or "out-of-memory".
 */
struct sk_tar;

/**
 * sk_tar_open() - start at the present position of @fd (borrowed)
 * @what: for error sentences, e.g. "layer 3"; borrowed
 * @max:  most uncompressed bytes
 */
int sk_tar_open(int fd, const char *what, uint64_t max, struct sk_tar **ret, struct sk_err *err);
void sk_tar_free(struct sk_tar *t);
SK_DEFINE_CLEANUP(struct sk_tar, sk_tar_free);

/** sk_tar_next() - 1 with the next entry (borrowed until the next call), 0 at the end. */
int sk_tar_next(struct sk_tar *t, struct archive_entry **ret, struct sk_err *err);

/** sk_tar_read() - 1 with a piece of the entry's data at @ret_offset, 0 at its end. */
int sk_tar_read(struct sk_tar *t, const void **ret, size_t *ret_len, uint64_t *ret_offset,
		struct sk_err *err);

/**
 * sk_tar_copy() - the entry's data into @fd, holes left out
 * @max: bytes and holes together; more is "bad-archive"
 */
int sk_tar_copy(struct sk_tar *t, int fd, uint64_t max, uint64_t *ret_len, struct sk_err *err);

/** sk_tar_end() - read what follows the last entry; the SHA-256 of all uncompressed bytes. */
int sk_tar_end(struct sk_tar *t, struct sk_digest *ret, struct sk_err *err);
