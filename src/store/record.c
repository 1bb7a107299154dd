/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "store/impl.h"

#define RELEASE_MAX	 (8u << 20)
#define RELEASE_FILE_MAX (RELEASE_MAX + SK_DIGEST_SIZE)

#define BALLAST	      ".ballast"
#define BALLAST_BYTES (256 * 1024)
/* Only with this much room free: otherwise the ballast would itself fill the disk. */
#define BALLAST_ROOM (16ull * BALLAST_BYTES)

static int write_ballast(struct sk_fs *fs)
{
	_cleanup_free_ char *zeros = calloc(1, BALLAST_BYTES);
	int fd = zeros ? fs->ops->open(fs, SK_FS_RECORDS, BALLAST, SK_FS_CREATE) : -ENOMEM;
	int r;

	if (fd < 0)
		return fd;
	r = sk_fs_pwrite_all(fs, fd, zeros, BALLAST_BYTES, 0, NULL);
	fs->ops->close(fs, fd);
	return r;
}

void sk_ballast_fill(struct sk_store *s)
{
	struct sk_fs *fs = s->fs;
	struct sk_fs_space space;
	struct sk_fs_stat st;

	if (fs->ops->stat(fs, SK_FS_RECORDS, BALLAST, &st) == 0 && st.size_bytes >= BALLAST_BYTES)
		return;
	if (fs->ops->space(fs, &space) < 0 || space.free_bytes < BALLAST_ROOM)
		return;
	if (write_ballast(fs) < 0)
		(void)fs->ops->unlink(fs, SK_FS_RECORDS, BALLAST);
}

int sk_ballast_drop(struct sk_store *s)
{
	int r = s->fs->ops->unlink(s->fs, SK_FS_RECORDS, BALLAST);

	/* Journalled file systems hand freed blocks out again only after the sync. */
	return r < 0 ? r : s->fs->ops->sync_dir(s->fs, SK_FS_RECORDS);
}

/*
 * After the release file stands the SHA-256 of its id and of itself: the id alone is that of the manifest
 * inside, which says nothing of a signature that rots.
 */
static int release_seal(const struct sk_digest *id, const void *skr, size_t len,
			struct sk_digest *ret)
{
	_cleanup_(sk_hasher_freep) struct sk_hasher *h = sk_hasher_new();
	int r = h ? sk_hasher_add(h, id->bytes, sizeof(id->bytes)) : -ENOMEM;

	if (r == 0)
		r = sk_hasher_add(h, skr, len);
	return r == 0 ? sk_hasher_end(h, ret) : r;
}

static int put_sealed(struct sk_store *s, const struct sk_digest *id, const char *name,
		      const void *skr, size_t len)
{
	_cleanup_buf_ struct sk_buf file = SK_BUF(RELEASE_FILE_MAX);
	struct sk_digest seal;
	int r = release_seal(id, skr, len, &seal);

	if (r == 0)
		r = sk_buf_add(&file, skr, len);
	if (r == 0)
		r = sk_buf_add(&file, seal.bytes, sizeof(seal.bytes));
	return r == 0 ? sk_fs_replace(s->fs, SK_FS_RELEASES, name, file.data, file.len) : r;
}

int sk_store_put_release(struct sk_store *s, const struct sk_digest *id, const void *skr,
			 size_t len, struct sk_err *err)
{
	struct sk_store_name name = sk_store_name(id, ".skr");
	int r;

	if (len > RELEASE_MAX)
		return sk_err_set(err, -EFBIG, "too-large",
				  "release %s has %zu bytes; at most %u are taken", name.s, len,
				  RELEASE_MAX);
	r = put_sealed(s, id, name.s, skr, len);
	if (r < 0)
		return sk_store_fail(err, r, "store release", name.s);
	/* A whole copy is stored again, so the damaged one in quarantine is removed. */
	(void)s->fs->ops->unlink(s->fs, SK_FS_QUARANTINE, name.s);
	return 0;
}

/* Checks and removes the SHA-256 at the end; *len becomes the length of the release file alone. */
static int unseal(const struct sk_digest *id, char *file, size_t *len)
{
	struct sk_digest stored, got;
	int r;

	if (*len < sizeof(stored.bytes))
		return -EBADMSG;
	*len -= sizeof(stored.bytes);
	memcpy(stored.bytes, file + *len, sizeof(stored.bytes));
	file[*len] = '\0';
	r = release_seal(id, file, *len, &got);
	return r == 0 && !sk_digest_equal(&stored, &got) ? -EBADMSG : r;
}

int sk_store_get_release(struct sk_store *s, const struct sk_digest *id, char **ret,
			 size_t *ret_len, struct sk_err *err)
{
	struct sk_store_name name = sk_store_name(id, ".skr");
	_cleanup_free_ char *file = NULL;
	size_t len;
	int r = sk_fs_read(s->fs, SK_FS_RELEASES, name.s, RELEASE_FILE_MAX, &file, &len);

	if (r == 0)
		r = unseal(id, file, &len);
	if (r == -EBADMSG)
		return sk_err_set(err, r, "damaged", "release %s is damaged on disk; load it again",
				  SK_DIGEST_STR(id));
	if (r < 0)
		return sk_store_fail(err, r, "read release", name.s);
	*ret = TAKE_PTR(file);
	*ret_len = len;
	return 0;
}

bool sk_store_has_release(struct sk_store *s, const struct sk_digest *id)
{
	struct sk_fs_stat st;

	return s->fs->ops->stat(s->fs, SK_FS_RELEASES, sk_store_name(id, ".skr").s, &st) == 0 &&
	       st.regular;
}

int sk_store_verify_release(struct sk_store *s, const struct sk_digest *id, struct sk_err *err)
{
	struct sk_store_name name = sk_store_name(id, ".skr");
	_cleanup_free_ char *skr = NULL;
	size_t len;
	int fd = s->fs->ops->open(s->fs, SK_FS_RELEASES, name.s, SK_FS_READ);
	int r = SK_MIN(fd, 0);

	if (fd >= 0) {
		s->fs->ops->reread(s->fs, fd);
		s->fs->ops->close(s->fs, fd);
		r = sk_store_get_release(s, id, &skr, &len, err);
	}
	return r < 0 ? sk_store_take_out(s, SK_FS_RELEASES, name.s, r, err) : 0;
}

int sk_store_del_release(struct sk_store *s, const struct sk_digest *id, struct sk_err *err)
{
	struct sk_store_name name = sk_store_name(id, ".skr");
	int r = sk_fs_remove(s->fs, SK_FS_RELEASES, name.s);

	return r < 0 ? sk_store_fail(err, r, "remove release", name.s) : 0;
}

static int check_record_name(const char *name, struct sk_err *err)
{
	if (sk_name_ok(name))
		return 0;
	return sk_err_set(err, -EINVAL, "bad-name",
			  "a record's name is 1 to %d letters, digits, '.', '_' or '-'",
			  SK_NAME_MAX);
}

int sk_store_put_record(struct sk_store *s, const char *name, const void *data, size_t len,
			struct sk_err *err)
{
	int r = check_record_name(name, err);

	if (r < 0)
		return r;
	if (len > SK_STORE_RECORD_MAX)
		return sk_err_set(err, -EFBIG, "too-large",
				  "record %s has %zu bytes; at most %d are kept", name, len,
				  SK_STORE_RECORD_MAX);
	r = sk_fs_replace(s->fs, SK_FS_RECORDS, name, data, len);
	if (r == -ENOSPC && sk_ballast_drop(s) == 0)
		r = sk_fs_replace(s->fs, SK_FS_RECORDS, name, data, len);
	return r < 0 ? sk_store_fail(err, r, "store record", name) : 0;
}

int sk_store_get_record(struct sk_store *s, const char *name, char **ret, size_t *ret_len,
			struct sk_err *err)
{
	int r = check_record_name(name, err);

	if (r < 0)
		return r;
	r = sk_fs_read(s->fs, SK_FS_RECORDS, name, SK_STORE_RECORD_MAX, ret, ret_len);
	return r < 0 ? sk_store_fail(err, r, "read record", name) : 0;
}

int sk_store_del_record(struct sk_store *s, const char *name, struct sk_err *err)
{
	int r = check_record_name(name, err);

	if (r < 0)
		return r;
	r = sk_fs_remove(s->fs, SK_FS_RECORDS, name);
	return r < 0 ? sk_store_fail(err, r, "remove record", name) : 0;
}

int sk_store_list_records(struct sk_store *s, char ***ret_names, struct sk_err *err)
{
	int r = sk_fs_names(s->fs, SK_FS_RECORDS, sk_name_ok, ret_names);

	return r < 0 ? sk_store_fail(err, r, "list", "the records") : 0;
}
