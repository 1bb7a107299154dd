/* SPDX-License-Identifier: Apache-2.0 */
#include "io/image/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "io/image/layer.h"
#include "io/image/layout.h"
#include "io/image/spool.h"
#include "io/image/tree.h"

#define ENTRIES_MAX    1000000
#define NAME_BYTES_MAX (256ull << 20)
/* Layers may hold files that a later layer replaces, and are mostly compressed in the archive. */
#define SPOOL_FACTOR 2

void sk_unpacked_done(struct sk_unpacked *u)
{
	free(u->config);
	sk_strv_free(u->tags);
	free(u->owners);
	*u = (struct sk_unpacked){ 0 };
}

/* The folders of one unpacking. @own: running as root, so owners are set on disk. */
struct work {
	char *root, *spool, *owners;
	bool own;
	struct sk_tree *tree;
	struct sk_unpack_budget budget;
};

static void work_done(struct work *w)
{
	sk_tree_free(w->tree);
	free(w->root);
	free(w->spool);
	free(w->owners);
}

static int work_open(struct work *w, const char *dir, uint64_t max, struct sk_err *err)
{
	const struct sk_tree_meta root = { .mode = 0755 };
	int r;

	w->own = geteuid() == 0;
	w->root = sk_asprintf("%s/rootfs", dir);
	w->spool = sk_asprintf("%s/spool", dir);
	w->owners = sk_asprintf("%s/owners", dir);
	if (!w->root || !w->spool || !w->owners)
		return sk_err_oom(err);
	w->budget = (struct sk_unpack_budget){ .bytes = max,
					       .entries = ENTRIES_MAX,
					       .name_bytes = NAME_BYTES_MAX };
	if (mkdir(w->root, 0755) < 0 || chmod(w->root, 0755) < 0 || mkdir(w->spool, 0700) < 0)
		return sk_err_set(err, -errno, "io", "cannot unpack in %s: %s", dir,
				  strerror(errno));
	r = sk_tree_open(w->root, w->own, &w->tree, err);
	/* Until a layer says otherwise. */
	return r < 0 ? r : sk_tree_add_dir(w->tree, "", &root, err);
}

/* Time stamps, owners and counts, once all layers are in place. */
static int work_end(struct work *w, struct sk_unpacked *u, struct sk_err *err)
{
	int r;

	u->bytes = w->budget.unpacked;
	u->newest_s = sk_tree_newest(w->tree);
	u->left_out_devices = w->budget.left_out_devices;
	u->left_out_xattrs = w->budget.left_out_xattrs;
	r = sk_tree_end(w->tree, u->newest_s, err);
	if (r < 0 || w->own)
		return r;
	r = sk_tree_write_owners(w->tree, w->owners, err);
	if (r == 0)
		u->owners = TAKE_PTR(w->owners);
	return r;
}

static void clear(const struct work *w)
{
	if (w->root)
		(void)sk_rm_rf(AT_FDCWD, w->root);
	if (w->owners)
		(void)unlink(w->owners);
}

static int apply_layers(struct work *w, const struct sk_spool *spool, const struct sk_layout *l,
			struct sk_err *err)
{
	for (size_t i = 0; i < l->n_layers; i++) {
		_cleanup_close_ int fd = -1;
		char what[32];
		int r;

		(void)snprintf(what, sizeof(what), "layer %zu", i + 1);
		r = sk_layout_layer(spool, l, i, &fd, err);
		if (r == 0)
			r = sk_layer_apply(w->tree, fd, what, &l->layers[i].diff_id, &w->budget,
					   err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int unpack_image(struct work *w, int fd, const char *arch, struct sk_unpacked *u,
			struct sk_err *err)
{
	_cleanup_(sk_layout_done) struct sk_layout layout = { 0 };
	_cleanup_(sk_spool_freep) struct sk_spool *spool = NULL;
	uint64_t max = w->budget.bytes;
	int r;

	max = max > UINT64_MAX / 4 ? max : max * SPOOL_FACTOR;
	r = sk_spool_read(fd, w->spool, max, &spool, err);
	if (r < 0)
		return r;
	r = sk_layout_read(spool, arch, &layout, err);
	if (r < 0)
		return r;
	r = apply_layers(w, spool, &layout, err);
	if (r < 0)
		return r;
	u->config = TAKE_PTR(layout.config);
	u->config_len = layout.config_len;
	u->tags = TAKE_PTR(layout.tags);
	return 0;
}

/* A root tar may come through a pipe, and a layer is read twice. */
static int unpack_root(struct work *w, int fd, struct sk_err *err)
{
	_cleanup_free_ char *file = sk_asprintf("%s/root.tar", w->spool);
	_cleanup_close_ int copy = -1;
	int r;

	if (!file)
		return sk_err_oom(err);
	copy = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (copy < 0)
		return sk_err_set(err, -errno, "io", "%s: %s", file, strerror(errno));
	r = sk_fd_copy(fd, copy, w->budget.bytes, NULL, NULL);
	if (r == -EFBIG)
		return sk_err_set(err, -EBADMSG, "bad-archive",
				  "the archive is larger than %" PRIu64 " bytes", w->budget.bytes);
	if (r < 0)
		return sk_err_set(err, r, r == -ENOSPC ? "no-space" : "io",
				  "cannot copy the archive: %s", strerror(-r));
	return sk_layer_apply(w->tree, copy, "root file system", NULL, &w->budget, err);
}

/* @layered: docker-archive or OCI layout; else a plain root tar. */
static int unpack(int fd, const char *dir, uint64_t max, const char *arch, bool layered,
		  bool (*keep)(const char *path), struct sk_unpacked *ret, struct sk_err *err)
{
	_cleanup_(sk_unpacked_done) struct sk_unpacked u = { 0 };
	_cleanup_(work_done) struct work w = { 0 };
	int r = work_open(&w, dir, max, err);

	w.budget.keep = keep;
	if (r == 0)
		r = layered ? unpack_image(&w, fd, arch, &u, err) : unpack_root(&w, fd, err);
	if (r == 0)
		r = work_end(&w, &u, err);
	if (w.spool)
		(void)sk_rm_rf(AT_FDCWD, w.spool);
	if (r < 0) {
		clear(&w);
		return r;
	}
	*ret = u;
	u = (struct sk_unpacked){ 0 };
	return 0;
}

int sk_archive_unpack(int archive_fd, const char *work_dir, uint64_t unpacked_max,
		      struct sk_unpacked *ret, struct sk_err *err)
{
	return unpack(archive_fd, work_dir, unpacked_max, NULL, true, NULL, ret, err);
}

int sk_archive_unpack_arch(int archive_fd, const char *work_dir, uint64_t unpacked_max,
			   const char *arch, struct sk_unpacked *ret, struct sk_err *err)
{
	return unpack(archive_fd, work_dir, unpacked_max, arch, true, NULL, ret, err);
}

int sk_archive_unpack_root(int archive_fd, const char *work_dir, uint64_t unpacked_max,
			   bool (*keep)(const char *path), struct sk_unpacked *ret,
			   struct sk_err *err)
{
	return unpack(archive_fd, work_dir, unpacked_max, NULL, false, keep, ret, err);
}
