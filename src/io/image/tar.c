/* SPDX-License-Identifier: Apache-2.0 */
#include "io/image/tar.h"

#include <archive.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define CHUNK (128 * 1024)

/*
 * Two readers of libarchive in a row: @raw takes compression off, @tar reads what comes out. In
 * between the bytes are seen as they are hashed in an image's diff_ids.
 */
struct sk_tar {
	struct archive *raw, *tar;
	const char *what;
	int fd;
	struct sk_hasher *hasher;
	uint64_t left, max;
	locale_t utf8, before;
	char chunk[CHUNK], compressed[CHUNK];
};

static int bad_tar(const struct sk_tar *t, struct sk_err *err, const char *why)
{
	return sk_err_set(err, -EBADMSG, "bad-archive", "%s: %s", t->what,
			  why ? why : "cannot be read");
}

/* Why the readers stopped. Reading the descriptor may have failed, which is not the archive's. */
static int read_failed(const struct sk_tar *t, struct archive *a, struct sk_err *err)
{
	int code = archive_errno(a);

	if (t->left == 0)
		return sk_err_set(err, -EBADMSG, "bad-archive",
				  "%s: unpacks to more than %" PRIu64 " bytes", t->what, t->max);
	if (code == ENOMEM)
		return sk_err_oom(err);
	if (code == EIO || code == EBADF || code == EISDIR)
		return sk_err_set(err, -code, "io", "%s: %s", t->what, strerror(code));
	return bad_tar(t, err, archive_error_string(a));
}

static la_ssize_t tar_read(struct archive *a, void *arg, const void **ret)
{
	struct sk_tar *t = arg;
	ssize_t n;

	do
		n = read(t->fd, t->compressed, sizeof(t->compressed));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		archive_set_error(a, errno, "%s", strerror(errno));
	*ret = t->compressed;
	return n;
}

static la_ssize_t read_raw(struct archive *a, void *arg, const void **ret)
{
	struct sk_tar *t = arg;
	la_ssize_t n = archive_read_data(t->raw, t->chunk, sizeof(t->chunk));

	if (n < 0) {
		archive_set_error(a, archive_errno(t->raw), "%s",
				  archive_error_string(t->raw) ? archive_error_string(t->raw)
							       : "damaged compression");
		return ARCHIVE_FATAL;
	}
	if ((uint64_t)n > t->left) {
		t->left = 0;
		archive_set_error(a, EFBIG, "too large");
		return ARCHIVE_FATAL;
	}
	t->left -= (uint64_t)n;
	if (sk_hasher_add(t->hasher, t->chunk, (size_t)n) < 0) {
		archive_set_error(a, ENOMEM, "out of memory");
		return ARCHIVE_FATAL;
	}
	*ret = t->chunk;
	return n;
}

/* By name, not filter_all: that would run external programs for rare formats. */
static int support(struct sk_tar *t)
{
	int r = archive_read_support_format_raw(t->raw);

	r |= archive_read_support_filter_gzip(t->raw);
	r |= archive_read_support_filter_zstd(t->raw);
	r |= archive_read_support_filter_xz(t->raw);
	r |= archive_read_support_filter_bzip2(t->raw);
	r |= archive_read_support_filter_lz4(t->raw);
	r |= archive_read_support_format_tar(t->tar);
	return r == ARCHIVE_OK ? 0 : -ENOTSUP;
}

static int open_readers(struct sk_tar *t, struct sk_err *err)
{
	struct archive_entry *e;

	if (archive_read_open(t->raw, t, NULL, tar_read, NULL) != ARCHIVE_OK ||
	    archive_read_next_header(t->raw, &e) != ARCHIVE_OK)
		return read_failed(t, t->raw, err);
	if (archive_read_open(t->tar, t, NULL, read_raw, NULL) != ARCHIVE_OK)
		return read_failed(t, t->tar, err);
	return 0;
}

int sk_tar_open(int fd, const char *what, uint64_t max, struct sk_tar **ret, struct sk_err *err)
{
	_cleanup_(sk_tar_freep) struct sk_tar *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return sk_err_oom(err);
	t->fd = fd;
	t->what = what;
	t->max = t->left = max;
	t->hasher = sk_hasher_new();
	t->raw = archive_read_new();
	t->tar = archive_read_new();
	if (!t->hasher || !t->raw || !t->tar)
		return sk_err_oom(err);
	/* libarchive converts names to the locale's character set: let them pass as they are. */
	t->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	if (t->utf8)
		t->before = uselocale(t->utf8);
	if (support(t) < 0)
		return sk_err_set(err, -ENOTSUP, "not-supported",
				  "this libarchive lacks a compression that images use");
	r = open_readers(t, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(t);
	return 0;
}

void sk_tar_free(struct sk_tar *t)
{
	if (!t)
		return;
	archive_read_free(t->tar);
	archive_read_free(t->raw);
	sk_hasher_freep(&t->hasher);
	if (t->utf8) {
		(void)uselocale(t->before);
		freelocale(t->utf8);
	}
	free(t);
}

int sk_tar_next(struct sk_tar *t, struct archive_entry **ret, struct sk_err *err)
{
	int r = archive_read_next_header(t->tar, ret);

	if (r == ARCHIVE_EOF)
		return 0;
	/* A warning: a name that is no UTF-8 and stays as its bytes. */
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return read_failed(t, t->tar, err);
	if (!archive_entry_pathname(*ret))
		return bad_tar(t, err, "an entry has no readable name");
	return 1;
}

int sk_tar_read(struct sk_tar *t, const void **ret, size_t *ret_len, uint64_t *ret_offset,
		struct sk_err *err)
{
	la_int64_t offset = 0;
	int r = archive_read_data_block(t->tar, ret, ret_len, &offset);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
		return read_failed(t, t->tar, err);
	if (offset < 0)
		return bad_tar(t, err, "an entry has a negative offset");
	*ret_offset = (uint64_t)offset;
	return 1;
}

static int write_at(int fd, const char *data, size_t len, uint64_t offset)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, data, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int sk_tar_copy(struct sk_tar *t, int fd, uint64_t max, uint64_t *ret_len, struct sk_err *err)
{
	uint64_t end = 0, offset = 0;
	const void *data = NULL;
	size_t len = 0;
	int r;

	while ((r = sk_tar_read(t, &data, &len, &offset, err)) > 0) {
		if (offset > max || len > max - offset)
			return sk_err_set(err, -EBADMSG, "bad-archive",
					  "%s: unpacks to more than is allowed", t->what);
		r = write_at(fd, data, len, offset);
		if (r < 0)
			return sk_err_set(err, r, r == -ENOSPC || r == -EDQUOT ? "no-space" : "io",
					  "cannot unpack %s: %s", t->what, strerror(-r));
		end = SK_MAX(end, offset + len);
	}
	*ret_len = end;
	return r;
}

int sk_tar_end(struct sk_tar *t, struct sk_digest *ret, struct sk_err *err)
{
	const void *data;
	la_ssize_t n;

	while ((n = read_raw(t->tar, t, &data)) > 0)
		;
	if (n < 0)
		return read_failed(t, t->tar, err);
	return sk_hasher_end(t->hasher, ret) < 0 ? sk_err_oom(err) : 0;
}
