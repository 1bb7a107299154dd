/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/docker/unpack.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "io/image/archive.h"
#include "io/image/rootfs.h"
#include "io/json.h"
#include "io/sys/child.h"
#include "model/image.h"

/* What the image calls itself: its first tag's last word, or "image". */
static void image_name(char *const *tags, char buf[static SK_NAME_MAX + 1])
{
	const char *s = tags && tags[0] ? tags[0] : "image";
	const char *slash = strrchr(s, '/');

	s = slash ? slash + 1 : s;
	(void)snprintf(buf, SK_NAME_MAX + 1, "%.*s",
		       (int)SK_MIN(strcspn(s, ":@"), (size_t)SK_NAME_MAX), s);
	if (!sk_name_ok(buf))
		(void)snprintf(buf, SK_NAME_MAX + 1, "image");
}

static int pack(const struct sk_unpack *u, const struct sk_unpacked *from,
		struct sk_image_info *info, struct sk_err *err)
{
	/* Owners that this user could not set on disk come from a list. */
	const struct sk_rootfs_spec spec = {
		.root = "rootfs",
		.type = "squashfs",
		.tmp_dir = ".",
		.owners = from->owners,
	};
	_cleanup_free_ void *tree = NULL;
	_cleanup_close_ int rootfs_fd = -1;
	size_t tree_len;
	int r = sk_rootfs_pack(&spec, &rootfs_fd, &info->rootfs_size, err);

	if (r == 0 && sk_digest_of_fd(rootfs_fd, 0, info->rootfs_size, &info->rootfs_digest) < 0)
		r = sk_err_set(err, -EIO, "io", "cannot read what was packed");
	if (r == 0)
		r = sk_image_build_tree(info, &tree, &tree_len, err);
	return r < 0 ? r : sk_image_assemble(u->image_fd, tree, tree_len, rootfs_fd, err);
}

static int convert(const struct sk_unpack *u, struct sk_unpacked *to, struct sk_err *err)
{
	struct sk_image_info info = { .type = SK_ROOTFS_SQUASHFS, .kind = SK_KIND_CONTAINER };
	char name[SK_NAME_MAX + 1];
	int r = sk_archive_unpack(u->archive_fd, ".", u->unpacked_max, to, err);

	if (r < 0)
		return r;
	image_name(to->tags, name);
	info.name = name;
	r = sk_run_from_oci(to->config, to->config_len, &info.run, &info.arch, err);
	return r < 0 ? r : pack(u, to, &info, err);
}

static int tell(const struct sk_unpack *u, const struct sk_unpacked *from, struct sk_err *err)
{
	_cleanup_json_ json_t *out = NULL;
	struct sk_digest digest;
	struct stat st;

	if (fstat(u->image_fd, &st) < 0 ||
	    sk_digest_of_fd(u->image_fd, 0, (uint64_t)st.st_size, &digest) < 0)
		return sk_err_set(err, -EIO, "io", "cannot read the new image");
	out = json_pack("{s:s, s:I, s:o}", "digest", SK_DIGEST_STR(&digest), "size",
			(json_int_t)st.st_size, "tags", sk_json_strv(from->tags));
	if (!out || json_dumpfd(out, STDOUT_FILENO, JSON_COMPACT) < 0)
		return sk_err_oom(err);
	return 0;
}

int sk_unpack_task(void *arg)
{
	const struct sk_unpack *u = arg;
	struct sk_unpacked to = { 0 };
	struct sk_err err = SK_ERR_INIT;
	int r = convert(u, &to, &err);

	if (r == 0)
		r = tell(u, &to, &err);
	return r < 0 ? sk_task_fail(&err) : 0;
}
