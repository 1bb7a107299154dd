/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "io/image/spool.h"
#include "tar_fixture.h"

static int setup(void **state)
{
	char dir[] = "/tmp/skerry-spool.XXXXXX";

	*state = mkdtemp(dir) ? strdup(dir) : NULL;
	return *state && chdir(*state) == 0 ? sk_mkdir_p(AT_FDCWD, "spool", 0700) : -1;
}

static int teardown(void **state)
{
	_cleanup_free_ char *dir = *state;

	return chdir("/") == 0 && sk_rm_rf(AT_FDCWD, dir) == 0 ? 0 : -1;
}

static int spool(const struct tar_entry *e, size_t n, uint64_t max, struct sk_spool **ret,
		 struct sk_err *err)
{
	_cleanup_buf_ struct sk_buf b = TAR_BUF;
	_cleanup_close_ int fd = -1;

	for (size_t i = 0; i < n; i++)
		tar_add(&b, &e[i]);
	tar_end(&b);
	fd = tar_fd(&b);
	assert_int_equal(sk_rm_rf(AT_FDCWD, "spool"), 0);
	assert_int_equal(sk_mkdir_p(AT_FDCWD, "spool", 0700), 0);
	return sk_spool_read(fd, "spool", max, ret, err);
}

/* `docker save` of old: a layer that was written before is a symlink to it. */
static void links_among_members(void **state)
{
	static const struct tar_entry e[] = {
		{ "a/", '5' },
		{ "a/layer.tar", .data = "layer" },
		{ "b/layer.tar", '2', .link = "../a/layer.tar" },
		{ "c/layer.tar", '1', .link = "b/layer.tar" },
		{ "d/e/f", '2', .link = "./.././../c/layer.tar" },
	};
	_cleanup_(sk_spool_freep) struct sk_spool *s = NULL;
	struct sk_err err = SK_ERR_INIT;
	_cleanup_close_ int fd = -1;
	uint64_t size;

	if (spool(e, ARRAY_SIZE(e), 1000, &s, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(sk_spool_open(s, "d/e/f", &fd, &size, &err), 0);
	assert_int_equal(size, 5);
	assert_false(sk_spool_has(s, "a"));
	assert_int_equal(sk_spool_open(s, "absent", &fd, &size, &err), -EBADMSG);
}

static void names_do_not_touch_the_disk(void **state)
{
	static const struct tar_entry e[] = { { "etc/passwd", .data = "x" }, { "0", .data = "y" } };
	_cleanup_(sk_spool_freep) struct sk_spool *s = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len;

	assert_int_equal(spool(e, ARRAY_SIZE(e), 1000, &s, NULL), 0);
	assert_int_equal(access("spool/etc", F_OK), -1);
	assert_int_equal(sk_file_read(AT_FDCWD, "spool/0", 10, &text, &len), 0);
	assert_string_equal(text, "x");
}

static void refused(void **state)
{
	static const struct {
		struct tar_entry e[2];
		const char *word;
	} cases[] = {
		{ { { "../x", .data = "x" }, { "b" } }, "\"..\"" },
		{ { { "/x", .data = "x" }, { "b" } }, "absolute" },
		{ { { "a", .data = "x" }, { "a", .data = "y" } }, "twice" },
		{ { { "a", .data = "x" }, { "./a", '2', .link = "b" } }, "twice" },
		{ { { "a", '2', .link = "../../etc/passwd" }, { "b" } }, "out of the archive" },
		{ { { "a/b", '2', .link = "/etc/passwd" }, { "b" } }, "out of the archive" },
		{ { { "a", '1', .link = "../x" }, { "b" } }, "out of the archive" },
		{ { { "a", '3' }, { "b" } }, "neither a file nor a link" },
		{ { { "a", '6' }, { "b" } }, "neither a file nor a link" },
		{ { { "a", .claim = 5ull << 30 }, { "b" } }, "" },
		{ { { "a", .data = "more than ten" }, { "b" } }, "more than is allowed" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sk_spool *s = NULL;
		struct sk_err err = SK_ERR_INIT;

		assert_int_equal(spool(cases[i].e, 2, 10, &s, &err), -EBADMSG);
		assert_string_equal(err.slug, "bad-archive");
		if (!strstr(err.text, cases[i].word))
			fail_msg("\"%s\" is not in: %s", cases[i].word, err.text);
		assert_null(s);
	}
}

static void links_in_a_circle(void **state)
{
	static const struct tar_entry e[] = { { "a", '2', .link = "b" },
					      { "b", '2', .link = "a" } };
	_cleanup_(sk_spool_freep) struct sk_spool *s = NULL;

	assert_int_equal(spool(e, 2, 1000, &s, NULL), 0);
	assert_false(sk_spool_has(s, "a"));
}

static void too_many_members(void **state)
{
	_cleanup_buf_ struct sk_buf b = TAR_BUF;
	_cleanup_close_ int fd = -1;
	struct sk_spool *s = NULL;
	struct sk_err err = SK_ERR_INIT;

	for (int i = 0; i < 10001; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%d", i);
		tar_add(&b, &(struct tar_entry){ name, '2', .link = "x" });
	}
	tar_end(&b);
	fd = tar_fd(&b);
	assert_int_equal(sk_spool_read(fd, "spool", 1000, &s, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "too many"));
}

static void blobs_are_what_their_name_says(void **state)
{
	_cleanup_(sk_spool_freep) struct sk_spool *s = NULL;
	_cleanup_buf_ struct sk_buf b = TAR_BUF;
	struct sk_err err = SK_ERR_INIT;
	_cleanup_close_ int tar = -1, fd = -1;
	struct sk_digest d = tar_blob(&b, "content", 7);
	uint64_t size;

	tar_end(&b);
	tar = tar_fd(&b);
	assert_int_equal(sk_spool_read(tar, "spool", 1000, &s, &err), 0);
	assert_int_equal(sk_spool_blob(s, &d, &fd, &size, &err), 0);
	assert_int_equal(sk_file_write(AT_FDCWD, "spool/0", "Content", 7, 0600), 0);
	assert_int_equal(sk_spool_blob(s, &d, &fd, &size, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "damaged"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(links_among_members),
		TEST(names_do_not_touch_the_disk),
		TEST(refused),
		TEST(links_in_a_circle),
		TEST(too_many_members),
		TEST(blobs_are_what_their_name_says),
	};

	return cmocka_run_group_tests_name("io/spool", tests, NULL, NULL);
}
