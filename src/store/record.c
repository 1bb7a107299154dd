/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "store/impl.h"

#define RELEASE_MAX (8u << 20)

#define BALLAST	      ".ballast"
#define BALLAST_BYTES (256 * 1024)
/* Only where it is not itself what makes the disk full. */
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

int sk_store_put_release(struct sk_store *s, const struct sk_digest *id, const void *skr,
			 size_t len, struct sk_err *err)
{
	struct sk_store_name name = sk_store_name(id, ".skr");
	int r;

	if (len > RELEASE_MAX)
		return sk_err_set(err, -EFBIG, "too-large",
				  "release %s has %zu bytes; at most %u are taken", name.s, len,
				  RELEASE_MAX);
	r = sk_fs_replace(s->fs, SK_FS_RELEASES, name.s, skr, len);
	return r < 0 ? sk_store_fail(err, r, "store release", name.s) : 0;
}

int sk_store_get_release(struct sk_store *s, const struct sk_digest *id, char **ret,
			 size_t *ret_len, struct sk_err *err)
{
	struct sk_store_name name = sk_store_name(id, ".skr");
	int r = sk_fs_read(s->fs, SK_FS_RELEASES, name.s, RELEASE_MAX, ret, ret_len);

	return r < 0 ? sk_store_fail(err, r, "read release", name.s) : 0;
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
