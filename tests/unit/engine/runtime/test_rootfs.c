/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <limits.h>

#include "engine/runtime/container/rootfs.h"

static const char *path_of(const char *line)
{
	static char buf[PATH_MAX];

	return sk_mountinfo_path(line, buf, sizeof(buf));
}

static void mount_points(void **state)
{
	assert_string_equal(path_of("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 x rw\n"),
			    "/mnt2");
	assert_string_equal(path_of("1 2 0:1 / / rw - x x rw\n"), "/");
	assert_string_equal(path_of("1 2 0:1 / /a\\040b\\134c\\011 rw - x x rw\n"), "/a b\\c\t");
	assert_string_equal(path_of("1 2 0:1 / /a\\09 rw\n"), "/a\\09");
}

static void malformed(void **state)
{
	assert_string_equal(path_of(""), "");
	assert_string_equal(path_of("\n1 2 3 4 5 6\n"), "");
	assert_string_equal(path_of("1 2 0:1 /"), "");
	assert_string_equal(path_of("1 2 0:1 / /cut"), "");
	assert_string_equal(path_of("1 2 0:1 / /cut\n/next rw"), "");
}

static void too_long_is_no_match(void **state)
{
	char buf[8];

	assert_string_equal(sk_mountinfo_path("1 2 0:1 / /1234567890 rw\n", buf, sizeof(buf)), "");
}

static void nothing_to_unmount(void **state)
{
	assert_int_equal(sk_rootfs_umount("/no/such/folder/anywhere"), 0);
	/* A prefix of a mount point's name is not the folder it lies in. */
	assert_int_equal(sk_rootfs_umount("/pro"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mount_points),
		cmocka_unit_test(malformed),
		cmocka_unit_test(too_long_is_no_match),
		cmocka_unit_test(nothing_to_unmount),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
