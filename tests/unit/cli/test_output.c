/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/output.h"

static char dir[64];

/* A disk that fails at one of these. */
static int fail_fsync, fail_rename, fail_linkat, fail_tmpfile;
static int signal_at_rename;
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	errno = fail_fsync;
	return fail_fsync ? -1 : __real_fsync(fd);
}
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
	if (signal_at_rename)
		(void)raise(signal_at_rename);
	errno = fail_rename;
	return fail_rename ? -1 : __real_rename(from, to);
}
int __real_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	errno = fail_linkat;
	return fail_linkat ? -1 : __real_linkat(from_fd, from, to_fd, to, flags);
}
/* A file system that has no files without a name, such as NFS. */
int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, mode_t mode)
{
	bool fails = fail_tmpfile && (flags & O_TMPFILE) == O_TMPFILE;

	errno = fail_tmpfile;
	return fails ? -1 : __real_open64(path, flags, mode);
}

static int setup(void **state)
{
	fail_fsync = fail_rename = fail_linkat = fail_tmpfile = signal_at_rename = 0;
	(void)snprintf(dir, sizeof(dir), "/tmp/output.XXXXXX");
	return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	return chdir("/") == 0 ? sk_rm_rf(AT_FDCWD, dir) : -1;
}

static void expect_content(const char *path, const char *want)
{
	_cleanup_free_ char *got = NULL;
	size_t len;

	assert_int_equal(sk_file_read(AT_FDCWD, path, 1000, &got, &len), 0);
	assert_string_equal(got, want);
}

/* The folder is empty again once @names are gone. */
static void expect_only(const char *a, const char *b)
{
	if (a)
		assert_int_equal(unlink(a), 0);
	if (b)
		assert_int_equal(unlink(b), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(chdir(dir), 0);
}

static void writes_and_replaces(void **state)
{
	struct stat st;

	assert_int_equal(sk_output_write("f", "one", 3, NULL), 0);
	expect_content("f", "one");
	assert_int_equal(sk_output_write("f", "two", 3, NULL), 0);
	expect_content("f", "two");
	assert_int_equal(stat("f", &st), 0);
	assert_int_equal(st.st_mode & 0111, 0);
	expect_only("f", NULL);
}

static void a_failure_leaves_the_old_one(void **state)
{
	int *const fails[] = { &fail_fsync, &fail_rename, &fail_linkat };

	assert_int_equal(sk_output_write("f", "old", 3, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(fails); i++) {
		struct sk_err err = SK_ERR_INIT;

		*fails[i] = i ? EIO : ENOSPC;
		assert_int_equal(sk_output_write("f", "new", 3, &err), i ? -EIO : -ENOSPC);
		assert_string_equal(err.slug, i ? "io" : "no-space");
		*fails[i] = 0;
		expect_content("f", "old");
	}
	expect_only("f", NULL);
}

static void nothing_is_seen_before_the_commit(void **state)
{
	struct sk_output o;

	assert_int_equal(sk_output_open(&o, "f", NULL), 0);
	assert_int_equal(sk_fd_write(o.fd, "half", 4), 0);
	assert_int_equal(access("f", F_OK), -1);
	expect_only(NULL, NULL);
	sk_output_done(&o);
	assert_int_equal(access("f", F_OK), -1);
}

/* Runs @body in a child; returns its status. The tests of the parent go on in any case. */
static int in_child(void (*body)(int), int sig)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		body(sig);
		_exit(7);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void signalled_while_it_grows(int sig)
{
	struct sk_output o;

	if (sk_output_open(&o, "f", NULL) < 0 || sk_fd_write(o.fd, "half", 4) < 0)
		_exit(8);
	if (fail_tmpfile && access(o.tmp, F_OK) < 0)
		_exit(9);
	(void)raise(sig);
}

static void signalled_as_it_gets_its_name(int sig)
{
	signal_at_rename = sig;
	(void)sk_output_write("f", "new", 3, NULL);
}

static const int stops[] = { SIGINT, SIGTERM, SIGHUP };

static void expect_ended_by(void (*body)(int), int sig)
{
	int status = in_child(body, sig);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), sig);
}

static void a_signal_leaves_nothing(void **state)
{
	for (fail_tmpfile = 0; fail_tmpfile <= EOPNOTSUPP; fail_tmpfile += EOPNOTSUPP)
		for (size_t i = 0; i < ARRAY_SIZE(stops); i++) {
			assert_int_equal(sk_output_write("f", "old", 3, NULL), 0);
			expect_ended_by(signalled_while_it_grows, stops[i]);
			expect_content("f", "old");
			expect_only("f", NULL);
			expect_ended_by(signalled_while_it_grows, stops[i]);
			expect_only(NULL, NULL);
		}
}

static void a_signal_waits_for_the_name(void **state)
{
	for (fail_tmpfile = 0; fail_tmpfile <= EOPNOTSUPP; fail_tmpfile += EOPNOTSUPP)
		for (size_t i = 0; i < ARRAY_SIZE(stops); i++) {
			assert_int_equal(sk_output_write("f", "old", 3, NULL), 0);
			expect_ended_by(signalled_as_it_gets_its_name, stops[i]);
			expect_content("f", "new");
			expect_only("f", NULL);
		}
}

static void a_kill_leaves_nothing(void **state)
{
	expect_ended_by(signalled_while_it_grows, SIGKILL);
	expect_only(NULL, NULL);
}

/* Started by nohup, say. */
static void what_is_ignored_stays_ignored(void **state)
{
	fail_tmpfile = EOPNOTSUPP;
	(void)signal(SIGHUP, SIG_IGN);
	assert_int_equal(WEXITSTATUS(in_child(signalled_while_it_grows, SIGHUP)), 7);
	(void)signal(SIGHUP, SIG_DFL);
}

/* No step at which two names would stand for it. */
static void a_new_file_is_never_renamed(void **state)
{
	fail_rename = EIO;
	assert_int_equal(sk_output_write("f", "new", 3, NULL), 0);
	expect_content("f", "new");
	expect_only("f", NULL);
}

static void a_dead_process_had_the_same_number(void **state)
{
	char tmp[64];

	(void)snprintf(tmp, sizeof(tmp), "f.tmp-%d", (int)getpid());
	for (fail_tmpfile = 0; fail_tmpfile <= EOPNOTSUPP; fail_tmpfile += EOPNOTSUPP) {
		assert_int_equal(sk_output_write("f", "old", 3, NULL), 0);
		assert_int_equal(sk_output_write(tmp, "left", 4, NULL), 0);
		assert_int_equal(sk_output_write("f", "new", 3, NULL), 0);
		expect_content("f", "new");
		expect_only("f", NULL);
	}
}

static void follows_a_symlink(void **state)
{
	struct stat st;

	assert_int_equal(sk_output_write("real", "old", 3, NULL), 0);
	assert_int_equal(symlink("real", "link"), 0);
	assert_int_equal(sk_output_write("link", "new", 3, NULL), 0);
	assert_int_equal(lstat("link", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	expect_content("real", "new");
	expect_only("link", "real");
}

static void what_is_no_file_stays(void **state)
{
	_cleanup_close_ int reader = -1;
	struct stat st;
	char got[8];

	assert_int_equal(mkfifo("pipe", 0600), 0);
	reader = open("pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(sk_output_write("pipe", "x", 1, NULL), 0);
	assert_int_equal(read(reader, got, sizeof(got)), 1);
	assert_int_equal(stat("pipe", &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	expect_only("pipe", NULL);
}

static void tells_what_cannot_be(void **state)
{
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(sk_output_check("none/f", &err), -ENOENT);
	assert_non_null(strstr(err.text, "make it first"));
	assert_int_equal(sk_output_check(dir, &err), -EISDIR);
	assert_int_equal(sk_output_check("f/", &err), -EISDIR);
	assert_int_equal(symlink("nowhere/f", "link"), 0);
	assert_int_equal(sk_output_check("link", &err), -ENOENT);
	assert_int_equal(sk_output_check("f", &err), 0);
	expect_only("link", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(writes_and_replaces, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failure_leaves_the_old_one, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_seen_before_the_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(a_signal_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_signal_waits_for_the_name, setup, teardown),
		cmocka_unit_test_setup_teardown(a_kill_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_ignored_stays_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_file_is_never_renamed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_dead_process_had_the_same_number, setup,
						teardown),
		cmocka_unit_test_setup_teardown(follows_a_symlink, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_file_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_what_cannot_be, setup, teardown),
	};

	/* Under nohup, or as a shell's background job, they would be ignored. */
	for (size_t i = 0; i < ARRAY_SIZE(stops); i++)
		(void)signal(stops[i], SIG_DFL);
	return cmocka_run_group_tests_name("cli/output", tests, NULL, NULL);
}
