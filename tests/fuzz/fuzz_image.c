/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input is a whole image file. What is taken must lie within it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(sk_image_info_freep) struct sk_image_info *info = NULL;
	struct sk_err err = SK_ERR_INIT;
	size_t tree_size = 0;
	/* A copy of its own: aligned, and with nothing readable after its end. */
	_cleanup_free_ void *file = malloc(size ? size : 1);

	if (!file)
		return 0;
	memcpy(file, data, size);
	if (sk_image_tree_size(file, size, &tree_size, &err) < 0)
		return 0;
	if (sk_image_parse(file, size, size, &info, &err) < 0)
		return 0;
	if (info->rootfs_offset + info->rootfs_size != size || !info->name || !info->arch)
		abort();
	return 0;
}
