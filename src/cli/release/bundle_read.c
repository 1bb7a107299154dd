/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/release/bundle.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/str.h"
#include "model/release.h"

#define BLOCK	  (64u << 10)
#define DER_START 0x30

static void archive_freep(struct archive **a)
{
	(void)archive_read_free(*a);
}

static int bad_bundle(const char *path, const char *why, struct sk_err *err)
{
	return sk_err_set(err, -EBADMSG, "bad-release", "%s is not a release bundle: %s", path,
			  why);
}

static int open_tar(const char *path, struct archive **ret, struct sk_err *err)
{
	_cleanup_(archive_freep) struct archive *a = archive_read_new();

	/* tar only, and not compressed: images are compressed inside */
	if (!a || archive_read_support_format_tar(a) != ARCHIVE_OK)
		return sk_err_oom(err);
	if (archive_read_open_filename(a, path, BLOCK) != ARCHIVE_OK)
		return bad_bundle(path, "no tar", err);
	*ret = TAKE_PTR(a);
	return 0;
}

static int next_file(const char *path, struct archive *a, struct archive_entry **ret,
		     struct sk_err *err)
{
	int r = archive_read_next_header(a, ret);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK)
		return bad_bundle(path, "it is damaged or cut off", err);
	if (archive_entry_filetype(*ret) != AE_IFREG || archive_entry_hardlink(*ret) ||
	    !archive_entry_size_is_set(*ret) || archive_entry_size(*ret) < 0 ||
	    !archive_entry_pathname(*ret))
		return bad_bundle(path, "something in it is no regular file", err);
	return 1;
}

/* Exactly @len bytes. */
static int read_all(const char *path, struct archive *a, char *buf, size_t len, struct sk_err *err)
{
	size_t at = 0;

	while (at < len) {
		la_ssize_t n = archive_read_data(a, buf + at, len - at);

		if (n <= 0)
			return bad_bundle(path, "it is damaged or cut off", err);
		at += (size_t)n;
	}
	return 0;
}

static int read_head(const char *path, struct archive *a, char **ret, size_t *ret_len,
		     struct sk_err *err)
{
	_cleanup_free_ char *skr = NULL;
	struct archive_entry *e;
	size_t len;
	int r = next_file(path, a, &e, err);

	if (r < 0)
		return r;
	if (r == 0 || !sk_streq(archive_entry_pathname(e), "release.skr"))
		return bad_bundle(path, "release.skr does not come first", err);
	if (archive_entry_size(e) > SK_RELEASE_FILE_MAX)
		return bad_bundle(path, "its release.skr is too large", err);
	len = (size_t)archive_entry_size(e);
	skr = malloc(len + 1);
	if (!skr)
		return sk_err_oom(err);
	r = read_all(path, a, skr, len, err);
	if (r < 0)
		return r;
	skr[len] = '\0';
	*ret = TAKE_PTR(skr);
	*ret_len = len;
	return 0;
}

/* DER begins with a SEQUENCE; a tar begins with a file name, and 'release.skr' is none. */
static int is_bundle(const char *path, bool *ret, struct sk_err *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	unsigned char first = 0;

	if (fd < 0 || fstat(fd, &st) < 0 || (S_ISREG(st.st_mode) && read(fd, &first, 1) < 0))
		return sk_err_set(err, -errno, errno == ENOENT ? "not-found" : "io",
				  "cannot read %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return sk_err_set(err, -EINVAL, "bad-release", "%s is not a regular file", path);
	*ret = first != DER_START;
	return 0;
}

int sk_release_read(const char *path, char **ret, size_t *ret_len, bool *ret_is_bundle,
		    struct sk_err *err)
{
	_cleanup_(archive_freep) struct archive *a = NULL;
	int r = is_bundle(path, ret_is_bundle, err);

	if (r < 0)
		return r;
	if (!*ret_is_bundle) {
		r = sk_file_read(AT_FDCWD, path, SK_RELEASE_FILE_MAX, ret, ret_len);
		if (r == -EFBIG)
			return sk_err_set(err, -EBADMSG, "bad-release",
					  "%s is larger than any release", path);
		if (r < 0)
			return sk_err_set(err, r, "io", "cannot read %s: %s", path, strerror(-r));
		return 0;
	}
	r = open_tar(path, &a, err);
	return r < 0 ? r : read_head(path, a, ret, ret_len, err);
}

ssize_t sk_bundle_image_read(struct sk_bundle_image *image, void *buf, size_t size,
			     struct sk_err *err)
{
	la_ssize_t n = archive_read_data(image->archive, buf, size);
	int code = n < 0 ? archive_errno(image->archive) : 0;

	/* libarchive's own troubles with the form; others are the system's. */
	if (n < 0 && (code == EILSEQ || code <= 0))
		return sk_err_set(err, -EBADMSG, "bad-release", "the bundle is damaged or cut off");
	if (n < 0)
		return sk_err_set(err, -EIO, "io", "cannot read the bundle: %s",
				  archive_error_string(image->archive));
	return n;
}

static int take_image(const char *path, struct archive *a, struct archive_entry *e,
		      struct sk_bundle_image *ret, struct sk_err *err)
{
	const char *name = archive_entry_pathname(e);

	if (!sk_str_starts(name, "images/") || strlen(name) != strlen("images/") + SK_DIGEST_HEX ||
	    sk_digest_parse(name + strlen("images/"), &ret->digest) < 0)
		return bad_bundle(path, "something in it is not named as an image", err);
	ret->size_bytes = (uint64_t)archive_entry_size(e);
	ret->archive = a;
	return 0;
}

int sk_bundle_each(const char *path,
		   int (*each)(void *arg, struct sk_bundle_image *image, struct sk_err *err),
		   void *arg, struct sk_err *err)
{
	_cleanup_(archive_freep) struct archive *a = NULL;
	_cleanup_free_ char *skr = NULL;
	struct archive_entry *e;
	size_t len;
	int r = open_tar(path, &a, err);

	if (r == 0)
		r = read_head(path, a, &skr, &len, err);
	if (r < 0)
		return r;
	while ((r = next_file(path, a, &e, err)) > 0) {
		struct sk_bundle_image image;

		r = take_image(path, a, e, &image, err);
		if (r == 0)
			r = each(arg, &image, err);
		if (r != 0)
			return r;
	}
	return r;
}
