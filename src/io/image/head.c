/* SPDX-License-Identifier: Apache-2.0 */
#include "io/image/head.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"

#define HEAD_BYTES 4096

/* Return: bytes, fewer only where the file ends, or -errno */
static ssize_t read_start(int fd, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n =
			TEMP_FAILURE_RETRY(pread(fd, (char *)buf + done, len - done, (off_t)done));

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int unreadable(ssize_t r, struct sk_err *err)
{
	return sk_err_set(err, (int)r, "io", "cannot read the image: %s", strerror((int)-r));
}

int sk_image_head_read(int fd,
		       int (*tree_size)(const void *head, size_t len, size_t *ret,
					struct sk_err *err),
		       void **ret, size_t *ret_len, struct sk_err *err)
{
	_cleanup_free_ void *tree = NULL;
	char head[HEAD_BYTES];
	ssize_t n = read_start(fd, head, sizeof(head));
	int r;

	if (n < 0)
		return unreadable(n, err);
	r = tree_size(head, (size_t)n, ret_len, err);
	if (r < 0)
		return r;
	tree = malloc(*ret_len);
	if (!tree)
		return sk_err_oom(err);
	n = read_start(fd, tree, *ret_len);
	if (n < 0)
		return unreadable(n, err);
	if ((size_t)n < *ret_len)
		return sk_err_set(err, -EBADMSG, "bad-image", "the image is cut off");
	*ret = TAKE_PTR(tree);
	return 0;
}
