/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define SK_IDMAP_SIZE 65536u

/** struct sk_userns - a user namespace, and the process that made it and has been asked to end */
struct sk_userns {
	int fd;
	pid_t holder;
	void *hold;
};

#define SK_USERNS_INIT   \
	{                \
		.fd = -1 \
	}

/**
 * sk_userns_open() - a user namespace in which ids 0 to 65535 are host ids @base and on
 * Made for idmapped mounts only; what was mounted with it stays after it is closed.
 * Return: 0 or -errno, and nothing is to be closed then
 */
int sk_userns_open(struct sk_userns *u, uint32_t base);
/** sk_userns_close() - wait for the process to end, if it has not yet: leave it some time before */
void sk_userns_close(struct sk_userns *u);

/**
 * sk_idmap_clone() - a detached copy of the mount at @path (relative to @dirfd)
 * @userns_fd: ids are shown by this namespace, so that files of id 0 on disk are the capsule's
 *             root; -1: ids as they are
 * @attr: MOUNT_ATTR_* to set, e.g. MOUNT_ATTR_RDONLY
 * Return: mount descriptor; -EINVAL when the file system cannot be idmapped, or another -errno
 */
int sk_idmap_clone(int dirfd, const char *path, int userns_fd, uint64_t attr);

/** sk_mount_attach() - put a detached mount at @path. 0 or -errno */
int sk_mount_attach(int mount_fd, const char *path);
