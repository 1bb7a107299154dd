/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "engine/update/private.h"
#include "model/image.h"

#define HEAD_BYTES 4096u

static int read_at(int fd, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		done += (size_t)n;
	}
	return 0;
}

static int read_tree(int fd, void **ret, size_t *ret_len, struct sk_err *err)
{
	_cleanup_free_ void *tree = NULL;
	char head[HEAD_BYTES];
	size_t len;
	int r = read_at(fd, head, sizeof(head));

	if (r == 0) {
		r = sk_image_tree_size(head, sizeof(head), &len, err);
		if (r < 0)
			return r;
		tree = malloc(len);
		if (!tree)
			return sk_err_oom(err);
		r = read_at(fd, tree, len);
	}
	if (r < 0)
		return sk_err_set(err, r, "bad-image", "cannot read its tree: %s", strerror(-r));
	*ret = TAKE_PTR(tree);
	*ret_len = len;
	return 0;
}

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
		r = read_tree(fd, &tree, &len, err);
	if (r == 0)
		r = sk_image_parse(tree, len, size, &info, err);
	if (r < 0) {
		(void)sk_err_prefix(err, "image %s", app->image->name);
		return r;
	}
	r = sk_run_merge(&info->run, &app->run, ret);
	return r < 0 ? sk_err_oom(err) : 0;
}
