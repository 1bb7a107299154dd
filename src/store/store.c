/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "store/impl.h"

struct sk_store_name sk_store_name(const struct sk_digest *d, const char *suffix)
{
	struct sk_store_name n;

	(void)snprintf(n.s, sizeof(n.s), "%s%s", SK_DIGEST_STR(d), suffix);
	return n;
}

int sk_store_name_parse(const char *name, const char *suffix, struct sk_digest *ret)
{
	char hex[SK_DIGEST_HEX + 1];

	if (strlen(name) != SK_DIGEST_HEX + strlen(suffix) ||
	    !sk_streq(name + SK_DIGEST_HEX, suffix))
		return -EINVAL;
	memcpy(hex, name, SK_DIGEST_HEX);
	hex[SK_DIGEST_HEX] = '\0';
	/* The parser takes a "sha256:" before the digits; a file name has none. */
	return strchr(hex, ':') ? -EINVAL : sk_digest_parse(hex, ret);
}

int sk_store_fail(struct sk_err *err, int code, const char *what, const char *name)
{
	switch (-code) {
	case ENOMEM:
		return sk_err_oom(err);
	case ENOSPC:
	case EDQUOT:
		return sk_err_set(err, -ENOSPC, "no-space",
				  "cannot %s %s: the file system of the store is full; "
				  "remove releases or images that nothing needs",
				  what, name);
	case ENOENT:
		return sk_err_set(err, code, "not-found", "cannot %s %s: there is no such file",
				  what, name);
	default:
		return sk_err_set(err, code, "io", "cannot %s %s: %s", what, name, strerror(-code));
	}
}

static bool is_tmp(const char *name)
{
	return sk_str_starts(name, SK_FS_TMP_PREFIX);
}

static bool is_image(const char *name)
{
	struct sk_digest d;

	return sk_store_name_parse(name, "", &d) == 0;
}

static bool is_release(const char *name)
{
	struct sk_digest d;

	return sk_store_name_parse(name, ".skr", &d) == 0;
}

bool sk_store_is_part(const char *name)
{
	struct sk_digest d;

	return sk_store_name_parse(name, ".part", &d) == 0;
}

/* Half-written replacements: the file that they were to replace is still the old one. */
static int drop_tmp(struct sk_store *s, enum sk_fs_dir dir)
{
	_cleanup_strv_ char **names = NULL;
	int r = sk_fs_names(s->fs, dir, is_tmp, &names);

	SK_STRV_FOREACH (name, names)
		if (r == 0)
			r = s->fs->ops->unlink(s->fs, dir, *name);
	return r;
}

static int recover(struct sk_store *s)
{
	int r = drop_tmp(s, SK_FS_RECORDS);

	if (r == 0)
		r = drop_tmp(s, SK_FS_RELEASES);
	if (r == 0)
		r = sk_staged_recover(s);
	/*
	 * What a killed daemon renamed but had no time to sync is visible now and will be acted
	 * upon: it must not vanish with the next power cut.
	 */
	for (int dir = 0; r == 0 && dir < SK_FS_DIRS; dir++)
		r = s->fs->ops->sync_dir(s->fs, (enum sk_fs_dir)dir);
	return r;
}

int sk_store_open_fs(struct sk_fs *fs, struct sk_store **ret, struct sk_err *err)
{
	_cleanup_(sk_store_closep) struct sk_store *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		sk_fs_free(fs);
		return sk_err_oom(err);
	}
	s->fs = fs;
	r = fs->ops->lock(fs);
	if (r == -EBUSY)
		return sk_err_set(err, r, "in-use", "another process has the store open");
	if (r < 0)
		return sk_store_fail(err, r, "lock", "the store");
	for (int dir = 0; dir < SK_FS_DIRS; dir++) {
		r = fs->ops->mkdir(fs, (enum sk_fs_dir)dir);
		if (r < 0)
			return sk_store_fail(err, r, "open the store's folder",
					     sk_fs_dir_name((enum sk_fs_dir)dir));
	}
	r = recover(s);
	if (r < 0)
		return sk_store_fail(err, r, "recover", "the store");
	sk_ballast_fill(s);
	*ret = TAKE_PTR(s);
	return 0;
}

int sk_store_open(const char *path, struct sk_store **ret, struct sk_err *err)
{
	struct sk_fs *fs;
	int r = sk_fs_posix_open(path, &fs);

	if (r < 0)
		return sk_store_fail(err, r, "open the store", path);
	r = sk_store_open_fs(fs, ret, err);
	if (r < 0)
		(void)sk_err_prefix(err, "%s", path);
	return r;
}

void sk_store_close(struct sk_store *s)
{
	if (!s)
		return;
	sk_fs_free(s->fs);
	free(s);
}

bool sk_store_has(struct sk_store *s, const struct sk_digest *d)
{
	struct sk_fs_stat st;

	return s->fs->ops->stat(s->fs, SK_FS_IMAGES, sk_store_name(d, "").s, &st) == 0 &&
	       st.regular;
}

int sk_store_image_fd(struct sk_store *s, const struct sk_digest *d, int *ret_fd,
		      uint64_t *ret_size, struct sk_err *err)
{
	struct sk_store_name name = sk_store_name(d, "");
	struct sk_fs_stat st;
	int fd, r = s->fs->ops->stat(s->fs, SK_FS_IMAGES, name.s, &st);

	if (r == -ENOENT || (r == 0 && !st.regular))
		return sk_err_set(err, -ENOENT, "not-found", "image %s is not in the store",
				  name.s);
	fd = r < 0 ? r : s->fs->ops->open(s->fs, SK_FS_IMAGES, name.s, SK_FS_READ);
	if (fd < 0)
		return sk_store_fail(err, fd, "open image", name.s);
	*ret_fd = fd;
	if (ret_size)
		*ret_size = st.size_bytes;
	return 0;
}

int sk_store_remove(struct sk_store *s, const struct sk_digest *d, struct sk_err *err)
{
	struct sk_store_name name = sk_store_name(d, "");
	int r;

	if (!sk_store_has(s, d))
		return sk_err_set(err, -ENOENT, "not-found", "image %s is not in the store",
				  name.s);
	r = sk_fs_remove(s->fs, SK_FS_IMAGES, name.s);
	return r < 0 ? sk_store_fail(err, r, "remove image", name.s) : 0;
}

typedef int (*each_fn)(void *arg, const struct sk_digest *d, uint64_t size_bytes);

static int list_dir(struct sk_store *s, enum sk_fs_dir dir, const char *suffix,
		    bool (*match)(const char *name), each_fn each, void *arg)
{
	_cleanup_strv_ char **names = NULL;
	int r = sk_fs_names(s->fs, dir, match, &names);

	SK_STRV_FOREACH (name, names) {
		struct sk_fs_stat st;
		struct sk_digest d;

		if (r != 0)
			break;
		if (s->fs->ops->stat(s->fs, dir, *name, &st) == 0 &&
		    sk_store_name_parse(*name, suffix, &d) == 0)
			r = each(arg, &d, st.size_bytes);
	}
	return r;
}

int sk_store_list(struct sk_store *s, each_fn each, void *arg)
{
	return list_dir(s, SK_FS_IMAGES, "", is_image, each, arg);
}

int sk_store_list_releases(struct sk_store *s, each_fn each, void *arg)
{
	return list_dir(s, SK_FS_RELEASES, ".skr", is_release, each, arg);
}

int sk_store_check(struct sk_store *s, enum sk_fs_dir dir, const char *name,
		   const struct sk_digest *d)
{
	_cleanup_(sk_hasher_freep) struct sk_hasher *h = sk_hasher_new();
	struct sk_digest got;
	struct sk_fs_stat st;
	int fd, r = s->fs->ops->stat(s->fs, dir, name, &st);

	if (!h)
		return -ENOMEM;
	fd = r < 0 ? r : s->fs->ops->open(s->fs, dir, name, SK_FS_READ);
	if (fd < 0)
		return fd;
	s->fs->ops->reread(s->fs, fd);
	r = sk_fs_hash(s->fs, fd, 0, st.size_bytes, h);
	s->fs->ops->close(s->fs, fd);
	if (r == 0)
		r = sk_hasher_end(h, &got);
	if (r < 0)
		return r;
	return sk_digest_equal(&got, d) ? 0 : -EBADMSG;
}

static int quarantine(struct sk_store *s, enum sk_fs_dir dir, const char *name)
{
	const struct sk_fs_ops *ops = s->fs->ops;
	int r = ops->rename(s->fs, dir, name, SK_FS_QUARANTINE, name);

	/* Without room in quarantine it is removed: what matters is that it is not used. */
	if (r < 0)
		r = ops->unlink(s->fs, dir, name);
	if (r == 0)
		r = ops->sync_dir(s->fs, dir);
	if (r == 0)
		r = ops->sync_dir(s->fs, SK_FS_QUARANTINE);
	return r;
}

int sk_store_take_out(struct sk_store *s, enum sk_fs_dir dir, const char *name, int why,
		      struct sk_err *err)
{
	const char *what = dir == SK_FS_IMAGES ? "image" : "release";
	int r;

	/* -EIO is how a bad sector and fs-verity answer; -ENODATA and -EFBIG a file that changed its size. */
	if (why != -EBADMSG && why != -EIO && why != -ENODATA && why != -EFBIG)
		return sk_store_fail(err, why, dir == SK_FS_IMAGES ? "read image" : "read release",
				     name);
	r = quarantine(s, dir, name);
	if (r < 0)
		return sk_store_fail(err, r, "move to quarantine what is damaged:", name);
	return sk_err_set(err, -EBADMSG, "damaged",
			  "%s %s is damaged; it was taken out of use and must be fetched again",
			  what, name);
}

int sk_store_verify_image(struct sk_store *s, const struct sk_digest *d, struct sk_err *err)
{
	struct sk_store_name name = sk_store_name(d, "");
	int r;

	if (!sk_store_has(s, d))
		return sk_err_set(err, -ENOENT, "not-found", "image %s is not in the store",
				  name.s);
	r = sk_store_check(s, SK_FS_IMAGES, name.s, d);
	return r < 0 ? sk_store_take_out(s, SK_FS_IMAGES, name.s, r, err) : 0;
}

/* Not worth a child. */
#define QUICK_BYTES (UINT64_C(4) << 20)

struct collection {
	struct sk_store *s;
	struct sk_store_removed *removed; /* may be NULL */
	bool (*keep)(void *arg, const struct sk_digest *d);
	void *arg;
	uint64_t freed_bytes;
};

static int remove_one(struct collection *c, enum sk_fs_dir dir, const char *name,
		      uint64_t size_bytes)
{
	struct sk_fs *fs = c->s->fs;
	struct sk_store_removed *removed = c->removed;
	bool hold = removed && size_bytes > QUICK_BYTES && removed->n < SK_STORE_REMOVED_MAX;
	int fd = hold ? fs->ops->open(fs, dir, name, SK_FS_READ) : -1;
	int r = fs->ops->unlink(fs, dir, name);

	if (r == 0)
		c->freed_bytes += size_bytes;
	if (fd >= 0 && r == 0)
		removed->fds[removed->n++] = fd;
	else if (fd >= 0)
		fs->ops->close(fs, fd);
	return r;
}

static int collect_dir(struct collection *c, enum sk_fs_dir dir, const char *suffix,
		       bool (*match)(const char *name))
{
	struct sk_fs *fs = c->s->fs;
	_cleanup_strv_ char **names = NULL;
	int r = sk_fs_names(fs, dir, match, &names);
	bool any = false;

	SK_STRV_FOREACH (name, names) {
		struct sk_fs_stat st;
		struct sk_digest d;

		if (r < 0)
			break;
		if (sk_store_name_parse(*name, suffix, &d) < 0 || c->keep(c->arg, &d) ||
		    (dir == SK_FS_STAGING && sk_store_adding(c->s, &d)) ||
		    fs->ops->stat(fs, dir, *name, &st) < 0)
			continue;
		r = remove_one(c, dir, *name, st.size_bytes);
		any = true;
	}
	return r == 0 && any ? fs->ops->sync_dir(fs, dir) : r;
}

int sk_store_collect(struct sk_store *s, bool (*keep)(void *arg, const struct sk_digest *d),
		     void *arg, struct sk_store_removed *removed, uint64_t *ret_freed_bytes,
		     struct sk_err *err)
{
	struct collection c = { .s = s, .removed = removed, .keep = keep, .arg = arg };
	int r = collect_dir(&c, SK_FS_IMAGES, "", is_image);

	if (r == 0)
		r = collect_dir(&c, SK_FS_STAGING, ".part", sk_store_is_part);
	if (r == 0)
		r = collect_dir(&c, SK_FS_QUARANTINE, "", is_image);
	if (r == 0)
		r = collect_dir(&c, SK_FS_QUARANTINE, ".skr", is_release);
	if (r == 0)
		r = collect_dir(&c, SK_FS_RELEASES, ".skr", is_release);
	if (ret_freed_bytes)
		*ret_freed_bytes = c.freed_bytes;
	if (r < 0)
		return sk_store_fail(err, r, "clean up", "the store");
	sk_ballast_fill(s);
	return 0;
}

void sk_store_removed_close(struct sk_store *s, struct sk_store_removed *removed)
{
	while (removed->n > 0)
		s->fs->ops->close(s->fs, removed->fds[--removed->n]);
}

void sk_store_refill_ballast(struct sk_store *s)
{
	sk_ballast_fill(s);
}
