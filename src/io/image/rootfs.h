/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/**
 * struct sk_rootfs_spec - a folder to be packed into a read-only file system
 * @root:        the folder
 * @type:        "squashfs" or "erofs"; NULL for the default, squashfs
 * @compression: of squashfs "lz4", "zstd", "xz", "gzip" or "none"; of erofs "lz4hc" or "none";
 *               NULL for the type's default, "lz4" or "lz4hc" (the reasons: docs/reference/
 *               capsule-image.md, "File system and compression")
 * @epoch_s:     seconds since 1970 that every time stamp gets, at most UINT32_MAX
 * @keep_times:  older time stamps are kept as they are on disk (squashfs; erofs sets all to
 *               @epoch_s): for content whose time stamps are its own, as in an archive
 * @tmp_dir:     an existing folder for the result, on a file system with room for it
 * @all_root:    everything is owned by 0:0, whoever owns it on disk
 * @owners:      squashfs only: a file of mksquashfs pseudo definitions that say owner and mode of
 *               what could not get them on disk (see sk_unpacked.owners); a comment line
 *               "#root MODE UID GID" says those of the root; NULL for none
 */
struct sk_rootfs_spec {
	const char *root;
	const char *type;
	const char *compression;
	int64_t epoch_s;
	bool keep_times;
	const char *tmp_dir;
	bool all_root;
	const char *owners;
};

/**
 * sk_rootfs_pack() - pack a folder into a read-only file system, reproducibly
 * @ret_fd:   the result, an unlinked temporary file; owned by the caller
 * @ret_size: its size in bytes, a multiple of 4096
 *
 * Runs mksquashfs or mkfs.erofs; blocks until it is done. Extended attributes are not carried.
 * Return: 0, or "not-found" (the tool is not installed; names the Debian package), "bad-value",
 * "too-large" (4 GiB or more), "child-failed", "no-space", "io"
 */
int sk_rootfs_pack(const struct sk_rootfs_spec *spec, int *ret_fd, uint64_t *ret_size,
		   struct sk_err *err);

/** sk_rootfs_make() - sk_rootfs_pack() with owners as they are on disk. */
int sk_rootfs_make(const char *root, const char *type, const char *compression, int64_t epoch_s,
		   const char *tmp_dir, int *ret_fd, uint64_t *ret_size, struct sk_err *err);

/** sk_image_assemble() - write @tree, then the root file system, to @out_fd; fsync. */
int sk_image_assemble(int out_fd, const void *tree, size_t tree_len, int rootfs_fd,
		      struct sk_err *err);
