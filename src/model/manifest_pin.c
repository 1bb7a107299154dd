/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <libfdt.h>
#include <string.h>

#include "base/str.h"
#include "model/fdt_read.h"
#include "model/manifest.h"

/*
 * The canonical form: nodes and properties in the order of the source, no padding, no reserved
 * memory, "created" last in release, and /images last, sorted by name. Equal input, equal bytes.
 */
#define PIN_BYTES 256 /* one image: node, name, hex digest, size */

struct pin {
	const void *from;
	void *to;
	const struct sk_image_ref **images; /* sorted by name */
	size_t n_images;
	int64_t created_s;
};

static int cmp_by_name(const void *a, const void *b)
{
	const struct sk_image_ref *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static const struct sk_image_ref *find_image(const struct sk_image_ref *v, size_t n,
					     const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (sk_streq(v[i].name, name))
			return &v[i];
	return NULL;
}

/* Every image of the manifest is given, once, with a size; no other is. */
static int check_images(const struct sk_manifest *m, const struct sk_image_ref *v, size_t n,
			struct sk_err *err)
{
	for (size_t i = 0; i < m->n_images; i++)
		if (!find_image(v, n, m->images[i].name))
			return sk_err_set(err, -EINVAL, "bad-release",
					  "no digest is given for image %s", m->images[i].name);
	for (size_t i = 0; i < n; i++) {
		if (!find_image(m->images, m->n_images, v[i].name))
			return sk_err_set(err, -EINVAL, "bad-release",
					  "image %s is not in the manifest", v[i].name);
		if (find_image(v, n, v[i].name) != &v[i])
			return sk_err_set(err, -EINVAL, "bad-release", "image %s is given twice",
					  v[i].name);
		if (v[i].size_bytes == 0 || v[i].size_bytes > SK_IMAGE_SIZE_MAX)
			return sk_err_set(err, -EINVAL, "bad-release",
					  "image %s has an impossible size", v[i].name);
	}
	return 0;
}

static int write_images(const struct pin *p)
{
	char hex[SK_DIGEST_HEX + 1];
	int r = fdt_begin_node(p->to, "images");

	for (size_t i = 0; r == 0 && i < p->n_images; i++) {
		r = fdt_begin_node(p->to, p->images[i]->name);
		if (r == 0)
			r = fdt_property_string(p->to, "sha256",
						sk_digest_hex(&p->images[i]->digest, hex));
		if (r == 0)
			r = fdt_property_u64(p->to, "size", p->images[i]->size_bytes);
		if (r == 0)
			r = fdt_end_node(p->to);
	}
	return r == 0 ? fdt_end_node(p->to) : r;
}

static int write_props(const struct pin *p, int node, bool release)
{
	const char *name;
	int at, len, r = 0;

	fdt_for_each_property_offset (at, p->from, node) {
		const void *data = fdt_getprop_by_offset(p->from, at, &name, &len);

		if (!data)
			return len;
		if (release && sk_streq(name, "created"))
			continue;
		r = fdt_property(p->to, name, data, len);
		if (r < 0)
			return r;
	}
	if (release && p->created_s > 0)
		r = fdt_property_u64(p->to, "created", (uint64_t)p->created_s);
	return r;
}

/* The manifest was checked: it is not deeper than SK_FDT_DEPTH_MAX. */
static int write_node(const struct pin *p, int node, int depth)
{
	const char *name = fdt_get_name(p->from, node, NULL);
	int sub, r;

	if (depth == 1 && sk_streq(name, "images"))
		return 0;
	r = fdt_begin_node(p->to, name);
	if (r == 0)
		r = write_props(p, node, depth == 1 && sk_streq(name, "release"));
	fdt_for_each_subnode (sub, p->from, node)
		if (r == 0)
			r = write_node(p, sub, depth + 1);
	if (r == 0 && depth == 0 && p->n_images > 0)
		r = write_images(p);
	return r == 0 ? fdt_end_node(p->to) : r;
}

static int write_pinned_tree(const struct pin *p, size_t size)
{
	int r = fdt_create(p->to, (int)size);

	if (r == 0)
		r = fdt_finish_reservemap(p->to);
	if (r == 0)
		r = write_node(p, 0, 0);
	return r == 0 ? fdt_finish(p->to) : r;
}

static int pin(const void *fdt, size_t len, const struct sk_image_ref *images, size_t n_images,
	       int64_t created_s, void **ret, size_t *ret_len, struct sk_err *err)
{
	size_t size = len + n_images * PIN_BYTES + 1024;
	_cleanup_free_ void *to = calloc(1, size);
	_cleanup_free_ const struct sk_image_ref **sorted = calloc(n_images + 1, sizeof(*sorted));
	const struct pin p = { fdt, to, sorted, n_images, created_s };
	int r;

	if (!to || !sorted)
		return sk_err_oom(err);
	for (size_t i = 0; i < n_images; i++)
		sorted[i] = &images[i];
	qsort(sorted, n_images, sizeof(*sorted), cmp_by_name);
	r = write_pinned_tree(&p, size);
	if (r < 0)
		return sk_err_set(err, -EIO, "internal", "cannot write the manifest: %s",
				  fdt_strerror(r));
	if (fdt_totalsize(to) > SK_MANIFEST_SIZE_MAX)
		return sk_err_set(err, -EFBIG, "too-large",
				  "manifest with its digests has more than %u bytes",
				  SK_MANIFEST_SIZE_MAX);
	*ret_len = fdt_totalsize(to);
	*ret = TAKE_PTR(to);
	return 0;
}

int sk_manifest_pin(const void *dtb, size_t len, const struct sk_image_ref *images, size_t n_images,
		    int64_t created_s, void **ret, size_t *ret_len, struct sk_err *err)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = NULL;
	_cleanup_free_ void *copy = NULL;
	const void *fdt;
	int r = sk_manifest_parse(dtb, len, &m, NULL, err);

	if (r < 0)
		return r;
	r = check_images(m, images, n_images, err);
	if (r < 0)
		return r;
	fdt = sk_fdt_aligned(dtb, len, &copy);
	if (!fdt)
		return sk_err_oom(err);
	return pin(fdt, len, images, n_images, created_s, ret, ret_len, err);
}
