/* SPDX-License-Identifier: Apache-2.0 */
#include "io/image/layer.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "io/image/tar.h"

/*
 * Whiteouts are those of the OCI image specification, layer.md: ".wh.NAME" removes NAME that a
 * lower layer has, ".wh..wh..opq" all that lower layers have in its folder.
 */
#define WHITEOUT ".wh."
#define OPAQUE	 ".wh..wh..opq"

/* Headers and padding come on top of the files: 1.5 KiB for each entry with a long name. */
#define TAR_OVERHEAD 1536

static int bad_layer(struct sk_err *err, const char *what, const char *path, const char *why)
{
	return sk_err_set(err, -EBADMSG, "bad-archive", "%s: %.200s: %s", what, path, why);
}

static bool below_dev(const char *path)
{
	return sk_str_starts(path, "dev/");
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Is the name, or a folder on the way, marked as a whiteout? */
static bool has_whiteout(const char *path)
{
	for (const char *part = path; part; part = strchr(part, '/')) {
		part += *part == '/';
		if (sk_str_starts(part, WHITEOUT))
			return true;
	}
	return false;
}

/* Checks a whiteout and removes what it names. */
static int apply_whiteout(struct sk_tree *tree, const char *what, const char *path,
			  struct archive_entry *e, struct sk_err *err)
{
	const char *base = base_of(path), *name = base + strlen(WHITEOUT);
	char target[PATH_MAX];
	size_t folder = (size_t)(base - path);

	memcpy(target, path, folder);
	target[folder > 0 ? folder - 1 : 0] = '\0';
	if (!sk_str_starts(base, WHITEOUT) || has_whiteout(target))
		return bad_layer(err, what, path, "a folder is named as a whiteout");
	if (archive_entry_filetype(e) != AE_IFREG || archive_entry_hardlink(e))
		return bad_layer(err, what, path, "a whiteout is not a plain file");
	if (sk_streq(base, OPAQUE))
		return sk_tree_remove_children(tree, target, err);
	if (!*name || sk_streq(name, ".") || sk_streq(name, "..") || sk_str_starts(name, WHITEOUT))
		return bad_layer(err, what, path, "no whiteout has this name");
	memcpy(target, path, folder);
	memcpy(target + folder, name, strlen(name) + 1);
	return sk_tree_remove(tree, target, err);
}

static int check_kind(struct archive_entry *e, const char *what, const char *path,
		      struct sk_err *err)
{
	switch (archive_entry_filetype(e)) {
	case AE_IFREG:
	case AE_IFLNK:
		return *path ? 0 : bad_layer(err, what, "/", "the root is not a folder");
	case AE_IFDIR:
		return 0;
	case AE_IFCHR:
	case AE_IFBLK:
	case AE_IFIFO:
	case AE_IFSOCK:
		if (below_dev(path))
			return 0;
		return bad_layer(err, what, path, "device nodes, FIFOs and sockets are refused");
	default:
		return archive_entry_hardlink(e) ? 0
						 : bad_layer(err, what, path, "of an unknown kind");
	}
}

static int check_owner(struct archive_entry *e, const char *what, const char *path,
		       struct sk_err *err)
{
	la_int64_t uid = archive_entry_uid(e), gid = archive_entry_gid(e);

	/* 2^32 - 1 means "no change" to chown(). */
	if (uid < 0 || gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX)
		return bad_layer(err, what, path, "its owner is out of range");
	return 0;
}

static int spend(struct sk_unpack_budget *b, struct archive_entry *e, const char *what,
		 const char *path, struct sk_err *err)
{
	la_int64_t size = archive_entry_filetype(e) == AE_IFREG ? archive_entry_size(e) : 0;

	if (b->entries == 0)
		return bad_layer(err, what, path, "the image has over 1,000,000 entries");
	if (strlen(path) > b->name_bytes)
		return bad_layer(err, what, path, "the image's names take over 256 MiB");
	if (size < 0 || (uint64_t)size > b->bytes)
		return bad_layer(err, what, path, "the image unpacks to more than is allowed");
	b->entries--;
	b->name_bytes -= strlen(path);
	b->bytes -= (uint64_t)size;
	b->unpacked += (uint64_t)size;
	if (archive_entry_xattr_count(e) > 0 || archive_entry_acl_types(e) != 0)
		b->left_out_xattrs++;
	return 0;
}

static int check_entry(struct sk_tree *tree, struct archive_entry *e, const char *what,
		       struct sk_unpack_budget *b, struct sk_err *err)
{
	char path[PATH_MAX];
	int r;

	r = sk_tree_path(archive_entry_pathname(e), path, err);
	if (r < 0)
		return sk_err_prefix(err, "%s", what), r;
	if (b->keep && !b->keep(path))
		return 0;
	r = spend(b, e, what, path, err);
	if (r == 0)
		r = check_owner(e, what, path, err);
	if (r == 0)
		r = check_kind(e, what, path, err);
	if (r == 0 && has_whiteout(path))
		return apply_whiteout(tree, what, path, e, err);
	return r;
}

static uint64_t stream_max(const struct sk_unpack_budget *b)
{
	return b->bytes + b->entries * TAR_OVERHEAD + b->name_bytes + (1u << 20);
}

static int check_layer(struct sk_tree *tree, int fd, const char *what,
		       const struct sk_digest *expected, struct sk_unpack_budget *budget,
		       struct sk_err *err)
{
	_cleanup_(sk_tar_freep) struct sk_tar *tar = NULL;
	struct archive_entry *e;
	struct sk_digest got;
	int r;

	r = sk_tar_open(fd, what, stream_max(budget), &tar, err);
	while (r == 0) {
		r = sk_tar_next(tar, &e, err);
		if (r <= 0)
			break;
		r = check_entry(tree, e, what, budget, err);
	}
	if (r == 0)
		r = sk_tar_end(tar, &got, err);
	if (r == 0 && expected && !sk_digest_equal(&got, expected))
		return sk_err_set(err, -EBADMSG, "bad-archive",
				  "%s is damaged: its SHA-256 is %s, the image says %s", what,
				  SK_DIGEST_STR(&got), SK_DIGEST_STR(expected));
	return r;
}

static int write_file(struct sk_tree *tree, struct sk_tar *tar, struct archive_entry *e,
		      const char *path, const struct sk_tree_meta *m, struct sk_err *err)
{
	uint64_t size = (uint64_t)archive_entry_size(e), len = 0;
	_cleanup_close_ int fd = -1;
	int r;

	r = sk_tree_add_file(tree, path, m, &fd, err);
	if (r == 0)
		r = sk_tar_copy(tar, fd, size, &len, err);
	if (r < 0)
		return r;
	/* A hole at the end has no data. */
	if (len < size && ftruncate(fd, (off_t)size) < 0)
		return sk_err_set(err, -errno, "io", "%.200s: %s", path, strerror(errno));
	return sk_tree_end_file(tree, fd, m, err);
}

static int write_link(struct sk_tree *tree, const char *path, const char *target,
		      struct sk_err *err)
{
	char clean[PATH_MAX];
	int r = sk_tree_path(target, clean, err);

	return r < 0 ? r : sk_tree_add_hardlink(tree, path, clean, err);
}

static int write_entry(struct sk_tree *tree, struct sk_tar *tar, struct archive_entry *e,
		       struct sk_unpack_budget *b, struct sk_err *err)
{
	const struct sk_tree_meta m = {
		.mode = archive_entry_perm(e) & 07777,
		.uid = (uid_t)archive_entry_uid(e),
		.gid = (gid_t)archive_entry_gid(e),
		/* squashfs has 32-bit time stamps from 1970 on: clamp. */
		.mtime_s = SK_MIN(SK_MAX(archive_entry_mtime(e), 0), (time_t)UINT32_MAX),
	};
	const char *link = archive_entry_symlink(e);
	char path[PATH_MAX];
	int r = sk_tree_path(archive_entry_pathname(e), path, err);

	if (r < 0 || has_whiteout(path) || (b->keep && !b->keep(path)))
		return r;
	if (archive_entry_hardlink(e))
		return write_link(tree, path, archive_entry_hardlink(e), err);
	switch (archive_entry_filetype(e)) {
	case AE_IFDIR:
		return sk_tree_add_dir(tree, path, &m, err);
	case AE_IFLNK:
		return sk_tree_add_symlink(tree, path, link ? link : "", &m, err);
	case AE_IFREG:
		return write_file(tree, tar, e, path, &m, err);
	default:
		b->left_out_devices++;
		return 0;
	}
}

static int write_layer(struct sk_tree *tree, int fd, const char *what,
		       struct sk_unpack_budget *budget, uint64_t max, struct sk_err *err)
{
	_cleanup_(sk_tar_freep) struct sk_tar *tar = NULL;
	struct archive_entry *e;
	int r;

	r = sk_tar_open(fd, what, max, &tar, err);
	while (r == 0) {
		r = sk_tar_next(tar, &e, err);
		if (r <= 0)
			break;
		r = write_entry(tree, tar, e, budget, err);
		if (r < 0)
			(void)sk_err_prefix(err, "%s", what);
	}
	return r;
}

int sk_layer_apply(struct sk_tree *tree, int fd, const char *what, const struct sk_digest *digest,
		   struct sk_unpack_budget *budget, struct sk_err *err)
{
	uint64_t max = stream_max(budget);
	int r;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return sk_err_set(err, -errno, "io", "%s: %s", what, strerror(errno));
	r = check_layer(tree, fd, what, digest, budget, err);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return sk_err_set(err, -errno, "io", "%s: %s", what, strerror(errno));
	return write_layer(tree, fd, what, budget, max, err);
}
