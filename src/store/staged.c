/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "store/impl.h"

#define COPY_CHUNK   (256 * 1024)
#define FLUSH_WINDOW (8u << 20)

/* Never taken by images: records, logs and capsules' data must still have room. */
#define RESERVE_BYTES (8u << 20)
#define RESERVE_PART  32 /* of the file system, where that is less */

/**
 * struct sk_staged - an image while it arrives
 * @offset:  bytes in the part
 * @hashed:  bytes of them that @hasher has seen, from the start on; less than @offset only while
 *           a resumed prefix is being caught up with
 * @flushed: up to where write-out was started
 */
struct sk_staged {
	struct sk_store *store;
	struct sk_staged *next;
	struct sk_digest digest;
	struct sk_store_name part;
	struct sk_hasher *hasher;
	uint64_t size, offset, hashed, flushed;
	int fd;
};

bool sk_store_adding(const struct sk_store *s, const struct sk_digest *d)
{
	for (const struct sk_staged *st = s->adding; st; st = st->next)
		if (sk_digest_equal(&st->digest, d))
			return true;
	return false;
}

static void unlist(struct sk_staged *st)
{
	for (struct sk_staged **at = &st->store->adding; *at; at = &(*at)->next) {
		if (*at == st) {
			*at = st->next;
			return;
		}
	}
}

static void close_fd(struct sk_staged *st)
{
	if (st->fd >= 0)
		st->store->fs->ops->close(st->store->fs, st->fd);
	st->fd = -1;
}

static void discard(struct sk_staged *st)
{
	close_fd(st);
	(void)sk_fs_remove(st->store->fs, SK_FS_STAGING, st->part.s);
	st->offset = st->hashed = 0;
}

void sk_staged_close(struct sk_staged *st)
{
	struct sk_fs *fs = st->store->fs;

	if (st->fd >= 0 && st->offset == 0)
		discard(st);
	else if (st->fd >= 0)
		fs->ops->flush_start(fs, st->fd, st->flushed, st->offset - st->flushed);
	close_fd(st);
	unlist(st);
	if (st->hasher)
		sk_hasher_free(st->hasher);
	free(st);
}

static int check_room(struct sk_staged *st, uint64_t allocated)
{
	struct sk_fs *fs = st->store->fs;
	uint64_t need = st->size > allocated ? st->size - allocated : 0;
	struct sk_fs_space space;
	int r = fs->ops->space(fs, &space);
	uint64_t reserve;

	if (r < 0)
		return r;
	reserve = SK_MIN((uint64_t)RESERVE_BYTES, space.total_bytes / RESERVE_PART);
	if (need > 0 && (space.free_bytes < reserve || space.free_bytes - reserve < need))
		return -ENOSPC;
	r = fs->ops->allocate(fs, st->fd, st->size);
	if (r == -ENOSPC || r == -EDQUOT) {
		/* The allocation may have succeeded in part: give that back. */
		(void)fs->ops->truncate(fs, st->fd, st->offset);
		return r;
	}
	/* A file system without fallocate() allocates as bytes come; one that is full says so here. */
	return 0;
}

/* Opens the part and finds what an earlier attempt left in it. */
static int open_part(struct sk_staged *st)
{
	struct sk_fs *fs = st->store->fs;
	struct sk_fs_stat stat;
	int r;

	/* Sealed half-way and not removed: a sealed file cannot be written to, so start anew. */
	if (fs->ops->stat(fs, SK_FS_STAGING, st->part.s, &stat) == 0 && stat.sealed) {
		r = fs->ops->unlink(fs, SK_FS_STAGING, st->part.s);
		if (r < 0)
			return r;
	}
	st->fd = fs->ops->open(fs, SK_FS_STAGING, st->part.s, SK_FS_WRITE);
	if (st->fd < 0)
		return st->fd;
	r = fs->ops->stat(fs, SK_FS_STAGING, st->part.s, &stat);
	if (r < 0)
		return r;
	if (stat.size_bytes > st->size) {
		r = fs->ops->truncate(fs, st->fd, 0);
		if (r < 0)
			return r;
		stat.size_bytes = stat.allocated_bytes = 0;
	}
	/* An earlier attempt may have ended between a write-out that failed and the removal of its part. */
	fs->ops->reread(fs, st->fd);
	st->offset = st->flushed = stat.size_bytes;
	return check_room(st, stat.allocated_bytes);
}

static int check_request(struct sk_store *s, const struct sk_digest *d, uint64_t size_bytes,
			 struct sk_err *err)
{
	const char *hex = SK_DIGEST_STR(d);

	if (size_bytes == 0)
		return sk_err_set(err, -EINVAL, "bad-value", "image %s is said to be empty", hex);
	if (size_bytes > UINT32_MAX)
		return sk_err_set(err, -EFBIG, "too-large",
				  "image %s is said to have %llu bytes; at most %u are possible",
				  hex, (unsigned long long)size_bytes, UINT32_MAX);
	if (sk_store_has(s, d))
		return sk_err_set(err, -EEXIST, "already-exists", "image %s is in the store", hex);
	if (sk_store_adding(s, d))
		return sk_err_set(err, -EBUSY, "in-use", "image %s is being added already", hex);
	return 0;
}

int sk_staged_open(struct sk_store *s, const struct sk_digest *d, uint64_t size_bytes,
		   struct sk_staged **ret, struct sk_err *err)
{
	_cleanup_(sk_staged_closep) struct sk_staged *st = NULL;
	int r = check_request(s, d, size_bytes, err);

	if (r < 0)
		return r;
	st = calloc(1, sizeof(*st));
	if (!st)
		return sk_err_oom(err);
	*st = (struct sk_staged){
		.store = s,
		.next = s->adding,
		.digest = *d,
		.part = sk_store_name(d, ".part"),
		.hasher = sk_hasher_new(),
		.size = size_bytes,
		.fd = -1,
	};
	s->adding = st;
	if (!st->hasher)
		return sk_err_oom(err);
	r = open_part(st);
	if (r < 0)
		return sk_store_fail(err, r, "make room for image", SK_DIGEST_STR(d));
	*ret = TAKE_PTR(st);
	return 0;
}

uint64_t sk_staged_offset(const struct sk_staged *st)
{
	return st->offset;
}

uint64_t sk_staged_rehash_bytes(const struct sk_staged *st)
{
	return st->offset - st->hashed;
}

uint64_t sk_store_part_bytes(struct sk_store *s, const struct sk_digest *d)
{
	struct sk_store_name part = sk_store_name(d, ".part");
	struct sk_fs_stat st;

	if (s->fs->ops->stat(s->fs, SK_FS_STAGING, part.s, &st) < 0 || !st.regular)
		return 0;
	return st.size_bytes;
}

int sk_staged_end_writing(struct sk_staged *st, struct sk_err *err)
{
	struct sk_fs *fs = st->store->fs;
	int fd = fs->ops->open(fs, SK_FS_STAGING, st->part.s, SK_FS_READ);

	if (fd < 0)
		return sk_store_fail(err, fd, "open image", SK_DIGEST_STR(&st->digest));
	close_fd(st);
	st->fd = fd;
	return 0;
}

void sk_staged_lend(struct sk_staged *st)
{
	close_fd(st);
}

void sk_staged_drop(struct sk_staged *st)
{
	discard(st);
	sk_staged_close(st);
}

size_t sk_store_task_fds(const struct sk_store *s, const struct sk_staged *st,
			 int fds[static SK_STORE_TASK_FDS_MAX])
{
	size_t n = s->fs->ops->fds ? s->fs->ops->fds(s->fs, fds, SK_STORE_TASK_FDS_MAX - 1) : 0;

	if (st && st->fd >= 0)
		fds[n++] = st->fd;
	return n;
}

/* Hashes at most @max more bytes of a resumed prefix. */
static int catch_up(struct sk_staged *st, uint64_t max)
{
	uint64_t to = st->hashed + SK_MIN(max, st->offset - st->hashed);
	int r = sk_fs_hash(st->store->fs, st->fd, st->hashed, to, st->hasher);

	if (r == 0)
		st->hashed = to;
	return r;
}

static void start_flush(struct sk_staged *st)
{
	struct sk_fs *fs = st->store->fs;

	if (st->offset - st->flushed < FLUSH_WINDOW)
		return;
	fs->ops->flush_start(fs, st->fd, st->flushed, st->offset - st->flushed);
	st->flushed = st->offset;
}

int sk_staged_write(struct sk_staged *st, const void *data, size_t len, struct sk_err *err)
{
	size_t done = 0;
	int r, hash_r = 0;

	if (len > st->size - st->offset)
		return sk_err_set(err, -EFBIG, "too-large",
				  "image %s has more bytes than the %llu it was said to have",
				  SK_DIGEST_STR(&st->digest), (unsigned long long)st->size);
	/* As much again as was written: a resumed part is caught up with in small, even steps. */
	r = catch_up(st, len);
	if (r < 0)
		return sk_store_fail(err, r, "read what is there of image",
				     SK_DIGEST_STR(&st->digest));
	r = sk_fs_pwrite_all(st->store->fs, st->fd, data, len, st->offset, &done);
	if (st->hashed == st->offset) {
		hash_r = sk_hasher_add(st->hasher, data, done);
		st->hashed += done;
	}
	st->offset += done;
	start_flush(st);
	if (r == 0)
		r = hash_r;
	return r < 0 ? sk_store_fail(err, r, "store image", SK_DIGEST_STR(&st->digest)) : 0;
}

static int check_digest(struct sk_staged *st, struct sk_err *err)
{
	const char *hex = SK_DIGEST_STR(&st->digest);
	struct sk_digest got;
	int r = catch_up(st, UINT64_MAX);

	if (r == 0)
		r = sk_hasher_end(st->hasher, &got);
	if (r < 0)
		return sk_store_fail(err, r, "hash image", hex);
	if (!sk_digest_equal(&got, &st->digest))
		return sk_err_set(err, -EBADMSG, "digest-mismatch",
				  "image %s arrived with digest %s; nothing was stored", hex,
				  SK_DIGEST_STR(&got));
	return 0;
}

static int list_sealed(struct sk_store *s, const struct sk_store_name *part,
		       const struct sk_digest *d)
{
	struct sk_fs *fs = s->fs;
	struct sk_store_name name = sk_store_name(d, "");
	int r = fs->ops->rename(fs, SK_FS_STAGING, part->s, SK_FS_IMAGES, name.s);

	if (r < 0)
		return r;
	r = fs->ops->sync_dir(fs, SK_FS_IMAGES);
	if (r < 0) {
		/* Sync before it is listed: a file that the next power cut may take is not stored. */
		(void)fs->ops->unlink(fs, SK_FS_IMAGES, name.s);
		return r;
	}
	/* If this is lost in a power cut, the next start removes the name in staging. */
	(void)fs->ops->sync_dir(fs, SK_FS_STAGING);
	/* A whole copy is stored again, so the damaged one in quarantine is removed. */
	(void)fs->ops->unlink(fs, SK_FS_QUARANTINE, name.s);
	return 0;
}

/*
 * After a failed fsync the page cache says "clean" of pages that never arrived: the part cannot be
 * believed any more, whatever it reads like, and goes.
 */
static int seal(struct sk_staged *st)
{
	struct sk_fs *fs = st->store->fs;
	int r = fs->ops->fsync(fs, st->fd);

	if (r == 0)
		r = fs->ops->seal(fs, TAKE_FD(st->fd), SK_FS_STAGING, st->part.s);
	return r;
}

int sk_staged_commit(struct sk_staged *arg, struct sk_err *err)
{
	_cleanup_(sk_staged_closep) struct sk_staged *st = arg;
	const char *hex = SK_DIGEST_STR(&st->digest);
	int r;

	if (st->offset < st->size)
		return sk_err_set(err, -ENODATA, "bad-state",
				  "only %llu of the %llu bytes of image %s are here; send the rest",
				  (unsigned long long)st->offset, (unsigned long long)st->size,
				  hex);
	r = check_digest(st, err);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		discard(st);
		return r;
	}
	r = seal(st);
	if (r == 0)
		r = list_sealed(st->store, &st->part, &st->digest);
	if (r < 0) {
		discard(st);
		return sk_store_fail(err, r, "seal image", hex);
	}
	return 0;
}

static int copy_from(struct sk_staged *st, int fd, struct sk_err *err)
{
	_cleanup_free_ char *chunk = malloc(COPY_CHUNK);

	if (!chunk)
		return sk_err_oom(err);
	for (;;) {
		ssize_t n = TEMP_FAILURE_RETRY(read(fd, chunk, COPY_CHUNK));
		int r;

		if (n == 0)
			return 0;
		r = n < 0 ? sk_store_fail(err, -errno, "read image", SK_DIGEST_STR(&st->digest))
			  : sk_staged_write(st, chunk, (size_t)n, err);
		if (r < 0)
			return r;
	}
}

int sk_staged_fill(struct sk_staged *st, int fd, struct sk_err *err)
{
	struct sk_fs *fs = st->store->fs;
	int r = 0;

	/* The file has all of it: what an interrupted transfer left is of no use. */
	if (st->offset > 0)
		r = fs->ops->truncate(fs, st->fd, 0);
	if (r < 0)
		return sk_store_fail(err, r, "restart image", SK_DIGEST_STR(&st->digest));
	st->offset = st->hashed = st->flushed = 0;
	r = copy_from(st, fd, err);
	if (r == 0 && st->offset < st->size)
		r = sk_err_set(err, -ENODATA, "digest-mismatch",
			       "image %s ends after %llu of %llu bytes; nothing was stored",
			       SK_DIGEST_STR(&st->digest), (unsigned long long)st->offset,
			       (unsigned long long)st->size);
	if (r < 0)
		discard(st);
	return r;
}

int sk_store_add_fd(struct sk_store *s, int fd, const struct sk_digest *expected,
		    uint64_t size_bytes, struct sk_err *err)
{
	_cleanup_(sk_staged_closep) struct sk_staged *st = NULL;
	int r = sk_staged_open(s, expected, size_bytes, &st, err);

	if (r == 0)
		r = sk_staged_fill(st, fd, err);
	return r < 0 ? r : sk_staged_commit(TAKE_PTR(st), err);
}

/*
 * A sealed part was cut off between its seal and its listing. It was right when it was sealed, but
 * whether the disk kept that promise is asked again before it is listed.
 */
static int finish_sealed(struct sk_store *s, const char *part, const struct sk_digest *d)
{
	struct sk_store_name name = sk_store_name(d, ".part");
	int r = sk_store_check(s, SK_FS_STAGING, part, d);

	if (r == 0)
		r = list_sealed(s, &name, d);
	/* A part that cannot be used costs another transfer; it must not keep the store from opening. */
	return r == 0 || r == -ENOMEM ? r : s->fs->ops->unlink(s->fs, SK_FS_STAGING, part);
}

int sk_staged_recover(struct sk_store *s)
{
	_cleanup_strv_ char **names = NULL;
	int r = sk_fs_names(s->fs, SK_FS_STAGING, sk_store_is_part, &names);

	SK_STRV_FOREACH (name, names) {
		struct sk_fs_stat st;
		struct sk_digest d;

		if (r < 0)
			break;
		if (sk_store_name_parse(*name, ".part", &d) < 0 ||
		    s->fs->ops->stat(s->fs, SK_FS_STAGING, *name, &st) < 0)
			continue;
		/* With the image listed, the part may be the same file under its old name. */
		if (sk_store_has(s, &d))
			r = s->fs->ops->unlink(s->fs, SK_FS_STAGING, *name);
		else if (st.sealed)
			r = finish_sealed(s, *name, &d);
	}
	return r;
}
