/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/err.h"

#define SK_IDMAP_SIZE 65536u

/**
 * sk_idmap_userns() - a user namespace in which ids 0 to 65535 are host ids @base and on
 * Made for idmapped mounts only; it lives as long as the descriptor.
 * Return: descriptor, owned by the caller, or -errno
 */
int sk_idmap_userns(uint32_t base);

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
