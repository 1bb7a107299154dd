/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

static char dir_name[64];
static int dir;

/* The next fsync() of a file or a folder, or the next renameat(), fails, as on a full or dying disk. */
static bool fail_fsync, fail_dir_fsync, fail_rename;

/* What reached the disk, in its order: "file", "rename", "folder"; and the folder. */
static char synced[64];
static ino_t synced_folder;

static void note(const char *what)
{
	size_t n = strlen(synced);

	(void)snprintf(synced + n, sizeof(synced) - n, "%s ", what);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	if (S_ISDIR(st.st_mode) ? fail_dir_fsync : fail_fsync) {
		errno = EIO;
		return -1;
	}
	note(S_ISDIR(st.st_mode) ? "folder" : st.st_size == 0 ? "empty-file" : "file");
	if (S_ISDIR(st.st_mode))
		synced_folder = st.st_ino;
	return __real_fsync(fd);
}

int __real_renameat(int a, const char *b, int c, const char *d);
int __wrap_renameat(int a, const char *b, int c, const char *d);
int __wrap_renameat(int a, const char *b, int c, const char *d)
{
	if (fail_rename) {
		errno = ENOSPC;
		return -1;
	}
	note("rename");
	return __real_renameat(a, b, c, d);
}

static int setup(void **state)
{
	(void)snprintf(dir_name, sizeof(dir_name), "/tmp/skerry-file-XXXXXX");
	if (!mkdtemp(dir_name))
		return -1;
	dir = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	fail_fsync = fail_dir_fsync = fail_rename = false;
	(void)close(dir);
	return sk_rm_rf(AT_FDCWD, dir_name);
}

static void expect_content(const char *path, const char *want)
{
	_cleanup_free_ char *s = NULL;
	size_t len;

	assert_int_equal(sk_file_read(dir, path, 1000, &s, &len), 0);
	assert_string_equal(s, want);
	assert_int_equal(len, strlen(want));
}

static unsigned count_files(void)
{
	char command[128];
	unsigned n = 0;
	FILE *p;

	(void)snprintf(command, sizeof(command), "ls -A %s | wc -l", dir_name);
	p = popen(command, "r");
	assert_non_null(p);
	assert_int_equal(fscanf(p, "%u", &n), 1);
	(void)pclose(p);
	return n;
}

static void replaces_as_a_whole(void **state)
{
	assert_int_equal(sk_file_write(dir, "a", "old", 3, 0640), 0);
	assert_int_equal(sk_file_write(dir, "a", "new!", 4, 0600), 0);
	expect_content("a", "new!");
	assert_int_equal(count_files(), 1);
}

static void a_failed_write_leaves_the_old_file(void **state)
{
	assert_int_equal(sk_file_write(dir, "a", "old", 3, 0640), 0);
	fail_fsync = true;
	assert_int_equal(sk_file_write(dir, "a", "new", 3, 0640), -EIO);
	fail_fsync = false;
	fail_rename = true;
	assert_int_equal(sk_file_write(dir, "a", "new", 3, 0640), -ENOSPC);
	expect_content("a", "old");
	assert_int_equal(count_files(), 1);
}

static ino_t inode_of(const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(dir, path, &st, 0), 0);
	return st.st_ino;
}

/* A power cut may come at any time: the bytes before the name, and the name before success is reported. */
static void is_on_disk_when_it_returns(void **state)
{
	char path[128];

	synced[0] = '\0';
	assert_int_equal(sk_file_write(dir, "a", "new", 3, 0640), 0);
	assert_string_equal(synced, "file rename folder ");
	assert_int_equal(synced_folder, inode_of("."));
	/* The folder that holds the name, not the one that the path begins at. */
	assert_int_equal(sk_mkdir_p(dir, "sub/deep", 0700), 0);
	synced[0] = '\0';
	assert_int_equal(sk_file_write(dir, "sub/deep/a", "new", 3, 0640), 0);
	assert_string_equal(synced, "file rename folder ");
	assert_int_equal(synced_folder, inode_of("sub/deep"));
	(void)snprintf(path, sizeof(path), "%s/sub/a", dir_name);
	assert_int_equal(sk_file_write(AT_FDCWD, path, "new", 3, 0640), 0);
	assert_int_equal(synced_folder, inode_of("sub"));
	fail_dir_fsync = true;
	assert_int_equal(sk_file_write(dir, "a", "newer", 5, 0640), -EIO);
}

/* Writes in a child that is killed at its @n-th stop at a system call. Return: did it get that far? */
static bool killed_at(unsigned n)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void)raise(SIGSTOP);
		_exit(sk_file_write(dir, "a", "new", 3, 0444) < 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	for (unsigned i = 0; WIFSTOPPED(status) && i < n; i++) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	if (!WIFSTOPPED(status)) {
		assert_int_equal(status, 0);
		return false;
	}
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return true;
}

/* Killed between any two system calls: the old file or the new one, and of all of them one file is left at most. */
static void killed_at_any_moment(void **state)
{
	unsigned n = 0, left = 0;

	assert_int_equal(sk_file_write(dir, "a", "old", 3, 0640), 0);
	while (killed_at(++n)) {
		_cleanup_free_ char *s = NULL;
		size_t len;

		assert_int_equal(sk_file_read(dir, "a", 10, &s, &len), 0);
		assert_true(strcmp(s, "old") == 0 || strcmp(s, "new") == 0);
		assert_true(count_files() <= 2);
		left += count_files() == 2;
		/* Every other time the left-over stays for the next one. */
		if (n % 2 == 0)
			continue;
		assert_int_equal(sk_file_write(dir, "a", "old", 3, 0640), 0);
		expect_content("a", "old");
		assert_int_equal(count_files(), 1);
	}
	expect_content("a", "new");
	assert_int_equal(count_files(), 1);
	assert_true(n > 12 && left > 6);
}

/* What others put in its way: it is not followed, not written to, not waited for. */
static void something_is_in_the_way(void **state)
{
	struct stat st;

	assert_int_equal(sk_file_write(dir, "victim", "mine", 4, 0600), 0);
	assert_int_equal(symlinkat("victim", dir, "a.tmp"), 0);
	assert_int_equal(sk_file_write(dir, "a", "1", 1, 0600), 0);
	assert_int_equal(linkat(dir, "victim", dir, "a.tmp", 0), 0);
	assert_int_equal(sk_file_write(dir, "a", "2", 1, 0600), 0);
	assert_int_equal(mkfifoat(dir, "a.tmp", 0600), 0);
	assert_int_equal(sk_file_write(dir, "a", "3", 1, 0600), 0);
	expect_content("a", "3");
	expect_content("victim", "mine");
	assert_int_equal(count_files(), 2);
	/* A folder is nothing that this made: an error, and it stays. */
	assert_int_equal(mkdirat(dir, "a.tmp", 0700), 0);
	assert_int_equal(sk_file_write(dir, "a", "4", 1, 0600), -EISDIR);
	expect_content("a", "3");
	assert_int_equal(fstatat(dir, "a.tmp", &st, 0), 0);
}

/* Several at once, over a left-over: each is done, one of them is the last, and none is mixed with another. */
static void many_at_once(void **state)
{
	enum { WRITERS = 6, ROUNDS = 30, LEN = 20000 };
	_cleanup_free_ char *s = NULL;
	size_t len;

	assert_int_equal(sk_file_write(dir, "a.tmp", "left", 4, 0444), 0);
	for (int w = 0; w < WRITERS; w++) {
		if (fork() == 0) {
			char text[LEN];

			memset(text, 'a' + w, sizeof(text));
			for (int i = 0; i < ROUNDS; i++)
				if (sk_file_write(dir, "a", text, LEN - (size_t)w, 0600) < 0)
					_exit(1);
			_exit(0);
		}
	}
	for (int w = 0; w < WRITERS; w++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(sk_file_read(dir, "a", LEN, &s, &len), 0);
	assert_int_equal(len, LEN - (s[0] - 'a'));
	assert_int_equal(strspn(s, (char[]){ s[0], '\0' }), len);
	assert_int_equal(count_files(), 1);
}

static void reading_is_bounded(void **state)
{
	_cleanup_free_ char *s = NULL;
	size_t len;

	assert_int_equal(sk_file_write(dir, "a", "12345", 5, 0600), 0);
	assert_int_equal(sk_file_read(dir, "a", 4, &s, &len), -EFBIG);
	assert_null(s);
	assert_int_equal(sk_file_read(dir, "a", 5, &s, &len), 0);
	assert_int_equal(len, 5);
}

static void only_regular_files_are_read(void **state)
{
	_cleanup_free_ char *s = NULL;
	size_t len;

	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	assert_int_equal(sk_file_read(dir, "fifo", 10, &s, &len), -EINVAL);
	assert_int_equal(sk_file_read(dir, ".", 10, &s, &len), -EISDIR);
	assert_int_equal(sk_file_read(AT_FDCWD, "/dev/zero", 10, &s, &len), -EINVAL);
	assert_int_equal(sk_file_read(dir, "none", 10, &s, &len), -ENOENT);
}

static void removing_never_follows_links(void **state)
{
	assert_int_equal(sk_mkdir_p(dir, "keep", 0700), 0);
	assert_int_equal(sk_file_write(dir, "keep/file", "x", 1, 0600), 0);
	assert_int_equal(sk_mkdir_p(dir, "tree/deep/er", 0700), 0);
	assert_int_equal(symlinkat("../keep", dir, "tree/link"), 0);
	assert_int_equal(sk_rm_rf(dir, "tree"), 0);
	assert_int_equal(sk_rm_rf(dir, "tree"), 0);
	expect_content("keep/file", "x");
}

static void making_folders(void **state)
{
	assert_int_equal(sk_mkdir_p(dir, "a/b/c", 0700), 0);
	assert_int_equal(sk_mkdir_p(dir, "a/b/c", 0700), 0);
	assert_int_equal(sk_file_write(dir, "file", "x", 1, 0600), 0);
	assert_int_equal(sk_mkdir_p(dir, "file", 0700), -ENOTDIR);
	assert_int_equal(sk_mkdir_p(dir, "file/x", 0700), -ENOTDIR);
	assert_int_equal(sk_mkdir_p(dir, "file/x/y", 0700), -ENOTDIR);
}

static void a_full_disk_is_told(void **state)
{
	_cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	assert_true(full >= 0);
	assert_int_equal(sk_fd_write(full, "x", 1), -ENOSPC);
	assert_int_equal(sk_fd_write(-1, "x", 1), -EBADF);
}

static void copying_is_bounded_and_hashed(void **state)
{
	_cleanup_close_ int from = -1, to = -1;
	struct sk_digest got, want;
	uint64_t len;

	assert_int_equal(sk_file_write(dir, "from", "abc", 3, 0600), 0);
	from = openat(dir, "from", O_RDONLY | O_CLOEXEC);
	to = openat(dir, "to", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(sk_fd_copy(from, to, 2, NULL, NULL), -EFBIG);
	assert_int_equal(lseek(from, 0, SEEK_SET), 0);
	assert_int_equal(sk_fd_copy(from, to, 3, &len, &got), 0);
	assert_int_equal(len, 3);
	assert_int_equal(sk_digest_of("abc", 3, &want), 0);
	assert_true(sk_digest_equal(&got, &want));
}

static void safe_paths(void **state)
{
	assert_true(sk_path_ok("a/b.c/d"));
	assert_true(sk_path_ok("a/..b"));
	assert_false(sk_path_ok(""));
	assert_false(sk_path_ok("/a"));
	assert_false(sk_path_ok("a//b"));
	assert_false(sk_path_ok("a/"));
	assert_false(sk_path_ok("a/../b"));
	assert_false(sk_path_ok(".."));
	assert_false(sk_path_ok("./a"));
	assert_false(sk_path_ok("a\nb"));
}

/* In a child: cmocka needs its own. */
static void closed_descriptors_are_taken(void **state)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close_range(0, 2, 0);
		if (sk_std_fds_open() < 0 || open("/dev/null", O_RDONLY | O_CLOEXEC) <= 2)
			_exit(1);
		_exit(write(STDOUT_FILENO, "x", 1) < 0 && errno == EBADF ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(replaces_as_a_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_write_leaves_the_old_file, setup,
						teardown),
		cmocka_unit_test_setup_teardown(is_on_disk_when_it_returns, setup, teardown),
		cmocka_unit_test_setup_teardown(killed_at_any_moment, setup, teardown),
		cmocka_unit_test_setup_teardown(something_is_in_the_way, setup, teardown),
		cmocka_unit_test_setup_teardown(many_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(reading_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(only_regular_files_are_read, setup, teardown),
		cmocka_unit_test_setup_teardown(removing_never_follows_links, setup, teardown),
		cmocka_unit_test_setup_teardown(making_folders, setup, teardown),
		cmocka_unit_test(a_full_disk_is_told),
		cmocka_unit_test_setup_teardown(copying_is_bounded_and_hashed, setup, teardown),
		cmocka_unit_test(safe_paths),
		cmocka_unit_test(closed_descriptors_are_taken),
	};

	return cmocka_run_group_tests_name("base/file", tests, NULL, NULL);
}
