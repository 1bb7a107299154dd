/* SPDX-License-Identifier: Apache-2.0 */
#include "model/image.h"

#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <string.h>

#include "base/str.h"
#include "model/fdt_read.h"
#include "model/image_words.h"
#include "model/version.h"

/*
 * Reading only: the tree comes from a stranger. sk_fdt_unsound() makes the structure walkable;
 * everything else (types, lengths, duplicates, ranges) is checked here, word by word.
 */

const char *const sk_image_arch_names[] = { "amd64", "arm64", "armhf", NULL };
const char *const sk_image_rootfs_names[] = { "squashfs", "erofs", NULL };
const char *const sk_image_kind_names[] = { "container", "vm", NULL };

int sk_image_word_index(const char *const *words, const char *s)
{
	for (int i = 0; words[i]; i++)
		if (sk_streq(words[i], s))
			return i;
	return -1;
}

static int bad_image(struct sk_err *err, const char *what)
{
	return sk_err_set(err, -EBADMSG, "bad-image", "not a usable capsule image: %s", what);
}

static int bad_prop(struct sk_err *err, const char *node, const char *prop, const char *what)
{
	return sk_err_set(err, -EBADMSG, "bad-image", "not a usable capsule image: %s/%s: %s", node,
			  prop, what);
}

int sk_image_tree_size(const void *head, size_t len, size_t *ret, struct sk_err *err)
{
	struct fdt_header h;
	uint32_t total;

	if (len < sizeof(h))
		return bad_image(err, "the file is too short to be an image");
	memcpy(&h, head, sizeof(h));
	if (fdt32_to_cpu(h.magic) != FDT_MAGIC)
		return bad_image(err, "it does not start with a device tree");
	total = fdt32_to_cpu(h.totalsize);
	if (total < SK_IMAGE_ALIGN || total % SK_IMAGE_ALIGN != 0)
		return bad_image(err, "its tree is not padded to 4096 bytes");
	if (total > SK_IMAGE_TREE_MAX)
		return bad_image(err, "its tree claims more than 1 MiB");
	*ret = total;
	return 0;
}

/* One word of a node: where its string or bytes go. Exactly one of @str and @raw is set. */
struct word {
	const char *name;
	bool needed;
	const char **str;
	const void **raw;
	int raw_len;
};

static int take_value(const char *node, const struct word *w, const void *v, int len,
		      struct sk_err *err)
{
	const char *s = v;

	if (w->raw) {
		if (len != w->raw_len)
			return bad_prop(err, node, w->name, "has the wrong length");
		*w->raw = v;
		return 0;
	}
	if (len < 2 || s[len - 1] != '\0' || strlen(s) != (size_t)len - 1)
		return bad_prop(err, node, w->name, "is not one string");
	*w->str = s;
	return 0;
}

static const struct word *find_word(const struct word *words, const char *name)
{
	for (; words->name; words++)
		if (sk_streq(words->name, name))
			return words;
	return NULL;
}

static bool word_seen(const struct word *w)
{
	return w->str ? *w->str != NULL : *w->raw != NULL;
}

/*
 * Reads the properties of a node into @words. A word given twice is an error: two readers could
 * disagree on which one counts. @strict: so is a word that is not in the table.
 */
static int read_words(const void *fdt, int node, const char *label, const struct word *words,
		      bool strict, struct sk_err *err)
{
	int p;

	fdt_for_each_property_offset (p, fdt, node) {
		const char *name = NULL;
		int len = 0, r;
		const void *v = fdt_getprop_by_offset(fdt, p, &name, &len);
		const struct word *w = v ? find_word(words, name) : NULL;

		if (!v)
			return bad_image(err, "a property cannot be read");
		if (!w && strict)
			return bad_prop(err, label, name, "is not known to this version of Skerry");
		if (!w)
			continue;
		if (word_seen(w))
			return bad_prop(err, label, name, "is given twice");
		r = take_value(label, w, v, len, err);
		if (r < 0)
			return r;
	}
	for (const struct word *w = words; w->name; w++)
		if (w->needed && !word_seen(w))
			return bad_prop(err, label, w->name, "is missing");
	return 0;
}

/* The only child of that name; two are an error, none too. */
static int only_child(const void *fdt, int parent, const char *name, int *ret, struct sk_err *err)
{
	int node, found = -1;

	fdt_for_each_subnode (node, fdt, parent) {
		const char *n = fdt_get_name(fdt, node, NULL);

		if (!n || !sk_streq(n, name))
			continue;
		if (found >= 0)
			return bad_prop(err, "", name, "is there twice");
		found = node;
	}
	if (found < 0)
		return bad_prop(err, "", name, "is missing");
	*ret = found;
	return 0;
}

static uint32_t be32(const void *p)
{
	fdt32_t v;

	memcpy(&v, p, sizeof(v));
	return fdt32_to_cpu(v);
}

static uint64_t be64(const void *p)
{
	fdt64_t v;

	memcpy(&v, p, sizeof(v));
	return fdt64_to_cpu(v);
}

static int parse_hash(const void *fdt, int rootfs, struct sk_image_info *info, struct sk_err *err)
{
	const char *algo = NULL;
	const void *value = NULL;
	const struct word words[] = {
		{ "algo", true, .str = &algo },
		{ "value", true, .raw = &value, .raw_len = SK_DIGEST_SIZE },
		{ 0 },
	};
	int node, r;

	r = only_child(fdt, rootfs, "hash-1", &node, err);
	if (r == 0)
		r = read_words(fdt, node, "/images/rootfs/hash-1", words, true, err);
	if (r < 0)
		return r;
	if (!sk_streq(algo, "sha256"))
		return bad_image(err, "its hash is not a SHA-256");
	memcpy(info->rootfs_digest.bytes, value, SK_DIGEST_SIZE);
	return 0;
}

/* Offsets against the tree before and the file around: no gap, no overlap, nothing after. */
static int check_extent(const struct sk_image_info *info, size_t tree_size, uint64_t file_size,
			struct sk_err *err)
{
	uint64_t end = info->rootfs_offset + info->rootfs_size; /* both are 32-bit */

	if (info->rootfs_offset != tree_size)
		return bad_image(err, "its root file system does not follow its tree");
	if (info->rootfs_size == 0)
		return bad_image(err, "its root file system is empty");
	if (end > file_size)
		return sk_err_set(err, -EBADMSG, "bad-image",
				  "image is cut off: %" PRIu64 " bytes of %" PRIu64, file_size,
				  end);
	if (end < file_size)
		return sk_err_set(err, -EBADMSG, "bad-image",
				  "image has %" PRIu64 " bytes after its end", file_size - end);
	return 0;
}

static int parse_rootfs(const void *fdt, struct sk_image_info *info, struct sk_err *err)
{
	const char *type = NULL, *compression = NULL;
	const void *position = NULL, *size = NULL;
	const struct word words[] = {
		{ "type", true, .str = &type },
		{ "compression", true, .str = &compression },
		{ "data-position", true, .raw = &position, .raw_len = 4 },
		{ "data-size", true, .raw = &size, .raw_len = 4 },
		{ 0 },
	};
	int images, node, r;

	r = only_child(fdt, 0, "images", &images, err);
	if (r < 0)
		return r;
	r = only_child(fdt, images, "rootfs", &node, err);
	if (r < 0)
		return r;
	r = read_words(fdt, node, "/images/rootfs", words, false, err);
	if (r < 0)
		return r;
	if (!sk_streq(type, "filesystem") || !sk_streq(compression, "none"))
		return bad_image(err, "its rootfs is not a plain file system");
	info->rootfs_offset = be32(position);
	info->rootfs_size = be32(size);
	return parse_hash(fdt, node, info, err);
}

/* The strings of /skerry, borrowed from the tree. */
struct facts {
	const char *name, *version, *arch, *kind, *rootfs;
	const void *format, *created;
};

static int read_skerry_node(const void *fdt, int node, struct facts *f, struct sk_err *err)
{
	const struct word words[] = {
		{ "format", true, .raw = &f->format, .raw_len = 4 },
		{ "name", true, .str = &f->name },
		{ "version", false, .str = &f->version },
		{ "architecture", true, .str = &f->arch },
		{ "kind", true, .str = &f->kind },
		{ "rootfs-type", true, .str = &f->rootfs },
		{ "created", true, .raw = &f->created, .raw_len = 8 },
		{ 0 },
	};
	int r = read_words(fdt, node, "/skerry", words, true, err);

	if (r < 0)
		return r;
	if (be32(f->format) != SK_IMAGE_FORMAT)
		return sk_err_set(err, -EPROTONOSUPPORT, "not-supported",
				  "image format %u is newer than this Skerry reads (%u)",
				  be32(f->format), SK_IMAGE_FORMAT);
	if (!sk_name_ok(f->name))
		return bad_prop(err, "/skerry", "name", "is not a name");
	if (f->version && !sk_version_ok(f->version))
		return bad_prop(err, "/skerry", "version", "is not a version");
	return 0;
}

static int take_skerry_node(const struct facts *f, struct sk_image_info *info, struct sk_err *err)
{
	int rootfs = sk_image_word_index(sk_image_rootfs_names, f->rootfs);
	int kind = sk_image_word_index(sk_image_kind_names, f->kind);

	if (rootfs < 0)
		return bad_prop(err, "/skerry", "rootfs-type", "is not squashfs or erofs");
	if (kind < 0)
		return bad_prop(err, "/skerry", "kind", "is not container or vm");
	if (sk_image_word_index(sk_image_arch_names, f->arch) < 0)
		return bad_prop(err, "/skerry", "architecture", "is not amd64, arm64 or armhf");
	if (be64(f->created) > INT64_MAX)
		return bad_prop(err, "/skerry", "created", "is out of range");
	info->type = (enum sk_rootfs_type)rootfs;
	info->kind = (enum sk_kind)kind;
	info->created_s = (int64_t)be64(f->created);
	info->name = strdup(f->name);
	info->arch = strdup(f->arch);
	info->version = f->version ? strdup(f->version) : NULL;
	if (!info->name || !info->arch || (f->version && !info->version))
		return sk_err_oom(err);
	return 0;
}

static int parse_skerry(const void *fdt, struct sk_image_info *info, struct sk_err *err)
{
	struct sk_err why = SK_ERR_INIT;
	struct facts f = { 0 };
	int node, run, r;

	r = only_child(fdt, 0, "skerry", &node, err);
	if (r < 0)
		return r;
	r = read_skerry_node(fdt, node, &f, err);
	if (r < 0)
		return r;
	r = take_skerry_node(&f, info, err);
	if (r < 0)
		return r;
	r = only_child(fdt, node, "run", &run, err);
	if (r < 0)
		return r;
	r = sk_run_parse(fdt, run, &info->run, NULL, &why);
	if (r == -ENOMEM)
		return sk_err_oom(err);
	if (r < 0)
		return sk_err_set(err, -EBADMSG, "bad-image", "capsule image %s: %s", info->name,
				  why.text);
	return 0;
}

int sk_image_parse(const void *tree, size_t len, uint64_t file_size, struct sk_image_info **ret,
		   struct sk_err *err)
{
	_cleanup_(sk_image_info_freep) struct sk_image_info *info = NULL;
	size_t tree_size;
	int r;

	r = sk_image_tree_size(tree, len, &tree_size, err);
	if (r < 0)
		return r;
	if (tree_size > len || tree_size > file_size)
		return bad_image(err, "its tree is cut off");
	if (((uintptr_t)tree & 7) != 0)
		return sk_err_set(err, -EINVAL, "internal", "image tree is not aligned in memory");
	if (sk_fdt_unsound(tree, tree_size))
		return bad_image(err, "its tree is malformed");
	info = calloc(1, sizeof(*info));
	if (!info)
		return sk_err_oom(err);
	r = parse_rootfs(tree, info, err);
	if (r < 0)
		return r;
	r = check_extent(info, tree_size, file_size, err);
	if (r < 0)
		return r;
	r = parse_skerry(tree, info, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(info);
	return 0;
}

void sk_image_info_free(struct sk_image_info *i)
{
	if (!i)
		return;
	free(i->name);
	free(i->version);
	free(i->arch);
	sk_run_done(&i->run);
	free(i);
}
