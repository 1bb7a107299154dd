/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/**
 * sk_fs_mount() - a new mount of a file system, not attached anywhere yet
 * @options: key and value pairs up to a NULL; options without a value have ""
 * @attr:    MOUNT_ATTR_*
 * Return: a descriptor of it, or -errno
 */
int sk_fs_mount(const char *type, const char *const *options, uint64_t attr);
