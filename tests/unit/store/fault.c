/* SPDX-License-Identifier: Apache-2.0 */
#include "fault.h"

#include <errno.h>
#include <stdlib.h>

struct fault_fs {
	struct sk_fs fs;
	struct sk_fs *real;
	struct fault_plan *plan;
};

#define REAL(fs) (sk_container_of(fs, struct fault_fs, fs)->real)

enum kind {
	READS,
	TAKES_ROOM,
	CHANGES,      /* but takes no room */
	MAKES_FOLDER, /* takes room, unless it is there, as on a read-only disk in use */
};

static bool counts(const struct fault_plan *p, enum kind kind)
{
	if (p->writes_only)
		return kind == TAKES_ROOM || kind == MAKES_FOLDER;
	return !p->read_only || kind == TAKES_ROOM || kind == CHANGES;
}

static int fault(struct sk_fs *fs, enum kind kind)
{
	struct fault_plan *p = sk_container_of(fs, struct fault_fs, fs)->plan;
	unsigned now;

	if (!counts(p, kind))
		return 0;
	now = p->seen++;
	return now == p->fail_at || (p->stay && now > p->fail_at) ? p->code : 0;
}

#define FORWARD(kind, op, ...)                                             \
	do {                                                               \
		int _r = fault(fs, kind);                                  \
		return _r ? _r : REAL(fs)->ops->op(REAL(fs), __VA_ARGS__); \
	} while (0)

static int f_lock(struct sk_fs *fs)
{
	int r = fault(fs, READS);

	return r ? r : REAL(fs)->ops->lock(REAL(fs));
}

static int f_mkdir(struct sk_fs *fs, enum sk_fs_dir dir)
{
	FORWARD(MAKES_FOLDER, mkdir, dir);
}

static int f_open(struct sk_fs *fs, enum sk_fs_dir dir, const char *name, enum sk_fs_open how)
{
	FORWARD(how == SK_FS_READ ? READS : TAKES_ROOM, open, dir, name, how);
}

static void f_close(struct sk_fs *fs, int fd)
{
	REAL(fs)->ops->close(REAL(fs), fd);
}

static ssize_t f_pread(struct sk_fs *fs, int fd, void *buf, size_t len, uint64_t offset)
{
	FORWARD(READS, pread, fd, buf, len, offset);
}

static ssize_t f_pwrite(struct sk_fs *fs, int fd, const void *buf, size_t len, uint64_t offset)
{
	FORWARD(TAKES_ROOM, pwrite, fd, buf, len, offset);
}

static int f_truncate(struct sk_fs *fs, int fd, uint64_t size)
{
	FORWARD(CHANGES, truncate, fd, size);
}

static int f_allocate(struct sk_fs *fs, int fd, uint64_t size)
{
	const struct fault_plan *p = sk_container_of(fs, struct fault_fs, fs)->plan;

	if (p->allocate == 0)
		return -EOPNOTSUPP;
	(void)REAL(fs)->ops->allocate(REAL(fs), fd, size);
	return p->allocate;
}

static void f_flush_start(struct sk_fs *fs, int fd, uint64_t offset, uint64_t len)
{
}

static void f_reread(struct sk_fs *fs, int fd)
{
	REAL(fs)->ops->reread(REAL(fs), fd);
}

static int f_fsync(struct sk_fs *fs, int fd)
{
	FORWARD(TAKES_ROOM, fsync, fd);
}

static int f_seal(struct sk_fs *fs, int fd, enum sk_fs_dir dir, const char *name)
{
	int r = fault(fs, CHANGES);

	if (r == 0)
		return REAL(fs)->ops->seal(REAL(fs), fd, dir, name);
	f_close(fs, fd);
	return r;
}

static int f_stat(struct sk_fs *fs, enum sk_fs_dir dir, const char *name, struct sk_fs_stat *ret)
{
	return REAL(fs)->ops->stat(REAL(fs), dir, name, ret);
}

static int f_rename(struct sk_fs *fs, enum sk_fs_dir from, const char *from_name, enum sk_fs_dir to,
		    const char *to_name)
{
	FORWARD(CHANGES, rename, from, from_name, to, to_name);
}

static int f_unlink(struct sk_fs *fs, enum sk_fs_dir dir, const char *name)
{
	FORWARD(CHANGES, unlink, dir, name);
}

static int f_list(struct sk_fs *fs, enum sk_fs_dir dir, int (*each)(void *arg, const char *name),
		  void *arg)
{
	FORWARD(READS, list, dir, each, arg);
}

static int f_sync_dir(struct sk_fs *fs, enum sk_fs_dir dir)
{
	FORWARD(READS, sync_dir, dir);
}

static int f_space(struct sk_fs *fs, struct sk_fs_space *ret)
{
	const struct fault_plan *p = sk_container_of(fs, struct fault_fs, fs)->plan;

	if (p->space.total_bytes > 0) {
		*ret = p->space;
		return 0;
	}
	FORWARD(READS, space, ret);
}

static void f_free(struct sk_fs *fs)
{
	sk_fs_free(REAL(fs));
	free(sk_container_of(fs, struct fault_fs, fs));
}

static const struct sk_fs_ops fault_ops = {
	.lock = f_lock,
	.mkdir = f_mkdir,
	.open = f_open,
	.close = f_close,
	.pread = f_pread,
	.pwrite = f_pwrite,
	.truncate = f_truncate,
	.allocate = f_allocate,
	.flush_start = f_flush_start,
	.reread = f_reread,
	.fsync = f_fsync,
	.seal = f_seal,
	.stat = f_stat,
	.rename = f_rename,
	.unlink = f_unlink,
	.list = f_list,
	.sync_dir = f_sync_dir,
	.space = f_space,
	.free = f_free,
};

int fault_fs_open(const char *path, struct fault_plan *plan, struct sk_fs **ret)
{
	struct fault_fs *f = malloc(sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->fs.ops = &fault_ops;
	f->plan = plan;
	r = sk_fs_posix_open(path, &f->real);
	if (r < 0) {
		free(f);
		return r;
	}
	*ret = &f->fs;
	return 0;
}
