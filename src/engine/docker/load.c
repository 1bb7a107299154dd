/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/docker/docker.h"
#include "io/image/archive.h"
#include "io/image/rootfs.h"
#include "io/json.h"
#include "io/sys/child.h"

#define OUT_MAX	   (64 * 1024)
#define BUFFER_MAX (64 * 1024)
#define TAGS_MAX   64

/*
 * POST /images/load: an archive of `docker save` becomes a capsule image. The body is spooled to a file
 * without a name; a child unpacks it, packs a file system and writes the image to another such file;
 * what it found is told as JSON on its standard output. Then the image goes into the store under its
 * hash and gets the archive's names. Cut off anywhere, nothing of it is left.
 */
struct load {
	struct sk_daemon *d;
	int spool_fd, image_fd;
	char *work_dir;
	struct sk_http_stream *stream; /* NULL: the client has left; the load goes on */
	struct sk_child *child;
};

static void load_free(void *arg)
{
	struct load *l = arg;

	sk_child_freep(&l->child);
	sk_closep(&l->spool_fd);
	sk_closep(&l->image_fd);
	if (l->work_dir)
		(void)sk_rm_rf(AT_FDCWD, l->work_dir);
	free(l->work_dir);
	free(l);
}

static int open_temporary(const char *dir, int *fd, struct sk_err *err)
{
	*fd = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	return *fd < 0 ? sk_err_set(err, -errno, "io", "cannot make a file in %s: %s", dir,
				    strerror(errno))
		       : 0;
}

/* Bytes come; at the end both files and the child's folder are ready. */
static int load_begin(struct sk_http_req *req, struct sk_daemon *d, struct load **ret,
		      struct sk_err *err)
{
	struct load *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return sk_err_oom(err);
	l->d = d;
	l->spool_fd = l->image_fd = -1;
	sk_http_set_user(req, l, load_free);
	r = open_temporary(d->config.state_dir, &l->spool_fd, err);
	if (r == 0)
		r = open_temporary(d->config.state_dir, &l->image_fd, err);
	*ret = l;
	return r;
}

int sk_docker_load_body(struct sk_http_req *req, void *arg, const void *data, size_t len,
			struct sk_err *err)
{
	struct load *l = sk_http_user(req);
	int r = l ? 0 : load_begin(req, arg, &l, err);

	if (r < 0 || len == 0)
		return r;
	r = sk_fd_write(l->spool_fd, data, len);
	if (r == -ENOSPC)
		return sk_err_set(err, r, "no-space", "no space for the archive");
	return r < 0 ? sk_err_set(err, r, "io", "cannot keep the archive: %s", strerror(-r)) : 0;
}

/* --- in the child --- */

/* What the image calls itself: its first tag's last word, or "image". */
static void image_name(char *const *tags, char buf[static SK_NAME_MAX + 1])
{
	const char *s = tags && tags[0] ? tags[0] : "image";
	const char *slash = strrchr(s, '/');

	s = slash ? slash + 1 : s;
	(void)snprintf(buf, SK_NAME_MAX + 1, "%.*s",
		       (int)SK_MIN(strcspn(s, ":@"), (size_t)SK_NAME_MAX), s);
	if (!sk_name_ok(buf))
		(void)snprintf(buf, SK_NAME_MAX + 1, "image");
}

static int pack(struct load *l, const struct sk_unpacked *u, struct sk_image_info *info,
		struct sk_err *err)
{
	_cleanup_free_ char *root = sk_asprintf("%s/rootfs", l->work_dir);
	_cleanup_free_ void *tree = NULL;
	_cleanup_close_ int rootfs_fd = -1;
	size_t tree_len;
	int r;

	if (!root)
		return sk_err_oom(err);
	r = sk_rootfs_make(root, "squashfs", NULL, 0, l->work_dir, &rootfs_fd, &info->rootfs_size,
			   err);
	if (r == 0 && sk_digest_of_fd(rootfs_fd, 0, info->rootfs_size, &info->rootfs_digest) < 0)
		r = sk_err_set(err, -EIO, "io", "cannot read what was packed");
	if (r == 0)
		r = sk_image_build_tree(info, &tree, &tree_len, err);
	return r < 0 ? r : sk_image_assemble(l->image_fd, tree, tree_len, rootfs_fd, err);
}

static int convert(struct load *l, struct sk_unpacked *u, struct sk_err *err)
{
	struct sk_image_info info = { .type = SK_ROOTFS_SQUASHFS, .kind = SK_KIND_CONTAINER };
	char name[SK_NAME_MAX + 1];
	int r;

	if (lseek(l->spool_fd, 0, SEEK_SET) < 0)
		return sk_err_set(err, -errno, "io", "cannot read the archive again");
	r = sk_archive_unpack(l->spool_fd, l->work_dir, l->d->config.unpacked_max, u, err);
	if (r < 0)
		return r;
	image_name(u->tags, name);
	info.name = name;
	r = sk_run_from_oci(u->config, u->config_len, &info.run, &info.arch, err);
	return r < 0 ? r : pack(l, u, &info, err);
}

/* One JSON object on standard output: {"digest", "size", "tags"} or {"slug", "message"}. */
static int child_task(void *arg)
{
	struct load *l = arg;
	struct sk_unpacked u = { 0 };
	struct sk_err err = SK_ERR_INIT;
	struct sk_digest digest;
	_cleanup_json_ json_t *out = NULL;
	struct stat st;
	int r = convert(l, &u, &err);

	if (r == 0 && (fstat(l->image_fd, &st) < 0 ||
		       sk_digest_of_fd(l->image_fd, 0, (uint64_t)st.st_size, &digest) < 0))
		r = sk_err_set(&err, -EIO, "io", "cannot read the new image");
	if (r < 0)
		out = json_pack("{s:s, s:s}", "slug", err.slug, "message", err.text);
	else
		out = json_pack("{s:s, s:I, s:o}", "digest", SK_DIGEST_STR(&digest), "size",
				(json_int_t)st.st_size, "tags", sk_json_strv(u.tags));
	if (!out || json_dumpfd(out, STDOUT_FILENO, JSON_COMPACT) < 0)
		return 1;
	return 0;
}

/* --- back in the daemon --- */

static void say(struct load *l, json_t *steals)
{
	_cleanup_free_ char *text = steals ? json_dumps(steals, JSON_COMPACT) : NULL;

	if (text && l->stream) {
		(void)sk_http_stream_write(l->stream, text, strlen(text));
		(void)sk_http_stream_write(l->stream, "\r\n", 2);
	}
	json_decref(steals);
}

static void load_end(struct load *l)
{
	if (l->stream)
		sk_http_stream_end(l->stream);
	load_free(l);
}

static void load_fail(struct load *l, const struct sk_err *err)
{
	sk_notice("an image was not loaded: %s", err->text);
	say(l,
	    json_pack("{s:{s:s}, s:s}", "errorDetail", "message", err->text, "error", err->text));
	load_end(l);
}

static int name_image(struct load *l, const json_t *out, const struct sk_digest *d,
		      struct sk_err *err)
{
	_cleanup_strv_ char **tags = NULL;
	int r = sk_json_get_strv(out, "tags", TAGS_MAX, &tags, err);

	if (r == 0 && sk_strv_len(tags) == 0)
		/* Without any name it would be collected as nobody's. */
		r = sk_strv_addf(&tags, "loaded:%.12s", SK_DIGEST_STR(d));
	SK_STRV_FOREACH (t, tags) {
		char name[SK_IMAGE_NAME_MAX + 1];

		r = r < 0 ? r : sk_names_normal(*t, name, err);
		r = r < 0 ? r : sk_names_set(l->d->names, name, d, err);
		if (r == 0)
			say(l,
			    json_pack("{s:o}", "stream", json_sprintf("Loaded image: %s\n", name)));
	}
	return r;
}

static int take_in(struct load *l, const char *text, struct sk_err *err)
{
	_cleanup_json_ json_t *out = NULL;
	const char *message = NULL, *slug = NULL;
	struct sk_digest digest;
	uint64_t size = 0;
	int r = sk_json_parse(text, strlen(text), &out, err);

	r = r < 0 ? r : sk_json_get_str(out, "message", &message, err);
	r = r < 0 ? r : sk_json_get_str(out, "slug", &slug, err);
	if (r == 0 && message)
		return sk_err_set(err, -EINVAL, slug ?: "bad-archive", "%s", message);
	r = r < 0 ? r : sk_json_need_digest(out, "digest", &digest, err);
	r = r < 0 ? r : sk_json_get_u64(out, "size", &size, err);
	if (r == 0 && !sk_store_has(l->d->store, &digest)) {
		if (lseek(l->image_fd, 0, SEEK_SET) < 0)
			return sk_err_set(err, -errno, "io", "cannot read the new image");
		r = sk_store_add_fd(l->d->store, l->image_fd, &digest, size, err);
	}
	return r < 0 ? r : name_image(l, out, &digest, err);
}

static void on_child(void *arg, int status, const char *out, const char *err_tail)
{
	struct load *l = arg;
	struct sk_err err = SK_ERR_INIT;
	int r;

	if (status != 0)
		r = sk_err_set(&err, -EIO, "child-failed", "unpacking ended early (status %d): %s",
			       status, err_tail ? err_tail : "");
	else
		r = take_in(l, out, &err);
	if (r < 0)
		load_fail(l, &err);
	else
		load_end(l);
}

/* Goes on without the client, as Docker does: most of the work is done. */
static void on_gone(struct sk_http_stream *s, void *arg)
{
	((struct load *)arg)->stream = NULL;
}

static int make_work_dir(struct load *l, struct sk_err *err)
{
	l->work_dir = sk_asprintf("%s/load-XXXXXX", l->d->config.state_dir);
	if (!l->work_dir)
		return sk_err_oom(err);
	if (mkdtemp(l->work_dir))
		return 0;
	free(TAKE_PTR(l->work_dir));
	return sk_err_set(err, -errno, "io", "cannot make a work folder: %s", strerror(errno));
}

int sk_docker_load(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	static const struct sk_http_stream_ops ops = { .gone = on_gone };
	struct load *l = sk_http_user(req);
	const int keep[] = { l->spool_fd, l->image_fd };
	int r = make_work_dir(l, err);

	if (r == 0)
		r = sk_child_task(l->d->event, child_task, l, keep, ARRAY_SIZE(keep), 0, 0, OUT_MAX,
				  on_child, l, &l->child, err);
	if (r == 0 &&
	    sk_http_reply_stream(req, 200, "application/json", BUFFER_MAX, &ops, l, &l->stream) < 0)
		r = sk_err_oom(err);
	if (r < 0)
		return r;
	/* From here on it is the child's end that frees it. */
	sk_http_set_user(req, l, NULL);
	return 0;
}
