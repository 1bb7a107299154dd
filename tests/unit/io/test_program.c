/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "io/sys/program.h"

struct fixture {
	char dir[64], path[256], more[96];
	char *old_path;
};

/* DIR/first and DIR/second are in PATH, DIR/more is not. */
static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/skerry-program-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/first:%s/second", f->dir, f->dir);
	(void)snprintf(f->more, sizeof(f->more), "%s/more", f->dir);
	f->old_path = strdup(getenv("PATH"));
	assert_int_equal(setenv("PATH", f->path, 1), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(setenv("PATH", f->old_path, 1), 0);
	assert_int_equal(sk_rm_rf(AT_FDCWD, f->dir), 0);
	free(f->old_path);
	free(f);
	return 0;
}

static void put(const struct fixture *f, const char *dir, mode_t mode)
{
	_cleanup_free_ char *folder = sk_asprintf("%s/%s", f->dir, dir);
	_cleanup_free_ char *file = sk_asprintf("%s/tool", folder);

	assert_int_equal(sk_mkdir_p(AT_FDCWD, folder, 0755), 0);
	assert_int_equal(sk_file_write(AT_FDCWD, file, "", 0, mode), 0);
}

static void finds(const struct fixture *f, const char *name, const char *more, const char *in)
{
	_cleanup_free_ char *want = in ? sk_asprintf("%s/%s/tool", f->dir, in) : NULL;
	_cleanup_free_ char *got = sk_program_find(name, more);

	if (!want)
		assert_null(got);
	else
		assert_string_equal(got, want);
}

static void path_first_then_more(void **state)
{
	struct fixture *f = *state;

	finds(f, "tool", f->more, NULL);
	put(f, "more", 0755);
	finds(f, "tool", NULL, NULL);
	finds(f, "tool", f->more, "more");
	put(f, "second", 0755);
	finds(f, "tool", f->more, "second");
	put(f, "first", 0644);
	finds(f, "tool", f->more, "second");
	put(f, "first", 0755);
	finds(f, "tool", f->more, "first");
}

static void by_path_nowhere_else(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *there = sk_asprintf("%s/second/tool", f->dir);
	_cleanup_free_ char *not_there = sk_asprintf("%s/first/tool", f->dir);

	put(f, "second", 0755);
	put(f, "more", 0755);
	finds(f, there, f->more, "second");
	finds(f, not_there, f->more, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(path_first_then_more, setup, teardown),
		cmocka_unit_test_setup_teardown(by_path_nowhere_else, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
