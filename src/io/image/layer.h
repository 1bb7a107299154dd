/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "io/image/tree.h"

/**
 * struct sk_unpack_budget - what is still allowed, over all layers of an image
 * @keep: may be NULL; false for a path that is to be left out
 * @left_out_devices, @left_out_xattrs: counted, to be reported
 */
struct sk_unpack_budget {
	uint64_t bytes;
	uint64_t entries;
	uint64_t name_bytes;
	uint64_t unpacked;
	bool (*keep)(const char *path);
	unsigned left_out_devices, left_out_xattrs;
};

/**
 * sk_layer_apply() - lay one layer over the tree
 * @fd:     a seekable tar, plain or compressed
 * @what:   for error sentences, "layer 3"
 * @digest: of the uncompressed tar (an image's diff_id); NULL when nothing says it
 *
 * Read twice. First everything is checked, the digest too, and whiteouts remove what lower layers
 * had; then the files are written. So nothing of a layer that is refused is unpacked.
 * Return: 0, "bad-archive", "no-space", "io", "out-of-memory"
 */
int sk_layer_apply(struct sk_tree *tree, int fd, const char *what, const struct sk_digest *digest,
		   struct sk_unpack_budget *budget, struct sk_err *err);
