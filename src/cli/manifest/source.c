/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/manifest/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

void sk_source_done(struct sk_source *s)
{
	free(s->dts);
	free(s->dtb);
	sk_places_freep(&s->places);
	sk_mistakes_done(&s->mistakes);
	*s = (struct sk_source){ 0 };
}

/* A mistake in the device tree, in terms of the source that it was made from. */
static int take_diag(struct sk_source *s, const struct sk_diag *d)
{
	const struct sk_place *at = s->places ? sk_places_find(s->places, d->path, d->prop) : NULL;
	_cleanup_free_ char *own = NULL;
	const char *hint = d->hint;

	own = d->prop ? sk_asprintf("%s: %s", d->path, d->prop) : strdup(d->path);
	if (!own)
		return -ENOMEM;
	/* The hints show device-tree syntax, which does not help with a Compose file. */
	if (s->dts && hint && strchr(hint, ';'))
		hint = NULL;
	return sk_mistake(&s->mistakes, at ? at->file : s->path, at ? at->line : 0,
			  at && at->where ? at->where : own, hint, "%s", d->text);
}

static int take_diags(struct sk_source *s, const struct sk_diags *diags, struct sk_err *err)
{
	int r = 0;

	if (!s->places && !s->dts && !sk_str_ends(s->path, ".dtb"))
		(void)sk_dts_places(s->path, &s->places, NULL);
	for (size_t i = 0; r != -ENOMEM && i < diags->n; i++)
		r = take_diag(s, &diags->v[i]);
	if (r == -ENOMEM)
		return sk_err_oom(err);
	return -EINVAL;
}

static int check(struct sk_source *s, struct sk_manifest **ret, struct sk_err *err)
{
	_cleanup_(sk_diags_done) struct sk_diags diags = { 0 };
	int r = sk_manifest_parse(s->dtb, s->len, ret, &diags, err);

	if (r == -EINVAL && diags.n > 0)
		return take_diags(s, &diags, err);
	return r < 0 ? sk_err_prefix(err, "%s", s->path) : 0;
}

static int compile_text(struct sk_source *s, struct sk_err *err)
{
	_cleanup_close_ int fd = memfd_create("dts", MFD_CLOEXEC);
	int r = fd < 0 ? -errno : sk_fd_write(fd, s->dts, strlen(s->dts));

	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot hand the manifest to dtc: %s",
				  strerror(-r));
	return sk_dts_compile(s, fd, err);
}

static int compile(struct sk_source *s, char **data, size_t len, struct sk_err *err)
{
	static const char magic[] = { (char)0xd0, 0x0d, (char)0xfe, (char)0xed };
	int r;

	if (len >= sizeof(magic) && memcmp(*data, magic, sizeof(magic)) == 0) {
		s->dtb = TAKE_PTR(*data);
		s->len = len;
		return 0;
	}
	if (sk_str_ends(s->path, ".yaml") || sk_str_ends(s->path, ".yml")) {
		r = sk_compose_to_dts(*data, len, s, err);
		return r < 0 ? r : compile_text(s, err);
	}
	if (sk_str_ends(s->path, ".dts") || strstr(*data, "/dts-v1/")) {
		r = sk_dts_scan(s, err);
		return r < 0 ? r : sk_dts_compile(s, -1, err);
	}
	return sk_err_set(
		err, -EINVAL, "bad-manifest",
		"%s is neither a manifest source (.dts), nor a Compose file (.yaml), nor a "
		"device tree (.dtb)",
		s->path);
}

static int cmp_by_line(const void *a, const void *b)
{
	const struct sk_mistake *x = a, *y = b;
	int r = strcmp(x->file, y->file);

	return r ? r : (x->line > y->line) - (x->line < y->line);
}

int sk_source_load(const char *path, struct sk_source *s, struct sk_manifest **ret,
		   struct sk_err *err)
{
	_cleanup_free_ char *data = NULL;
	size_t len;
	int r;

	*s = (struct sk_source){ .path = path };
	r = sk_file_read(AT_FDCWD, path, SK_SOURCE_MAX, &data, &len);
	if (r == -EFBIG)
		return sk_err_set(err, r, "too-large", "%s has more than %u bytes", path,
				  SK_SOURCE_MAX);
	if (r < 0)
		return sk_err_set(err, r, r == -ENOENT ? "not-found" : "io", "cannot read %s: %s",
				  path, r == -EINVAL ? "it is not a regular file" : strerror(-r));
	r = compile(s, &data, len, err);
	if (r == 0)
		r = check(s, ret, err);
	if (s->mistakes.n > 1)
		qsort(s->mistakes.v, s->mistakes.n, sizeof(*s->mistakes.v), cmp_by_line);
	return r;
}
