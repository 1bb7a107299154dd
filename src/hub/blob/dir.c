/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/str.h"
#include "hub/blob/blob.h"

/*
 * <root>/<org>/<digest>       a whole blob
 * <root>/<org>/<digest>.part  an upload; locked with flock() by the one that goes on with it
 */
#define SPACE_RESERVE  (64ull << 20) /* left for the database */
#define NAME_MAX_BYTES 128

struct blobs_dir {
	struct sk_blobs base;
	int root;
	/* Held where a file gets its final name or loses its name: an upload must not give the name
	 * to what another one began after its own file was removed. */
	pthread_mutex_t names;
};

struct upload_dir {
	struct sk_upload base;
	struct blobs_dir *dir;
	int root, fd;
	struct sk_blob_key key;
	uint64_t size, offset;
	struct sk_hasher *hasher; /* only when it began at 0: a resumed one is read again */
};

static int failed(struct sk_err *err, int code, const char *what)
{
	if (code == -ENOSPC || code == -EDQUOT)
		return sk_err_set(err, code, "no-space", "no space left to %s", what);
	return sk_err_set(err, code, "io", "cannot %s: %s", what, strerror(-code));
}

static void blob_name(const struct sk_blob_key *key, const char *suffix, char *buf)
{
	(void)snprintf(buf, NAME_MAX_BYTES, "%" PRId64 "/%s%s", key->org,
		       SK_DIGEST_STR(&key->digest), suffix);
}

static int dir_stat(struct sk_blobs *base, const struct sk_blob_key *key, bool *ret_have,
		    uint64_t *ret_offset, struct sk_err *err)
{
	struct blobs_dir *b = sk_container_of(base, struct blobs_dir, base);
	char name[NAME_MAX_BYTES];
	struct stat st = { 0 };

	blob_name(key, "", name);
	*ret_have = fstatat(b->root, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!*ret_have) {
		blob_name(key, ".part", name);
		if (fstatat(b->root, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			st.st_size = 0;
	}
	*ret_offset = (uint64_t)st.st_size;
	return 0;
}

static int dir_open(struct sk_blobs *base, const struct sk_blob_key *key, int *ret_fd,
		    struct sk_err *err)
{
	struct blobs_dir *b = sk_container_of(base, struct blobs_dir, base);
	char name[NAME_MAX_BYTES];

	blob_name(key, "", name);
	*ret_fd = openat(b->root, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (*ret_fd < 0 && errno == ENOENT)
		return sk_err_set(err, -ENOENT, "not-found", "the hub does not have file %s",
				  SK_DIGEST_STR(&key->digest));
	return *ret_fd < 0 ? failed(err, -errno, "open a stored file") : 0;
}

static int dir_remove(struct sk_blobs *base, const struct sk_blob_key *key, struct sk_err *err)
{
	struct blobs_dir *b = sk_container_of(base, struct blobs_dir, base);
	char name[NAME_MAX_BYTES];

	int r = 0;

	(void)pthread_mutex_lock(&b->names);
	blob_name(key, ".part", name);
	if (unlinkat(b->root, name, 0) < 0 && errno != ENOENT)
		r = failed(err, -errno, "remove an upload");
	blob_name(key, "", name);
	if (r == 0 && unlinkat(b->root, name, 0) < 0 && errno != ENOENT)
		r = failed(err, -errno, "remove a stored file");
	(void)pthread_mutex_unlock(&b->names);
	return r;
}

static int each_file(DIR *dir, int64_t org, int (*fn)(const struct sk_blob_entry *e, void *arg),
		     void *arg)
{
	struct dirent *de;
	int r = 0;

	while (r == 0 && (de = readdir(dir))) {
		struct sk_blob_entry e = { .key.org = org };
		char hex[SK_DIGEST_HEX + 1];

		(void)snprintf(hex, sizeof(hex), "%.*s", SK_DIGEST_HEX, de->d_name);
		if (sk_digest_parse(hex, &e.key.digest) < 0)
			continue;
		e.complete = de->d_name[SK_DIGEST_HEX] == '\0';
		r = fn(&e, arg);
	}
	return r;
}

static DIR *open_dir(int root, const char *name)
{
	int fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		(void)close(fd);
	return dir;
}

static int dir_each(struct sk_blobs *base, int (*fn)(const struct sk_blob_entry *e, void *arg),
		    void *arg, struct sk_err *err)
{
	struct blobs_dir *b = sk_container_of(base, struct blobs_dir, base);
	DIR *dir = open_dir(b->root, ".");
	struct dirent *de;
	int r = 0;

	if (!dir)
		return failed(err, -errno, "list the stored files");
	while (r == 0 && (de = readdir(dir))) {
		uint64_t org;
		DIR *sub;

		if (sk_parse_u64(de->d_name, &org) < 0)
			continue;
		sub = open_dir(b->root, de->d_name);
		if (!sub)
			continue;
		r = each_file(sub, (int64_t)org, fn, arg);
		(void)closedir(sub);
	}
	(void)closedir(dir);
	return r;
}

static void dir_free(struct sk_blobs *base)
{
	struct blobs_dir *b = sk_container_of(base, struct blobs_dir, base);

	sk_closep(&b->root);
	(void)pthread_mutex_destroy(&b->names);
	free(b);
}

static int upload_write(struct sk_upload *base, const void *data, size_t len, struct sk_err *err)
{
	struct upload_dir *u = sk_container_of(base, struct upload_dir, base);
	int r;

	if (len > u->size - u->offset)
		return sk_err_set(err, -EFBIG, "too-large",
				  "file %s has %" PRIu64 " bytes; more came",
				  SK_DIGEST_STR(&u->key.digest), u->size);
	r = sk_fd_write(u->fd, data, len);
	if (r < 0)
		return failed(err, r, "store an upload");
	u->offset += len;
	if (u->hasher && sk_hasher_add(u->hasher, data, len) < 0)
		return sk_err_oom(err);
	return 0;
}

/* Is the file of that name still the one that this upload writes? */
static bool is_ours(const struct upload_dir *u, const char *part)
{
	struct stat st, named;

	return fstat(u->fd, &st) == 0 && fstatat(u->root, part, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       named.st_ino == st.st_ino && named.st_dev == st.st_dev;
}

static void throw_away(struct upload_dir *u, const char *part)
{
	(void)pthread_mutex_lock(&u->dir->names);
	if (is_ours(u, part))
		(void)unlinkat(u->root, part, 0);
	(void)pthread_mutex_unlock(&u->dir->names);
}

static int give_name(struct upload_dir *u, const char *part, const char *whole, struct sk_err *err)
{
	int r = 0;

	(void)pthread_mutex_lock(&u->dir->names);
	if (!is_ours(u, part))
		r = sk_err_set(err, -ENOENT, "not-found",
			       "file %s was removed while it was uploaded: its release was deleted",
			       SK_DIGEST_STR(&u->key.digest));
	else if (renameat(u->root, part, u->root, whole) < 0)
		r = failed(err, -errno, "store an upload");
	(void)pthread_mutex_unlock(&u->dir->names);
	return r;
}

static int check_digest(struct upload_dir *u, const char *part, struct sk_err *err)
{
	struct sk_digest got;
	int r = u->hasher ? sk_hasher_end(u->hasher, &got)
			  : sk_digest_of_fd(u->fd, 0, u->size, &got);

	if (r < 0)
		return failed(err, r, "read an upload back");
	if (sk_digest_equal(&got, &u->key.digest))
		return 0;
	throw_away(u, part);
	return sk_err_set(err, -EBADMSG, "digest-mismatch",
			  "file %s arrived damaged (its bytes hash to %s): nothing was kept, "
			  "send it again from the start",
			  SK_DIGEST_STR(&u->key.digest), SK_DIGEST_STR(&got));
}

/*
 * After a failed fsync() the kernel may take what it could not write for written, and the next one
 * succeeds: the upload starts again from nothing.
 */
static int not_synced(struct upload_dir *u, const char *part, int code, struct sk_err *err)
{
	throw_away(u, part);
	return failed(err, code, "store an upload");
}

static int upload_end(struct sk_upload *base, bool *ret_complete, uint64_t *ret_offset,
		      struct sk_err *err)
{
	struct upload_dir *u = sk_container_of(base, struct upload_dir, base);
	char part[NAME_MAX_BYTES], whole[NAME_MAX_BYTES], folder[32];
	int r;

	*ret_complete = u->offset == u->size;
	*ret_offset = u->offset;
	blob_name(&u->key, ".part", part);
	blob_name(&u->key, "", whole);
	if (fsync(u->fd) < 0)
		return not_synced(u, part, -errno, err);
	if (!*ret_complete)
		return 0;
	r = check_digest(u, part, err);
	if (r < 0)
		return r;
	r = give_name(u, part, whole, err);
	if (r < 0)
		return r;
	(void)snprintf(folder, sizeof(folder), "%" PRId64, u->key.org);
	r = sk_dir_sync(u->root, folder);
	return r < 0 ? failed(err, r, "store an upload") : 0;
}

static void upload_free(struct sk_upload *base)
{
	struct upload_dir *u = sk_container_of(base, struct upload_dir, base);

	if (u->hasher)
		sk_hasher_free(u->hasher);
	sk_closep(&u->fd);
	free(u);
}

static const struct sk_upload_ops upload_ops = { upload_write, upload_end, upload_free };

static int check_space(int root, uint64_t need, struct sk_err *err)
{
	struct statvfs v;

	if (fstatvfs(root, &v) < 0)
		return failed(err, -errno, "ask for free space");
	if ((uint64_t)v.f_bavail * v.f_frsize < need + SPACE_RESERVE)
		return sk_err_set(err, -ENOSPC, "no-space",
				  "the hub has no room for %" PRIu64 " more bytes", need);
	return 0;
}

/* Locked, and still the file of that name: the one before may just have finished it. */
static int lock_part(struct upload_dir *u, const char *part, struct stat *st, struct sk_err *err)
{
	u->fd = openat(u->root, part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (u->fd < 0)
		return failed(err, -errno, "store an upload");
	if (flock(u->fd, LOCK_EX | LOCK_NB) < 0 || fstat(u->fd, st) < 0 || !is_ours(u, part))
		return sk_err_set(err, -EBUSY, "in-use",
				  "another upload of this file is in progress; try again later");
	return 0;
}

static int resume(struct upload_dir *u, uint64_t offset, struct sk_err *err)
{
	char part[NAME_MAX_BYTES];
	struct stat st;
	int r;

	blob_name(&u->key, ".part", part);
	r = lock_part(u, part, &st, err);
	if (r < 0)
		return r;
	if ((uint64_t)st.st_size > u->size) /* longer than the blob: not the beginning of it */
		st.st_size = ftruncate(u->fd, 0) < 0 ? st.st_size : 0;
	if (offset != (uint64_t)st.st_size)
		return sk_err_set(err, -EINVAL, "bad-state",
				  "the hub has %" PRIu64 " bytes of this file: go on from there, "
				  "not from %" PRIu64,
				  (uint64_t)st.st_size, offset);
	if (lseek(u->fd, (off_t)offset, SEEK_SET) < 0)
		return failed(err, -errno, "store an upload");
	u->offset = offset;
	if (offset == 0 && !(u->hasher = sk_hasher_new()))
		return sk_err_oom(err);
	return check_space(u->root, u->size - offset, err);
}

static int make_folder(int root, const char *name)
{
	if (mkdirat(root, name, 0700) == 0)
		return sk_dir_sync(root, ".");
	return errno == EEXIST ? 0 : -errno;
}

static int dir_begin(struct sk_blobs *base, const struct sk_blob_key *key, uint64_t size_bytes,
		     uint64_t offset, struct sk_upload **ret, struct sk_err *err)
{
	struct blobs_dir *b = sk_container_of(base, struct blobs_dir, base);
	struct upload_dir *u = calloc(1, sizeof(*u));
	char folder[32];
	int r;

	if (!u)
		return sk_err_oom(err);
	*u = (struct upload_dir){ .base.ops = &upload_ops,
				  .dir = b,
				  .root = b->root,
				  .fd = -1,
				  .key = *key,
				  .size = size_bytes };
	(void)snprintf(folder, sizeof(folder), "%" PRId64, key->org);
	r = make_folder(b->root, folder);
	if (r < 0)
		r = failed(err, r, "store an upload");
	else
		r = resume(u, offset, err);
	if (r < 0)
		upload_free(&u->base);
	else
		*ret = &u->base;
	return r;
}

static const struct sk_blobs_ops dir_ops = {
	dir_stat, dir_open, dir_begin, dir_remove, dir_each, dir_free,
};

int sk_blobs_dir_new(const char *path, struct sk_blobs **ret, struct sk_err *err)
{
	struct blobs_dir *b;
	int r = sk_mkdir_p(AT_FDCWD, path, 0700);

	if (r < 0)
		return failed(err, r, "make the folder for stored files");
	b = calloc(1, sizeof(*b));
	if (!b)
		return sk_err_oom(err);
	b->base.ops = &dir_ops;
	(void)pthread_mutex_init(&b->names, NULL);
	b->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->root < 0) {
		r = failed(err, -errno, "open the folder for stored files");
		dir_free(&b->base);
		return r;
	}
	*ret = &b->base;
	return 0;
}
