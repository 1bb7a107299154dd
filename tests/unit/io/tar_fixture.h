/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"

/* Archives made by hand, so that they can be as wrong as a stranger's. */

/**
 * struct tar_entry - one header and its data
 * @type: as in POSIX ustar: '0' file, '1' hard link, '2' symlink, '3' '4' devices, '5' folder, '6'
 *        FIFO, 'L' GNU long name, 'x' pax header
 * @claim: size in the header when it is not that of @data
 */
struct tar_entry {
	const char *name;
	char type;
	const char *link, *data;
	unsigned mode, uid, gid;
	uint64_t mtime, claim;
};

#define TAR_BUF SK_BUF(64u << 20)

void tar_add(struct sk_buf *b, const struct tar_entry *e);
void tar_end(struct sk_buf *b);

/** A file with the bytes, to be read from its start; the caller closes it. */
int tar_fd(const struct sk_buf *b);

struct sk_digest tar_digest(const struct sk_buf *b);

/** docker-archive of one image with @n layers; diff_ids are right. */
void tar_docker(struct sk_buf *b, const struct sk_buf *layers, unsigned n);

/** A blob of an OCI layout: adds it, returns its digest. */
struct sk_digest tar_blob(struct sk_buf *b, const void *data, size_t len);
