/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/update/capsule_run.h"

#include <errno.h>

#include "io/image/head.h"
#include "model/image.h"

static int run_read_info(struct sk_store *store, const struct sk_digest *d,
			 struct sk_image_info **ret, struct sk_err *err)
{
	_cleanup_free_ void *tree = NULL;
	_cleanup_close_ int fd = -1;
	uint64_t size;
	size_t len;
	int r;

	r = sk_store_image_fd(store, d, &fd, &size, err);
	if (r < 0)
		return r;
	r = sk_image_head_read(fd, sk_image_tree_size, &tree, &len, err);
	return r < 0 ? r : sk_image_parse(tree, len, size, ret, err);
}

int sk_capsule_run(struct sk_store *store, const struct sk_app *app, struct sk_run *ret,
		   struct sk_err *err)
{
	_cleanup_(sk_image_info_freep) struct sk_image_info *info = NULL;
	int r = run_read_info(store, &app->image->digest, &info, err);

	if (r < 0) {
		(void)sk_err_prefix(err, "image %s", app->image->name);
		return r;
	}
	r = sk_run_merge(&info->run, &app->run, ret);
	return r < 0 ? sk_err_oom(err) : 0;
}
