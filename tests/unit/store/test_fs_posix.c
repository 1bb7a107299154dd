/* SPDX-License-Identifier: Apache-2.0 */
#include "store_test.h"

#include <linux/fsverity.h>
#include <stdarg.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

int __wrap_ioctl(int fd, unsigned long request, ...);

/* What the file system says to fs-verity, and what it was asked. */
static struct {
	int code;      /* errno, 0 for success */
	unsigned busy; /* times that a writer is left */
	bool look;     /* for writers */
	unsigned calls;
	int flags; /* of the descriptor */
	mode_t mode;
	struct fsverity_enable_arg arg;
} verity;

/* As the kernel does: refused while any process has the file open for writing. A lease asks the same. */
static int no_writers(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		return ETXTBSY;
	return fcntl(fd, F_SETLEASE, F_UNLCK) < 0 ? EIO : 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	struct stat st;
	va_list ap;

	va_start(ap, request);
	verity.arg = *va_arg(ap, struct fsverity_enable_arg *);
	va_end(ap);
	assert_true(request == FS_IOC_ENABLE_VERITY);
	if (verity.look)
		verity.code = no_writers(fd);
	assert_int_equal(fstat(fd, &st), 0);
	verity.calls++;
	verity.flags = fcntl(fd, F_GETFL);
	verity.mode = st.st_mode;
	errno = verity.code;
	if (verity.busy > 0 && verity.busy--)
		errno = ETXTBSY;
	return errno ? -1 : 0;
}

/* What was asked to reach the disk, and whether it can. */
static struct {
	int code; /* errno, 0 for success */
	unsigned calls;
	mode_t mode; /* of the file, then */
} synced;

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	synced.calls++;
	synced.mode = st.st_mode;
	errno = synced.code;
	return synced.code ? -1 : 0;
}

static struct sk_fs *must_mount(const char *path)
{
	struct sk_fs *fs = NULL;

	assert_int_equal(sk_fs_posix_open(path, &fs), 0);
	assert_int_equal(fs->ops->lock(fs), 0);
	for (int dir = 0; dir < SK_FS_DIRS; dir++)
		assert_int_equal(fs->ops->mkdir(fs, (enum sk_fs_dir)dir), 0);
	return fs;
}

static int seal_with(struct sk_fs *fs, int code)
{
	int fd = fs->ops->open(fs, SK_FS_STAGING, "a", SK_FS_CREATE);

	assert_true(fd >= 0);
	memset(&verity, 0, sizeof(verity));
	verity.code = code;
	assert_int_equal(fs->ops->pwrite(fs, fd, "data", 4, 0), 4);
	return fs->ops->seal(fs, fd, SK_FS_STAGING, "a");
}

static void seals(void **state)
{
	_cleanup_(sk_fs_freep) struct sk_fs *fs = must_mount(*state);
	struct sk_fs_stat st;

	assert_int_equal(seal_with(fs, 0), 0);
	assert_int_equal(verity.calls, 1);
	/* No writer may be left, or it is refused with ETXTBSY. */
	assert_int_equal(verity.flags & O_ACCMODE, O_RDONLY);
	assert_int_equal(verity.mode & 07777, 0444);
	assert_int_equal(verity.arg.hash_algorithm, FS_VERITY_HASH_ALG_SHA256);
	assert_int_equal(verity.arg.block_size, 4096);
	assert_int_equal(fs->ops->stat(fs, SK_FS_STAGING, "a", &st), 0);
	assert_true(st.sealed && st.regular);
	assert_int_equal(st.size_bytes, 4);
}

/* The bytes and the mode are on the disk before anybody hears that the image is sealed. */
static void a_seal_is_on_the_disk(void **state)
{
	_cleanup_(sk_fs_freep) struct sk_fs *fs = must_mount(*state);

	memset(&synced, 0, sizeof(synced));
	assert_int_equal(seal_with(fs, 0), 0);
	assert_int_equal(synced.calls, 1);
	assert_int_equal(synced.mode & 07777, 0444);
	assert_int_equal(fs->ops->unlink(fs, SK_FS_STAGING, "a"), 0);
	synced.code = EIO;
	assert_int_equal(seal_with(fs, 0), -EIO);
	assert_int_equal(verity.calls, 0);
	assert_int_equal(fs->ops->sync_dir(fs, SK_FS_STAGING), -EIO);
	synced.code = 0;
	assert_int_equal(fs->ops->sync_dir(fs, SK_FS_STAGING), 0);
	assert_true(S_ISDIR(synced.mode));
	assert_int_equal(fs->ops->unlink(fs, SK_FS_STAGING, "a"), 0);
}

/* Many file systems and kernels have none of it: that is no failure. Others are. */
static void verity_absent_or_failing(void **state)
{
	static const int absent[] = { EOPNOTSUPP, ENOTTY, EINVAL, ENOSYS, EEXIST };
	static const int failing[] = { EIO, ENOSPC, ENOMEM, ETXTBSY };
	_cleanup_(sk_fs_freep) struct sk_fs *fs = must_mount(*state);

	for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
		assert_int_equal(seal_with(fs, absent[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(failing); i++)
		assert_int_equal(seal_with(fs, failing[i]), -failing[i]);
}

/* A program that was just started had a copy of the writer for a moment. */
static void verity_waits_for_writers(void **state)
{
	_cleanup_(sk_fs_freep) struct sk_fs *fs = must_mount(*state);
	int fd = fs->ops->open(fs, SK_FS_STAGING, "a", SK_FS_CREATE);

	memset(&verity, 0, sizeof(verity));
	verity.busy = 5;
	assert_int_equal(fs->ops->seal(fs, fd, SK_FS_STAGING, "a"), 0);
	assert_int_equal(verity.calls, 6);
}

/* The parent still has the part open while the child seals it. */
static void a_child_seals(void **state)
{
	struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of("data", 4);
	struct sk_err err = SK_ERR_INIT;
	struct sk_staged *st;
	int status;
	pid_t pid;

	memset(&verity, 0, sizeof(verity));
	verity.look = true;
	assert_int_equal(sk_staged_open(s, &d, 4, &st, &err), 0);
	assert_int_equal(sk_staged_write(st, "data", 4, &err), 0);
	assert_int_equal(sk_staged_end_writing(st, &err), 0);
	pid = fork();
	if (pid == 0)
		_exit(sk_staged_commit(st, &err) == 0 && verity.calls == 1 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	sk_staged_close(st);
	assert_int_equal(status, 0);
	assert_true(sk_store_has(s, &d));
	assert_int_equal(sk_store_part_bytes(s, &d), 0);
	sk_store_close(s);
}

static void opens_only_plain_files(void **state)
{
	_cleanup_(sk_fs_freep) struct sk_fs *fs = must_mount(*state);
	_cleanup_free_ char *base = sk_asprintf("%s/images", (char *)*state);
	_cleanup_free_ char *link = sk_asprintf("%s/link", base),
			    *fifo = sk_asprintf("%s/fifo", base);
	_cleanup_free_ char *dir = sk_asprintf("%s/dir", base);
	struct sk_fs_stat st;

	assert_int_equal(symlink("/etc/hostname", link), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(fs->ops->open(fs, SK_FS_IMAGES, "link", SK_FS_READ), -ELOOP);
	assert_int_equal(fs->ops->open(fs, SK_FS_IMAGES, "link", SK_FS_CREATE), -ELOOP);
	assert_int_equal(fs->ops->open(fs, SK_FS_IMAGES, "fifo", SK_FS_READ), -EINVAL);
	assert_int_equal(fs->ops->open(fs, SK_FS_IMAGES, "dir", SK_FS_READ), -EINVAL);
	assert_int_equal(fs->ops->open(fs, SK_FS_IMAGES, "none", SK_FS_READ), -ENOENT);
	assert_int_equal(fs->ops->stat(fs, SK_FS_IMAGES, "link", &st), 0);
	assert_false(st.regular);
	assert_int_equal(fs->ops->stat(fs, SK_FS_IMAGES, "none", &st), -ENOENT);
}

static void allocates_without_growing(void **state)
{
	_cleanup_(sk_fs_freep) struct sk_fs *fs = must_mount(*state);
	int fd = fs->ops->open(fs, SK_FS_STAGING, "a", SK_FS_WRITE);
	int r = fs->ops->allocate(fs, fd, 1 << 20);
	struct sk_fs_space space;
	struct sk_fs_stat st;

	assert_true(r == 0 || r == -EOPNOTSUPP);
	assert_int_equal(fs->ops->stat(fs, SK_FS_STAGING, "a", &st), 0);
	assert_int_equal(st.size_bytes, 0);
	if (r == 0)
		assert_true(st.allocated_bytes >= 1 << 20);
	/* The same size again gives back what lies beyond it. */
	assert_int_equal(fs->ops->truncate(fs, fd, 0), 0);
	assert_int_equal(fs->ops->stat(fs, SK_FS_STAGING, "a", &st), 0);
	assert_true(st.allocated_bytes < 1 << 20);
	fs->ops->flush_start(fs, fd, 0, 0);
	fs->ops->close(fs, fd);
	assert_int_equal(fs->ops->space(fs, &space), 0);
	assert_true(space.total_bytes >= space.free_bytes && space.total_bytes > 0);
}

static int collect(void *arg, const char *name)
{
	return sk_strv_add(arg, name);
}

static int stop_listing(void *arg, const char *name)
{
	return 5;
}

static void lists_all_names(void **state)
{
	_cleanup_(sk_fs_freep) struct sk_fs *fs = must_mount(*state);
	_cleanup_strv_ char **names = NULL;

	for (int round = 0; round < 2; round++) {
		sk_strv_free(TAKE_PTR(names));
		assert_int_equal(fs->ops->list(fs, SK_FS_RECORDS, collect, &names), 0);
		assert_int_equal(sk_strv_len(names), round);
		fs->ops->close(fs, fs->ops->open(fs, SK_FS_RECORDS, ".hidden", SK_FS_CREATE));
	}
	assert_int_equal(fs->ops->list(fs, SK_FS_RECORDS, stop_listing, NULL), 5);
}

static void locks(void **state)
{
	struct sk_fs *fs = must_mount(*state), *second = NULL;

	assert_int_equal(sk_fs_posix_open(*state, &second), 0);
	assert_int_equal(second->ops->lock(second), -EBUSY);
	sk_fs_free(fs);
	assert_int_equal(second->ops->lock(second), 0);
	sk_fs_free(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(seals),
		STORE_TEST(a_seal_is_on_the_disk),
		STORE_TEST(verity_absent_or_failing),
		STORE_TEST(verity_waits_for_writers),
		STORE_TEST(a_child_seals),
		STORE_TEST(opens_only_plain_files),
		STORE_TEST(allocates_without_growing),
		STORE_TEST(lists_all_names),
		STORE_TEST(locks),
	};

	return cmocka_run_group_tests_name("store/fs_posix", tests, NULL, NULL);
}
