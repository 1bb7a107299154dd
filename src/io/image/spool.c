/* SPDX-License-Identifier: Apache-2.0 */
#include "io/image/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "io/image/tar.h"
#include "io/image/tree.h"

#define MEMBERS_MAX  10000
#define LINK_HOPS    8
#define NAME_MAX_LEN 1024
#define HEADERS_MAX  (64u << 20)

struct member {
	unsigned number;
	uint64_t size;
	char *link; /* name of another member, or NULL */
};

struct sk_spool {
	int dir_fd;
	unsigned count;
	uint64_t left;
	struct sk_map *members;
};

static int bad_member(struct sk_err *err, const char *name, const char *why)
{
	return sk_err_set(err, -EBADMSG, "bad-archive", "archive member %.200s: %s", name, why);
}

static void member_free(void *p)
{
	struct member *m = p;

	if (m)
		free(m->link);
	free(m);
}

static int copy_member(struct sk_spool *s, struct sk_tar *tar, struct archive_entry *e,
		       struct member *m, struct sk_err *err)
{
	_cleanup_close_ int fd = -1;
	char file[16];
	int r;

	if (archive_entry_size(e) > 0 && (uint64_t)archive_entry_size(e) > s->left)
		return bad_member(err, archive_entry_pathname(e), "holds more than is allowed");
	(void)snprintf(file, sizeof(file), "%u", m->number);
	fd = openat(s->dir_fd, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return sk_err_set(err, -errno, "io", "cannot unpack the archive: %s",
				  strerror(errno));
	r = sk_tar_copy(tar, fd, s->left, &m->size, err);
	if (r == 0)
		s->left -= m->size;
	return r;
}

/* The length of what stands before the last slash of the first @len bytes. */
static size_t folder_len(const char *name, size_t len)
{
	while (len > 0 && name[len - 1] != '/')
		len--;
	return len > 0 ? len - 1 : 0;
}

/* Where a link of member @name leads, by name: from its folder for a symlink, else from the top. */
static int resolve_link(const char *name, const char *target, bool symlink, char *buf,
			struct sk_err *err)
{
	size_t len = symlink ? folder_len(name, strlen(name)) : 0;
	const char *part = target;

	if (*target == '/')
		return bad_member(err, name, "a link that leads out of the archive");
	memcpy(buf, name, len);
	while (*part) {
		size_t n = strcspn(part, "/");

		if (n == 2 && part[0] == '.' && part[1] == '.') {
			if (len == 0)
				return bad_member(err, name,
						  "a link that leads out of the archive");
			len = folder_len(buf, len);
		} else if (n > 0 && !(n == 1 && part[0] == '.')) {
			if (len + n + 2 > PATH_MAX)
				return bad_member(err, name, "a link that is too long");
			if (len > 0)
				buf[len++] = '/';
			memcpy(buf + len, part, n);
			len += n;
		}
		part += n + (part[n] == '/');
	}
	buf[len] = '\0';
	return 0;
}

static int read_member(struct sk_spool *s, struct sk_tar *tar, struct archive_entry *e,
		       const char *name, struct member *m, struct sk_err *err)
{
	const char *hard = archive_entry_hardlink(e), *soft = archive_entry_symlink(e);
	char target[PATH_MAX];
	int r;

	if (!hard && archive_entry_filetype(e) == AE_IFREG)
		return copy_member(s, tar, e, m, err);
	if (!hard && !soft)
		return bad_member(err, name, "is neither a file nor a link");
	r = resolve_link(name, hard ? hard : soft, !hard, target, err);
	if (r < 0)
		return r;
	m->link = strdup(target);
	return m->link ? 0 : sk_err_oom(err);
}

static int add_member(struct sk_spool *s, struct sk_tar *tar, struct archive_entry *e,
		      struct sk_err *err)
{
	struct member *m;
	char name[PATH_MAX];
	int r;

	r = sk_tree_path(archive_entry_pathname(e), name, err);
	if (r < 0)
		return r;
	if (archive_entry_filetype(e) == AE_IFDIR && !archive_entry_hardlink(e))
		return 0;
	if (strlen(name) > NAME_MAX_LEN || s->count == MEMBERS_MAX)
		return bad_member(
			err, name,
			"this does not look like an image: names are too long or too many");
	m = calloc(1, sizeof(*m));
	if (!m)
		return sk_err_oom(err);
	m->number = s->count++;
	r = sk_map_add(s->members, name, m);
	if (r < 0) {
		free(m);
		return r == -EEXIST ? bad_member(err, name, "is there twice") : sk_err_oom(err);
	}
	return read_member(s, tar, e, name, m, err);
}

static int read_all(struct sk_spool *s, struct sk_tar *tar, struct sk_err *err)
{
	struct archive_entry *e;
	int r;

	while ((r = sk_tar_next(tar, &e, err)) > 0) {
		r = add_member(s, tar, e, err);
		if (r < 0)
			break;
	}
	return r;
}

int sk_spool_read(int archive_fd, const char *dir, uint64_t max, struct sk_spool **ret,
		  struct sk_err *err)
{
	_cleanup_(sk_spool_freep) struct sk_spool *s = calloc(1, sizeof(*s));
	_cleanup_(sk_tar_freep) struct sk_tar *tar = NULL;
	int r;

	if (!s)
		return sk_err_oom(err);
	s->left = max;
	s->members = sk_map_new(member_free);
	s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0)
		return sk_err_set(err, -errno, "io", "%s: %s", dir, strerror(errno));
	if (!s->members)
		return sk_err_oom(err);
	r = sk_tar_open(archive_fd, "image archive", max + HEADERS_MAX, &tar, err);
	if (r == 0)
		r = read_all(s, tar, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void sk_spool_free(struct sk_spool *s)
{
	if (!s)
		return;
	sk_closep(&s->dir_fd);
	sk_map_freep(&s->members);
	free(s);
}

static const struct member *find(const struct sk_spool *s, const char *name)
{
	const struct member *m = sk_map_get(s->members, name);

	for (int i = 0; m && m->link && i < LINK_HOPS; i++)
		m = sk_map_get(s->members, m->link);
	return m && !m->link ? m : NULL;
}

int sk_spool_has(const struct sk_spool *s, const char *name)
{
	return find(s, name) != NULL;
}

int sk_spool_open(const struct sk_spool *s, const char *name, int *ret_fd, uint64_t *ret_size,
		  struct sk_err *err)
{
	const struct member *m = find(s, name);
	char file[16];
	int fd;

	if (!m)
		return bad_member(err, name, "is missing from the archive");
	(void)snprintf(file, sizeof(file), "%u", m->number);
	fd = openat(s->dir_fd, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return sk_err_set(err, -errno, "io", "unpacked archive: %s", strerror(errno));
	*ret_fd = fd;
	*ret_size = m->size;
	return 0;
}

int sk_spool_blob(const struct sk_spool *s, const struct sk_digest *d, int *ret_fd,
		  uint64_t *ret_size, struct sk_err *err)
{
	_cleanup_close_ int fd = -1;
	struct sk_digest got;
	char name[96];
	int r;

	(void)snprintf(name, sizeof(name), "blobs/sha256/%s", SK_DIGEST_STR(d));
	r = sk_spool_open(s, name, &fd, ret_size, err);
	if (r < 0)
		return r;
	r = sk_digest_of_fd(fd, 0, UINT64_MAX, &got);
	if (r < 0)
		return sk_err_set(err, r, "io", "unpacked archive: %s", strerror(-r));
	if (!sk_digest_equal(&got, d))
		return bad_member(err, name, "is damaged: its SHA-256 is another");
	*ret_fd = TAKE_FD(fd);
	return 0;
}
