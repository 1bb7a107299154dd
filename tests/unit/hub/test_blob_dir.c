/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "hub/blob/blob.h"
#include "temp.h"

static struct sk_err err;
static const char bytes[] = "some bytes of an image";
#define LEN (sizeof(bytes) - 1)

/* What was made last, in its order: 'f' a file's bytes, 'd' a folder's names, 'r' a file given its name. */
static struct {
	char what[16];
	ino_t of[16];
	size_t n;
	int file_error, folder_error;
} done;

static void note(char what, ino_t of)
{
	assert_true(done.n < ARRAY_SIZE(done.what) - 1);
	done.of[done.n] = of;
	done.what[done.n++] = what;
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	struct stat st;
	bool folder;

	assert_int_equal(fstat(fd, &st), 0);
	folder = S_ISDIR(st.st_mode);
	note(folder ? 'd' : 'f', st.st_ino);
	errno = folder ? done.folder_error : done.file_error;
	return errno ? -1 : 0;
}

int __real_renameat(int from, const char *a, int to, const char *b);
int __wrap_renameat(int from, const char *a, int to, const char *b);
int __wrap_renameat(int from, const char *a, int to, const char *b)
{
	note('r', 0);
	return __real_renameat(from, a, to, b);
}

static ino_t inode_of(struct temp *t, const char *name)
{
	struct stat st;

	assert_int_equal(stat(temp_path(t, name), &st), 0);
	return st.st_ino;
}

static struct sk_blobs *open_blobs(struct temp *t, struct sk_blob_key *key)
{
	struct sk_blobs *b = NULL;

	memset(&done, 0, sizeof(done));
	temp_make(t);
	key->org = 3;
	assert_int_equal(sk_digest_of(bytes, LEN, &key->digest), 0);
	assert_int_equal(sk_blobs_dir_new(temp_path(t, "blobs"), &b, &err), 0);
	return b;
}

static int put(struct sk_blobs *b, const struct sk_blob_key *key, uint64_t offset, const char *data,
	       size_t len, bool *complete)
{
	_cleanup_(sk_upload_freep) struct sk_upload *u = NULL;
	uint64_t at;
	int r = sk_upload_begin(b, key, LEN, offset, &u, &err);

	if (r == 0)
		r = sk_upload_write(u, data, len, &err);
	return r < 0 ? r : sk_upload_end(u, complete, &at, &err);
}

static void resumes(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_blob_key key;
	_cleanup_(sk_blobs_freep) struct sk_blobs *b = open_blobs(&t, &key);
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *back = NULL;
	uint64_t offset;
	bool have, complete = true;
	size_t len;

	assert_int_equal(put(b, &key, 0, bytes, 5, &complete), 0);
	assert_false(complete);
	assert_int_equal(sk_blob_stat(b, &key, &have, &offset, &err), 0);
	assert_false(have);
	assert_int_equal(offset, 5);
	assert_int_equal(sk_blob_open(b, &key, &fd, &err), -ENOENT);
	assert_true(put(b, &key, 4, bytes + 4, LEN - 4, &complete) < 0);
	assert_string_equal(err.slug, "bad-state");
	assert_int_equal(put(b, &key, 5, bytes + 5, LEN - 5, &complete), 0);
	assert_true(complete);
	assert_int_equal(sk_blob_open(b, &key, &fd, &err), 0);
	assert_int_equal(sk_fd_read(fd, 100, &back, &len), 0);
	assert_string_equal(back, bytes);
	key.org = 4; /* equal bytes of another organisation are not there */
	assert_int_equal(sk_blob_stat(b, &key, &have, &offset, &err), 0);
	assert_false(have);
}

/* The folder of an organisation, a blob's bytes and then its name are made last before anybody is told. */
static void is_on_disk_before_it_is_told(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_blob_key key;
	_cleanup_(sk_blobs_freep) struct sk_blobs *b = open_blobs(&t, &key);
	char blob[128];
	bool complete;

	done.n = 0;
	assert_int_equal(put(b, &key, 0, bytes, 5, &complete), 0);
	assert_string_equal(done.what, "df");
	assert_int_equal(done.of[0], inode_of(&t, "blobs"));
	memset(&done, 0, sizeof(done));
	assert_int_equal(put(b, &key, 5, bytes + 5, LEN - 5, &complete), 0);
	assert_true(complete);
	assert_string_equal(done.what, "frd");
	(void)snprintf(blob, sizeof(blob), "blobs/3/%s", SK_DIGEST_STR(&key.digest));
	assert_int_equal(done.of[0], inode_of(&t, blob));
	assert_int_equal(done.of[2], inode_of(&t, "blobs/3"));
}

static void what_cannot_be_made_last_is_not_there(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_blob_key key;
	_cleanup_(sk_blobs_freep) struct sk_blobs *b = open_blobs(&t, &key);
	uint64_t offset;
	bool have, complete;

	assert_int_equal(put(b, &key, 0, bytes, 5, &complete), 0);
	done.file_error = EIO;
	assert_true(put(b, &key, 5, bytes + 5, LEN - 5, &complete) < 0);
	assert_int_equal(sk_blob_stat(b, &key, &have, &offset, &err), 0);
	assert_false(have);
	assert_int_equal(offset, 0); /* not even what came before may be gone on with */
	done.file_error = 0;
	done.folder_error = EIO;
	assert_true(put(b, &key, 0, bytes, LEN, &complete) < 0);
	key.org = 9; /* whose folder cannot be made last */
	assert_true(put(b, &key, 0, bytes, LEN, &complete) < 0);
	assert_string_equal(err.slug, "io");
}

static void finishes_what_was_whole(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_blob_key key;
	_cleanup_(sk_blobs_freep) struct sk_blobs *b = open_blobs(&t, &key);
	struct sk_upload *u = NULL;
	bool complete = false;

	/* All bytes came, then the power went. */
	assert_int_equal(sk_upload_begin(b, &key, LEN, 0, &u, &err), 0);
	assert_int_equal(sk_upload_write(u, bytes, LEN, &err), 0);
	sk_upload_free(u);
	assert_int_equal(put(b, &key, LEN, "", 0, &complete), 0);
	assert_true(complete);
}

static void throws_damaged_away(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_blob_key key;
	_cleanup_(sk_blobs_freep) struct sk_blobs *b = open_blobs(&t, &key);
	char bad[LEN];
	uint64_t offset;
	bool have, complete;

	memset(bad, 'x', sizeof(bad));
	assert_int_equal(put(b, &key, 0, bad, LEN, &complete), -EBADMSG);
	assert_string_equal(err.slug, "digest-mismatch");
	assert_int_equal(sk_blob_stat(b, &key, &have, &offset, &err), 0);
	assert_false(have);
	assert_int_equal(offset, 0);
	assert_int_equal(put(b, &key, 0, bad, 3, &complete), 0);
	assert_int_equal(put(b, &key, 3, bytes + 3, LEN - 3, &complete), -EBADMSG);
	assert_int_equal(put(b, &key, 0, bytes, LEN, &complete), 0);
}

static void refuses_too_much(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_blob_key key;
	_cleanup_(sk_blobs_freep) struct sk_blobs *b = open_blobs(&t, &key);
	struct sk_upload *u = NULL;
	bool complete;

	assert_int_equal(put(b, &key, 0, "0123456789012345678901234567890", LEN + 1, &complete),
			 -EFBIG);
	assert_int_equal(sk_upload_begin(b, &key, 1ull << 60, 0, &u, &err), -ENOSPC);
	assert_string_equal(err.slug, "no-space");
}

static void one_upload_at_a_time(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_blob_key key;
	_cleanup_(sk_blobs_freep) struct sk_blobs *b = open_blobs(&t, &key);
	struct sk_upload *u = NULL, *v = NULL;

	assert_int_equal(sk_upload_begin(b, &key, LEN, 0, &u, &err), 0);
	assert_int_equal(sk_upload_begin(b, &key, LEN, 0, &v, &err), -EBUSY);
	assert_string_equal(err.slug, "in-use");
	sk_upload_free(u);
	assert_int_equal(sk_upload_begin(b, &key, LEN, 0, &v, &err), 0);
	sk_upload_free(v);
}

/* Its release was deleted, then uploaded anew, while an image came: two uploads, one name. */
static void a_removed_upload_does_not_name_the_next_one(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_blob_key key;
	_cleanup_(sk_blobs_freep) struct sk_blobs *b = open_blobs(&t, &key);
	struct sk_upload *first = NULL, *second = NULL;
	uint64_t at;
	bool complete, have;

	assert_int_equal(sk_upload_begin(b, &key, LEN, 0, &first, &err), 0);
	assert_int_equal(sk_upload_write(first, bytes, LEN, &err), 0);
	assert_int_equal(sk_blob_remove(b, &key, &err), 0);
	assert_int_equal(sk_upload_begin(b, &key, LEN, 0, &second, &err), 0);
	assert_int_equal(sk_upload_write(second, bytes, 3, &err), 0);
	assert_int_equal(sk_upload_end(first, &complete, &at, &err), -ENOENT);
	assert_string_equal(err.slug, "not-found");
	sk_upload_free(first);
	assert_int_equal(sk_blob_stat(b, &key, &have, &at, &err), 0);
	assert_false(have);
	assert_int_equal(at, 3);
	assert_int_equal(sk_upload_write(second, bytes + 3, LEN - 3, &err), 0);
	assert_int_equal(sk_upload_end(second, &complete, &at, &err), 0);
	assert_true(complete);
	sk_upload_free(second);
}

/* Nor does a damaged one take the next one's bytes away. */
static void a_removed_upload_does_not_throw_the_next_one_away(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_blob_key key;
	_cleanup_(sk_blobs_freep) struct sk_blobs *b = open_blobs(&t, &key);
	struct sk_upload *first = NULL, *second = NULL;
	char wrong[LEN] = { 0 };
	uint64_t at;
	bool complete, have;

	assert_int_equal(sk_upload_begin(b, &key, LEN, 0, &first, &err), 0);
	assert_int_equal(sk_upload_write(first, wrong, LEN, &err), 0);
	assert_int_equal(sk_blob_remove(b, &key, &err), 0);
	assert_int_equal(sk_upload_begin(b, &key, LEN, 0, &second, &err), 0);
	assert_int_equal(sk_upload_write(second, bytes, 4, &err), 0);
	assert_int_equal(sk_upload_end(first, &complete, &at, &err), -EBADMSG);
	sk_upload_free(first);
	sk_upload_free(second);
	assert_int_equal(sk_blob_stat(b, &key, &have, &at, &err), 0);
	assert_int_equal(at, 4);
}

static void follows_no_symlink(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_blob_key key;
	_cleanup_(sk_blobs_freep) struct sk_blobs *b = open_blobs(&t, &key);
	char link[256];
	bool complete;
	int fd = -1;

	assert_int_equal(put(b, &key, 0, bytes, 1, &complete), 0);
	(void)snprintf(link, sizeof(link), "%s/blobs/3/%s", t.dir, SK_DIGEST_STR(&key.digest));
	assert_int_equal(symlink("/etc/passwd", link), 0);
	assert_true(sk_blob_open(b, &key, &fd, &err) < 0);
	assert_int_equal(sk_blob_remove(b, &key, &err), 0);
	(void)snprintf(link, sizeof(link), "%s/blobs/3/%s.part", t.dir, SK_DIGEST_STR(&key.digest));
	assert_int_equal(symlink("/tmp/elsewhere", link), 0);
	assert_true(put(b, &key, 0, bytes, LEN, &complete) < 0);
}

static int count(const struct sk_blob_entry *e, void *arg)
{
	*(int *)arg += e->complete ? 1 : 100;
	return 0;
}

static void lists(void **state)
{
	_cleanup_temp_ struct temp t;
	struct sk_blob_key key;
	_cleanup_(sk_blobs_freep) struct sk_blobs *b = open_blobs(&t, &key);
	bool complete;
	int n = 0;

	assert_int_equal(put(b, &key, 0, bytes, LEN, &complete), 0);
	key.org = 9;
	assert_int_equal(put(b, &key, 0, bytes, 2, &complete), 0);
	assert_int_equal(sk_blob_each(b, count, &n, &err), 0);
	assert_int_equal(n, 101);
	assert_int_equal(sk_blob_remove(b, &key, &err), 0);
	assert_int_equal(sk_blob_remove(b, &key, &err), 0);
	n = 0;
	assert_int_equal(sk_blob_each(b, count, &n, &err), 0);
	assert_int_equal(n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resumes),
		cmocka_unit_test(is_on_disk_before_it_is_told),
		cmocka_unit_test(what_cannot_be_made_last_is_not_there),
		cmocka_unit_test(finishes_what_was_whole),
		cmocka_unit_test(throws_damaged_away),
		cmocka_unit_test(refuses_too_much),
		cmocka_unit_test(one_upload_at_a_time),
		cmocka_unit_test(a_removed_upload_does_not_name_the_next_one),
		cmocka_unit_test(a_removed_upload_does_not_throw_the_next_one_away),
		cmocka_unit_test(follows_no_symlink),
		cmocka_unit_test(lists),
	};

	return cmocka_run_group_tests_name("hub/blob_dir", tests, NULL, NULL);
}
