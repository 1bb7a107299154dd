/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "model/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken from a configuration can be written into an image's tree, or is refused there. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(sk_run_done) struct sk_run run = { 0 };
	_cleanup_free_ char *arch = NULL;
	_cleanup_free_ void *tree = NULL;
	struct sk_err err = SK_ERR_INIT;
	size_t len = 0;

	if (sk_run_from_oci((const char *)data, size, &run, &arch, &err) < 0)
		return 0;
	const struct sk_image_info info = {
		.name = (char *)"x", .arch = arch, .rootfs_size = 4096, .run = run
	};

	if (sk_image_build_tree(&info, &tree, &len, &err) == 0) {
		_cleanup_(sk_image_info_freep) struct sk_image_info *got = NULL;

		(void)sk_image_parse(tree, len, len + 4096, &got, &err);
	}
	return 0;
}
