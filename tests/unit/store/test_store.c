/* SPDX-License-Identifier: Apache-2.0 */
#include "store_test.h"

#include <sys/wait.h>

#include "fault.h"

static void opens_once(void **state)
{
	struct sk_store *s = must_open(*state), *second = NULL;
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(sk_store_open(*state, &second, &err), -EBUSY);
	assert_string_equal(err.slug, "in-use");
	sk_store_close(s);
	s = must_open(*state);
	sk_store_close(s);
}

static void opens_deep_and_bad_paths(void **state)
{
	_cleanup_free_ char *deep = sk_asprintf("%s/a/b/c", (char *)*state);
	_cleanup_free_ char *file = sk_asprintf("%s/file", (char *)*state);
	_cleanup_free_ char *in_the_way = sk_asprintf("%s/a/b/c/images", (char *)*state);
	struct sk_err err = SK_ERR_INIT;
	struct sk_store *s = must_open(deep);

	sk_store_close(s);
	put_file(file, "x", 1);
	assert_int_equal(sk_store_open(file, &s, &err), -ENOTDIR);
	assert_string_equal(err.slug, "io");
	/* A folder that is a link leads elsewhere. */
	assert_int_equal(rmdir(in_the_way), 0);
	assert_int_equal(symlink("/tmp", in_the_way), 0);
	assert_true(sk_store_open(deep, &s, &err) < 0);
	assert_string_equal(err.slug, "io");
}

static int count(void *arg, const struct sk_digest *d, uint64_t size_bytes)
{
	uint64_t *sums = arg;

	sums[0]++;
	sums[1] += size_bytes;
	return 0;
}

static int stop_at_once(void *arg, const struct sk_digest *d, uint64_t size_bytes)
{
	++*(int *)arg;
	return 77;
}

static void ignores_what_is_not_ours(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of("a", 1), folder = digest_of("b", 1);
	_cleanup_free_ char *odd = sk_asprintf("%s/images/lost+found", (char *)*state);
	_cleanup_free_ char *upper = sk_asprintf("%s/images/%064d", (char *)*state, 0);
	uint64_t sums[2] = { 0 };
	int calls = 0;

	must_add(s, "a", 1);
	must_add(s, "four", 4);
	assert_int_equal(mkdir(odd, 0700), 0);
	upper[strlen(upper) - 1] = 'A';
	put_file(upper, "x", 1);
	assert_int_equal(mkdir(store_path(*state, "images", &folder, ""), 0700), 0);
	assert_int_equal(sk_store_list(s, count, sums), 0);
	assert_int_equal(sums[0], 2);
	assert_int_equal(sums[1], 5);
	assert_int_equal(sk_store_list(s, stop_at_once, &calls), 77);
	assert_int_equal(calls, 1);
	assert_false(sk_store_has(s, &folder));
	assert_int_equal(sk_store_remove(s, &d, NULL), 0);
	assert_true(exists(odd));
	assert_true(exists(upper));
}

static void damage_is_found(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of("hello", 5);
	struct sk_err err = SK_ERR_INIT;
	int fd;

	must_add(s, "hello", 5);
	assert_int_equal(sk_store_verify_image(s, &d, &err), 0);
	fd = open(store_path(*state, "images", &d, ""), O_RDONLY);
	assert_int_equal(fchmod(fd, 0600), 0);
	(void)close(fd);
	put_file(store_path(*state, "images", &d, ""), "hellO", 5);
	assert_int_equal(sk_store_verify_image(s, &d, &err), -EBADMSG);
	assert_string_equal(err.slug, "damaged");
	assert_false(sk_store_has(s, &d));
	assert_int_equal(sk_store_image_fd(s, &d, &fd, NULL, &err), -ENOENT);
	assert_string_equal(err.slug, "not-found");
	assert_true(exists(store_path(*state, "quarantine", &d, "")));
	assert_int_equal(sk_store_verify_image(s, &d, &err), -ENOENT);
	/* Fetched again: the damaged copy has served its purpose. */
	must_add(s, "hello", 5);
	assert_int_equal(sk_store_verify_image(s, &d, &err), 0);
	assert_false(exists(store_path(*state, "quarantine", &d, "")));
}

static void truncated_image_is_damaged(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of("hello", 5);

	must_add(s, "hello", 5);
	assert_int_equal(truncate(store_path(*state, "images", &d, ""), 3), 0);
	assert_int_equal(sk_store_verify_image(s, &d, NULL), -EBADMSG);
	assert_int_equal(sk_store_remove(s, &d, NULL), -ENOENT);
}

/* The disk is too full, or too broken, to keep a damaged one to look at: it is out of use all the same. */
static void damaged_without_room_for_quarantine(void **state)
{
	static const int codes[] = { -ENOSPC, -EIO };
	struct sk_digest d = digest_of("hello", 5);

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		struct fault_plan plan = { .fail_at = ~0u };
		struct sk_err err = SK_ERR_INIT;
		struct sk_store *s = NULL;
		struct sk_fs *fs = NULL;

		assert_int_equal(fault_fs_open(*state, &plan, &fs), 0);
		assert_int_equal(sk_store_open_fs(fs, &s, NULL), 0);
		must_add(s, "hello", 5);
		assert_int_equal(truncate(store_path(*state, "images", &d, ""), 3), 0);
		/* open, read, and then the move to quarantine */
		plan = (struct fault_plan){ .fail_at = 2, .code = codes[i] };
		assert_int_equal(sk_store_verify_image(s, &d, &err), -EBADMSG);
		assert_true(plan.seen > 2);
		assert_string_equal(err.slug, "damaged");
		assert_false(exists(store_path(*state, "images", &d, "")));
		assert_false(exists(store_path(*state, "quarantine", &d, "")));
		sk_store_close(s);
	}
}

/* Nothing to repair: the store opens on a disk that cannot be written to, and says so when it should write. */
static void read_only_disk(void **state)
{
	struct fault_plan plan = { .fail_at = ~0u };
	struct sk_digest d = digest_of("hello", 5);
	struct sk_err err = SK_ERR_INIT;
	struct sk_store *s = must_open(*state);
	struct sk_staged *st = NULL;
	struct sk_fs *fs = NULL;
	int fd;

	must_add(s, "hello", 5);
	assert_int_equal(sk_store_put_record(s, "a", "1", 1, NULL), 0);
	sk_store_close(s);
	plan = (struct fault_plan){ .code = -EROFS, .stay = true, .read_only = true };
	assert_int_equal(fault_fs_open(*state, &plan, &fs), 0);
	assert_int_equal(sk_store_open_fs(fs, &s, &err), 0);
	assert_int_equal(sk_store_image_fd(s, &d, &fd, NULL, &err), 0);
	(void)close(fd);
	assert_int_equal(sk_store_verify_image(s, &d, &err), 0);
	assert_int_equal(sk_store_put_record(s, "a", "2", 1, &err), -EROFS);
	assert_string_equal(err.slug, "io");
	d = digest_of("other", 5);
	assert_int_equal(sk_staged_open(s, &d, 5, &st, &err), -EROFS);
	sk_store_close(s);
}

/* Images come and go while all of them are checked: none of that is damage. */
static void verify_while_others_remove(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of("hello", 5);
	struct sk_err err = SK_ERR_INIT;
	int status;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		/* Not the checks of the test library, which belong to the parent. */
		for (int i = 0; i < 2000; i++) {
			struct sk_err why = SK_ERR_INIT;

			if (sk_store_verify_image(s, &d, &why) < 0 && !sk_err_is(&why, "not-found"))
				_exit(1);
		}
		_exit(0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		must_add(s, "hello", 5);
		assert_int_equal(sk_store_remove(s, &d, &err), 0);
	}
	assert_int_equal(status, 0);
	assert_false(exists(store_path(*state, "quarantine", &d, "")));
}

static bool keep_one(void *arg, const struct sk_digest *d)
{
	return sk_digest_equal(arg, d);
}

static bool keep_none(void *arg, const struct sk_digest *d)
{
	return false;
}

static void collects(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest a = digest_of("aaa", 3), b = digest_of("bb", 2), p = digest_of("part", 4);
	struct sk_staged *st = NULL;
	uint64_t freed = 0;

	must_add(s, "aaa", 3);
	must_add(s, "bb", 2);
	assert_int_equal(sk_store_put_release(s, &a, "r", 1, NULL), 0);
	assert_int_equal(sk_store_put_release(s, &b, "r", 1, NULL), 0);
	put_file(store_path(*state, "quarantine", &b, ""), "b?", 2);
	assert_int_equal(sk_staged_open(s, &p, 4, &st, NULL), 0);
	assert_int_equal(sk_staged_write(st, "pa", 2, NULL), 0);

	assert_int_equal(sk_store_collect(s, keep_one, &a, NULL, &freed, NULL), 0);
	assert_int_equal(freed, 2 + 2 + 1 + SK_DIGEST_SIZE); /* a release file has a seal */
	assert_true(sk_store_has(s, &a));
	assert_false(sk_store_has(s, &b));
	assert_true(exists(store_path(*state, "releases", &a, ".skr")));
	assert_false(exists(store_path(*state, "releases", &b, ".skr")));
	/* One that is being added is not touched, … */
	assert_int_equal(sk_staged_write(st, "rt", 2, NULL), 0);
	assert_int_equal(sk_staged_commit(st, NULL), 0);
	assert_true(sk_store_has(s, &p));
	/* … one that was left is. */
	put_file(store_path(*state, "staging", &b, ".part"), "b", 1);
	assert_int_equal(sk_store_collect(s, keep_none, NULL, NULL, &freed, NULL), 0);
	assert_false(exists(store_path(*state, "staging", &b, ".part")));
	assert_int_equal(sk_store_collect(s, keep_none, NULL, NULL, &freed, NULL), 0);
	assert_int_equal(freed, 0);
}

/* A killed daemon's lock is gone with it. */
static void lock_ends_with_the_process(void **state)
{
	struct sk_store *s;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (sk_store_open(*state, &s, NULL) < 0)
			_exit(1);
		(void)raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	s = must_open(*state);
	sk_store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(opens_once),
		STORE_TEST(opens_deep_and_bad_paths),
		STORE_TEST(ignores_what_is_not_ours),
		STORE_TEST(damage_is_found),
		STORE_TEST(truncated_image_is_damaged),
		STORE_TEST(damaged_without_room_for_quarantine),
		STORE_TEST(read_only_disk),
		STORE_TEST(verify_while_others_remove),
		STORE_TEST(collects),
		STORE_TEST(lock_ends_with_the_process),
	};

	return cmocka_run_group_tests_name("store/store", tests, NULL, NULL);
}
