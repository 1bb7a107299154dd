/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/err.h"

/**
 * sk_rootfs_make() - pack a folder into a read-only file system, reproducibly
 * @type: "squashfs" or "erofs"; @compression: NULL for the default of the type
 * @epoch_s: every time stamp in it; owners are kept as they are on disk
 * Runs mksquashfs or mkfs.erofs. @ret_fd: the result, an unlinked temporary file in @tmp_dir.
 */
int sk_rootfs_make(const char *root, const char *type, const char *compression, int64_t epoch_s,
		   const char *tmp_dir, int *ret_fd, uint64_t *ret_size, struct sk_err *err);

/** sk_image_assemble() - write @tree, then the root file system, to @out_fd; fsync. */
int sk_image_assemble(int out_fd, const void *tree, size_t tree_len, int rootfs_fd,
		      struct sk_err *err);
