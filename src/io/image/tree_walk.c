/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/str.h"
#include "io/image/tree_private.h"

/* Walks over a tree that tree.c made: at most SK_TREE_DEPTH_MAX deep, names already checked. */

struct walk {
	int (*each)(struct walk *w, int dirfd, const char *name, const struct stat *st);
	int64_t epoch_s;
	char path[PATH_MAX]; /* of the entry, below the root */
	size_t len;
	struct sk_tree *tree;
	FILE *out;
};

static int walk_dir(struct walk *w, int fd);

/* @name below @dirfd: its children first, so that a folder's own time stamp is set last. */
static int walk_entry(struct walk *w, int dirfd, const char *name) /* NOLINT(misc-no-recursion) */
{
	size_t before = w->len;
	struct stat st;
	int r = 0;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (before + strlen(name) + 2 > sizeof(w->path))
		return -ENAMETOOLONG;
	w->len += (size_t)sprintf(w->path + w->len, "%s%s", w->len > 0 ? "/" : "", name);
	if (S_ISDIR(st.st_mode)) {
		int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		r = fd < 0 ? -errno : walk_dir(w, fd);
	}
	if (r == 0)
		r = w->each(w, dirfd, name, &st);
	w->len = before;
	w->path[before] = '\0';
	return r;
}

/* Takes @fd. */
static int walk_dir(struct walk *w, int fd) /* NOLINT(misc-no-recursion) */
{
	DIR *dir = fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!dir) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, e = readdir(dir)))
		if (!sk_streq(e->d_name, ".") && !sk_streq(e->d_name, ".."))
			r = walk_entry(w, dirfd(dir), e->d_name);
	if (r == 0 && errno != 0)
		r = -errno;
	(void)closedir(dir);
	return r;
}

static int walk_all(struct walk *w)
{
	int fd = openat(w->tree->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : walk_dir(w, fd);
}

static int set_time(struct walk *w, int dirfd, const char *name, const struct stat *st)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = w->epoch_s } };

	if (!S_ISDIR(st->st_mode) && st->st_mtim.tv_sec <= w->epoch_s)
		return 0;
	return utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int sk_tree_end(struct sk_tree *t, int64_t epoch_s, struct sk_err *err)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = epoch_s } };
	struct walk w = { .each = set_time, .epoch_s = epoch_s, .tree = t };
	int r = walk_all(&w);

	if (r == 0 && futimens(t->root_fd, times) < 0)
		r = -errno;
	return r < 0 ? sk_tree_failed(err, r, w.path) : 0;
}

/*
 * mksquashfs reads its definitions word by word: blanks, quotes and backslashes of a name are
 * escaped. Control characters were refused on the way in.
 */
static void print_owner(FILE *out, const char *path, const struct sk_tree_meta *m)
{
	for (const char *p = path; *p; p++) {
		if (strchr(" \"\\#", *p))
			(void)fputc('\\', out);
		(void)fputc(*p, out);
	}
	(void)fprintf(out, " m %o %" PRIu32 " %" PRIu32 "\n", (unsigned)m->mode, (uint32_t)m->uid,
		      (uint32_t)m->gid);
}

static int print_entry(struct walk *w, int dirfd, const char *name, const struct stat *st)
{
	const struct sk_tree_meta *m = sk_map_get(w->tree->owners, w->path);

	if (m)
		print_owner(w->out, w->path, m);
	return 0;
}

/* The path of a definition, as print_owner() wrote it; what follows it is left. */
static void read_path(const char *line, char *path, size_t size)
{
	size_t n = 0;

	for (; *line && *line != ' ' && n + 1 < size; line++) {
		if (*line == '\\' && line[1])
			line++;
		path[n++] = *line;
	}
	path[n] = '\0';
}

/* What earlier trees said of @file, less what this one says anew: mksquashfs takes one of each. */
static int copy_earlier(struct sk_tree *t, const char *file, FILE *out)
{
	_cleanup_free_ char *line = NULL;
	FILE *in = fopen(file, "re");
	char path[PATH_MAX];
	size_t cap = 0;
	int r;

	if (!in)
		return errno == ENOENT ? 0 : -errno;
	while (getline(&line, &cap, in) > 0) {
		if (sk_str_starts(line, "#root "))
			path[0] = '\0';
		else
			read_path(line, path, sizeof(path));
		if (!sk_map_get(t->owners, path))
			(void)fputs(line, out);
	}
	r = ferror(in) ? -EIO : 0;
	(void)fclose(in);
	return r;
}

static int print_owners(struct sk_tree *t, const char *file, FILE *out)
{
	const struct sk_tree_meta *root = sk_map_get(t->owners, "");
	struct walk w = { .each = print_entry, .tree = t, .out = out };
	int r = copy_earlier(t, file, out);

	if (r < 0)
		return r;
	/* mksquashfs takes no definition of the root: sk_rootfs_pack() makes options of this. */
	if (root)
		(void)fprintf(out, "#root %o %" PRIu32 " %" PRIu32 "\n", (unsigned)root->mode,
			      (uint32_t)root->uid, (uint32_t)root->gid);
	r = walk_all(&w);
	return r == 0 && ferror(out) ? -EIO : r;
}

int sk_tree_write_owners(struct sk_tree *t, const char *file, struct sk_err *err)
{
	_cleanup_free_ char *tmp = sk_asprintf("%s.new", file);
	FILE *out;
	int r;

	if (!tmp)
		return sk_err_oom(err);
	out = fopen(tmp, "we");
	if (!out)
		return sk_tree_failed(err, -errno, tmp);
	r = print_owners(t, file, out);
	if (fclose(out) != 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(tmp, file) < 0)
		r = -errno;
	if (r < 0)
		(void)unlink(tmp);
	return r < 0 ? sk_tree_failed(err, r, file) : 0;
}
