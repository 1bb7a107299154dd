/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/str.h"
#include "io/image/rootfs.h"

/* Real mksquashfs and mkfs.erofs; a test is skipped where the tool is not installed. */

static int setup(void **state)
{
	char dir[] = "/tmp/skerry-rootfs.XXXXXX";

	*state = mkdtemp(dir) ? strdup(dir) : NULL;
	return *state && chdir(*state) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	_cleanup_free_ char *dir = *state;

	return chdir("/") == 0 && sk_rm_rf(AT_FDCWD, dir) == 0 ? 0 : -1;
}

static bool have(const char *tool)
{
	_cleanup_free_ char *cmd = sk_asprintf("command -v %s >/dev/null 2>&1", tool);

	return system(cmd) == 0; /* NOLINT(cert-env33-c): fixed words */
}

static void put(const char *path, const char *text)
{
	assert_int_equal(sk_file_write(AT_FDCWD, path, text, strlen(text), 0644), 0);
}

/* Files are made in the order given, so that folders differ in readdir() order and inode numbers. */
static void make_tree(const char *root, bool backwards, time_t when)
{
	const struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };

	assert_int_equal(mkdir(root, 0755), 0);
	for (int i = 0; i < 40; i++) {
		_cleanup_free_ char *path =
			sk_asprintf("%s/file-%02d", root, backwards ? 39 - i : i);
		_cleanup_free_ char *text = sk_asprintf("%d\n", (backwards ? 39 - i : i) % 7);

		put(path, text);
		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	}
}

static void digest_of_pack(const struct sk_rootfs_spec *spec, struct sk_digest *ret)
{
	struct sk_err err = SK_ERR_INIT;
	_cleanup_close_ int fd = -1;
	uint64_t size = 0;

	if (sk_rootfs_pack(spec, &fd, &size, &err) < 0)
		fail_msg("%s: %s", err.slug, err.text);
	assert_int_equal(size % 4096, 0);
	assert_int_equal(sk_digest_of_fd(fd, 0, size, ret), 0);
}

static void check_same(const char *type, const char *compression)
{
	struct sk_rootfs_spec spec = { .root = "one",
				       .type = type,
				       .compression = compression,
				       .tmp_dir = ".",
				       .epoch_s = 1 };
	struct sk_digest one, two, later;

	make_tree("one", false, 1000);
	make_tree("two", true, 2000);
	digest_of_pack(&spec, &one);
	spec.root = "two";
	digest_of_pack(&spec, &two);
	assert_true(sk_digest_equal(&one, &two));
	spec.epoch_s = 2;
	digest_of_pack(&spec, &later);
	assert_false(sk_digest_equal(&one, &later));
	assert_int_equal(sk_rm_rf(AT_FDCWD, "one"), 0);
	assert_int_equal(sk_rm_rf(AT_FDCWD, "two"), 0);
}

static void squashfs_is_reproducible(void **state)
{
	if (!have("mksquashfs"))
		skip();
	/* What a builder's environment may hold must not matter, nor be refused. */
	(void)setenv("SOURCE_DATE_EPOCH", "12345", 1);
	check_same(NULL, NULL);
	check_same("squashfs", "zstd");
	check_same("squashfs", "none");
	(void)unsetenv("SOURCE_DATE_EPOCH");
}

static void erofs_is_reproducible(void **state)
{
	if (!have("mkfs.erofs"))
		skip();
	check_same("erofs", NULL);
	check_same("erofs", "none");
}

static void owners_file_is_applied(void **state)
{
	struct sk_rootfs_spec spec = { .root = "tree", .tmp_dir = "." };
	struct sk_digest root, other;

	if (!have("mksquashfs"))
		skip();
	make_tree("tree", false, 0);
	put("owners", "file-01 m 600 33 33\n");
	spec.all_root = true;
	digest_of_pack(&spec, &root);
	spec.owners = "owners";
	digest_of_pack(&spec, &other);
	assert_false(sk_digest_equal(&root, &other));
}

static void expect_refused(struct sk_rootfs_spec spec, const char *slug, const char *word)
{
	struct sk_err err = SK_ERR_INIT;
	uint64_t size = 0;
	int fd = -1;

	assert_true(sk_rootfs_pack(&spec, &fd, &size, &err) < 0);
	assert_string_equal(err.slug, slug);
	assert_non_null(strstr(err.text, word));
	assert_int_equal(fd, -1);
}

static void wrong_requests(void **state)
{
	const struct sk_rootfs_spec ok = { .root = "t", .tmp_dir = "." };
	struct sk_rootfs_spec s = ok;

	make_tree("t", false, 0);
	s.type = "ext4";
	expect_refused(s, "bad-value", "ext4");
	s = ok;
	s.compression = "lzma";
	expect_refused(s, "bad-value", "lzma");
	s = ok;
	s.epoch_s = -1;
	expect_refused(s, "bad-value", "1970");
	s.epoch_s = (int64_t)UINT32_MAX + 1;
	expect_refused(s, "bad-value", "2106");
	s = ok;
	s.root = "absent";
	expect_refused(s, "not-found", "absent");
	s.root = "t/file-00";
	expect_refused(s, "bad-value", "not a folder");
	s = ok;
	s.tmp_dir = "absent";
	expect_refused(s, "io", "absent");
	s = ok;
	s.type = "erofs";
	s.owners = "owners";
	expect_refused(s, "not-supported", "squashfs");
}

static void missing_tool_names_the_package(void **state)
{
	const struct sk_rootfs_spec squashfs = { .root = ".", .tmp_dir = "." };
	const struct sk_rootfs_spec erofs = { .root = ".", .tmp_dir = ".", .type = "erofs" };
	_cleanup_free_ char *path = strdup(getenv("PATH"));

	assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
	expect_refused(squashfs, "not-found", "squashfs-tools");
	expect_refused(erofs, "not-found", "erofs-utils");
	assert_int_equal(setenv("PATH", path, 1), 0);
}

/* A tool that fails half-way must leave no file behind. */
static void failing_tool_leaves_nothing(void **state)
{
	const struct sk_rootfs_spec spec = { .root = "t", .tmp_dir = "out" };
	_cleanup_free_ char *path = strdup(getenv("PATH"));

	make_tree("t", false, 0);
	assert_int_equal(mkdir("out", 0700), 0);
	assert_int_equal(mkdir("bin", 0700), 0);
	put("bin/mksquashfs", "#!/bin/sh\necho half >\"$2\"\necho disk on fire >&2\nexit 3\n");
	assert_int_equal(chmod("bin/mksquashfs", 0755), 0);
	assert_int_equal(setenv("PATH", "bin:/bin:/usr/bin", 1), 0);
	expect_refused(spec, "child-failed", "disk on fire");
	assert_int_equal(setenv("PATH", path, 1), 0);
	assert_int_equal(rmdir("out"), 0);
}

static void assembled_bytes(void **state)
{
	_cleanup_close_ int rootfs = open("rootfs", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	_cleanup_close_ int out = open("out", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	_cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	struct sk_err err = SK_ERR_INIT;
	size_t len;

	assert_int_equal(sk_fd_write(rootfs, "ROOT", 4), 0);
	assert_int_equal(sk_image_assemble(out, "TREE", 4, rootfs, &err), 0);
	assert_int_equal(sk_file_read(AT_FDCWD, "out", 100, &text, &len), 0);
	assert_string_equal(text, "TREEROOT");
	assert_int_equal(sk_image_assemble(full, "TREE", 4, rootfs, &err), -ENOSPC);
	assert_string_equal(err.slug, "no-space");
	assert_int_equal(sk_image_assemble(out, "TREE", 4, -1, &err), -EBADF);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(squashfs_is_reproducible),
		TEST(erofs_is_reproducible),
		TEST(owners_file_is_applied),
		TEST(wrong_requests),
		TEST(missing_tool_names_the_package),
		TEST(failing_tool_leaves_nothing),
		TEST(assembled_bytes),
	};

	return cmocka_run_group_tests_name("io/rootfs", tests, NULL, NULL);
}
