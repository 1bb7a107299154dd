/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "io/image/archive.h"
#include "io/image/tree.h"

/* Files of this machine into an unpacked root, through tree.c: the image's symlinks are hostile. */

struct copying {
	struct sk_tree *tree;
	int64_t epoch_s;
	const char *root; /* its path, for looking only */
	struct sk_err *err;
};

static int copy_failed(const struct copying *c, int code, const char *path)
{
	return sk_err_set(c->err, -code, code == ENOENT ? "not-found" : "io", "%s: %s", path,
			  strerror(code));
}

static int copy_file(const struct copying *c, const char *source, const char *target, mode_t mode)
{
	const struct sk_tree_meta m = { .mode = mode & 0100 ? 0755 : 0644, .mtime_s = c->epoch_s };
	_cleanup_close_ int from = open(source, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	_cleanup_close_ int to = -1;
	int r;

	if (from < 0)
		return copy_failed(c, errno, source);
	r = sk_tree_add_file(c->tree, target, &m, &to, c->err);
	if (r < 0)
		return r;
	r = sk_fd_copy(from, to, UINT64_MAX, NULL, NULL);
	if (r < 0)
		return sk_err_set(c->err, r, r == -ENOSPC ? "no-space" : "io", "%s: %s", source,
				  strerror(-r));
	return sk_tree_end_file(c->tree, to, &m, c->err);
}

static int copy_symlink(const struct copying *c, const char *source, const char *target)
{
	const struct sk_tree_meta m = { .mode = 0777, .mtime_s = c->epoch_s };
	char link[PATH_MAX];
	ssize_t n = readlink(source, link, sizeof(link) - 1);

	if (n < 0)
		return copy_failed(c, errno, source);
	link[n] = '\0';
	return sk_tree_add_symlink(c->tree, target, link, &m, c->err);
}

static int copy_any(const struct copying *c, const char *source, const char *target);

static int copy_child(const struct copying *c, const char *source, const char *target,
		      const char *name)
{
	char from[PATH_MAX], to[PATH_MAX], clean[PATH_MAX];
	int r;

	if (snprintf(from, sizeof(from), "%s/%s", source, name) >= (int)sizeof(from) ||
	    snprintf(to, sizeof(to), "%s%s%s", target, *target ? "/" : "", name) >= (int)sizeof(to))
		return copy_failed(c, ENAMETOOLONG, name);
	r = sk_tree_path(to, clean, c->err);
	return r < 0 ? r : copy_any(c, from, clean);
}

/* NOLINTNEXTLINE(misc-no-recursion): sk_tree_path() bounds the depth */
static int copy_dir(const struct copying *c, const char *source, const char *target)
{
	const struct sk_tree_meta m = { .mode = 0755, .mtime_s = c->epoch_s };
	struct dirent *e;
	DIR *dir;
	int r;

	r = sk_tree_add_dir(c->tree, target, &m, c->err);
	if (r < 0)
		return r;
	dir = opendir(source);
	if (!dir)
		return copy_failed(c, errno, source);
	while (r == 0 && (errno = 0, e = readdir(dir)))
		if (!sk_streq(e->d_name, ".") && !sk_streq(e->d_name, ".."))
			r = copy_child(c, source, target, e->d_name);
	if (r == 0 && errno != 0)
		r = copy_failed(c, errno, source);
	(void)closedir(dir);
	return r;
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static int copy_any(const struct copying *c, const char *source, const char *target)
{
	struct stat st;

	if (lstat(source, &st) < 0)
		return copy_failed(c, errno, source);
	if (S_ISDIR(st.st_mode))
		return copy_dir(c, source, target);
	if (S_ISLNK(st.st_mode))
		return copy_symlink(c, source, target);
	if (S_ISREG(st.st_mode))
		return copy_file(c, source, target, st.st_mode);
	return sk_err_set(c->err, -EINVAL, "bad-value", "%s is neither a file nor a folder",
			  source);
}

/* One round of additions to the rootfs of @work_dir, from opening the tree to telling owners. */
static int add_to(const char *work_dir, const char *owners, int64_t epoch_s,
		  int (*add)(const struct copying *c, const void *arg), const void *arg,
		  struct sk_err *err)
{
	_cleanup_(sk_tree_freep) struct sk_tree *tree = NULL;
	_cleanup_free_ char *root = sk_asprintf("%s/rootfs", work_dir);
	struct copying c = { .epoch_s = epoch_s, .root = root, .err = err };
	int r;

	if (!root)
		return sk_err_oom(err);
	r = sk_tree_open(root, owners == NULL, &tree, err);
	if (r < 0)
		return r;
	c.tree = tree;
	r = add(&c, arg);
	if (r == 0)
		r = sk_tree_end(tree, epoch_s, err);
	return r < 0 || !owners ? r : sk_tree_write_owners(tree, owners, err);
}

static int add_copy(const struct copying *c, const void *arg)
{
	const struct sk_copy *copy = arg;
	char target[PATH_MAX];
	int r = sk_tree_path(copy->target + strspn(copy->target, "/"), target, c->err);

	return r < 0 ? r : copy_any(c, copy->source, target);
}

int sk_archive_copy_in(const char *work_dir, const struct sk_copy *copy, const char *owners,
		       int64_t epoch_s, struct sk_err *err)
{
	return add_to(work_dir, owners, epoch_s, add_copy, copy, err);
}

static const struct {
	const char *path;
	mode_t mode;
} places[] = {
	{ "dev", 0755 }, { "proc", 0755 }, { "run", 0755 }, { "sys", 0755 }, { "tmp", 01777 },
};

/* Any entry of that name counts, also a symlink that leads nowhere: an image's own file is never changed. */
static bool is_there(const char *root, const char *path)
{
	_cleanup_free_ char *full = sk_asprintf("%s/%s", root, path);
	struct stat st;

	return !full || lstat(full, &st) == 0;
}

struct text {
	const char *path, *text;
};

static int add_text(const struct copying *c, const void *arg)
{
	const struct sk_tree_meta m = { .mode = 0644, .mtime_s = c->epoch_s };
	const struct text *t = arg;
	_cleanup_close_ int fd = -1;
	int r;

	if (is_there(c->root, t->path))
		return 0;
	r = sk_tree_add_file(c->tree, t->path, &m, &fd, c->err);
	if (r < 0)
		return r;
	r = sk_fd_write(fd, t->text, strlen(t->text));
	if (r < 0)
		return copy_failed(c, -r, t->path);
	return sk_tree_end_file(c->tree, fd, &m, c->err);
}

static int add_places(const struct copying *c, const void *arg)
{
	static const struct text files[] = { { "etc/hosts", "" }, { "etc/resolv.conf", "" } };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(places); i++) {
		const struct sk_tree_meta m = { .mode = places[i].mode, .mtime_s = c->epoch_s };

		if (!is_there(c->root, places[i].path))
			r = sk_tree_add_dir(c->tree, places[i].path, &m, c->err);
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
		r = add_text(c, &files[i]);
	return r;
}

int sk_archive_add_places(const char *work_dir, const char *owners, int64_t epoch_s,
			  struct sk_err *err)
{
	return add_to(work_dir, owners, epoch_s, add_places, NULL, err);
}

int sk_archive_add_text(const char *work_dir, const char *path, const char *text,
			const char *owners, int64_t epoch_s, struct sk_err *err)
{
	const struct text t = { path, text };

	return add_to(work_dir, owners, epoch_s, add_text, &t, err);
}

int sk_archive_write_places(const char *root, const char *owners, struct sk_err *err)
{
	char text[256] = "";
	size_t len = 0;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (!is_there(root, places[i].path))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s d %o 0 0\n",
						places[i].path, (unsigned)places[i].mode);
	r = sk_file_write(AT_FDCWD, owners, text, len, 0600);
	return r < 0 ? sk_err_set(err, r, "io", "%s: %s", owners, strerror(-r)) : 0;
}
