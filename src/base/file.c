/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/str.h"

#define COPY_CHUNK (256 * 1024)
#define DEPTH_MAX  128
#define TMP_TRIES  1000

int sk_fd_read(int fd, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(max);

	for (;;) {
		ssize_t n;
		size_t room = SK_MIN((size_t)COPY_CHUNK, max - b.len);
		char byte;

		if (sk_buf_reserve(&b, room) < 0)
			return -ENOMEM;
		/* At the bound, one byte more says whether the file ends here or is too large. */
		n = room > 0 ? read(fd, b.data + b.len, room) : read(fd, &byte, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		if (room == 0)
			return -EFBIG;
		b.len += (size_t)n;
	}
	b.data[b.len] = '\0';
	*ret = sk_buf_take(&b, ret_len);
	return *ret ? 0 : -ENOMEM;
}

int sk_file_read(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	/* A device or FIFO named by mistake or malice would never end. (/proc files are regular.) */
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	return sk_fd_read(fd, max, ret, ret_len);
}

int sk_fd_write(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The folder part of @path in @buf, "." when it has none. */
static const char *parent_of(const char *path, char buf[static PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return ".";
	(void)snprintf(buf, PATH_MAX, "%.*s", (int)SK_MAX(slash - path, 1), path);
	return buf;
}

int sk_dir_sync(int dirfd, const char *path)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

/* Return: 1 when @fd is the file of that name, it has no other name, and this user owns it; else 0 */
static int owns_tmp(int dirfd, const char *tmp, int fd)
{
	struct stat mine, there;

	if (fstat(fd, &mine) < 0)
		return -errno;
	if (fstatat(dirfd, tmp, &there, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return S_ISREG(mine.st_mode) && mine.st_nlink == 1 && mine.st_uid == geteuid() &&
	       mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

/* A link, a FIFO, a file with a second name, of another owner or not writable: to be removed, not taken over. */
static bool blocks_tmp(int dirfd, const char *tmp)
{
	struct stat st;

	return fstatat(dirfd, tmp, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode) &&
	       (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != geteuid() ||
		!(st.st_mode & S_IWUSR));
}

/*
 * Each file has one temporary name, so processes that were killed leave one such file at most, and the next write
 * takes it over. A writer locks it. A writer that waited for the lock checks that the file still has that name: the
 * one before has renamed it.
 */
static int open_tmp(int dirfd, const char *tmp)
{
	const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

	for (int tries = 0; tries < TMP_TRIES; tries++) {
		_cleanup_close_ int fd = openat(dirfd, tmp, flags, 0600);
		int r;

		if (fd < 0 && errno != EACCES && errno != ELOOP && errno != ENXIO)
			return -errno;
		if (fd >= 0 && TEMP_FAILURE_RETRY(flock(fd, LOCK_EX)) < 0)
			return -errno;
		r = fd < 0 ? 0 : owns_tmp(dirfd, tmp, fd);
		if (r < 0)
			return r;
		if (r > 0)
			return fchmod(fd, 0600) < 0 || ftruncate(fd, 0) < 0 ? -errno : TAKE_FD(fd);
		/* Neither taken over nor in the way: renamed by the writer before. Try again. */
		if (blocks_tmp(dirfd, tmp) && unlinkat(dirfd, tmp, 0) < 0 && errno != ENOENT)
			return -errno;
	}
	return -EBUSY;
}

static int fill(int fd, const void *data, size_t len, mode_t mode)
{
	int r = sk_fd_write(fd, data, len);

	if (r < 0)
		return r;
	return fchmod(fd, mode) < 0 || fsync(fd) < 0 ? -errno : 0;
}

int sk_file_write(int dirfd, const char *path, const void *data, size_t len, mode_t mode)
{
	char parent[PATH_MAX], tmp[PATH_MAX];
	_cleanup_close_ int fd = -1;
	int r;

	if (snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	fd = open_tmp(dirfd, tmp);
	if (fd < 0)
		return fd;
	r = fill(fd, data, len, mode);
	if (r == 0 && renameat(dirfd, tmp, dirfd, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dirfd, tmp, 0);
		return r;
	}
	return sk_dir_sync(dirfd, parent_of(path, parent));
}

int sk_fd_copy(int from, int to, uint64_t max, uint64_t *ret_len, struct sk_digest *ret_digest)
{
	_cleanup_(sk_hasher_freep) struct sk_hasher *h = ret_digest ? sk_hasher_new() : NULL;
	_cleanup_free_ char *chunk = malloc(COPY_CHUNK);
	uint64_t total = 0;
	int r;

	if (!chunk || (ret_digest && !h))
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(from, chunk, COPY_CHUNK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		if ((uint64_t)n > max - total)
			return -EFBIG;
		total += (uint64_t)n;
		r = h ? sk_hasher_add(h, chunk, (size_t)n) : 0;
		if (r == 0)
			r = sk_fd_write(to, chunk, (size_t)n);
		if (r < 0)
			return r;
	}
	if (ret_len)
		*ret_len = total;
	return h ? sk_hasher_end(h, ret_digest) : 0;
}

int sk_mkdir_p(int dirfd, const char *path, mode_t mode)
{
	_cleanup_free_ char *p = strdup(path);

	if (!p)
		return -ENOMEM;
	for (char *at = p + (*p == '/'); *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		if (*p && mkdirat(dirfd, p, mode) < 0 && errno != EEXIST)
			return -errno;
		*at = '/';
	}
	if (mkdirat(dirfd, p, mode) < 0) {
		struct stat st;

		if (errno != EEXIST)
			return -errno;
		if (fstatat(dirfd, p, &st, 0) < 0)
			return -errno;
		if (!S_ISDIR(st.st_mode))
			return -ENOTDIR;
	}
	return 0;
}

static int rm_tree(int parent_fd, const char *name, dev_t dev, int depth);

static int rm_children(int fd, dev_t dev, int depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!dir) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, e = readdir(dir))) {
		if (!sk_streq(e->d_name, ".") && !sk_streq(e->d_name, ".."))
			r = rm_tree(dirfd(dir), e->d_name, dev, depth + 1);
	}
	if (r == 0 && errno != 0)
		r = -errno;
	(void)closedir(dir);
	return r;
}

static int rm_tree(int parent_fd, const char *name, dev_t dev, int depth)
{
	struct stat st;
	int fd, r;

	if (depth > DEPTH_MAX)
		return -ELOOP;
	if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || (depth > 0 && st.st_dev != dev)) {
		(void)close(fd);
		return -EXDEV;
	}
	r = rm_children(fd, depth == 0 ? st.st_dev : dev, depth);
	if (r < 0)
		return r;
	return unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

int sk_rm_rf(int dirfd, const char *path)
{
	return rm_tree(dirfd, path, 0, 0);
}

bool sk_path_ok(const char *path)
{
	size_t len = strlen(path);
	const char *part = path;

	if (len == 0 || len >= PATH_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)path[i] < ' ')
			return false;
	for (;;) {
		size_t n = strcspn(part, "/");

		if (n == 0 || (n == 1 && part[0] == '.') ||
		    (n == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		if (!part[n])
			return true;
		part += n + 1;
	}
}

char *sk_path_folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
}

int sk_std_fds_open(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int flags = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", flags) < 0) /* takes the lowest */
			return -errno;
	}
	return 0;
}
