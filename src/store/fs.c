/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

#define NAME_ROOM  256
#define HASH_CHUNK (256 * 1024)

const char *sk_fs_dir_name(enum sk_fs_dir dir)
{
	static const char *const names[] = {
		[SK_FS_IMAGES] = "images",	   [SK_FS_STAGING] = "staging",
		[SK_FS_QUARANTINE] = "quarantine", [SK_FS_RELEASES] = "releases",
		[SK_FS_RECORDS] = "records",
	};

	return dir < SK_FS_DIRS ? names[dir] : "?";
}

void sk_fs_free(struct sk_fs *fs)
{
	fs->ops->free(fs);
}

static int read_all(struct sk_fs *fs, int fd, size_t max, struct sk_buf *b)
{
	for (;;) {
		/* One byte over the bound says whether the file ends here or is too large. */
		size_t room = SK_MIN((size_t)65536, max + 1 - b->len);
		ssize_t n;

		if (sk_buf_reserve(b, room) < 0)
			return -ENOMEM;
		n = fs->ops->pread(fs, fd, b->data + b->len, room, b->len);
		if (n < 0)
			return (int)n;
		b->len += (size_t)n;
		b->data[b->len] = '\0';
		if (b->len > max)
			return -EFBIG;
		if (n == 0)
			return 0;
	}
}

int sk_fs_read(struct sk_fs *fs, enum sk_fs_dir dir, const char *name, size_t max, char **ret,
	       size_t *ret_len)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(max + 1);
	int fd = fs->ops->open(fs, dir, name, SK_FS_READ);
	int r;

	if (fd < 0)
		return fd;
	r = read_all(fs, fd, max, &b);
	fs->ops->close(fs, fd);
	if (r < 0)
		return r;
	*ret = sk_buf_take(&b, ret_len);
	return *ret ? 0 : -ENOMEM;
}

int sk_fs_pwrite_all(struct sk_fs *fs, int fd, const void *data, size_t len, uint64_t offset,
		     size_t *ret_done)
{
	size_t done = 0;
	ssize_t n = 0;

	while (done < len) {
		n = fs->ops->pwrite(fs, fd, (const char *)data + done, len - done, offset + done);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (ret_done)
		*ret_done = done;
	if (done == len)
		return 0;
	return n < 0 ? (int)n : -EIO;
}

static int write_tmp(struct sk_fs *fs, enum sk_fs_dir dir, const char *tmp, const void *data,
		     size_t len)
{
	int fd = fs->ops->open(fs, dir, tmp, SK_FS_CREATE);
	int r;

	if (fd < 0)
		return fd;
	r = sk_fs_pwrite_all(fs, fd, data, len, 0, NULL);
	if (r == 0)
		r = fs->ops->fsync(fs, fd);
	fs->ops->close(fs, fd);
	return r;
}

int sk_fs_replace(struct sk_fs *fs, enum sk_fs_dir dir, const char *name, const void *data,
		  size_t len)
{
	char tmp[NAME_ROOM];
	int r;

	if (snprintf(tmp, sizeof(tmp), SK_FS_TMP_PREFIX "%s", name) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	r = write_tmp(fs, dir, tmp, data, len);
	if (r == 0)
		r = fs->ops->rename(fs, dir, tmp, dir, name);
	if (r < 0) {
		(void)fs->ops->unlink(fs, dir, tmp);
		return r;
	}
	return fs->ops->sync_dir(fs, dir);
}

int sk_fs_remove(struct sk_fs *fs, enum sk_fs_dir dir, const char *name)
{
	int r = fs->ops->unlink(fs, dir, name);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : fs->ops->sync_dir(fs, dir);
}

int sk_fs_hash(struct sk_fs *fs, int fd, uint64_t from, uint64_t to, struct sk_hasher *h)
{
	size_t size = from < to ? SK_MIN(to - from, (uint64_t)HASH_CHUNK) : 0;
	_cleanup_free_ char *chunk = size > 0 ? malloc(size) : NULL;

	if (size > 0 && !chunk)
		return -ENOMEM;
	while (from < to) {
		ssize_t n = fs->ops->pread(fs, fd, chunk, SK_MIN(to - from, (uint64_t)size), from);

		if (n < 0)
			return (int)n;
		if (n == 0)
			return -ENODATA;
		if (sk_hasher_add(h, chunk, (size_t)n) < 0)
			return -ENOMEM;
		from += (uint64_t)n;
	}
	return 0;
}

struct name_list {
	struct sk_fs *fs;
	enum sk_fs_dir dir;
	bool (*match)(const char *name);
	char **names;
};

static int add_name(void *arg, const char *name)
{
	struct name_list *l = arg;
	struct sk_fs_stat st;

	if (!l->match(name) || l->fs->ops->stat(l->fs, l->dir, name, &st) < 0 || !st.regular)
		return 0;
	return sk_strv_add(&l->names, name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int sk_fs_names(struct sk_fs *fs, enum sk_fs_dir dir, bool (*match)(const char *name),
		char ***ret_names)
{
	struct name_list l = { .fs = fs, .dir = dir, .match = match };
	int r = fs->ops->list(fs, dir, add_name, &l);

	if (r != 0) {
		sk_strv_free(l.names);
		return r;
	}
	if (l.names)
		qsort(l.names, sk_strv_len(l.names), sizeof(*l.names), by_name);
	*ret_names = l.names;
	return 0;
}
