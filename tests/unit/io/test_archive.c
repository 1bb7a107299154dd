/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "io/image/archive.h"
#include "tar_fixture.h"

#define MAX (1u << 20)

static int setup(void **state)
{
	char dir[] = "/tmp/skerry-archive.XXXXXX";

	*state = mkdtemp(dir) ? strdup(dir) : NULL;
	return *state && chdir(*state) == 0 ? mkdir("work", 0700) : -1;
}

static int teardown(void **state)
{
	_cleanup_free_ char *dir = *state;

	return chdir("/") == 0 && sk_rm_rf(AT_FDCWD, dir) == 0 ? 0 : -1;
}

static size_t entries_of(const char *path)
{
	DIR *dir = opendir(path);
	size_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n - 2;
}

static void unpack_ok(const struct sk_buf *b, struct sk_unpacked *u)
{
	_cleanup_close_ int fd = tar_fd(b);
	struct sk_err err = SK_ERR_INIT;

	if (sk_archive_unpack(fd, "work", MAX, u, &err) < 0)
		fail_msg("%s: %s", err.slug, err.text);
}

static void unpack_refused(const struct sk_buf *b, uint64_t max, const char *word)
{
	_cleanup_close_ int fd = tar_fd(b);
	struct sk_unpacked u = { 0 };
	struct sk_err err = SK_ERR_INIT;

	assert_true(sk_archive_unpack(fd, "work", max, &u, &err) < 0);
	assert_string_equal(err.slug, "bad-archive");
	if (!strstr(err.text, word))
		fail_msg("\"%s\" is not in: %s", word, err.text);
	assert_null(u.config);
	assert_int_equal(entries_of("work"), 0);
}

static void assert_text(const char *path, const char *want)
{
	_cleanup_free_ char *text = NULL;
	size_t len;

	assert_int_equal(sk_file_read(AT_FDCWD, path, 65536, &text, &len), 0);
	assert_string_equal(text, want);
}

static void layers_on_top_of_each_other(void **state)
{
	struct sk_buf layers[2] = { TAR_BUF, TAR_BUF };
	_cleanup_(sk_unpacked_done) struct sk_unpacked u = { 0 };
	_cleanup_buf_ struct sk_buf b = TAR_BUF;
	struct stat st;

	tar_add(&layers[0], &(struct tar_entry){ "a", .data = "old", .mtime = 5 });
	tar_add(&layers[0], &(struct tar_entry){ "gone", .data = "x", .mtime = 9 });
	tar_add(&layers[1], &(struct tar_entry){ "a", .data = "new", .mtime = 7 });
	tar_add(&layers[1], &(struct tar_entry){ ".wh.gone" });
	tar_add(&layers[1], &(struct tar_entry){ "dev/null", '3' });
	tar_end(&layers[0]);
	tar_end(&layers[1]);
	tar_docker(&b, layers, 2);
	tar_end(&b);
	unpack_ok(&b, &u);
	assert_text("work/rootfs/a", "new");
	assert_int_equal(access("work/rootfs/gone", F_OK), -1);
	assert_int_equal(access("work/spool", F_OK), -1);
	assert_string_equal(u.tags[0], "web:1");
	assert_int_equal(strlen(u.config), u.config_len);
	assert_int_equal(u.newest_s, 9);
	assert_int_equal(u.bytes, 7);
	assert_int_equal(u.left_out_devices, 1);
	assert_int_equal(stat("work/rootfs", &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 9);
	assert_true(geteuid() == 0 ? u.owners == NULL : u.owners != NULL);
	sk_buf_done(&layers[0]);
	sk_buf_done(&layers[1]);
}

static void a_bad_layer_leaves_nothing(void **state)
{
	struct sk_buf layers[2] = { TAR_BUF, TAR_BUF };
	_cleanup_buf_ struct sk_buf b = TAR_BUF;

	tar_add(&layers[0], &(struct tar_entry){ "a", .data = "fine" });
	tar_add(&layers[1], &(struct tar_entry){ "../b", .data = "not" });
	tar_end(&layers[0]);
	tar_end(&layers[1]);
	tar_docker(&b, layers, 2);
	tar_end(&b);
	unpack_refused(&b, MAX, "layer 2");
	unpack_refused(&b, 3, "more than is allowed");
	sk_buf_done(&layers[0]);
	sk_buf_done(&layers[1]);
}

/* The bound is over all layers, also where one replaces the other. */
static void bytes_of_all_layers_count(void **state)
{
	struct sk_buf layers[2] = { TAR_BUF, TAR_BUF };
	_cleanup_buf_ struct sk_buf b = TAR_BUF;
	char big[30001] = "";

	memset(big, 'x', sizeof(big) - 1);
	for (int i = 0; i < 2; i++) {
		tar_add(&layers[i], &(struct tar_entry){ "a", .data = big });
		tar_end(&layers[i]);
	}
	tar_docker(&b, layers, 2);
	tar_end(&b);
	unpack_refused(&b, 59000, "layer 2");
	sk_buf_done(&layers[0]);
	sk_buf_done(&layers[1]);
}

static void changed_after_signing_off(void **state)
{
	struct sk_buf layer = TAR_BUF;
	_cleanup_buf_ struct sk_buf b = TAR_BUF;
	char *at;

	tar_add(&layer, &(struct tar_entry){ "a", .data = "original" });
	tar_end(&layer);
	tar_docker(&b, &layer, 1);
	tar_end(&b);
	at = memmem(b.data, b.len, "original", 8);
	assert_non_null(at);
	*at = 'X';
	unpack_refused(&b, MAX, "damaged");
	sk_buf_done(&layer);
}

static void a_root_tar(void **state)
{
	_cleanup_(sk_unpacked_done) struct sk_unpacked u = { 0 };
	_cleanup_buf_ struct sk_buf b = TAR_BUF;
	struct sk_err err = SK_ERR_INIT;
	int ends[2];

	tar_add(&b, &(struct tar_entry){ "./etc/f", .data = "x", .mtime = 3 });
	tar_end(&b);
	/* Through a pipe, which cannot be read twice. */
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(sk_fd_write(ends[1], b.data, b.len), 0);
	(void)close(ends[1]);
	if (sk_archive_unpack_root(ends[0], "work", MAX, NULL, &u, &err) < 0)
		fail_msg("%s", err.text);
	(void)close(ends[0]);
	assert_text("work/rootfs/etc/f", "x");
	assert_null(u.config);
}

static bool keep_no_man(const char *path)
{
	return !sk_str_starts(path, "man");
}

static void a_root_tar_in_part(void **state)
{
	_cleanup_(sk_unpacked_done) struct sk_unpacked u = { 0 };
	_cleanup_buf_ struct sk_buf b = TAR_BUF;
	_cleanup_close_ int fd = -1;

	tar_add(&b, &(struct tar_entry){ "man/1", .data = "x", .mtime = 99 });
	tar_add(&b, &(struct tar_entry){ "bin", .data = "x", .mtime = 3 });
	tar_end(&b);
	fd = tar_fd(&b);
	assert_int_equal(sk_archive_unpack_root(fd, "work", MAX, keep_no_man, &u, NULL), 0);
	assert_int_equal(entries_of("work/rootfs"), 1);
	assert_int_equal(u.newest_s, 3);
}

static void not_an_archive(void **state)
{
	_cleanup_buf_ struct sk_buf b = TAR_BUF;

	unpack_refused(&b, MAX, "image archive");
	tar_add(&b, &(struct tar_entry){ "etc/passwd", .data = "x" });
	tar_end(&b);
	unpack_refused(&b, MAX, "neither a docker-archive");
	b.len = 600;
	unpack_refused(&b, MAX, "image archive");
}

/* A work folder on a full disk: the error says so. */
static void unusable_work_folder(void **state)
{
	struct sk_unpacked u = { 0 };
	struct sk_err err = SK_ERR_INIT;

	assert_true(sk_archive_unpack(-1, "absent", MAX, &u, &err) < 0);
	assert_string_equal(err.slug, "io");
	assert_true(sk_archive_unpack(-1, "work", MAX, &u, &err) < 0);
	assert_string_equal(err.slug, "io");
	assert_int_equal(entries_of("work"), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(layers_on_top_of_each_other),
		TEST(a_bad_layer_leaves_nothing),
		TEST(bytes_of_all_layers_count),
		TEST(changed_after_signing_off),
		TEST(a_root_tar),
		TEST(a_root_tar_in_part),
		TEST(not_an_archive),
		TEST(unusable_work_folder),
	};

	return cmocka_run_group_tests_name("io/archive", tests, NULL, NULL);
}
