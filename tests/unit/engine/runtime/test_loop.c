/* SPDX-License-Identifier: Apache-2.0 */

/* Loop devices, with a kernel that hands out what the test says. */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/str.h"
#include "engine/runtime/container/loop.h"

/*
 * @free: the number that is told next, one more each time; @busy: so many devices are taken by somebody else
 * before they can be configured; @nodes: have devices a node, or get one by mknod()?
 */
static struct {
	int free, free_fails, busy, configure_fails, mknod_fails, no_control;
	bool nodes;
	unsigned made, configured;
	dev_t dev;
	mode_t mode;
	struct loop_config config;
} kernel;

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	if (!sk_str_starts(path, "/dev/loop"))
		return __real_open64(path, flags);
	assert_true(flags & O_CLOEXEC);
	if (sk_streq(path, "/dev/loop-control")) {
		errno = kernel.no_control;
		return kernel.no_control ? -1 : __real_open64("/dev/null", O_RDWR | O_CLOEXEC);
	}
	if (!kernel.nodes) {
		errno = ENOENT;
		return -1;
	}
	return __real_open64("/dev/null", O_RDONLY | O_CLOEXEC);
}

int __wrap_mknod(const char *path, mode_t mode, dev_t dev);
int __wrap_mknod(const char *path, mode_t mode, dev_t dev)
{
	kernel.made++;
	kernel.mode = mode;
	kernel.dev = dev;
	/* Somebody else was quicker: it is there all the same. */
	kernel.nodes = !kernel.mknod_fails || kernel.mknod_fails == EEXIST;
	errno = kernel.mknod_fails;
	return kernel.mknod_fails ? -1 : 0;
}

int __wrap_ioctl(int fd, unsigned long what, ...);
int __wrap_ioctl(int fd, unsigned long what, ...)
{
	va_list ap;

	if (what == LOOP_CTL_GET_FREE) {
		errno = kernel.free_fails;
		return kernel.free_fails ? -1 : kernel.free++;
	}
	assert_int_equal(what, LOOP_CONFIGURE);
	va_start(ap, what);
	kernel.config = *va_arg(ap, struct loop_config *);
	va_end(ap);
	kernel.configured++;
	errno = kernel.busy > 0 ? EBUSY : kernel.configure_fails;
	return errno ? kernel.busy--, -1 : 0;
}

static unsigned open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

static unsigned before;

static int setup(void **state)
{
	memset(&kernel, 0, sizeof(kernel));
	kernel.nodes = true;
	kernel.free = 5;
	before = open_files();
	return 0;
}

/* As given, and nothing else stays open. */
static void works(const char *want)
{
	char path[32];
	int fd = sk_loop_attach(33, 4096, 1000, path);

	assert_true(fd >= 0);
	assert_string_equal(path, want);
	assert_int_equal(open_files(), before + 1);
	(void)close(fd);
}

static void fails(int want)
{
	char path[32];

	assert_int_equal(sk_loop_attach(33, 4096, 1000, path), want);
	assert_int_equal(open_files(), before);
}

/* Read-only, gone with its last user, just the part of the file that was asked for, in whole sectors. */
static void what_is_asked_for(void **state)
{
	works("/dev/loop5");
	assert_int_equal(kernel.config.fd, 33);
	assert_int_equal(kernel.config.info.lo_offset, 4096);
	assert_int_equal(kernel.config.info.lo_sizelimit, 1024);
	assert_int_equal(kernel.config.info.lo_flags, LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR);
	assert_int_equal(kernel.made, 0);
}

static void somebody_else_is_quicker(void **state)
{
	kernel.busy = 3;
	works("/dev/loop8");
	/* Not for ever. */
	kernel.busy = 1000000;
	kernel.configured = 0;
	fails(-EBUSY);
	assert_int_equal(kernel.configured, 64);
}

/* /dev is a plain folder: the node is made, for root alone, or somebody else made it just now. */
static void there_is_no_node(void **state)
{
	static const int ways[] = { 0, EEXIST };

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		kernel.nodes = false;
		kernel.free = 5;
		kernel.mknod_fails = ways[i];
		works("/dev/loop5");
		assert_int_equal(kernel.made, i + 1);
		assert_int_equal(kernel.mode, S_IFBLK | 0600);
		assert_int_equal(major(kernel.dev), 7);
		assert_int_equal(minor(kernel.dev), 5);
	}
	kernel.nodes = false;
	kernel.mknod_fails = EPERM;
	fails(-EPERM);
	assert_int_equal(kernel.configured, 2);
}

static void failures(void **state)
{
	kernel.no_control = ENOENT;
	fails(-ENOENT);
	kernel.no_control = 0;
	kernel.free_fails = ENOSPC;
	fails(-ENOSPC);
	kernel.free_fails = 0;
	kernel.configure_fails = EINVAL;
	fails(-EINVAL);
	assert_int_equal(kernel.configured, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, setup)
	const struct CMUnitTest tests[] = {
		TEST(what_is_asked_for),
		TEST(somebody_else_is_quicker),
		TEST(there_is_no_node),
		TEST(failures),
	};

	return cmocka_run_group_tests_name("engine/capsule/loop", tests, NULL, NULL);
}
