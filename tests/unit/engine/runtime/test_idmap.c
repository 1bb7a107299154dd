/* SPDX-License-Identifier: Apache-2.0 */

/* User namespaces for idmapped mounts, with each system call failed in turn. Needs root. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/runtime/container/idmap.h"

#define BASE 1000000u

static int countdown; /* the call at which it reaches 0 fails */

static bool fails_now(void)
{
	if (countdown == 0 || --countdown > 0)
		return false;
	errno = EMFILE;
	return true;
}

int __real_pipe2(int p[2], int flags);
int __wrap_pipe2(int p[2], int flags);
int __wrap_pipe2(int p[2], int flags)
{
	return fails_now() ? -1 : __real_pipe2(p, flags);
}

int __real_clone(int (*fn)(void *), void *stack, int flags, void *arg);
int __wrap_clone(int (*fn)(void *), void *stack, int flags, void *arg);
int __wrap_clone(int (*fn)(void *), void *stack, int flags, void *arg)
{
	return fails_now() ? -1 : __real_clone(fn, stack, flags, arg);
}

int __real_open64(const char *path, int flags);
int __wrap_open64(const char *path, int flags);
int __wrap_open64(const char *path, int flags)
{
	return fails_now() ? -1 : __real_open64(path, flags);
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* This process has no child left, not even a dead one. */
static void assert_alone(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static bool able(void)
{
	struct sk_userns u;
	int r = geteuid() == 0 ? sk_userns_open(&u, BASE) : -EPERM;

	if (r == 0)
		sk_userns_close(&u);
	return r == 0;
}

/* In a child: enter the namespace and look at the map from inside. */
static int enter(int ns)
{
	_cleanup_free_ char *map = NULL;
	unsigned inside, outside, count;

	if (setns(ns, CLONE_NEWUSER) < 0)
		return 1;
	if (sk_file_read(AT_FDCWD, "/proc/self/uid_map", 256, &map, NULL) < 0 ||
	    sscanf(map, "%u %u %u", &inside, &outside, &count) != 3)
		return 2;
	return inside == 0 && outside == BASE && count == SK_IDMAP_SIZE ? 0 : 3;
}

static void maps_ids(void **state)
{
	int fds = open_fds(), status;
	struct sk_userns u;
	pid_t pid;

	if (!able())
		skip();
	assert_int_equal(sk_userns_open(&u, BASE), 0);
	pid = fork();
	if (pid == 0)
		_exit(enter(u.fd));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	sk_userns_close(&u);
	assert_int_equal(u.fd, -1);
	assert_int_equal(open_fds(), fds);
	assert_alone();
}

/* What is given back once is not given back again. */
static void closes_once(void **state)
{
	struct sk_userns u = SK_USERNS_INIT;

	sk_userns_close(&u);
	if (!able())
		skip();
	assert_int_equal(sk_userns_open(&u, BASE), 0);
	sk_userns_close(&u);
	sk_userns_close(&u);
	assert_alone();
}

static void each_step_fails(void **state)
{
	int fds = open_fds(), i, r = -1;

	if (!able())
		skip();
	for (i = 1; r < 0 && i < 32; i++) {
		struct sk_userns u;

		countdown = i;
		r = sk_userns_open(&u, BASE);
		if (r == 0)
			sk_userns_close(&u);
		else
			assert_int_equal(r, -EMFILE);
		assert_int_equal(open_fds(), fds);
		assert_alone();
	}
	countdown = 0;
	assert_int_equal(r, 0);
	assert_int_equal(i, 7); /* a pipe, a process, two maps, the namespace; then all works */
}

/* A copy of a mount shows the owner's ids through the map. */
static int look_through(void)
{
	struct sk_userns u;
	struct stat st;
	int fd;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("t", "/mnt", "tmpfs", 0, "mode=0755") < 0 || mkdir("/mnt/a", 0755) < 0 ||
	    mkdir("/mnt/b", 0755) < 0 || sk_userns_open(&u, BASE) < 0)
		return 1;
	fd = sk_idmap_clone(AT_FDCWD, "/mnt", u.fd, MOUNT_ATTR_RDONLY);
	sk_userns_close(&u);
	if (fd == -EINVAL)
		return 77; /* no idmapped tmpfs before Linux 6.3 */
	if (fd < 0 || sk_mount_attach(fd, "/mnt/b") < 0)
		return 2;
	/* The namespace was closed, the mount goes on. */
	if (stat("/mnt/b/a", &st) < 0 || st.st_uid != BASE || st.st_gid != BASE)
		return 3;
	return mkdir("/mnt/b/c", 0755) < 0 && errno == EROFS ? 0 : 4;
}

static void mount_outlives_namespace(void **state)
{
	int status;
	pid_t pid;

	if (!able())
		skip();
	pid = fork();
	if (pid == 0)
		_exit(look_through());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

static void no_such_folder(void **state)
{
	assert_int_equal(sk_idmap_clone(AT_FDCWD, "/nowhere", -1, 0),
			 geteuid() == 0 ? -ENOENT : -EPERM);
	assert_int_equal(sk_mount_attach(-1, "/nowhere"), geteuid() == 0 ? -ENOENT : -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_ids),	   cmocka_unit_test(closes_once),
		cmocka_unit_test(each_step_fails), cmocka_unit_test(mount_outlives_namespace),
		cmocka_unit_test(no_such_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
