/* SPDX-License-Identifier: Apache-2.0 */
#include "store_test.h"

#include "fault.h"

static struct fault_plan plan;

static struct sk_fs *must_mount(const char *path)
{
	struct sk_fs *fs = NULL;

	plan = (struct fault_plan){ .fail_at = ~0u };
	assert_int_equal(fault_fs_open(path, &plan, &fs), 0);
	for (int dir = 0; dir < SK_FS_DIRS; dir++)
		assert_int_equal(fs->ops->mkdir(fs, (enum sk_fs_dir)dir), 0);
	return fs;
}

static void assert_content(struct sk_fs *fs, const char *name, const char *want)
{
	_cleanup_free_ char *got = NULL;
	size_t len;

	assert_int_equal(sk_fs_read(fs, SK_FS_RECORDS, name, 100, &got, &len), 0);
	assert_string_equal(got, want);
}

static void reads_up_to_a_bound(void **state)
{
	_cleanup_(sk_fs_freep) struct sk_fs *fs = must_mount(*state);
	char *got = NULL;
	size_t len;

	assert_int_equal(sk_fs_replace(fs, SK_FS_RECORDS, "a", "12345", 5), 0);
	assert_int_equal(sk_fs_read(fs, SK_FS_RECORDS, "a", 4, &got, &len), -EFBIG);
	assert_int_equal(sk_fs_read(fs, SK_FS_RECORDS, "a", 5, &got, &len), 0);
	assert_int_equal(len, 5);
	free(got);
	assert_int_equal(sk_fs_read(fs, SK_FS_RECORDS, "b", 5, &got, &len), -ENOENT);
}

/* The order that makes it safe: data, sync, rename, sync of the folder. Each may fail. */
static void replaces_or_keeps(void **state)
{
	_cleanup_(sk_fs_freep) struct sk_fs *fs = must_mount(*state);

	assert_int_equal(sk_fs_replace(fs, SK_FS_RECORDS, "a", "old", 3), 0);
	for (unsigned i = 0; i < 4; i++) {
		plan = (struct fault_plan){ .fail_at = i, .code = -EIO };
		assert_int_equal(sk_fs_replace(fs, SK_FS_RECORDS, "a", "new", 3), -EIO);
		plan.fail_at = ~0u;
		assert_content(fs, "a", "old");
		assert_int_equal(fs->ops->open(fs, SK_FS_RECORDS, ".tmp-a", SK_FS_READ), -ENOENT);
	}
	/* The fifth is the sync of the folder: the new one is there, but it may not last. */
	plan = (struct fault_plan){ .fail_at = 4, .code = -EIO };
	assert_int_equal(sk_fs_replace(fs, SK_FS_RECORDS, "a", "new", 3), -EIO);
	assert_int_equal(plan.seen, 5);
}

static void removes(void **state)
{
	_cleanup_(sk_fs_freep) struct sk_fs *fs = must_mount(*state);

	assert_int_equal(sk_fs_remove(fs, SK_FS_RECORDS, "a"), 0);
	assert_int_equal(sk_fs_replace(fs, SK_FS_RECORDS, "a", "x", 1), 0);
	plan = (struct fault_plan){ .code = -EIO };
	assert_int_equal(sk_fs_remove(fs, SK_FS_RECORDS, "a"), -EIO);
	assert_int_equal(sk_fs_remove(fs, SK_FS_RECORDS, "a"), 0);
}

static void long_names(void **state)
{
	_cleanup_(sk_fs_freep) struct sk_fs *fs = must_mount(*state);
	char name[300];

	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(sk_fs_replace(fs, SK_FS_RECORDS, name, "x", 1), -ENAMETOOLONG);
	name[251] = '\0';
	assert_int_equal(sk_fs_replace(fs, SK_FS_RECORDS, name, "x", 1), -ENAMETOOLONG);
}

static void hashes_ranges(void **state)
{
	_cleanup_(sk_fs_freep) struct sk_fs *fs = must_mount(*state);
	_cleanup_(sk_hasher_freep) struct sk_hasher *h = sk_hasher_new();
	struct sk_digest got, want = digest_of("cde", 3);
	int fd;

	assert_int_equal(sk_fs_replace(fs, SK_FS_RECORDS, "a", "abcdef", 6), 0);
	fd = fs->ops->open(fs, SK_FS_RECORDS, "a", SK_FS_READ);
	assert_int_equal(sk_fs_hash(fs, fd, 2, 5, h), 0);
	assert_int_equal(sk_hasher_end(h, &got), 0);
	assert_true(sk_digest_equal(&got, &want));
	assert_int_equal(sk_fs_hash(fs, fd, 3, 3, h), 0);
	assert_int_equal(sk_fs_hash(fs, fd, 0, 7, h), -ENODATA);
	plan = (struct fault_plan){ .code = -EIO };
	assert_int_equal(sk_fs_hash(fs, fd, 0, 6, h), -EIO);
	fs->ops->close(fs, fd);
}

static bool any(const char *name)
{
	return true;
}

static void names_are_sorted(void **state)
{
	_cleanup_(sk_fs_freep) struct sk_fs *fs = must_mount(*state);
	_cleanup_strv_ char **names = NULL;

	assert_int_equal(sk_fs_names(fs, SK_FS_RECORDS, any, &names), 0);
	assert_null(names);
	assert_int_equal(sk_fs_replace(fs, SK_FS_RECORDS, "c", "", 0), 0);
	assert_int_equal(sk_fs_replace(fs, SK_FS_RECORDS, "a", "", 0), 0);
	assert_int_equal(sk_fs_replace(fs, SK_FS_RECORDS, "b", "", 0), 0);
	assert_int_equal(sk_fs_names(fs, SK_FS_RECORDS, any, &names), 0);
	assert_int_equal(sk_strv_len(names), 3);
	assert_string_equal(names[0], "a");
	assert_string_equal(names[2], "c");
	sk_strv_free(TAKE_PTR(names));
	plan = (struct fault_plan){ .code = -EIO };
	assert_int_equal(sk_fs_names(fs, SK_FS_RECORDS, any, &names), -EIO);
	assert_string_equal(sk_fs_dir_name(SK_FS_DIRS), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(reads_up_to_a_bound),
		STORE_TEST(replaces_or_keeps),
		STORE_TEST(removes),
		STORE_TEST(long_names),
		STORE_TEST(hashes_ranges),
		STORE_TEST(names_are_sorted),
	};

	return cmocka_run_group_tests_name("store/fs", tests, NULL, NULL);
}
