/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "io/image/spool.h"

/**
 * struct sk_layer_ref - where a layer is
 * @member:  name in the archive (docker-archive), or NULL: a blob of digest @blob
 * @diff_id: SHA-256 of the uncompressed tar, from the image's configuration
 */
struct sk_layer_ref {
	char *member;
	struct sk_digest blob;
	struct sk_digest diff_id;
};

/** struct sk_layout - the one image of an archive that was chosen; lowest layer first */
struct sk_layout {
	char *config;
	size_t config_len;
	char **tags;
	struct sk_layer_ref *layers;
	size_t n_layers;
};
void sk_layout_done(struct sk_layout *l);

/**
 * sk_layout_read() - find the image in an OCI layout or docker-archive
 * @arch: as for sk_archive_unpack_arch()
 * Return: 0, -EBADMSG ("bad-archive") or -ENOMEM
 */
int sk_layout_read(const struct sk_spool *spool, const char *arch, struct sk_layout *ret,
		   struct sk_err *err);

/** sk_layout_layer() - a layer's file; a blob is checked against its digest first. */
int sk_layout_layer(const struct sk_spool *spool, const struct sk_layout *l, size_t i, int *ret_fd,
		    struct sk_err *err);
