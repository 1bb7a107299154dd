/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/**
 * struct sk_unpacked - what came out of a docker-archive or OCI layout
 * @config: the image's configuration, JSON as it was; owned
 * @tags:   "nginx:latest" …; owned, may be NULL
 */
struct sk_unpacked {
	char *config;
	size_t config_len;
	char **tags;
	uint64_t bytes;
};
void sk_unpacked_done(struct sk_unpacked *u);

/**
 * sk_archive_unpack() - unpack an image archive's layers, whiteouts honoured
 * @archive_fd:   tar, plain or compressed; may be a pipe (it is spooled below @work_dir)
 * @work_dir:     an empty folder; the merged root appears as "rootfs" below it
 * @unpacked_max: most bytes over all files
 * Refused ("bad-archive"): names that leave the root (absolute, "..", through a symlink), device
 * nodes, FIFOs and sockets, hard links to the outside, digests that do not match, more than
 * 1,000,000 entries, names over PATH_MAX, and anything that is neither form.
 */
int sk_archive_unpack(int archive_fd, const char *work_dir, uint64_t unpacked_max,
		      struct sk_unpacked *ret, struct sk_err *err);
