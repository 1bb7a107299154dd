/* SPDX-License-Identifier: Apache-2.0 */

/* Running a program from where nobody can write. In a mount namespace; needs root. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "engine/runtime/container/read_only.h"

#define SAYS(word) "#!/bin/sh\necho " word " >>\"$OUT\"\n"

static char dir[64], program[96];
static bool able;

static void write_program(const char *text)
{
	assert_int_equal(sk_file_write(AT_FDCWD, program, text, strlen(text), 0755), 0);
}

static int set_up(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/skerry-read-only-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(program, sizeof(program), "%s/tool", dir);
	write_program(SAYS("one"));
	able = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return 0;
}

static int tear_down(void **state)
{
	char at[128];

	(void)snprintf(at, sizeof(at), "%s/programs/tool", dir);
	while (able && umount2(at, MNT_DETACH) == 0)
		;
	return sk_rm_rf(AT_FDCWD, dir);
}

/* What running @path wrote */
static char *output_of(const char *path)
{
	_cleanup_free_ char *out = sk_asprintf("%s/out", dir), *text = NULL;

	(void)unlink(out);
	assert_int_equal(setenv("OUT", out, 1), 0);
	assert_int_equal(system(path), 0);
	assert_int_equal(sk_file_read(AT_FDCWD, out, 64, &text, NULL), 0);
	return TAKE_PTR(text);
}

static void assert_says(const char *path, const char *word)
{
	_cleanup_free_ char *text = output_of(path);

	assert_string_equal(text, word);
}

static void cannot_be_written(void **state)
{
	_cleanup_free_ char *at = NULL;
	struct statvfs fs;

	if (!able)
		skip();
	at = sk_read_only_program(dir, program);
	assert_string_not_equal(at, program);
	assert_int_equal(statvfs(at, &fs), 0);
	assert_true(fs.f_flag & ST_RDONLY);
	assert_int_equal(open(at, O_WRONLY), -1);
	assert_int_equal(errno, EROFS);
	assert_says(at, "one\n");
}

/* An upgrade of the program is seen by the daemon that comes next. */
static void each_daemon_has_its_own(void **state)
{
	_cleanup_free_ char *first = NULL, *second = NULL;

	if (!able)
		skip();
	first = sk_read_only_program(dir, program);
	write_program(SAYS("two"));
	assert_says(first, "one\n");
	second = sk_read_only_program(dir, program);
	assert_string_equal(first, second);
	assert_says(second, "two\n");
	/* One mount in all. */
	assert_int_equal(umount2(second, MNT_DETACH), 0);
	assert_int_equal(umount2(second, MNT_DETACH), -1);
	assert_int_equal(access(second, X_OK), -1);
}

static void read_only_already(void **state)
{
	_cleanup_free_ char *at = NULL;

	if (!able)
		skip();
	assert_int_equal(mount(dir, dir, NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount(NULL, dir, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	at = sk_read_only_program("/nowhere", program);
	assert_int_equal(umount2(dir, MNT_DETACH), 0);
	assert_string_equal(at, program);
}

static void without_a_place_for_it(void **state)
{
	_cleanup_free_ char *at = sk_read_only_program("/nowhere", program);

	assert_string_equal(at, program);
	assert_says(at, "one\n");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(cannot_be_written),
		T(each_daemon_has_its_own),
		T(read_only_already),
		T(without_a_place_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
