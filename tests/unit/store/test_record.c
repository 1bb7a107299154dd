/* SPDX-License-Identifier: Apache-2.0 */
#include "store_test.h"

#include "fault.h"

static void assert_record(struct sk_store *s, const char *name, const char *want)
{
	_cleanup_free_ char *got = NULL;
	size_t len;

	assert_int_equal(sk_store_get_record(s, name, &got, &len, NULL), 0);
	assert_int_equal(len, strlen(want));
	assert_string_equal(got, want);
}

static void replaces(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_err err = SK_ERR_INIT;
	char *got = NULL;
	size_t len;

	assert_int_equal(sk_store_get_record(s, "a", &got, &len, &err), -ENOENT);
	assert_string_equal(err.slug, "not-found");
	assert_int_equal(sk_store_put_record(s, "a", "one", 3, NULL), 0);
	assert_int_equal(sk_store_put_record(s, "a", "2", 1, NULL), 0);
	assert_record(s, "a", "2");
	assert_int_equal(sk_store_del_record(s, "a", NULL), 0);
	assert_int_equal(sk_store_del_record(s, "a", NULL), 0);
	assert_int_equal(sk_store_get_record(s, "a", &got, &len, &err), -ENOENT);
}

static void names(void **state)
{
	static const char *const bad[] = { "", ".", "..", "../a", "a/b", ".tmp-a", "-a", "a b" };
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_err err = SK_ERR_INIT;
	char *got = NULL;
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(sk_store_put_record(s, bad[i], "x", 1, &err), -EINVAL);
		assert_string_equal(err.slug, "bad-name");
		assert_int_equal(sk_store_get_record(s, bad[i], &got, &len, &err), -EINVAL);
		assert_int_equal(sk_store_del_record(s, bad[i], &err), -EINVAL);
	}
}

static void bounds(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	_cleanup_free_ char *big = calloc(1, SK_STORE_RECORD_MAX + 1);
	_cleanup_free_ char *got = NULL, *path = sk_asprintf("%s/records/huge", (char *)*state);
	struct sk_err err = SK_ERR_INIT;
	size_t len;

	assert_int_equal(sk_store_put_record(s, "a", big, SK_STORE_RECORD_MAX + 1, &err), -EFBIG);
	assert_string_equal(err.slug, "too-large");
	assert_int_equal(sk_store_put_record(s, "a", big, SK_STORE_RECORD_MAX, &err), 0);
	assert_int_equal(sk_store_get_record(s, "a", &got, &len, NULL), 0);
	assert_int_equal(len, SK_STORE_RECORD_MAX);
	put_file(path, big, SK_STORE_RECORD_MAX + 1);
	free(TAKE_PTR(got));
	assert_int_equal(sk_store_get_record(s, "huge", &got, &len, &err), -EFBIG);
	assert_int_equal(sk_store_put_record(s, "empty", NULL, 0, NULL), 0);
	assert_record(s, "empty", "");
}

static void listing(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	_cleanup_free_ char *folder = sk_asprintf("%s/records/folder", (char *)*state);
	_cleanup_free_ char *link = sk_asprintf("%s/records/link", (char *)*state);
	_cleanup_strv_ char **all = NULL;
	char *got = NULL;
	size_t len;

	assert_int_equal(sk_store_put_record(s, "b", "2", 1, NULL), 0);
	assert_int_equal(sk_store_put_record(s, "a10", "1", 1, NULL), 0);
	assert_int_equal(sk_store_put_record(s, "a", "1", 1, NULL), 0);
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(symlink("/etc/hostname", link), 0);
	assert_int_equal(sk_store_list_records(s, &all, NULL), 0);
	assert_int_equal(sk_strv_len(all), 3);
	assert_string_equal(all[0], "a");
	assert_string_equal(all[1], "a10");
	assert_string_equal(all[2], "b");
	assert_int_equal(sk_store_get_record(s, "link", &got, &len, NULL), -ELOOP);
}

static void left_overs_go(void **state)
{
	_cleanup_free_ char *tmp = sk_asprintf("%s/records/.tmp-a", (char *)*state);
	_cleanup_free_ char *skr = sk_asprintf("%s/releases/.tmp-x", (char *)*state);
	struct sk_store *s = must_open(*state);

	assert_int_equal(sk_store_put_record(s, "a", "old", 3, NULL), 0);
	sk_store_close(s);
	put_file(tmp, "ne", 2);
	put_file(skr, "ne", 2);
	s = must_open(*state);
	assert_false(exists(tmp));
	assert_false(exists(skr));
	assert_record(s, "a", "old");
	sk_store_close(s);
}

static int count(void *arg, const struct sk_digest *d, uint64_t size_bytes)
{
	++*(int *)arg;
	return 0;
}

static void releases(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of("x", 1), other = digest_of("y", 1);
	_cleanup_free_ char *got = NULL;
	struct sk_err err = SK_ERR_INIT;
	size_t len;
	int n = 0;

	assert_int_equal(sk_store_get_release(s, &d, &got, &len, &err), -ENOENT);
	assert_string_equal(err.slug, "not-found");
	assert_int_equal(sk_store_put_release(s, &d, "release", 7, NULL), 0);
	assert_int_equal(sk_store_put_release(s, &other, "2", 1, NULL), 0);
	assert_int_equal(sk_store_list_releases(s, count, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(sk_store_get_release(s, &d, &got, &len, NULL), 0);
	assert_string_equal(got, "release");
	assert_int_equal(sk_store_put_release(s, &d, "x", 9u << 20, &err), -EFBIG);
	assert_string_equal(err.slug, "too-large");
	assert_int_equal(sk_store_del_release(s, &d, NULL), 0);
	assert_int_equal(sk_store_del_release(s, &d, NULL), 0);
}

static char *must_read(const char *path, size_t *ret_len)
{
	char *text = NULL;

	assert_int_equal(sk_file_read(AT_FDCWD, path, 1 << 20, &text, ret_len), 0);
	return text;
}

/* Any byte turned over, one cut off, one added, another one's whole file: it is not handed out, and a check moves it away. */
static void damaged_releases(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of("x", 1), other = digest_of("y", 1);
	_cleanup_free_ char *path = strdup(store_path(*state, "releases", &d, ".skr"));
	_cleanup_free_ char *away = strdup(store_path(*state, "quarantine", &d, ".skr"));
	_cleanup_free_ char *file = NULL, *swapped = NULL;
	size_t len, swapped_len;

	assert_int_equal(sk_store_put_release(s, &other, "release", 7, NULL), 0);
	swapped = must_read(store_path(*state, "releases", &other, ".skr"), &swapped_len);
	assert_int_equal(sk_store_verify_release(s, &d, NULL), -ENOENT);
	for (size_t i = 0, n = 1; i < n; i++) {
		struct sk_err err = SK_ERR_INIT;
		char *got = NULL;
		size_t got_len;

		assert_int_equal(sk_store_put_release(s, &d, "release", 7, NULL), 0);
		assert_false(exists(away));
		assert_int_equal(sk_store_verify_release(s, &d, &err), 0);
		free(file);
		file = must_read(path, &len);
		n = len + 3;
		if (i < len)
			file[i] ^= 1;
		else if (i == len)
			len--;
		else if (i == len + 1)
			len++; /* the NUL */
		put_file(path, i + 1 < n ? file : swapped, i + 1 < n ? len : swapped_len);
		assert_int_equal(sk_store_get_release(s, &d, &got, &got_len, &err), -EBADMSG);
		assert_string_equal(err.slug, "damaged");
		assert_int_equal(sk_store_verify_release(s, &d, &err), -EBADMSG);
		assert_string_equal(err.slug, "damaged");
		assert_false(sk_store_has_release(s, &d));
		assert_true(exists(away));
	}
	assert_int_equal(sk_store_verify_release(s, &other, NULL), 0);
}

/* A bad sector is damage when it is asked for one, and moves nothing when it is only read. */
static void unreadable_release(void **state)
{
	struct sk_digest d = digest_of("x", 1);
	struct fault_plan plan = { .fail_at = ~0u };
	struct sk_err err = SK_ERR_INIT;
	struct sk_store *s = NULL;
	struct sk_fs *fs = NULL;
	char *got = NULL;
	size_t len;

	assert_int_equal(fault_fs_open(*state, &plan, &fs), 0);
	assert_int_equal(sk_store_open_fs(fs, &s, NULL), 0);
	assert_int_equal(sk_store_put_release(s, &d, "release", 7, NULL), 0);
	plan = (struct fault_plan){ .fail_at = 1, .code = -EIO };
	assert_int_equal(sk_store_get_release(s, &d, &got, &len, &err), -EIO);
	assert_true(sk_store_has_release(s, &d));
	plan = (struct fault_plan){ .fail_at = 2, .code = -EIO };
	assert_int_equal(sk_store_verify_release(s, &d, &err), -EBADMSG);
	assert_false(sk_store_has_release(s, &d));
	sk_store_close(s);
}

/* Each operation fails in turn: afterwards the old content or the new is there, never neither. */
static void each_operation_fails(void **state)
{
	struct sk_store *s = must_open(*state);
	bool done = false;

	assert_int_equal(sk_store_put_record(s, "a", "old", 3, NULL), 0);
	sk_store_close(s);
	for (unsigned i = 0; !done; i++) {
		struct fault_plan plan = { .fail_at = i / 2, .code = -EIO, .stay = i % 2 };
		_cleanup_free_ char *got = NULL;
		struct sk_fs *fs = NULL;
		size_t len;
		int r;

		assert_int_equal(fault_fs_open(*state, &plan, &fs), 0);
		r = sk_store_open_fs(fs, &s, NULL);
		if (r == 0) {
			r = sk_store_put_record(s, "a", "new", 3, NULL);
			sk_store_close(s);
		}
		done = r == 0 && plan.seen <= plan.fail_at;
		s = must_open(*state);
		assert_int_equal(sk_store_get_record(s, "a", &got, &len, NULL), 0);
		assert_true(sk_streq(got, "new") || (r < 0 && sk_streq(got, "old")));
		assert_int_equal(sk_store_put_record(s, "a", "old", 3, NULL), 0);
		sk_store_close(s);
		assert_true(i < 200);
	}
}

/* The disk is full: what must be recorded to fall back still is, thanks to the ballast. */
static void full_disk_takes_a_record(void **state)
{
	_cleanup_free_ char *ballast = sk_asprintf("%s/records/.ballast", (char *)*state);
	struct fault_plan plan = { .fail_at = ~0u, .code = -ENOSPC, .writes_only = true };
	struct sk_err err = SK_ERR_INIT;
	struct sk_store *s = NULL;
	struct sk_fs *fs = NULL;

	assert_int_equal(fault_fs_open(*state, &plan, &fs), 0);
	assert_int_equal(sk_store_open_fs(fs, &s, NULL), 0);
	assert_true(exists(ballast));
	plan = (struct fault_plan){ .fail_at = 1, .code = -ENOSPC, .writes_only = true };
	assert_int_equal(sk_store_put_record(s, "a", "bad", 3, NULL), 0);
	assert_false(exists(ballast));
	assert_record(s, "a", "bad");
	/* Full for good: the error says so. */
	plan = (struct fault_plan){ .code = -ENOSPC, .stay = true, .writes_only = true };
	assert_int_equal(sk_store_put_record(s, "a", "no", 2, &err), -ENOSPC);
	assert_string_equal(err.slug, "no-space");
	assert_record(s, "a", "bad");
	sk_store_close(s);
	s = must_open(*state);
	assert_true(exists(ballast));
	sk_store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(replaces),
		STORE_TEST(names),
		STORE_TEST(bounds),
		STORE_TEST(damaged_releases),
		STORE_TEST(unreadable_release),
		STORE_TEST(listing),
		STORE_TEST(left_overs_go),
		STORE_TEST(releases),
		STORE_TEST(each_operation_fails),
		STORE_TEST(full_disk_takes_a_record),
	};

	return cmocka_run_group_tests_name("store/record", tests, NULL, NULL);
}
