/* SPDX-License-Identifier: Apache-2.0 */
#include "io/image/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/file.h"
#include "base/str.h"
#include "io/image/tree_private.h"

#define RETRIES 1000

static int bad_path(struct sk_err *err, const char *path, const char *why)
{
	return sk_err_set(err, -EBADMSG, "bad-archive", "%.200s: %s", path, why);
}

int sk_tree_failed(struct sk_err *err, int r, const char *path)
{
	if (r == -ENOMEM)
		return sk_err_oom(err);
	if (r == -ENOSPC || r == -EDQUOT)
		return sk_err_set(err, r, "no-space", "%.200s: no space to unpack it", path);
	if (r == -ENOTDIR || r == -ENAMETOOLONG || r == -EXDEV || r == -ELOOP || r == -EEXIST)
		return bad_path(err, path, strerror(-r));
	return sk_err_set(err, r, "io", "%.200s: %s", path, strerror(-r));
}

int sk_tree_open(const char *root, bool own, struct sk_tree **ret, struct sk_err *err)
{
	_cleanup_(sk_tree_freep) struct sk_tree *t = calloc(1, sizeof(*t));

	if (!t)
		return sk_err_oom(err);
	t->own = own;
	t->root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->root_fd < 0)
		return sk_err_set(err, -errno, "io", "%s: %s", root, strerror(errno));
	if (!own) {
		t->owners = sk_map_new(free);
		if (!t->owners)
			return sk_err_oom(err);
	}
	*ret = TAKE_PTR(t);
	return 0;
}

void sk_tree_free(struct sk_tree *t)
{
	if (!t)
		return;
	sk_closep(&t->root_fd);
	sk_map_freep(&t->owners);
	free(t);
}

int64_t sk_tree_newest(const struct sk_tree *t)
{
	return t->newest_s;
}

/* Appends one part to the clean path of @len bytes. Return: the new length or "bad-archive". */
static int add_part(const char *name, const char *part, size_t n, char *buf, size_t len,
		    struct sk_err *err)
{
	if (n == 2 && part[0] == '.' && part[1] == '.')
		return bad_path(err, name, "a name with \"..\" could leave the root");
	if (n > NAME_MAX)
		return bad_path(err, name, "a part of the name has over 255 bytes");
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)part[i] < ' ' || part[i] == 0x7f)
			return bad_path(err, name, "the name has control characters");
	if (len + n + 2 > PATH_MAX)
		return bad_path(err, name, "the name has over 4095 bytes");
	if (len > 0)
		buf[len++] = '/';
	memcpy(buf + len, part, n);
	return (int)(len + n);
}

int sk_tree_path(const char *name, char *buf, struct sk_err *err)
{
	const char *part = name;
	int len = 0, depth = 0;

	/* Some builders name the root itself "/". */
	if (name[0] == '/' && name[1] != '\0')
		return bad_path(err, name, "the name is absolute");
	while (*part) {
		size_t n = strcspn(part, "/");

		if (n > 0 && !(n == 1 && part[0] == '.')) {
			len = add_part(name, part, n, buf, (size_t)len, err);
			if (len < 0)
				return len;
			if (++depth > SK_TREE_DEPTH_MAX)
				return bad_path(err, name, "over 100 folders deep");
		}
		part += n + (part[n] == '/');
	}
	buf[len] = '\0';
	return 0;
}

/*
 * EAGAIN: a rename or mount on this machine raced with a ".." of the way. The kernel cannot decide it now; the
 * next try can.
 */
static int open_beneath(const struct sk_tree *t, const char *path, uint64_t resolve)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | resolve,
	};
	long fd = -1;

	for (int i = 0; i < RETRIES; i++) {
		fd = syscall(SYS_openat2, t->root_fd, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return fd < 0 ? -errno : (int)fd;
}

/* The length, at most PATH_MAX - 1, or -errno. */
static ssize_t read_fd_path(int fd, char buf[static PATH_MAX])
{
	char link[64];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, buf, PATH_MAX - 1);
	return n < 0 ? -errno : n;
}

/*
 * A way over symlinks may lead deeper than its name shows. A tree that deep could not be removed again, so it
 * is refused as a deep name is.
 */
static int tree_check_depth(const struct sk_tree *t, int fd)
{
	char real[PATH_MAX], root[PATH_MAX];
	ssize_t n = read_fd_path(fd, real), root_n = read_fd_path(t->root_fd, root);
	int depth = 0;

	if (n < 0 || root_n < 0)
		return (int)SK_MIN(n, root_n);
	if (n < root_n || n > PATH_MAX - NAME_MAX - 2)
		return -ENAMETOOLONG;
	for (ssize_t i = root_n; i < n; i++)
		depth += real[i] == '/';
	return depth >= SK_TREE_DEPTH_MAX ? -ENAMETOOLONG : 0;
}

/* The folder at @path below the root, O_PATH. "" is the root. */
static int open_dir(const struct sk_tree *t, const char *path)
{
	int fd = open_beneath(t, *path ? path : ".", RESOLVE_NO_SYMLINKS), r;

	if (fd != -ELOOP)
		return fd;
	fd = open_beneath(t, path, 0);
	if (fd < 0)
		return fd;
	r = tree_check_depth(t, fd);
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	return fd;
}

/*
 * Where an entry really lies, below the root: its name may lead over symlinks. @base "" with the
 * root's own descriptor is the root.
 */
static int real_path(const struct sk_tree *t, int parent, const char *base,
		     char buf[static PATH_MAX])
{
	char real[PATH_MAX], root[PATH_MAX];
	ssize_t n = read_fd_path(parent, real), root_n = read_fd_path(t->root_fd, root);

	if (n < 0 || root_n < 0)
		return (int)SK_MIN(n, root_n);
	if (n < root_n)
		return -EXDEV;
	real[n] = '\0';
	/* Less the slash after the root's path. */
	if (snprintf(buf, PATH_MAX, "%s%s%s", n > root_n ? real + root_n + 1 : "",
		     n > root_n ? "/" : "", base) >= PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

/* Without own: writes the definition of @base in @parent by which mksquashfs sets its owner. */
static int remember(struct sk_tree *t, int parent, const char *base, const struct sk_tree_meta *m)
{
	struct sk_tree_meta *copy;
	char path[PATH_MAX];
	int r;

	if (t->own)
		return 0;
	r = real_path(t, parent, base, path);
	if (r < 0)
		return r;
	copy = sk_map_get(t->owners, path);
	if (copy) {
		*copy = *m;
		return 0;
	}
	copy = malloc(sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	*copy = *m;
	r = sk_map_add(t->owners, path, copy);
	if (r < 0)
		free(copy);
	return r;
}

static int make_dir(struct sk_tree *t, const char *path);

/* Splits @path: its folder opened, its last part in @ret_base (a pointer into @path). */
static int open_parent(struct sk_tree *t, const char *path, bool make, const char **ret_base)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX] = "";
	int fd;

	*ret_base = slash ? slash + 1 : path;
	if (slash)
		(void)snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
	fd = open_dir(t, parent);
	if (fd != -ENOENT || !make)
		return fd;
	fd = make_dir(t, parent);
	return fd < 0 ? fd : open_dir(t, parent);
}

/*
 * A folder that the archive uses but does not list: as Docker does, 0755 of root. ENOENT with the
 * name there is a symlink to nowhere. Recursion is bounded by SK_TREE_DEPTH_MAX.
 */
static int make_dir(struct sk_tree *t, const char *path) /* NOLINT(misc-no-recursion) */
{
	const struct sk_tree_meta m = { .mode = 0755 };
	const char *base;
	_cleanup_close_ int fd = open_parent(t, path, true, &base);

	if (fd < 0)
		return fd;
	if (mkdirat(fd, base, 0755) < 0)
		return -errno;
	if (t->own && fchownat(fd, base, 0, 0, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (fchmodat(fd, base, 0755, 0) < 0)
		return -errno;
	return remember(t, fd, base, &m);
}

static int parent_failed(int r, const char *path, struct sk_err *err)
{
	if (r == -EXDEV)
		return bad_path(err, path, "a symlink on the way leads out of the root");
	if (r == -ELOOP || r == -EEXIST)
		return bad_path(err, path, "a symlink on the way leads nowhere");
	if (r == -ENOTDIR)
		return bad_path(err, path, "a file is used as a folder");
	if (r == -ENAMETOOLONG)
		return bad_path(err, path, "over 100 folders deep");
	if (r == -ENOSYS)
		return sk_err_set(err, r, "not-supported",
				  "this kernel lacks openat2(): Linux 5.6 or newer is needed");
	return sk_tree_failed(err, r, path);
}

/* chown before chmod: it clears set-user-id bits. @readable: bits that the caller needs. */
static int set_meta(const struct sk_tree *t, int fd, const struct sk_tree_meta *m, mode_t readable)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = m->mtime_s } };

	if (t->own && fchown(fd, m->uid, m->gid) < 0)
		return -errno;
	/* Without own the real mode is in the owners file; set-id bits would be the caller's. */
	if (fchmod(fd, t->own ? m->mode : (m->mode & 0777) | readable) < 0)
		return -errno;
	return futimens(fd, times) < 0 ? -errno : 0;
}

static int open_made_dir(int parent, const char *base)
{
	struct stat st;
	int fd;

	/* Anything but a folder makes way, a symlink to a folder too. */
	if (fstatat(parent, base, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode) &&
	    unlinkat(parent, base, 0) < 0)
		return -errno;
	if (mkdirat(parent, base, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(parent, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int sk_tree_add_dir(struct sk_tree *t, const char *path, const struct sk_tree_meta *m,
		    struct sk_err *err)
{
	_cleanup_close_ int parent = -1, fd = -1;
	const char *base;
	int r;

	parent = open_parent(t, path, true, &base);
	if (parent < 0)
		return parent_failed(parent, path, err);
	fd = open_made_dir(parent, *base ? base : ".");
	if (fd < 0)
		return sk_tree_failed(err, fd, path);
	r = set_meta(t, fd, m, 0700);
	if (r == 0)
		r = remember(t, parent, base, m);
	return r < 0 ? sk_tree_failed(err, r, path) : 0;
}

/* Opens the folder of @path and clears the place of its last part. */
static int clear_place(struct sk_tree *t, const char *path, int *ret_parent, const char **ret_base,
		       struct sk_err *err)
{
	_cleanup_close_ int parent = -1;
	int r;

	if (!*path)
		return bad_path(err, "/", "the root is not a folder in this archive");
	parent = open_parent(t, path, true, ret_base);
	if (parent < 0)
		return parent_failed(parent, path, err);
	r = sk_rm_rf(parent, *ret_base);
	if (r < 0)
		return sk_tree_failed(err, r, path);
	*ret_parent = TAKE_FD(parent);
	return 0;
}

int sk_tree_add_file(struct sk_tree *t, const char *path, const struct sk_tree_meta *m, int *ret_fd,
		     struct sk_err *err)
{
	_cleanup_close_ int parent = -1;
	const char *base;
	int fd, r;

	r = clear_place(t, path, &parent, &base, err);
	if (r < 0)
		return r;
	fd = openat(parent, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return sk_tree_failed(err, -errno, path);
	r = remember(t, parent, base, m);
	if (r < 0) {
		(void)close(fd);
		return sk_tree_failed(err, r, path);
	}
	*ret_fd = fd;
	return 0;
}

static void note_time(struct sk_tree *t, const struct sk_tree_meta *m)
{
	t->newest_s = SK_MAX(t->newest_s, m->mtime_s);
}

int sk_tree_end_file(struct sk_tree *t, int fd, const struct sk_tree_meta *m, struct sk_err *err)
{
	int r = set_meta(t, fd, m, 0600);

	note_time(t, m);
	return r < 0 ? sk_tree_failed(err, r, "a file") : 0;
}

int sk_tree_add_symlink(struct sk_tree *t, const char *path, const char *target,
			const struct sk_tree_meta *m, struct sk_err *err)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = m->mtime_s } };
	_cleanup_close_ int parent = -1;
	const char *base;
	int r;

	if (!*target || strlen(target) >= PATH_MAX)
		return bad_path(err, path, "a symlink has no target, or one over 4095 bytes");
	r = clear_place(t, path, &parent, &base, err);
	if (r < 0)
		return r;
	if (symlinkat(target, parent, base) < 0 ||
	    (t->own && fchownat(parent, base, m->uid, m->gid, AT_SYMLINK_NOFOLLOW) < 0) ||
	    utimensat(parent, base, times, AT_SYMLINK_NOFOLLOW) < 0)
		return sk_tree_failed(err, -errno, path);
	note_time(t, m);
	r = remember(t, parent, base, &(struct sk_tree_meta){ 0777, m->uid, m->gid, m->mtime_s });
	return r < 0 ? sk_tree_failed(err, r, path) : 0;
}

/* The new name of a file has the owner that the file has. */
static int remember_link(struct sk_tree *t, int from, const char *from_base, int to,
			 const char *to_base)
{
	const struct sk_tree_meta *m;
	struct sk_tree_meta copy;
	char path[PATH_MAX];
	int r;

	if (t->own)
		return 0;
	r = real_path(t, from, from_base, path);
	if (r < 0)
		return r;
	m = sk_map_get(t->owners, path);
	if (!m)
		return -ENOENT;
	copy = *m; /* adding may move what the map holds */
	return remember(t, to, to_base, &copy);
}

int sk_tree_add_hardlink(struct sk_tree *t, const char *path, const char *target,
			 struct sk_err *err)
{
	_cleanup_close_ int from = -1, to = -1;
	const char *from_base, *to_base;
	struct stat st;
	int r;

	if (sk_streq(path, target))
		return bad_path(err, path, "is a hard link to itself");
	from = open_parent(t, target, false, &from_base);
	if (from < 0 && from != -ENOENT)
		return parent_failed(from, target, err);
	if (from < 0 || fstatat(from, from_base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return bad_path(err, path, "is a hard link to something that is not there");
	if (!S_ISREG(st.st_mode))
		return bad_path(err, path, "is a hard link to something other than a file");
	r = clear_place(t, path, &to, &to_base, err);
	if (r < 0)
		return r;
	/* Clearing the place may have taken the target away: a link over its own folder. */
	if (linkat(from, from_base, to, to_base, 0) < 0)
		return errno == ENOENT ? bad_path(err, path, "is a hard link into what it replaces")
				       : sk_tree_failed(err, -errno, path);
	r = remember_link(t, from, from_base, to, to_base);
	return r < 0 ? sk_tree_failed(err, r, path) : 0;
}

static int remove_children(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!dir) {
		r = -errno;
		sk_closep(&fd);
		return r;
	}
	while (r == 0 && (errno = 0, e = readdir(dir)))
		if (!sk_streq(e->d_name, ".") && !sk_streq(e->d_name, ".."))
			r = sk_rm_rf(dirfd(dir), e->d_name);
	if (r == 0 && errno != 0)
		r = -errno;
	(void)closedir(dir);
	return r;
}

int sk_tree_remove_children(struct sk_tree *t, const char *path, struct sk_err *err)
{
	_cleanup_close_ int fd = open_dir(t, path);
	int r;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return parent_failed(fd, path, err);
	r = remove_children(fd);
	return r < 0 ? sk_tree_failed(err, r, path) : 0;
}

int sk_tree_remove(struct sk_tree *t, const char *path, struct sk_err *err)
{
	_cleanup_close_ int parent = -1;
	const char *base;
	int r;

	if (!*path)
		return bad_path(err, "/", "a whiteout of the root");
	parent = open_parent(t, path, false, &base);
	if (parent == -ENOENT)
		return 0;
	if (parent < 0)
		return parent_failed(parent, path, err);
	r = sk_rm_rf(parent, base);
	return r < 0 ? sk_tree_failed(err, r, path) : 0;
}
