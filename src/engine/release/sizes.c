/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/release/sizes.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

int sk_sizes_add(struct sk_map *sizes, const struct sk_manifest *m)
{
	for (size_t i = 0; i < m->n_images; i++) {
		const struct sk_image_ref *image = &m->images[i];
		uint64_t *size = malloc(sizeof(*size));
		int r;

		if (!size)
			return -ENOMEM;
		*size = image->size_bytes;
		r = sk_map_add(sizes, SK_DIGEST_STR(&image->digest), size);
		if (r < 0)
			free(size);
		if (r < 0 && r != -EEXIST)
			return r;
	}
	return 0;
}
