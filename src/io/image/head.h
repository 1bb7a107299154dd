/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/err.h"

/**
 * sk_image_head_read() - the tree at the start of an image file, whatever the file's position is
 * @tree_size: tells its size from the first bytes of the file, and refuses too large a one: the model's
 *             sk_image_tree_size(), which takes no descriptor
 * @ret:       owned by the caller; parsing is the model's again
 * Return: 0, what @tree_size fails with, -EBADMSG ("bad-image") when the file ends within the tree, or
 *         -errno ("io")
 */
int sk_image_head_read(int fd,
		       int (*tree_size)(const void *head, size_t len, size_t *ret,
					struct sk_err *err),
		       void **ret, size_t *ret_len, struct sk_err *err);
