/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/container/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/runtime/container/fs_mount.h"
#include "engine/runtime/container/idmap.h"

#define MOUNTINFO_MAX (16u << 20)
#define UMOUNT_ROUNDS 1024

static int fail(struct sk_err *err, int r, const char *what, const char *name)
{
	if (r == -ENOMEM)
		return sk_err_oom(err);
	return sk_err_set(err, r, r == -ENOSPC ? "no-space" : "io", "cannot %s %s: %s", what, name,
			  strerror(-r));
}

static int join(char buf[static PATH_MAX], const char *dir, const char *name)
{
	int n = snprintf(buf, PATH_MAX, "%s/%s", dir, name);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* Folders that a capsule's processes must pass through are open to search, not to list. */
static int rootfs_make_dir(char buf[static PATH_MAX], const char *dir, const char *name)
{
	int r = join(buf, dir, name);

	if (r == 0 && mkdir(buf, 0711) < 0 && errno != EEXIST)
		r = -errno;
	return r;
}

#define IMAGE_ATTR (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

int sk_rootfs_mount_image(const struct sk_rootfs *r, const char *image, struct sk_err *err)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	int e;

	e = rootfs_make_dir(path, r->dir, "rootfs");
	if (e < 0)
		return fail(err, e, "make", path);
	if (r->userns_fd >= 0)
		fd = sk_idmap_clone(AT_FDCWD, image, r->userns_fd, 0);
	if (fd < 0) {
		sk_debug("ids of this file system cannot be mapped: %s", strerror(-fd));
		fd = sk_idmap_clone(AT_FDCWD, image, -1, 0);
	}
	e = fd < 0 ? fd : sk_mount_attach(fd, path);
	return e < 0 ? fail(err, e, "mount at", path) : 0;
}

/*
 * How much of @path exists inside the root, as a real path: "/var/run/data/x" with a link
 * /var/run -> /run gives "/run" and @ret_missing "/data/x".
 */
static int existing_part(int root_fd, const char *root, const char *path,
			 char real[static PATH_MAX], const char **ret_missing)
{
	char link[64], part[PATH_MAX];
	size_t len = strlen(path), root_len = strlen(root);
	ssize_t n;

	for (;;) {
		_cleanup_close_ int fd = -1;

		(void)snprintf(part, sizeof(part), "%.*s", (int)len, path);
		fd = sk_open_in_root(root_fd, len ? part : "/", O_PATH | O_DIRECTORY);
		if (fd >= 0) {
			(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
			n = readlink(link, real, PATH_MAX - 1);
			break;
		}
		if (fd != -ENOENT || len == 0)
			return fd;
		while (len > 0 && path[--len] != '/')
			;
	}
	if (n < (ssize_t)root_len)
		return -ELOOP;
	real[n] = '\0';
	memmove(real, real + root_len, (size_t)n - root_len + 1);
	*ret_missing = path + len;
	return 0;
}

/* Make @path and the folders above it below @base, owned by the capsule's root. */
static int skel_add(const char *base, const char *path, uint32_t uid)
{
	char full[PATH_MAX];
	size_t base_len = strlen(base);

	if (snprintf(full, sizeof(full), "%s%s", base, path) >= (int)sizeof(full))
		return -ENAMETOOLONG;
	for (char *p = full + base_len + 1;; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(full, 0755) < 0 && errno != EEXIST)
			return -errno;
		if (lchown(full, uid, uid) < 0)
			return -errno;
		*p = c;
		if (c == '\0')
			return 0;
	}
}

/* Fill skel/ with the mount points that the image lacks. Return: how many, or -errno */
static int make_skel(const struct sk_rootfs *r, const char *root, char *const *targets,
		     struct sk_err *err)
{
	_cleanup_close_ int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char real[PATH_MAX], skel[PATH_MAX], full[PATH_MAX];
	int e = root_fd < 0 ? -errno : rootfs_make_dir(skel, r->dir, "skel"), missing = 0;

	if (e == 0 && (chmod(skel, 0755) < 0 || lchown(skel, r->uid_base, r->uid_base) < 0))
		e = -errno;
	if (e < 0)
		return fail(err, e, "make mount points in", r->dir);
	SK_STRV_FOREACH (t, targets) {
		const char *lacking = NULL;

		e = existing_part(root_fd, root, *t, real, &lacking);
		if (e == -ENOTDIR || e == -ELOOP)
			return sk_err_set(err, e, "bad-image",
					  "the image has something else where the folder %s "
					  "is needed",
					  *t);
		if (e == 0 && !*lacking)
			continue;
		if (e == 0 && snprintf(full, sizeof(full), "%s%s", real, lacking) >= PATH_MAX)
			e = -ENAMETOOLONG;
		if (e == 0)
			e = skel_add(skel, full, r->uid_base);
		if (e < 0)
			return fail(err, e, "make the mount point", *t);
		missing++;
	}
	return missing;
}

/* The overlay goes over its own lower layer: the path is resolved before it is covered. */
static int mount_overlay(const char *const *options, uint64_t attr, const char *root)
{
	_cleanup_close_ int fd = sk_fs_mount("overlay", options, attr);

	return fd < 0 ? fd : sk_mount_attach(fd, root);
}

static int make_upper(const struct sk_rootfs *r, char upper[static PATH_MAX],
		      char work[static PATH_MAX])
{
	int e = sk_mkdir_p(AT_FDCWD, r->upper_dir, 0700);

	if (e == 0)
		e = rootfs_make_dir(upper, r->upper_dir, "upper");
	if (e == 0)
		e = rootfs_make_dir(work, r->upper_dir, "work");
	if (e == 0 && (chmod(upper, 0755) < 0 || lchown(upper, r->uid_base, r->uid_base) < 0))
		e = -errno;
	return e;
}

int sk_rootfs_add_layers(const struct sk_rootfs *r, char *const *targets, struct sk_err *err)
{
	char root[PATH_MAX], skel[PATH_MAX], upper[PATH_MAX], work[PATH_MAX];
	_cleanup_free_ char *lower = NULL;
	int missing, e;

	if (join(root, r->dir, "rootfs") < 0 || join(skel, r->dir, "skel") < 0)
		return fail(err, -ENAMETOOLONG, "mount in", r->dir);
	missing = make_skel(r, root, targets, err);
	if (missing < 0 || (missing == 0 && !r->upper_dir))
		return SK_MIN(missing, 0);
	lower = sk_asprintf("%s%s%s", missing ? skel : "", missing ? ":" : "", root);
	if (!lower)
		return sk_err_oom(err);
	if (r->upper_dir) {
		e = make_upper(r, upper, work);
		if (e == 0)
			e = mount_overlay((const char *const[]){ "lowerdir", lower, "upperdir",
								 upper, "workdir", work, NULL },
					  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, root);
	} else {
		/* Without an upper layer an overlay needs two lower ones, which it has here. */
		e = mount_overlay((const char *const[]){ "lowerdir", lower, NULL }, IMAGE_ATTR,
				  root);
	}
	return e < 0 ? fail(err, e, "lay a layer over", root) : 0;
}

/* A new persistent folder belongs to the user that the app runs as. */
static int make_volume(const char *path, uid_t uid, gid_t gid)
{
	struct stat st;

	if (stat(path, &st) == 0)
		return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	if (errno != ENOENT)
		return -errno;
	if (mkdir(path, 0755) < 0 || chown(path, uid, gid) < 0)
		return -errno;
	return 0;
}

static int mount_volume(const struct sk_rootfs *r, const char *source, const char *target,
			bool read_only, const struct sk_user *owner)
{
	uint64_t attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (read_only ? MOUNT_ATTR_RDONLY : 0);
	_cleanup_close_ int fd = -1;
	int e;

	if (r->userns_fd >= 0) {
		e = make_volume(source, owner->uid, owner->gid);
		fd = e < 0 ? e : sk_idmap_clone(AT_FDCWD, source, r->userns_fd, attr);
	}
	if (fd < 0) {
		/* Ids cannot be mapped here: the folder itself is handed over to the range. */
		e = make_volume(source, owner->uid, owner->gid);
		if (e == 0 && chown(source, r->uid_base + owner->uid, r->uid_base + owner->gid) < 0)
			e = -errno;
		fd = e < 0 ? e : sk_idmap_clone(AT_FDCWD, source, -1, attr);
	}
	return fd < 0 ? fd : sk_mount_attach(fd, target);
}

int sk_rootfs_mount_volumes(const struct sk_rootfs *r, const struct sk_app *app,
			    const struct sk_user *owner, struct sk_err *err)
{
	char base[PATH_MAX], source[PATH_MAX], target[PATH_MAX], name[32];
	int e = 0;

	if (app->n_volumes == 0)
		return 0;
	/* Only root may look in: what lies there has the ids of the capsule's inside. */
	if (!sk_name_ok(app->name))
		return sk_err_set(err, -EINVAL, "bad-name", "\"%.64s\" is no name", app->name);
	e = join(base, r->volume_dir, app->name);
	if (e == 0)
		e = sk_mkdir_p(AT_FDCWD, base, 0700);
	if (e == 0)
		e = rootfs_make_dir(target, r->dir, "vol");
	if (e < 0)
		return fail(err, e, "make", base);
	for (size_t i = 0; i < app->n_volumes; i++) {
		const struct sk_volume *v = &app->volumes[i];

		if (!sk_name_ok(v->name))
			return sk_err_set(err, -EINVAL, "bad-name", "\"%.64s\" is no name",
					  v->name);
		(void)snprintf(name, sizeof(name), "vol/%zu", i);
		e = join(source, base, v->name);
		if (e == 0)
			e = rootfs_make_dir(target, r->dir, name);
		if (e == 0)
			e = mount_volume(r, source, target, v->read_only, owner);
		if (e < 0)
			return fail(err, e, "mount the persistent folder", v->name);
	}
	return 0;
}

/* A node of our own with the same numbers: the host's keeps its owner and mode. */
static int make_node(const char *path, const struct sk_device_grant *d, uid_t uid, gid_t gid)
{
	mode_t mode = (strchr(d->mode, 'r') ? 0440 : 0) | (strchr(d->mode, 'w') ? 0220 : 0);
	struct stat st;

	if (stat(d->path, &st) < 0)
		return -errno;
	if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
		return -ENODEV;
	if (mknod(path, (st.st_mode & S_IFMT) | mode, st.st_rdev) < 0 ||
	    lchown(path, uid, gid) < 0 || chmod(path, mode) < 0)
		return -errno;
	return 0;
}

int sk_rootfs_make_devices(const struct sk_rootfs *r, const struct sk_app *app,
			   const struct sk_user *owner, struct sk_err *err)
{
	static const char *const options[] = { "size", "64k", "mode", "0711", NULL };
	_cleanup_close_ int fd = -1;
	char dir[PATH_MAX], path[PATH_MAX], name[32];
	int e;

	if (app->n_devices == 0)
		return 0;
	e = rootfs_make_dir(dir, r->dir, "dev");
	fd = e < 0 ? e : sk_fs_mount("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	e = fd < 0 ? fd : sk_mount_attach(fd, dir);
	if (e < 0)
		return fail(err, e, "mount device nodes at", dir);
	for (size_t i = 0; i < app->n_devices; i++) {
		const struct sk_device_grant *d = &app->devices[i];

		(void)snprintf(name, sizeof(name), "%zu", i);
		e = join(path, dir, name);
		if (e == 0)
			e = make_node(path, d, r->uid_base + owner->uid, r->uid_base + owner->gid);
		if (e == -ENOENT)
			return sk_err_set(err, e, "not-found", "this device has no %s", d->path);
		if (e < 0)
			return fail(err, e, "grant the device", d->path);
	}
	return 0;
}

const char *sk_mountinfo_path(const char *line, char *buf, size_t size)
{
	size_t n = 0;

	for (int field = 0; field < 4; field++) {
		line += strcspn(line, " \n");
		if (*line++ != ' ')
			return "";
	}
	for (; *line && *line != ' ' && *line != '\n' && n + 1 < size; n++) {
		const char *d = line + 1;

		if (*line == '\\' && d[0] >= '0' && d[0] <= '3' && d[1] >= '0' && d[1] <= '7' &&
		    d[2] >= '0' && d[2] <= '7') {
			buf[n] = (char)((d[0] - '0') << 6 | (d[1] - '0') << 3 | (d[2] - '0'));
			line += 4;
		} else {
			buf[n] = *line++;
		}
	}
	buf[n] = '\0';
	return *line == ' ' ? buf : "";
}

/* Unmount the last one below @dir. Return: 1 when there was one, 0 when not, or -errno */
static int umount_last(const char *dir)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX], last[PATH_MAX] = "";
	size_t len = strlen(dir);
	int r = sk_file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL);

	if (r < 0)
		return r;
	for (const char *line = text; *line;) {
		const char *at = sk_mountinfo_path(line, path, sizeof(path));

		if (strncmp(at, dir, len) == 0 && at[len] == '/')
			memcpy(last, path, sizeof(last));
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	if (!*last)
		return 0;
	if (umount2(last, UMOUNT_NOFOLLOW) == 0)
		return 1;
	/* Still in use somewhere: it goes away with its last user. */
	return umount2(last, UMOUNT_NOFOLLOW | MNT_DETACH) < 0 ? -errno : 1;
}

int sk_rootfs_umount(const char *dir)
{
	int r = 1;

	for (int i = 0; r > 0 && i < UMOUNT_ROUNDS; i++)
		r = umount_last(dir);
	return r > 0 ? -EBUSY : r;
}
