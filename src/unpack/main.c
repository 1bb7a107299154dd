/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "io/image/archive.h"
#include "io/image/rootfs.h"
#include "io/json.h"
#include "io/sys/child.h"
#include "model/image.h"

/*
 * An archive of `docker save` becomes a capsule image. What comes in is a stranger's, so skerryd runs this
 * as a user of its own who may do nothing else, and believes nothing of what it says; it is a program of
 * its own because libarchive and what that links would stay in the daemon's memory for ever.
 *
 * Writes {"digest", "size", "tags"} of the image to standard output, or fails as sk_task_fail() does.
 */
#define ARCHIVE_FD 3 /* a pipe, mostly */
#define IMAGE_FD   4 /* an empty file */

/* What the image calls itself: its first tag's last word, or "image". Owned. */
static char *image_name(char *const *tags)
{
	const char *s = tags && tags[0] ? tags[0] : "image";
	const char *slash = strrchr(s, '/');
	char name[SK_NAME_MAX + 1];

	s = slash ? slash + 1 : s;
	(void)snprintf(name, sizeof(name), "%.*s",
		       (int)SK_MIN(strcspn(s, ":@"), (size_t)SK_NAME_MAX), s);
	return strdup(sk_name_ok(name) ? name : "image");
}

static int pack(const struct sk_unpacked *from, struct sk_image_info *info, struct sk_err *err)
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
	return r < 0 ? r : sk_image_assemble(IMAGE_FD, tree, tree_len, rootfs_fd, err);
}

static int convert(uint64_t unpacked_max, struct sk_unpacked *to, struct sk_err *err)
{
	_cleanup_(sk_image_info_freep) struct sk_image_info *info = calloc(1, sizeof(*info));
	int r;

	if (!info)
		return sk_err_oom(err);
	info->type = SK_ROOTFS_SQUASHFS;
	info->kind = SK_KIND_CONTAINER;
	r = sk_archive_unpack(ARCHIVE_FD, ".", unpacked_max, to, err);
	if (r < 0)
		return r;
	info->name = image_name(to->tags);
	if (!info->name)
		return sk_err_oom(err);
	r = sk_run_from_oci(to->config, to->config_len, &info->run, &info->arch, err);
	return r < 0 ? r : pack(to, info, err);
}

static int print_result(const struct sk_unpacked *from, struct sk_err *err)
{
	_cleanup_json_ json_t *out = NULL;
	struct sk_digest digest;
	struct stat st;

	if (fstat(IMAGE_FD, &st) < 0 ||
	    sk_digest_of_fd(IMAGE_FD, 0, (uint64_t)st.st_size, &digest) < 0)
		return sk_err_set(err, -EIO, "io", "cannot read the new image");
	out = json_pack("{s:s, s:I, s:o}", "digest", SK_DIGEST_STR(&digest), "size",
			(json_int_t)st.st_size, "tags", sk_json_strv(from->tags));
	if (!out || json_dumpfd(out, STDOUT_FILENO, JSON_COMPACT) < 0)
		return sk_err_oom(err);
	return 0;
}

static int usage(FILE *to)
{
	fputs("usage: skerry-unpack BYTES 3<ARCHIVE 4<>IMAGE\n"
	      "\n"
	      "Makes a capsule image of an archive of \"docker save\", in the present folder, which is\n"
	      "empty. BYTES is the most that may come out of it. skerryd runs this for \"docker load\",\n"
	      "as a user without rights; it is not for use by hand.\n",
	      to);
	return to == stderr ? 2 : 0;
}

int main(int argc, char **argv)
{
	_cleanup_(sk_unpacked_done) struct sk_unpacked to = { 0 };
	struct sk_err err = SK_ERR_INIT;
	uint64_t unpacked_max;
	int r;

	if (argc == 2 && (sk_streq(argv[1], "-h") || sk_streq(argv[1], "--help")))
		return usage(stdout);
	if (argc != 2 || sk_parse_u64(argv[1], &unpacked_max) < 0)
		return usage(stderr);
	/* Started by descriptor, so the kernel would show the descriptor's number as its name. */
	(void)prctl(PR_SET_NAME, "skerry-unpack");
	r = convert(unpacked_max, &to, &err);
	if (r == 0)
		r = print_result(&to, &err);
	return r < 0 ? sk_task_fail(&err) : 0;
}
