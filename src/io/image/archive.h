/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/**
 * struct sk_unpacked - what came out of a docker-archive or OCI layout
 * @config: the image's configuration, JSON as it was; owned; NULL for a plain root tar
 * @tags:   "nginx:latest" …; owned, may be NULL
 * @bytes:  of all files of all layers
 * @newest_s: the newest time stamp of a file; every folder has this one
 * @owners: file below the work folder with owners and modes for sk_rootfs_spec.owners; owned; NULL
 *          when they are right on disk already (unpacked by root)
 * @left_out_devices: device nodes and the like below /dev that were left out: a capsule's /dev is
 *          made when it starts
 * @left_out_xattrs: entries whose extended attributes and ACLs were left out (docs/reference/
 *          capsule-image.md says why)
 */
struct sk_unpacked {
	char *config;
	size_t config_len;
	char **tags;
	uint64_t bytes;
	int64_t newest_s;
	char *owners;
	unsigned left_out_devices, left_out_xattrs;
};
void sk_unpacked_done(struct sk_unpacked *u);

/**
 * sk_archive_unpack() - unpack an image archive's layers, whiteouts honoured
 * @archive_fd:   tar, plain or compressed; may be a pipe (it is spooled below @work_dir)
 * @work_dir:     an empty folder; the merged root appears as "rootfs" below it
 * @unpacked_max: most bytes over all files
 * Refused ("bad-archive"): names that leave the root (absolute, "..", through a symlink), device
 * nodes, FIFOs and sockets outside /dev, hard links to the outside, digests that do not match, more
 * than 1,000,000 entries, names over PATH_MAX, and anything that is neither form. After a failure
 * @work_dir is empty again.
 */
int sk_archive_unpack(int archive_fd, const char *work_dir, uint64_t unpacked_max,
		      struct sk_unpacked *ret, struct sk_err *err);

/**
 * sk_archive_unpack_arch() - the same, with a choice
 * @arch: "amd64", "arm64" or "armhf": which image of a multi-platform index; an archive without
 *        it is "bad-archive". NULL: the only image there is, or the one for this machine.
 */
int sk_archive_unpack_arch(int archive_fd, const char *work_dir, uint64_t unpacked_max,
			   const char *arch, struct sk_unpacked *ret, struct sk_err *err);

/** sk_archive_unpack_root() - the same for a tar that is a root file system; no config, no tags. */
int sk_archive_unpack_root(int archive_fd, const char *work_dir, uint64_t unpacked_max,
			   struct sk_unpacked *ret, struct sk_err *err);
