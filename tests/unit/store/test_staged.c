/* SPDX-License-Identifier: Apache-2.0 */
#include "store_test.h"

#include <sys/wait.h>

#include "fault.h"

#define SIZE 300000

static char bytes[SIZE];

static int fill(void **state)
{
	for (size_t i = 0; i < SIZE; i++)
		bytes[i] = (char)(i * 2654435761u >> 13);
	return 0;
}

static void adds_and_lists(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of(bytes, SIZE);
	_cleanup_close_ int fd = -1;
	struct sk_digest again;
	uint64_t size = 0;
	struct stat st;

	assert_false(sk_store_has(s, &d));
	must_add(s, bytes, SIZE);
	assert_true(sk_store_has(s, &d));
	assert_int_equal(sk_store_image_fd(s, &d, &fd, &size, NULL), 0);
	assert_int_equal(size, SIZE);
	assert_int_equal(sk_digest_of_fd(fd, 0, UINT64_MAX, &again), 0);
	assert_true(sk_digest_equal(&d, &again));
	assert_int_equal(stat(store_path(*state, "images", &d, ""), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_false(exists(store_path(*state, "staging", &d, ".part")));
}

/* The daemon dies in the middle; what arrived is kept and read again for the digest. */
static void resumes_over_restart(void **state)
{
	struct sk_digest d = digest_of(bytes, SIZE);
	struct sk_store *s = must_open(*state);
	struct sk_staged *st = NULL;

	assert_int_equal(sk_staged_open(s, &d, SIZE, &st, NULL), 0);
	assert_int_equal(sk_staged_offset(st), 0);
	assert_int_equal(sk_staged_write(st, bytes, 200000, NULL), 0);
	assert_int_equal(sk_staged_rehash_bytes(st), 0);
	sk_staged_close(st);
	sk_store_close(s);

	s = must_open(*state);
	assert_int_equal(sk_staged_open(s, &d, SIZE, &st, NULL), 0);
	assert_int_equal(sk_staged_offset(st), 200000);
	assert_int_equal(sk_staged_rehash_bytes(st), 200000);
	assert_int_equal(sk_staged_write(st, bytes + 200000, 50000, NULL), 0);
	/* 50000 of the old ones were caught up with, the new ones not hashed yet. */
	assert_int_equal(sk_staged_rehash_bytes(st), 200000);
	assert_int_equal(sk_staged_write(st, bytes + 250000, 50000, NULL), 0);
	assert_int_equal(sk_staged_commit(st, NULL), 0);
	assert_true(sk_store_has(s, &d));
	assert_int_equal(sk_store_verify_image(s, &d, NULL), 0);
	sk_store_close(s);
}

/* Small resumed prefix, much new: the running hash catches up and follows the buffer again. */
static void catches_up(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of(bytes, SIZE);
	struct sk_staged *st = NULL;

	assert_int_equal(sk_staged_open(s, &d, SIZE, &st, NULL), 0);
	assert_int_equal(sk_staged_write(st, bytes, 1000, NULL), 0);
	sk_staged_close(st);
	assert_int_equal(sk_staged_open(s, &d, SIZE, &st, NULL), 0);
	assert_int_equal(sk_staged_write(st, bytes + 1000, SIZE - 1000, NULL), 0);
	assert_int_equal(sk_staged_rehash_bytes(st), 0);
	assert_int_equal(sk_staged_commit(st, NULL), 0);
	assert_true(sk_store_has(s, &d));
}

static void wrong_bytes(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of(bytes, SIZE);
	struct sk_err err = SK_ERR_INIT;
	struct sk_staged *st = NULL;

	assert_int_equal(sk_staged_open(s, &d, SIZE, &st, NULL), 0);
	assert_int_equal(sk_staged_write(st, bytes, SIZE - 1, NULL), 0);
	assert_int_equal(sk_staged_write(st, "!", 1, NULL), 0);
	assert_int_equal(sk_staged_commit(st, &err), -EBADMSG);
	assert_string_equal(err.slug, "digest-mismatch");
	assert_false(sk_store_has(s, &d));
	assert_false(exists(store_path(*state, "staging", &d, ".part")));
	must_add(s, bytes, SIZE);
}

/* A byte of the resumed prefix changed on disk meanwhile. */
static void damaged_prefix(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of(bytes, SIZE);
	struct sk_err err = SK_ERR_INIT;
	struct sk_staged *st = NULL;
	int fd;

	assert_int_equal(sk_staged_open(s, &d, SIZE, &st, NULL), 0);
	assert_int_equal(sk_staged_write(st, bytes, 1000, NULL), 0);
	sk_staged_close(st);
	fd = open(store_path(*state, "staging", &d, ".part"), O_WRONLY);
	assert_int_equal(pwrite(fd, "?", 1, 500), 1);
	(void)close(fd);
	assert_int_equal(sk_staged_open(s, &d, SIZE, &st, NULL), 0);
	assert_int_equal(sk_staged_write(st, bytes + 1000, SIZE - 1000, NULL), 0);
	assert_int_equal(sk_staged_commit(st, &err), -EBADMSG);
	assert_string_equal(err.slug, "digest-mismatch");
	assert_false(sk_store_has(s, &d));
}

static void short_and_long(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of(bytes, SIZE);
	struct sk_err err = SK_ERR_INIT;
	struct sk_staged *st = NULL;

	assert_int_equal(sk_staged_open(s, &d, SIZE, &st, NULL), 0);
	assert_int_equal(sk_staged_write(st, bytes, 1000, NULL), 0);
	assert_int_equal(sk_staged_commit(st, &err), -ENODATA);
	assert_string_equal(err.slug, "bad-state");
	assert_false(sk_store_has(s, &d));

	assert_int_equal(sk_staged_open(s, &d, SIZE, &st, NULL), 0);
	assert_int_equal(sk_staged_offset(st), 1000);
	assert_int_equal(sk_staged_write(st, bytes, SIZE, &err), -EFBIG);
	assert_string_equal(err.slug, "too-large");
	assert_int_equal(sk_staged_offset(st), 1000);
	sk_staged_close(st);
}

static void longer_part_is_dropped(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of(bytes, 1000);
	struct sk_staged *st = NULL;

	put_file(store_path(*state, "staging", &d, ".part"), bytes, 1001);
	assert_int_equal(sk_staged_open(s, &d, 1000, &st, NULL), 0);
	assert_int_equal(sk_staged_offset(st), 0);
	assert_int_equal(sk_staged_write(st, bytes, 1000, NULL), 0);
	assert_int_equal(sk_staged_commit(st, NULL), 0);
	assert_int_equal(sk_store_verify_image(s, &d, NULL), 0);
}

static void claims(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of(bytes, SIZE), empty = digest_of("", 0);
	struct sk_err err = SK_ERR_INIT;
	struct sk_staged *st = NULL, *second = NULL;

	assert_int_equal(sk_staged_open(s, &d, 5ull << 30, &st, &err), -EFBIG);
	assert_string_equal(err.slug, "too-large");
	assert_int_equal(sk_staged_open(s, &d, 1ull << 32, &st, &err), -EFBIG);
	assert_int_equal(sk_staged_open(s, &d, UINT64_MAX, &st, &err), -EFBIG);
	assert_int_equal(sk_staged_open(s, &empty, 0, &st, &err), -EINVAL);
	assert_string_equal(err.slug, "bad-value");

	assert_int_equal(sk_staged_open(s, &d, SIZE, &st, NULL), 0);
	assert_int_equal(sk_staged_open(s, &d, SIZE, &second, &err), -EBUSY);
	assert_string_equal(err.slug, "in-use");
	sk_staged_close(st);
	/* Nothing had arrived: nothing is left. */
	assert_false(exists(store_path(*state, "staging", &d, ".part")));
	must_add(s, bytes, SIZE);
	assert_int_equal(sk_staged_open(s, &d, SIZE, &st, &err), -EEXIST);
	assert_string_equal(err.slug, "already-exists");
}

static void two_at_once(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest a = digest_of(bytes, 1000), b = digest_of(bytes, 2000);
	struct sk_staged *sa = NULL, *sb = NULL;

	assert_int_equal(sk_staged_open(s, &a, 1000, &sa, NULL), 0);
	assert_int_equal(sk_staged_open(s, &b, 2000, &sb, NULL), 0);
	assert_int_equal(sk_staged_write(sa, bytes, 500, NULL), 0);
	assert_int_equal(sk_staged_write(sb, bytes, 2000, NULL), 0);
	assert_int_equal(sk_staged_write(sa, bytes + 500, 500, NULL), 0);
	assert_int_equal(sk_staged_commit(sa, NULL), 0);
	assert_int_equal(sk_staged_commit(sb, NULL), 0);
	assert_true(sk_store_has(s, &a));
	assert_true(sk_store_has(s, &b));
}

/* The rest of the hashing in a child, as the daemon does with large parts. */
static void commit_in_a_child(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of(bytes, SIZE);
	struct sk_staged *st = NULL;
	int status;
	pid_t pid;

	assert_int_equal(sk_staged_open(s, &d, SIZE, &st, NULL), 0);
	assert_int_equal(sk_staged_write(st, bytes, SIZE, NULL), 0);
	pid = fork();
	if (pid == 0)
		_exit(sk_staged_commit(st, NULL) == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	sk_staged_close(st);
	assert_int_equal(sk_store_verify_image(s, &d, NULL), 0);
	assert_false(exists(store_path(*state, "staging", &d, ".part")));
}

static int add_file(struct sk_store *s, const char *path, const struct sk_digest *d, uint64_t size,
		    struct sk_err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	return sk_store_add_fd(s, fd, d, size, err);
}

static void adds_from_a_file(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of(bytes, SIZE);
	struct sk_err err = SK_ERR_INIT;
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/input", (char *)*state);
	put_file(path, bytes, SIZE);
	/* Longer and shorter than claimed: nothing is stored. */
	assert_int_equal(add_file(s, path, &d, SIZE - 1, &err), -EFBIG);
	assert_string_equal(err.slug, "too-large");
	assert_int_equal(add_file(s, path, &d, SIZE + 1, &err), -ENODATA);
	assert_string_equal(err.slug, "digest-mismatch");
	assert_false(exists(store_path(*state, "staging", &d, ".part")));
	/* What a transfer left does not matter. */
	put_file(store_path(*state, "staging", &d, ".part"), "xyz", 3);
	assert_int_equal(add_file(s, path, &d, SIZE, &err), 0);
	assert_int_equal(sk_store_verify_image(s, &d, NULL), 0);
	/* Not a file to read from. */
	d = digest_of(bytes, 10);
	assert_int_equal(add_file(s, *state, &d, 10, &err), -EISDIR);
	assert_string_equal(err.slug, "io");
}

/* As the daemon and its child share the work: the child fills and commits, the daemon closes. */
static void filled_by_a_child(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of(bytes, SIZE);
	struct sk_err err = SK_ERR_INIT;
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/input", (char *)*state);
	put_file(path, bytes, SIZE);
	for (int good = 0; good < 2; good++) {
		struct sk_staged *st, *other;
		int fd = open(path, O_RDONLY), status;
		pid_t child;

		assert_int_equal(sk_staged_open(s, &d, SIZE, &st, &err), 0);
		child = fork();
		if (child == 0)
			_exit(sk_staged_fill(st, fd, &err) < 0 ||
			      (good && sk_staged_commit(st, &err) < 0));
		sk_staged_lend(st);
		(void)waitpid(child, &status, 0);
		assert_int_equal(status, 0);
		/* Nobody else gets it before the daemon is through with it. */
		if (!good)
			assert_int_equal(sk_staged_open(s, &d, SIZE, &other, &err), -EBUSY);
		sk_staged_drop(st);
		/* The one that was not committed is gone. */
		assert_int_equal(sk_store_has(s, &d), good);
		assert_false(exists(store_path(*state, "staging", &d, ".part")));
		(void)close(fd);
	}
	assert_int_equal(sk_store_verify_image(s, &d, NULL), 0);
}

static void links_are_not_followed(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of(bytes, SIZE);
	struct sk_err err = SK_ERR_INIT;
	struct sk_staged *st = NULL;
	char victim[256];

	(void)snprintf(victim, sizeof(victim), "%s/victim", (char *)*state);
	put_file(victim, "precious", 8);
	assert_int_equal(symlink(victim, store_path(*state, "staging", &d, ".part")), 0);
	assert_int_equal(sk_staged_open(s, &d, SIZE, &st, &err), -ELOOP);
	assert_string_equal(err.slug, "io");
	assert_int_equal(unlink(store_path(*state, "staging", &d, ".part")), 0);
	assert_int_equal(mkfifo(store_path(*state, "staging", &d, ".part"), 0600), 0);
	assert_true(sk_staged_open(s, &d, SIZE, &st, &err) < 0);
	assert_int_equal(unlink(store_path(*state, "staging", &d, ".part")), 0);

	/* A link where the image belongs is not the image, and is replaced. */
	assert_int_equal(symlink(victim, store_path(*state, "images", &d, "")), 0);
	assert_false(sk_store_has(s, &d));
	must_add(s, bytes, SIZE);
	assert_int_equal(sk_store_verify_image(s, &d, NULL), 0);
	assert_true(exists(victim));
}

static void recovers_sealed_parts(void **state)
{
	struct sk_digest good = digest_of(bytes, 1000), bad = digest_of(bytes, 2000);
	struct sk_digest listed = digest_of(bytes, 3000), blocked = digest_of(bytes, 4000);
	struct sk_store *s = must_open(*state);

	must_add(s, bytes, 3000);
	sk_store_close(s);
	put_file(store_path(*state, "staging", &good, ".part"), bytes, 1000);
	assert_int_equal(chmod(store_path(*state, "staging", &good, ".part"), 0444), 0);
	put_file(store_path(*state, "staging", &bad, ".part"), bytes, 1999);
	assert_int_equal(chmod(store_path(*state, "staging", &bad, ".part"), 0444), 0);
	put_file(store_path(*state, "staging", &listed, ".part"), bytes, 5);
	/* Something in the way must not keep the store shut. */
	put_file(store_path(*state, "staging", &blocked, ".part"), bytes, 4000);
	assert_int_equal(chmod(store_path(*state, "staging", &blocked, ".part"), 0444), 0);
	assert_int_equal(mkdir(store_path(*state, "images", &blocked, ""), 0700), 0);

	s = must_open(*state);
	assert_true(sk_store_has(s, &good));
	assert_false(sk_store_has(s, &bad));
	assert_true(sk_store_has(s, &listed));
	assert_false(sk_store_has(s, &blocked));
	assert_false(exists(store_path(*state, "staging", &good, ".part")));
	assert_false(exists(store_path(*state, "staging", &bad, ".part")));
	assert_false(exists(store_path(*state, "staging", &listed, ".part")));
	sk_store_close(s);
}

/* A sealed part that is the listed image under a second name must never be written to. */
static void hard_linked_part(void **state)
{
	struct sk_digest d = digest_of(bytes, 1000);
	struct sk_store *s = must_open(*state);
	char part[512];

	must_add(s, bytes, 1000);
	sk_store_close(s);
	(void)snprintf(part, sizeof(part), "%s", store_path(*state, "staging", &d, ".part"));
	assert_int_equal(link(store_path(*state, "images", &d, ""), part), 0);
	s = must_open(*state);
	assert_false(exists(part));
	assert_int_equal(sk_store_verify_image(s, &d, NULL), 0);
	sk_store_close(s);
}

static int try_add(const char *path, struct fault_plan *plan, struct sk_err *err)
{
	struct sk_digest d = digest_of(bytes, SIZE);
	struct sk_staged *st = NULL;
	struct sk_store *s = NULL;
	struct sk_fs *fs = NULL;
	int r = fault_fs_open(path, plan, &fs);

	if (r == 0)
		r = sk_store_open_fs(fs, &s, err);
	if (r < 0)
		return r;
	r = sk_staged_open(s, &d, SIZE, &st, err);
	if (r == 0) {
		uint64_t have = sk_staged_offset(st);

		r = sk_staged_write(st, bytes + have, SIZE - have, err);
		if (r < 0)
			sk_staged_close(st);
		else
			r = sk_staged_commit(st, err);
	}
	sk_store_close(s);
	return r;
}

/* Each operation fails in turn: a clear error, the store opens, a listed image is whole. */
static void each_operation_fails(void **state)
{
	struct sk_digest d = digest_of(bytes, SIZE);
	bool done = false;
	unsigned failures = 0;

	for (unsigned i = 0; !done; i++) {
		struct fault_plan plan = { .fail_at = i / 2, .code = -EIO, .stay = i % 2 };
		struct sk_err err = SK_ERR_INIT;
		int r = try_add(*state, &plan, &err);
		struct sk_store *s;

		failures += r < 0;
		if (r < 0)
			assert_string_equal(err.slug, "io");
		s = must_open(*state);
		if (r == 0 && plan.seen <= plan.fail_at)
			done = true;
		assert_true(r < 0 || sk_store_has(s, &d));
		if (sk_store_has(s, &d)) {
			assert_int_equal(sk_store_verify_image(s, &d, NULL), 0);
			assert_int_equal(sk_store_remove(s, &d, NULL), 0);
		}
		sk_store_close(s);
		assert_true(i < 500);
	}
	assert_true(failures > 20);
}

/* A seal that failed half-way and could not be undone: what is sealed is never written to again. */
static void sealed_part_is_dropped(void **state)
{
	_cleanup_(sk_store_closep) struct sk_store *s = must_open(*state);
	struct sk_digest d = digest_of("hello", 5);
	const char *part = store_path(*state, "staging", &d, ".part");
	struct sk_staged *st = NULL;
	int reader;

	put_file(part, "hel", 3);
	assert_int_equal(chmod(part, 0444), 0);
	reader = open(part, O_RDONLY);
	assert_int_equal(sk_staged_open(s, &d, 5, &st, NULL), 0);
	assert_int_equal(sk_staged_offset(st), 0);
	assert_int_equal(sk_staged_write(st, "hello", 5, NULL), 0);
	assert_int_equal(sk_staged_commit(st, NULL), 0);
	assert_int_equal(lseek(reader, 0, SEEK_END), 3);
	(void)close(reader);
}

/* The page cache reads right afterwards, the disk may not: what arrived must come again. */
static void failed_fsync_is_not_believed(void **state)
{
	struct fault_plan plan = { .fail_at = ~0u };
	struct sk_digest d = digest_of("hello", 5);
	struct sk_err err = SK_ERR_INIT;
	struct sk_staged *st = NULL;
	struct sk_store *s = NULL;
	struct sk_fs *fs = NULL;

	assert_int_equal(fault_fs_open(*state, &plan, &fs), 0);
	assert_int_equal(sk_store_open_fs(fs, &s, NULL), 0);
	assert_int_equal(sk_staged_open(s, &d, 5, &st, NULL), 0);
	assert_int_equal(sk_staged_write(st, "hello", 5, NULL), 0);
	plan = (struct fault_plan){ .fail_at = 0, .code = -EIO, .writes_only = true };
	assert_int_equal(sk_staged_commit(st, &err), -EIO);
	assert_string_equal(err.slug, "io");
	assert_int_equal(plan.seen, 1);
	assert_int_equal(sk_store_part_bytes(s, &d), 0);
	assert_false(sk_store_has(s, &d));
	must_add(s, "hello", 5);
	sk_store_close(s);
}

static void disk_full_in_the_middle(void **state)
{
	struct sk_digest d = digest_of(bytes, SIZE);
	bool done = false;

	for (unsigned i = 0; !done; i++) {
		struct fault_plan plan = {
			.fail_at = i, .code = -ENOSPC, .stay = true, .writes_only = true
		};
		struct sk_err err = SK_ERR_INIT;
		int r = try_add(*state, &plan, &err);
		struct sk_store *s = must_open(*state);

		done = r == 0 && plan.seen <= plan.fail_at;
		if (r < 0) {
			assert_int_equal(r, -ENOSPC);
			assert_string_equal(err.slug, "no-space");
			assert_false(sk_store_has(s, &d));
		} else {
			assert_int_equal(sk_store_verify_image(s, &d, NULL), 0);
			assert_int_equal(sk_store_remove(s, &d, NULL), 0);
		}
		sk_store_close(s);
		assert_true(i < 200);
	}
}

/* No room: told before a byte is taken, and nothing is left behind. */
static void no_room_up_front(void **state)
{
	struct fault_plan plan = { .fail_at = ~0u };
	struct sk_digest d = digest_of(bytes, SIZE);
	struct sk_err err = SK_ERR_INIT;
	struct sk_staged *st = NULL;
	struct sk_store *s = NULL;
	struct sk_fs *fs = NULL;

	assert_int_equal(fault_fs_open(*state, &plan, &fs), 0);
	assert_int_equal(sk_store_open_fs(fs, &s, NULL), 0);
	/* The bytes would fit, but not above the reserve. */
	plan.space = (struct sk_fs_space){ .free_bytes = SIZE + 1, .total_bytes = 1 << 30 };
	assert_int_equal(sk_staged_open(s, &d, SIZE, &st, &err), -ENOSPC);
	assert_string_equal(err.slug, "no-space");
	assert_false(exists(store_path(*state, "staging", &d, ".part")));
	plan.space.free_bytes = SIZE + (8 << 20);
	assert_int_equal(sk_staged_open(s, &d, SIZE, &st, &err), 0);
	assert_int_equal(sk_staged_write(st, bytes, SIZE / 2, NULL), 0);
	sk_staged_close(st);
	/* What has arrived is not asked for twice, and stays when the rest has no room. */
	plan.space.free_bytes = SIZE / 2 - 16384 + (8 << 20);
	assert_int_equal(sk_staged_open(s, &d, SIZE, &st, &err), -ENOSPC);
	assert_int_equal(sk_store_part_bytes(s, &d), SIZE / 2);
	plan.space.free_bytes = SIZE / 2 + (8 << 20);
	assert_int_equal(sk_staged_open(s, &d, SIZE, &st, &err), 0);
	sk_staged_close(st);
	/* The largest that may be claimed. */
	d = digest_of("x", 1);
	assert_int_equal(sk_staged_open(s, &d, UINT32_MAX, &st, &err), -ENOSPC);
	sk_store_close(s);
}

static uint64_t allocated_bytes(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* The file system said that there is room and then has none, or the user of the store has none left. */
static void allocation_fails(void **state)
{
	const int codes[] = { -ENOSPC, -EDQUOT };
	struct fault_plan plan = { .fail_at = ~0u };
	struct sk_digest d = digest_of(bytes, SIZE);
	const char *part = store_path(*state, "staging", &d, ".part");
	struct sk_staged *st = NULL;
	struct sk_fs *fs = NULL;
	struct sk_store *s;

	assert_int_equal(fault_fs_open(*state, &plan, &fs), 0);
	assert_int_equal(sk_store_open_fs(fs, &s, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		struct sk_err err = SK_ERR_INIT;

		assert_int_equal(sk_staged_open(s, &d, SIZE, &st, NULL), 0);
		assert_int_equal(
			sk_staged_write(st, bytes, 1000 * (i + 1) - sk_staged_offset(st), NULL), 0);
		sk_staged_close(st);
		plan.allocate = codes[i];
		assert_int_equal(sk_staged_open(s, &d, SIZE, &st, &err), -ENOSPC);
		assert_string_equal(err.slug, "no-space");
		/* What has arrived stays, what was allocated for the rest does not. */
		assert_int_equal(sk_store_part_bytes(s, &d), 1000 * (i + 1));
		assert_true(allocated_bytes(part) < SIZE / 2);
		plan.allocate = 0;
	}
	sk_store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(adds_and_lists),
		STORE_TEST(resumes_over_restart),
		STORE_TEST(catches_up),
		STORE_TEST(wrong_bytes),
		STORE_TEST(damaged_prefix),
		STORE_TEST(short_and_long),
		STORE_TEST(longer_part_is_dropped),
		STORE_TEST(claims),
		STORE_TEST(two_at_once),
		STORE_TEST(commit_in_a_child),
		STORE_TEST(adds_from_a_file),
		STORE_TEST(filled_by_a_child),
		STORE_TEST(links_are_not_followed),
		STORE_TEST(recovers_sealed_parts),
		STORE_TEST(hard_linked_part),
		STORE_TEST(each_operation_fails),
		STORE_TEST(sealed_part_is_dropped),
		STORE_TEST(failed_fsync_is_not_believed),
		STORE_TEST(disk_full_in_the_middle),
		STORE_TEST(no_room_up_front),
		STORE_TEST(allocation_fails),
	};

	return cmocka_run_group_tests_name("store/staged", tests, fill, NULL);
}
