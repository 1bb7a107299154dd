/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
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

/**
 * sk_archive_unpack_root() - the same for a tar that is a root file system; no config, no tags
 * @keep: NULL, or false for a path ("usr/share/man/man1") that is to be left out
 */
int sk_archive_unpack_root(int archive_fd, const char *work_dir, uint64_t unpacked_max,
			   bool (*keep)(const char *path), struct sk_unpacked *ret,
			   struct sk_err *err);

/** struct sk_copy - a file or folder of this machine that goes into an unpacked root */
struct sk_copy {
	const char *source;
	const char *target; /* absolute path inside */
};

/**
 * sk_archive_copy_in() - add files to the "rootfs" of @work_dir
 * @owners: sk_unpacked.owners, which is appended to; NULL when run by root
 * They belong to root, with mode 0755 when the source's owner may execute them, else 0644, and
 * have the time stamp @epoch_s, so that only their content counts. Symlinks stay symlinks.
 * Return: 0, "not-found", "bad-value" (neither file, folder nor symlink), "bad-archive" (a symlink
 * of the image leads the target out of it), "io", "no-space"
 */
int sk_archive_copy_in(const char *work_dir, const struct sk_copy *copy, const char *owners,
		       int64_t epoch_s, struct sk_err *err);

/**
 * sk_archive_add_places() - what a capsule's start mounts over, where the image lacks it
 * The folders /dev, /proc, /run, /sys, /tmp and empty files /etc/hosts and /etc/resolv.conf: with
 * them the read-only root needs no layer on top. Arguments as for sk_archive_copy_in().
 */
int sk_archive_add_places(const char *work_dir, const char *owners, int64_t epoch_s,
			  struct sk_err *err);

/** sk_archive_write_places() - the same for @root, as it is, as pseudo definitions in file @owners. */
int sk_archive_write_places(const char *root, const char *owners, struct sk_err *err);

/** sk_archive_add_text() - a small file, unless there is something of that name already. */
int sk_archive_add_text(const char *work_dir, const char *path, const char *text,
			const char *owners, int64_t epoch_s, struct sk_err *err);
