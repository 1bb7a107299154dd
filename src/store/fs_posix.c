/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fsverity.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

#define VERITY_BLOCK 4096

/*
 * fs-verity refuses a file that is open for writing, and a child between fork and exec holds copies of all
 * descriptors: try again.
 */
#define VERITY_TRIES   50
#define VERITY_WAIT_US 2000

struct posix_fs {
	struct sk_fs fs;
	int root;
	int dirs[SK_FS_DIRS];
};

#define LOCK_TRIES    20
#define LOCK_PAUSE_US 50000

static struct posix_fs *posix_of(struct sk_fs *fs)
{
	return sk_container_of(fs, struct posix_fs, fs);
}

static int dir_fd(struct sk_fs *fs, enum sk_fs_dir dir)
{
	return posix_of(fs)->dirs[dir];
}

/* A child of a daemon that was killed a moment ago may not have closed its copy yet: try for a second. */
static int posix_lock(struct sk_fs *fs)
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(posix_of(fs)->root, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK)
			return -errno;
		(void)usleep(LOCK_PAUSE_US);
	}
	return -EBUSY;
}

static int posix_mkdir(struct sk_fs *fs, enum sk_fs_dir dir)
{
	struct posix_fs *p = posix_of(fs);
	const char *name = sk_fs_dir_name(dir);

	if (mkdirat(p->root, name, 0700) == 0) {
		if (fsync(p->root) < 0)
			return -errno;
	} else if (errno != EEXIST) {
		return -errno;
	}
	p->dirs[dir] = openat(p->root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return p->dirs[dir] < 0 ? -errno : 0;
}

static int posix_open(struct sk_fs *fs, enum sk_fs_dir dir, const char *name, enum sk_fs_open how)
{
	static const int flags[] = {
		[SK_FS_READ] = O_RDONLY,
		[SK_FS_WRITE] = O_RDWR | O_CREAT,
		[SK_FS_CREATE] = O_RDWR | O_CREAT,
	};
	/* O_NONBLOCK: a FIFO that somebody put here must not hang the daemon. */
	_cleanup_close_ int fd =
		openat(dir_fd(fs, dir), name,
		       flags[how] | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (how == SK_FS_CREATE && ftruncate(fd, 0) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static void posix_close(struct sk_fs *fs, int fd)
{
	(void)close(fd);
}

static ssize_t posix_pread(struct sk_fs *fs, int fd, void *buf, size_t len, uint64_t offset)
{
	ssize_t n = TEMP_FAILURE_RETRY(pread(fd, buf, len, (off_t)offset));

	return n < 0 ? -errno : n;
}

static ssize_t posix_pwrite(struct sk_fs *fs, int fd, const void *buf, size_t len, uint64_t offset)
{
	ssize_t n = TEMP_FAILURE_RETRY(pwrite(fd, buf, len, (off_t)offset));

	return n < 0 ? -errno : n;
}

static int posix_truncate(struct sk_fs *fs, int fd, uint64_t size)
{
	return TEMP_FAILURE_RETRY(ftruncate(fd, (off_t)size)) < 0 ? -errno : 0;
}

static int posix_allocate(struct sk_fs *fs, int fd, uint64_t size)
{
	int r = TEMP_FAILURE_RETRY(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size));

	return r < 0 ? -errno : 0;
}

static void posix_flush_start(struct sk_fs *fs, int fd, uint64_t offset, uint64_t len)
{
	(void)sync_file_range(fd, (off_t)offset, (off_t)len, SYNC_FILE_RANGE_WRITE);
}

static void posix_reread(struct sk_fs *fs, int fd)
{
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int posix_fsync(struct sk_fs *fs, int fd)
{
	return fsync(fd) < 0 ? -errno : 0;
}

/* The errors by which a kernel or file system without fs-verity answers; any other one is a failure. */
static bool verity_absent(int code)
{
	return code == EOPNOTSUPP || code == ENOTTY || code == EINVAL || code == ENOSYS;
}

static int enable_verity(int fd)
{
	struct fsverity_enable_arg arg = {
		.version = 1,
		.hash_algorithm = FS_VERITY_HASH_ALG_SHA256,
		.block_size = VERITY_BLOCK,
	};

	for (int tries = 1;; tries++) {
		if (ioctl(fd, FS_IOC_ENABLE_VERITY, &arg) == 0 || errno == EEXIST ||
		    verity_absent(errno))
			return 0;
		if (errno != ETXTBSY || tries == VERITY_TRIES)
			return -errno;
		(void)usleep(VERITY_WAIT_US);
	}
}

static int posix_seal(struct sk_fs *fs, int fd, enum sk_fs_dir dir, const char *name)
{
	int r = fchmod(fd, 0444) < 0 || fsync(fd) < 0 ? -errno : 0;
	_cleanup_close_ int reader = -1;

	(void)close(fd);
	if (r < 0)
		return r;
	reader = posix_open(fs, dir, name, SK_FS_READ);
	return reader < 0 ? reader : enable_verity(reader);
}

static int posix_stat(struct sk_fs *fs, enum sk_fs_dir dir, const char *name,
		      struct sk_fs_stat *ret)
{
	struct stat st;

	if (fstatat(dir_fd(fs, dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*ret = (struct sk_fs_stat){
		.size_bytes = (uint64_t)st.st_size,
		.allocated_bytes = (uint64_t)st.st_blocks * 512,
		.regular = S_ISREG(st.st_mode),
		.sealed = !(st.st_mode & 0222),
	};
	return 0;
}

static int posix_rename(struct sk_fs *fs, enum sk_fs_dir from, const char *from_name,
			enum sk_fs_dir to, const char *to_name)
{
	return renameat(dir_fd(fs, from), from_name, dir_fd(fs, to), to_name) < 0 ? -errno : 0;
}

static int posix_unlink(struct sk_fs *fs, enum sk_fs_dir dir, const char *name)
{
	return unlinkat(dir_fd(fs, dir), name, 0) < 0 ? -errno : 0;
}

static int posix_list(struct sk_fs *fs, enum sk_fs_dir dir,
		      int (*each)(void *arg, const char *name), void *arg)
{
	int fd = openat(dir_fd(fs, dir), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d) {
		r = -errno;
		if (fd >= 0)
			(void)close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, e = readdir(d))) {
		if (!sk_streq(e->d_name, ".") && !sk_streq(e->d_name, ".."))
			r = each(arg, e->d_name);
	}
	if (r == 0 && !e && errno != 0)
		r = -errno;
	(void)closedir(d);
	return r;
}

static int posix_sync_dir(struct sk_fs *fs, enum sk_fs_dir dir)
{
	return fsync(dir_fd(fs, dir)) < 0 ? -errno : 0;
}

static int posix_space(struct sk_fs *fs, struct sk_fs_space *ret)
{
	struct statvfs v;

	if (fstatvfs(posix_of(fs)->root, &v) < 0)
		return -errno;
	*ret = (struct sk_fs_space){
		.free_bytes = (uint64_t)v.f_bavail * v.f_frsize,
		.total_bytes = (uint64_t)v.f_blocks * v.f_frsize,
	};
	return 0;
}

/* Not the root, which carries the lock: a child that had it would hold the lock after the daemon has ended. */
static size_t posix_fds(const struct sk_fs *fs, int *ret, size_t max)
{
	const struct posix_fs *p = sk_container_of(fs, const struct posix_fs, fs);
	size_t n = SK_MIN((size_t)SK_FS_DIRS, max);

	memcpy(ret, p->dirs, n * sizeof(*ret));
	return n;
}

static void posix_free(struct sk_fs *fs)
{
	struct posix_fs *p = posix_of(fs);

	for (int i = 0; i < SK_FS_DIRS; i++)
		if (p->dirs[i] >= 0)
			(void)close(p->dirs[i]);
	if (p->root >= 0)
		(void)close(p->root);
	free(p);
}

static const struct sk_fs_ops posix_ops = {
	.lock = posix_lock,
	.mkdir = posix_mkdir,
	.open = posix_open,
	.close = posix_close,
	.pread = posix_pread,
	.pwrite = posix_pwrite,
	.truncate = posix_truncate,
	.allocate = posix_allocate,
	.flush_start = posix_flush_start,
	.reread = posix_reread,
	.fsync = posix_fsync,
	.seal = posix_seal,
	.stat = posix_stat,
	.rename = posix_rename,
	.unlink = posix_unlink,
	.list = posix_list,
	.sync_dir = posix_sync_dir,
	.space = posix_space,
	.fds = posix_fds,
	.free = posix_free,
};

int sk_fs_posix_open(const char *path, struct sk_fs **ret)
{
	struct posix_fs *p;
	int r = sk_mkdir_p(AT_FDCWD, path, 0755);

	if (r < 0)
		return r;
	p = malloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->fs.ops = &posix_ops;
	for (int i = 0; i < SK_FS_DIRS; i++)
		p->dirs[i] = -1;
	p->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->root < 0) {
		r = -errno;
		posix_free(&p->fs);
		return r;
	}
	*ret = &p->fs;
	return 0;
}
