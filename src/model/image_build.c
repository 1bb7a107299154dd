/* SPDX-License-Identifier: Apache-2.0 */
#include "model/image.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "model/image_words.h"
#include "model/version.h"

/*
 * Writes the tree with libfdt's sequential calls, in one fixed order, so that the same facts give
 * the same bytes. The nodes under /images and /configurations are U-Boot's FIT words: dumpimage
 * and mkimage can list the file. /skerry is what a device reads.
 */

/* FIT's own names of the architectures. */
static const char *fit_arch(const char *arch)
{
	if (sk_streq(arch, "amd64"))
		return "x86_64";
	return sk_streq(arch, "arm64") ? "arm64" : "arm";
}

/* Calls of libfdt in a row: after the first failure the rest do nothing. */
struct writer {
	void *fdt;
	int r;
};

static void w_begin(struct writer *w, const char *name)
{
	if (w->r == 0)
		w->r = fdt_begin_node(w->fdt, name);
}

static void w_end(struct writer *w)
{
	if (w->r == 0)
		w->r = fdt_end_node(w->fdt);
}

static void w_str(struct writer *w, const char *name, const char *value)
{
	if (w->r == 0)
		w->r = fdt_property_string(w->fdt, name, value);
}

static void w_u32(struct writer *w, const char *name, uint32_t value)
{
	if (w->r == 0)
		w->r = fdt_property_u32(w->fdt, name, value);
}

static void w_u64(struct writer *w, const char *name, uint64_t value)
{
	if (w->r == 0)
		w->r = fdt_property_u64(w->fdt, name, value);
}

static void w_bytes(struct writer *w, const char *name, const void *value, int len)
{
	if (w->r == 0)
		w->r = fdt_property(w->fdt, name, value, len);
}

static void write_rootfs(struct writer *w, const struct sk_image_info *i, size_t tree_size)
{
	w_begin(w, "images");
	w_begin(w, "rootfs");
	w_str(w, "description", "root file system");
	w_str(w, "type", "filesystem");
	w_str(w, "arch", fit_arch(i->arch));
	w_str(w, "os", "linux");
	w_str(w, "compression", "none");
	w_u32(w, "data-position", (uint32_t)tree_size);
	w_u32(w, "data-size", (uint32_t)i->rootfs_size);
	w_begin(w, "hash-1");
	w_str(w, "algo", "sha256");
	w_bytes(w, "value", i->rootfs_digest.bytes, SK_DIGEST_SIZE);
	w_end(w);
	w_end(w);
	w_end(w);
}

static void write_configuration(struct writer *w)
{
	w_begin(w, "configurations");
	w_str(w, "default", "capsule");
	w_begin(w, "capsule");
	w_str(w, "description", "capsule");
	w_str(w, "loadables", "rootfs");
	w_end(w);
	w_end(w);
}

/* sk_run_write() answers with errnos, libfdt with numbers of its own. */
static int run_result(int r)
{
	if (r == -ENOSPC || r == -EMSGSIZE)
		return -FDT_ERR_NOSPACE;
	return r < 0 ? -FDT_ERR_BADVALUE : 0;
}

static void write_skerry(struct writer *w, const struct sk_image_info *i)
{
	w_begin(w, "skerry");
	w_u32(w, "format", SK_IMAGE_FORMAT);
	w_str(w, "name", i->name);
	if (i->version)
		w_str(w, "version", i->version);
	w_str(w, "architecture", i->arch);
	w_str(w, "kind", sk_image_kind_names[i->kind]);
	w_str(w, "rootfs-type", sk_image_rootfs_names[i->type]);
	w_u64(w, "created", (uint64_t)i->created_s);
	w_begin(w, "run");
	if (w->r == 0)
		w->r = run_result(sk_run_write(w->fdt, &i->run));
	w_end(w);
	w_end(w);
}

/* Return: 0, -FDT_ERR_NOSPACE when @size is too small, another error of libfdt or errno. */
static int write_image_tree(const struct sk_image_info *i, void *buf, size_t size, size_t tree_size)
{
	struct writer w = { .fdt = buf };
	char title[160];

	(void)snprintf(title, sizeof(title), "Skerry capsule %s%s%s", i->name,
		       i->version ? " " : "", i->version ? i->version : "");
	w.r = fdt_create(buf, (int)size);
	if (w.r == 0)
		w.r = fdt_finish_reservemap(buf);
	w_begin(&w, "");
	w_str(&w, "description", title);
	/* FIT's time stamp has 32 bits; the full one stands in /skerry. */
	w_u32(&w, "timestamp", (uint32_t)i->created_s);
	w_u32(&w, "#address-cells", 1);
	write_rootfs(&w, i, tree_size);
	write_configuration(&w);
	write_skerry(&w, i);
	w_end(&w);
	return w.r == 0 ? fdt_finish(buf) : w.r;
}

static int check_info(const struct sk_image_info *i, struct sk_err *err)
{
	if (!i->name || !sk_name_ok(i->name))
		return sk_err_set(err, -EINVAL, "bad-name",
				  "\"%s\" cannot name an image: letters, digits, '.', '_', '-', at "
				  "most 63 of them, a letter or digit first",
				  i->name ? i->name : "");
	if (i->version && !sk_version_ok(i->version))
		return sk_err_set(err, -EINVAL, "bad-value",
				  "\"%s\" is no version: write numbers with dots, e.g. 1.4.0",
				  i->version);
	if (!i->arch || sk_image_word_index(sk_image_arch_names, i->arch) < 0)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "\"%s\" is no architecture: amd64, arm64 or armhf",
				  i->arch ? i->arch : "");
	if (i->rootfs_size == 0 || i->rootfs_size > SK_IMAGE_SIZE_MAX - SK_IMAGE_TREE_MAX)
		return sk_err_set(err, -EFBIG, "too-large",
				  "the root file system must be over 0 and under 4 GiB");
	if (i->created_s < 0)
		return sk_err_set(err, -EINVAL, "bad-value", "the time of creation is before 1970");
	return 0;
}

static int build_failed(int r, struct sk_err *err)
{
	if (r == -FDT_ERR_NOSPACE)
		return sk_err_set(err, -EFBIG, "too-large",
				  "the run configuration does not fit in 1 MiB");
	return sk_err_set(err, -EINVAL, "bad-image", "cannot write the image's tree (%d)", r);
}

int sk_image_build_tree(const struct sk_image_info *info, void **ret, size_t *ret_len,
			struct sk_err *err)
{
	_cleanup_free_ char *buf = NULL;
	size_t used, tree_size;
	int r;

	r = check_info(info, err);
	if (r < 0)
		return r;
	buf = calloc(1, SK_IMAGE_TREE_MAX);
	if (!buf)
		return sk_err_oom(err);
	/* Every property has a fixed length, so a first pass tells the size of the second. */
	r = write_image_tree(info, buf, SK_IMAGE_TREE_MAX, 0);
	if (r < 0)
		return build_failed(r, err);
	used = fdt_totalsize(buf);
	tree_size = (used + SK_IMAGE_ALIGN - 1) / SK_IMAGE_ALIGN * SK_IMAGE_ALIGN;
	memset(buf, 0, SK_IMAGE_TREE_MAX);
	r = write_image_tree(info, buf, tree_size, tree_size);
	if (r < 0)
		return build_failed(r, err);
	/* fdt_finish() shrank the size to what is used; the padding belongs to the tree. */
	fdt_set_totalsize(buf, (uint32_t)tree_size);
	memset(buf + used, 0, tree_size - used);
	*ret = TAKE_PTR(buf);
	*ret_len = tree_size;
	return 0;
}
