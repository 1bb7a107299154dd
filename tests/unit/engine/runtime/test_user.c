/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/runtime/container/user.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "www-data:x:33:33::/var/www:/bin/false\n"
			     "app:x:1000:1001::/home/app:/bin/sh\n"
			     "huge:x:4294967295:0::/:/bin/sh\n"
			     "outside:x:65536:65536::/:/bin/sh\n"
			     "::::::\nbroken\n";
static const char group[] = "root:x:0:\nvideo:x:44:app,other\ni2c:x:45:other,app\n"
			    "wheel:x:10:apple\napp:x:1001:\n";

static void names_and_numbers(void **state)
{
	struct sk_user u;

	assert_int_equal(sk_user_lookup(passwd, group, "app", &u, NULL), 0);
	assert_int_equal(u.uid, 1000);
	assert_int_equal(u.gid, 1001);
	assert_string_equal(u.home, "/home/app");
	assert_int_equal(u.n_groups, 2);
	assert_int_equal(u.groups[0], 44);
	assert_int_equal(u.groups[1], 45);
	assert_int_equal(sk_user_lookup(passwd, group, "1000", &u, NULL), 0);
	assert_int_equal(u.gid, 1001);
	assert_int_equal(sk_user_lookup(passwd, group, "app:video", &u, NULL), 0);
	assert_int_equal(u.gid, 44);
	assert_int_equal(u.n_groups, 0);
	assert_int_equal(sk_user_lookup(passwd, group, "33:7", &u, NULL), 0);
	assert_int_equal(u.uid, 33);
	assert_int_equal(u.gid, 7);
}

static void root_by_default(void **state)
{
	struct sk_user u;

	assert_int_equal(sk_user_lookup(NULL, NULL, NULL, &u, NULL), 0);
	assert_int_equal(u.uid, 0);
	assert_int_equal(u.gid, 0);
	assert_int_equal(sk_user_lookup(passwd, group, "", &u, NULL), 0);
	assert_string_equal(u.home, "/root");
}

static void numbers_need_no_file(void **state)
{
	struct sk_user u;

	assert_int_equal(sk_user_lookup(NULL, NULL, "1234:99", &u, NULL), 0);
	assert_int_equal(u.uid, 1234);
	assert_int_equal(u.gid, 99);
	assert_int_equal(sk_user_lookup(NULL, NULL, "1234", &u, NULL), 0);
	assert_int_equal(u.gid, 0);
}

static void refused(void **state)
{
	static const char *const bad[] = {
		"nobody",      "app:nogroup", "65536",	 "1:65536",	"4294967295",
		"huge",	       "outside",     ":",	 "app:",	"-1",
		"99999999999", "a b",	      "../root", "root:root:x", "18446744073709551616"
	};
	char longest[1000];
	struct sk_user u;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct sk_err err = SK_ERR_INIT;

		assert_int_equal(sk_user_lookup(passwd, group, bad[i], &u, &err), -EINVAL);
		assert_true(sk_err_is(&err, "bad-value"));
	}
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(sk_user_lookup(passwd, group, longest, &u, NULL), -EINVAL);
}

static void many_groups_are_bounded(void **state)
{
	char text[40000] = "", line[64];
	struct sk_user u;

	for (int i = 0; i < 1000; i++) {
		(void)snprintf(line, sizeof(line), "g%d:x:%d:app\n", i, 2000 + i);
		strcat(text, line);
	}
	assert_int_equal(sk_user_lookup(passwd, text, "app", &u, NULL), 0);
	assert_int_equal(u.n_groups, SK_USER_GROUPS_MAX);
}

static void over_long_lines_are_left_out(void **state)
{
	char text[5000];
	struct sk_user u;

	memset(text, 'x', sizeof(text));
	(void)snprintf(text + 4000, sizeof(text) - 4000, "\napp:x:7:8::/:/bin/sh\n");
	assert_int_equal(sk_user_lookup(text, NULL, "app", &u, NULL), 0);
	assert_int_equal(u.uid, 7);
}

/* A root file system whose links point out of it */
static void links_stay_inside(void **state)
{
	char dir[] = "/tmp/test-user-XXXXXX";
	_cleanup_close_ int fd = -1;
	struct sk_user u;
	int link_fd;

	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_PATH | O_DIRECTORY);
	assert_int_equal(mkdirat(fd, "etc", 0755), 0);
	assert_int_equal(mkdirat(fd, "real", 0755), 0);
	assert_int_equal(sk_file_write(fd, "real/passwd", passwd, sizeof(passwd) - 1, 0644), 0);
	assert_int_equal(symlinkat("/../../../real/passwd", fd, "etc/passwd"), 0);
	assert_int_equal(sk_user_resolve(fd, "app", &u, NULL), 0);
	assert_int_equal(u.uid, 1000);
	/* The host's own file must not be read, whatever the link says. */
	assert_int_equal(unlinkat(fd, "etc/passwd", 0), 0);
	assert_int_equal(symlinkat("/proc/self/root/etc/passwd", fd, "etc/passwd"), 0);
	assert_int_equal(sk_user_resolve(fd, "root", &u, NULL), -EINVAL);
	link_fd = sk_open_in_root(fd, "../../../../etc/hostname", O_PATH);
	assert_int_equal(link_fd, -ENOENT);
	/* A FIFO in place of a file must not hang. */
	assert_int_equal(unlinkat(fd, "etc/passwd", 0), 0);
	assert_int_equal(mkfifoat(fd, "etc/passwd", 0644), 0);
	(void)sk_user_resolve(fd, "1000", &u, NULL);
	assert_int_equal(sk_rm_rf(AT_FDCWD, dir), 0);
}

static void huge_file(void **state)
{
	char dir[] = "/tmp/test-user-XXXXXX";
	_cleanup_close_ int fd = -1, file = -1;
	struct sk_err err = SK_ERR_INIT;
	struct sk_user u;

	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_PATH | O_DIRECTORY);
	assert_int_equal(mkdirat(fd, "etc", 0755), 0);
	file = openat(fd, "etc/group", O_WRONLY | O_CREAT, 0644);
	assert_int_equal(ftruncate(file, 4ll << 30), 0);
	assert_int_equal(sk_user_resolve(fd, "1000", &u, &err), -EFBIG);
	assert_true(sk_err_is(&err, "bad-image"));
	assert_int_equal(sk_rm_rf(AT_FDCWD, dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_numbers),
		cmocka_unit_test(root_by_default),
		cmocka_unit_test(numbers_need_no_file),
		cmocka_unit_test(refused),
		cmocka_unit_test(many_groups_are_bounded),
		cmocka_unit_test(over_long_lines_are_left_out),
		cmocka_unit_test(links_stay_inside),
		cmocka_unit_test(huge_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
