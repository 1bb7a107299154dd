/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "engine/update/private.h"
#include "io/image/head.h"
#include "model/image.h"

int sk_update_run_config(struct sk_update *u, const struct sk_app *app, struct sk_run *ret,
			 struct sk_err *err)
{
	_cleanup_(sk_image_info_freep) struct sk_image_info *info = NULL;
	_cleanup_free_ void *tree = NULL;
	_cleanup_close_ int fd = -1;
	uint64_t size;
	size_t len;
	int r;

	r = sk_store_image_fd(u->store, &app->image->digest, &fd, &size, err);
	if (r == 0)
		r = sk_image_head_read(fd, sk_image_tree_size, &tree, &len, err);
	if (r == 0)
		r = sk_image_parse(tree, len, size, &info, err);
	if (r < 0) {
		(void)sk_err_prefix(err, "image %s", app->image->name);
		return r;
	}
	r = sk_run_merge(&info->run, &app->run, ret);
	return r < 0 ? sk_err_oom(err) : 0;
}
