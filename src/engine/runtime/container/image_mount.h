/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "base/err.h"
#include "model/image.h"

/*
 * Images of capsules, each mounted once at <run_dir>/images/<digest>.<inode of its file>, read-only and
 * with the ids that it has. Capsules get copies of that mount: what one has read from the image lies in
 * memory for the others, and a start needs no loop device of its own. The mount table is the only record:
 * a daemon that starts anew finds them, a boot clears them. A mount keeps its file from going away, so an
 * inode number is never that of another file.
 */

/**
 * sk_image_mount_get() - mount an image, unless it is
 * @image_fd: the whole file
 * Mounts of another file of the same digest (a damaged one that was replaced) are given up: they
 * go away with the last capsule that has them.
 */
int sk_image_mount_get(const char *run_dir, const struct sk_digest *digest, int image_fd,
		       const struct sk_image_info *info, char ret_path[static PATH_MAX],
		       struct sk_err *err);

/** sk_image_mount_sweep() - give up those for which @is_used says no; one that fails is tried next time */
void sk_image_mount_sweep(const char *run_dir,
			  bool (*is_used)(void *arg, const struct sk_digest *digest), void *arg);
