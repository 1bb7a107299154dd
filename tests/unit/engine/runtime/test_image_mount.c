/* SPDX-License-Identifier: Apache-2.0 */

/* How images are mounted: nothing of an image may be written, gain rights or be a device. No root needed. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "engine/runtime/container/fs_mount.h"
#include "engine/runtime/container/idmap.h"
#include "engine/runtime/container/image_mount.h"
#include "engine/runtime/container/loop.h"

static char calls[512]; /* "erofs fsoffset=4096, squashfs source=/dev/loop7, " */
static uint64_t attr_of_all;
static bool file_refused;

static const char *option(const char *const *options, const char *key)
{
	for (; *options; options += 2)
		if (sk_streq(options[0], key))
			return options[1];
	return NULL;
}

int __wrap_sk_fs_mount(const char *type, const char *const *options, uint64_t attr);
int __wrap_sk_fs_mount(const char *type, const char *const *options, uint64_t attr)
{
	const char *offset = option(options, "fsoffset");
	size_t n = strlen(calls);

	(void)snprintf(calls + n, sizeof(calls) - n, "%s %s%s, ", type,
		       offset ? "fsoffset=" : "source=", offset ?: option(options, "source"));
	assert_non_null(option(options, "ro"));
	attr_of_all &= attr;
	return offset && file_refused ? -EINVAL : open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int __wrap_sk_loop_attach(int fd, uint64_t offset, uint64_t size, char ret_path[static 32]);
int __wrap_sk_loop_attach(int fd, uint64_t offset, uint64_t size, char ret_path[static 32])
{
	(void)snprintf(ret_path, 32, "/dev/loop7");
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int __wrap_sk_mount_attach(int fd, const char *path);
int __wrap_sk_mount_attach(int fd, const char *path)
{
	return 0;
}

static void mount_one(enum sk_rootfs_type type, bool refuse_file)
{
	char dir[] = "/tmp/test-image-mount-XXXXXX", path[PATH_MAX];
	_cleanup_free_ char *images = NULL;
	_cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const struct sk_image_info info = { .type = type,
					    .rootfs_offset = 4096,
					    .rootfs_size = 4096 };
	struct sk_digest digest = { { 1 } };
	struct sk_err err = SK_ERR_INIT;

	calls[0] = '\0';
	attr_of_all = UINT64_MAX;
	file_refused = refuse_file;
	assert_non_null(mkdtemp(dir));
	images = sk_asprintf("%s/images", dir);
	assert_int_equal(mkdir(images, 0700), 0);
	if (sk_image_mount_get(dir, &digest, fd, &info, path, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(sk_rm_rf(AT_FDCWD, dir), 0);
	assert_int_equal(attr_of_all, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
}

static void squashfs(void **state)
{
	mount_one(SK_ROOTFS_SQUASHFS, false);
	assert_string_equal(calls, "squashfs source=/dev/loop7, ");
}

static void erofs_from_its_file(void **state)
{
	mount_one(SK_ROOTFS_EROFS, false);
	assert_string_equal(calls, "erofs fsoffset=4096, ");
}

static void erofs_on_an_older_kernel(void **state)
{
	mount_one(SK_ROOTFS_EROFS, true);
	assert_string_equal(calls, "erofs fsoffset=4096, erofs source=/dev/loop7, ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(squashfs),
		cmocka_unit_test(erofs_from_its_file),
		cmocka_unit_test(erofs_on_an_older_kernel),
	};

	return cmocka_run_group_tests_name("engine/runtime/container/image_mount", tests, NULL,
					   NULL);
}
