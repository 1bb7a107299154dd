/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/release/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/output.h"

#define CHUNK (256u << 10)

struct writing {
	const char *path; /* for sentences */
	struct archive *archive;
	uint64_t now, total;
	void (*progress)(void *arg, uint64_t now, uint64_t total);
	void *arg;
};

static int failed(const struct writing *w, struct sk_err *err)
{
	int code = archive_errno(w->archive);

	return sk_err_set(err, -EIO, code == ENOSPC ? "no-space" : "io", "cannot write %s: %s",
			  w->path, archive_error_string(w->archive));
}

static int put_header(struct writing *w, const char *name, uint64_t size, int64_t created_s,
		      struct sk_err *err)
{
	struct archive_entry *e = archive_entry_new();
	int r;

	if (!e)
		return sk_err_oom(err);
	archive_entry_set_pathname(e, name);
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_perm(e, 0644);
	archive_entry_set_size(e, (la_int64_t)size);
	archive_entry_set_mtime(e, created_s, 0);
	r = archive_write_header(w->archive, e);
	archive_entry_free(e);
	return r == ARCHIVE_OK ? 0 : failed(w, err);
}

static int bundle_put(struct writing *w, const void *data, size_t len, struct sk_err *err)
{
	if (archive_write_data(w->archive, data, len) != (la_ssize_t)len)
		return failed(w, err);
	w->now += len;
	if (w->progress)
		w->progress(w->arg, w->now, w->total);
	return 0;
}

static int copy_image(struct writing *w, int fd, const struct sk_image_ref *image,
		      struct sk_digest *ret, struct sk_err *err)
{
	_cleanup_(sk_hasher_freep) struct sk_hasher *h = sk_hasher_new();
	_cleanup_free_ char *chunk = malloc(CHUNK);
	uint64_t left = image->size_bytes;

	if (!h || !chunk)
		return sk_err_oom(err);
	while (left > 0) {
		ssize_t n = read(fd, chunk, SK_MIN(left, (uint64_t)CHUNK));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return sk_err_set(err, -EIO, "io", "cannot read image %s: %s", image->name,
					  n < 0 ? strerror(errno) : "it became shorter");
		r = sk_hasher_add(h, chunk, (size_t)n);
		if (r == 0)
			r = bundle_put(w, chunk, (size_t)n, err);
		if (r < 0)
			return r;
		left -= (uint64_t)n;
	}
	return sk_hasher_end(h, ret);
}

static int put_image(struct writing *w, const struct sk_image_ref *image, const char *file,
		     int64_t created_s, struct sk_err *err)
{
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *name = sk_asprintf("images/%s", SK_DIGEST_STR(&image->digest));
	struct sk_digest d;
	int r;

	if (!name)
		return sk_err_oom(err);
	if (fd < 0)
		return sk_err_set(err, -errno, errno == ENOENT ? "not-found" : "io",
				  "cannot read image %s: %s", file, strerror(errno));
	r = put_header(w, name, image->size_bytes, created_s, err);
	if (r == 0)
		r = copy_image(w, fd, image, &d, err);
	if (r < 0)
		return r;
	if (!sk_digest_equal(&d, &image->digest))
		return sk_err_set(err, -EBADMSG, "digest-mismatch",
				  "%s is not the image that the release names", file);
	return 0;
}

/* Two names may stand for one image: it goes in once. */
static bool is_repeated(const struct sk_manifest *m, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (sk_digest_equal(&m->images[j].digest, &m->images[i].digest))
			return true;
	return false;
}

static int put_all(struct writing *w, const struct sk_bundle_source *from, struct sk_err *err)
{
	const struct sk_manifest *m = from->manifest;
	int r = put_header(w, "release.skr", from->skr_len, m->created_s, err);

	if (r == 0)
		r = bundle_put(w, from->skr, from->skr_len, err);
	for (size_t i = 0; r == 0 && i < m->n_images; i++)
		if (!is_repeated(m, i))
			r = put_image(w, &m->images[i], from->files[i], m->created_s, err);
	if (r == 0 && archive_write_close(w->archive) != ARCHIVE_OK)
		r = failed(w, err);
	return r;
}

static int write_to(struct writing *w, int fd, const struct sk_bundle_source *from,
		    struct sk_err *err)
{
	int r;

	w->archive = archive_write_new();
	if (!w->archive)
		return sk_err_oom(err);
	/* pax restricted: plain ustar unless something does not fit, and nothing of this machine */
	if (archive_write_set_format_pax_restricted(w->archive) != ARCHIVE_OK ||
	    archive_write_open_fd(w->archive, fd) != ARCHIVE_OK)
		r = failed(w, err);
	else
		r = put_all(w, from, err);
	(void)archive_write_free(w->archive);
	return r;
}

int sk_bundle_write(const char *path, const struct sk_bundle_source *from,
		    void (*progress)(void *arg, uint64_t now, uint64_t total), void *arg,
		    struct sk_err *err)
{
	struct writing w = { .path = path, .progress = progress, .arg = arg };
	_cleanup_output_ struct sk_output out = { .fd = -1 };
	int r;

	w.total = from->skr_len;
	for (size_t i = 0; i < from->manifest->n_images; i++)
		w.total += from->manifest->images[i].size_bytes;
	r = sk_output_open(&out, path, err);
	if (r == 0)
		r = write_to(&w, out.fd, from, err);
	return r == 0 ? sk_output_commit(&out, err) : r;
}
