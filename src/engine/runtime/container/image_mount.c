/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/container/image_mount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/runtime/container/fs_mount.h"
#include "engine/runtime/container/idmap.h"
#include "engine/runtime/container/loop.h"

#define IMAGE_ATTR (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

static int mount_loop(int image_fd, const struct sk_image_info *info)
{
	const char *type = info->type == SK_ROOTFS_EROFS ? "erofs" : "squashfs";
	_cleanup_close_ int loop = -1;
	char path[32];

	loop = sk_loop_attach(image_fd, info->rootfs_offset, info->rootfs_size, path);
	if (loop < 0)
		return loop;
	return sk_fs_mount(type, (const char *const[]){ "source", path, "ro", "", NULL },
			   IMAGE_ATTR);
}

/* Newer kernels mount erofs from a file at an offset: no loop device, no second cache. */
static int mount_erofs_file(int image_fd, const struct sk_image_info *info)
{
	char source[64], offset[32];

	(void)snprintf(source, sizeof(source), "/proc/self/fd/%d", image_fd);
	(void)snprintf(offset, sizeof(offset), "%llu", (unsigned long long)info->rootfs_offset);
	return sk_fs_mount(
		"erofs",
		(const char *const[]){ "source", source, "fsoffset", offset, "ro", "", NULL },
		IMAGE_ATTR);
}

static int mount_at(const char *path, int image_fd, const struct sk_image_info *info)
{
	_cleanup_close_ int fd = -1;

	if (info->type == SK_ROOTFS_EROFS)
		fd = mount_erofs_file(image_fd, info);
	if (fd < 0)
		fd = mount_loop(image_fd, info);
	return fd < 0 ? fd : sk_mount_attach(fd, path);
}

static bool is_mounted(const char *path)
{
	struct statx st;

	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 0, &st) == 0 &&
	       (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static void image_unmount(const char *dir, const char *name)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return;
	/* Copies of it live on. */
	if ((umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL) || rmdir(path) < 0)
		sk_warning("cannot unmount %s: %s", path, strerror(errno));
}

/* The digest of "<digest>.<inode>" */
static bool parse_name(const char *name, struct sk_digest *ret)
{
	_cleanup_free_ char *hex = strndup(name, strcspn(name, "."));

	return hex && strchr(name, '.') && sk_digest_parse(hex, ret) == 0;
}

struct stale {
	const struct sk_digest *digest;
	const char *keep;
};

static bool is_stale(void *arg, const char *name, const struct sk_digest *digest)
{
	const struct stale *s = arg;

	return sk_digest_equal(digest, s->digest) && !sk_streq(name, s->keep);
}

static void image_unmount_all(const char *dir,
			      bool (*matches)(void *arg, const char *name,
					      const struct sk_digest *digest),
			      void *arg)
{
	DIR *d = opendir(dir);
	struct sk_digest digest;
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (parse_name(e->d_name, &digest) && matches(arg, e->d_name, &digest))
			image_unmount(dir, e->d_name);
	if (d)
		(void)closedir(d);
}

int sk_image_mount_get(const char *run_dir, const struct sk_digest *digest, int image_fd,
		       const struct sk_image_info *info, char ret_path[static PATH_MAX],
		       struct sk_err *err)
{
	char dir[PATH_MAX], name[SK_DIGEST_HEX + 32];
	struct stat st;
	int r;

	if (fstat(image_fd, &st) < 0)
		return sk_err_set(err, -errno, "io", "cannot look at the image: %s",
				  strerror(errno));
	(void)snprintf(name, sizeof(name), "%s.%llu", SK_DIGEST_STR(digest),
		       (unsigned long long)st.st_ino);
	if (snprintf(dir, sizeof(dir), "%s/images", run_dir) >= (int)sizeof(dir) ||
	    snprintf(ret_path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		return sk_err_set(err, -ENAMETOOLONG, "io", "the path of %s is too long", run_dir);
	if (is_mounted(ret_path))
		return 0;
	if (mkdir(ret_path, 0700) < 0 && errno != EEXIST)
		return sk_err_set(err, -errno, "io", "cannot make %s: %s", ret_path,
				  strerror(errno));
	r = mount_at(ret_path, image_fd, info);
	if (r < 0)
		return sk_err_set(err, r, "bad-image", "cannot mount the image%s%s: %s",
				  info->name ? " " : "", info->name ? info->name : "",
				  strerror(-r));
	image_unmount_all(dir, is_stale, &(struct stale){ digest, name });
	return 0;
}

struct sweep {
	bool (*is_used)(void *arg, const struct sk_digest *digest);
	void *arg;
};

static bool is_unused(void *arg, const char *name, const struct sk_digest *digest)
{
	const struct sweep *s = arg;

	return !s->is_used(s->arg, digest);
}

void sk_image_mount_sweep(const char *run_dir,
			  bool (*is_used)(void *arg, const struct sk_digest *digest), void *arg)
{
	char dir[PATH_MAX];

	if (snprintf(dir, sizeof(dir), "%s/images", run_dir) < (int)sizeof(dir))
		image_unmount_all(dir, is_unused, &(struct sweep){ is_used, arg });
}
