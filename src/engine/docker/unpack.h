/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/**
 * struct sk_unpack - an archive of `docker save` that becomes a capsule image
 * @archive_fd: a pipe that brings it
 * @image_fd:   an empty file for the image
 */
struct sk_unpack {
	int archive_fd, image_fd;
	uint64_t unpacked_max;
};

/**
 * sk_unpack_task() - unpack and pack, in the present folder, which is empty; run it confined
 * Writes {"digest", "size", "tags"} of the image to standard output, or fails as sk_task_fail() does.
 */
int sk_unpack_task(void *arg);
