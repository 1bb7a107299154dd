/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <libfdt.h>

#include "base/str.h"
#include "model/image.h"

#define ROOTFS_SIZE 8192

/* What every test starts from. Strings are borrowed constants: never freed. */
static struct sk_image_info sample(void)
{
	static char *command[] = { (char *)"/usr/sbin/nginx", NULL };
	static struct sk_env env[] = { { (char *)"LANG", (char *)"C.UTF-8" },
				       { (char *)"EMPTY", (char *)"" } };

	return (struct sk_image_info){
		.type = SK_ROOTFS_EROFS,
		.rootfs_size = ROOTFS_SIZE,
		.rootfs_digest = { { 1, 2, 3 } },
		.name = (char *)"nginx",
		.version = (char *)"1.2.3",
		.arch = (char *)"arm64",
		.created_s = 1700000000,
		.run = { .command = command, .env = env, .n_env = 2, .stop_signal = 3 },
	};
}

static void *build(const struct sk_image_info *info, size_t *len)
{
	struct sk_err err = SK_ERR_INIT;
	void *tree = NULL;

	if (sk_image_build_tree(info, &tree, len, &err) < 0)
		fail_msg("%s: %s", err.slug, err.text);
	return tree;
}

static void *sample_tree(size_t *len)
{
	const struct sk_image_info info = sample();

	return build(&info, len);
}

static void what_is_written_is_read(void **state)
{
	_cleanup_(sk_image_info_freep) struct sk_image_info *got = NULL;
	struct sk_err err = SK_ERR_INIT;
	size_t len, size;
	_cleanup_free_ void *tree = sample_tree(&len);

	assert_int_equal(len % SK_IMAGE_ALIGN, 0);
	assert_int_equal(sk_image_tree_size(tree, 4096, &size, &err), 0);
	assert_int_equal(size, len);
	if (sk_image_parse(tree, len, len + ROOTFS_SIZE, &got, &err) < 0)
		fail_msg("%s: %s", err.slug, err.text);
	assert_int_equal(got->type, SK_ROOTFS_EROFS);
	assert_int_equal(got->kind, SK_KIND_CONTAINER);
	assert_int_equal(got->rootfs_offset, len);
	assert_int_equal(got->rootfs_size, ROOTFS_SIZE);
	assert_int_equal(got->rootfs_digest.bytes[2], 3);
	assert_string_equal(got->name, "nginx");
	assert_string_equal(got->version, "1.2.3");
	assert_string_equal(got->arch, "arm64");
	assert_int_equal(got->created_s, 1700000000);
	assert_string_equal(got->run.command[0], "/usr/sbin/nginx");
	assert_int_equal(got->run.n_env, 2);
	assert_string_equal(got->run.env[1].value, "");
	assert_int_equal(got->run.stop_signal, 3);
}

static void expect_bad(const void *tree, size_t len, uint64_t file_size, const char *word)
{
	struct sk_image_info *got = NULL;
	struct sk_err err = SK_ERR_INIT;

	assert_true(sk_image_parse(tree, len, file_size, &got, &err) < 0);
	assert_null(got);
	assert_true(sk_err_is(&err, "bad-image") || sk_err_is(&err, "not-supported"));
	if (!strstr(err.text, word))
		fail_msg("\"%s\" is not in: %s", word, err.text);
}

static void heads(void **state)
{
	struct sk_err err = SK_ERR_INIT;
	size_t len, size;
	_cleanup_free_ void *tree = sample_tree(&len);

	assert_true(sk_image_tree_size(tree, 8, &size, &err) < 0);
	assert_true(sk_image_tree_size("not a device tree, but long enough for one......", 44,
				       &size, &err) < 0);
	fdt_set_totalsize(tree, 5000);
	assert_true(sk_image_tree_size(tree, len, &size, &err) < 0);
	assert_non_null(strstr(err.text, "4096"));
	fdt_set_totalsize(tree, 0xFFFFF000);
	assert_true(sk_image_tree_size(tree, len, &size, &err) < 0);
	assert_string_equal(err.slug, "bad-image");
	assert_non_null(strstr(err.text, "1 MiB"));
}

static void extents(void **state)
{
	size_t len;
	_cleanup_free_ void *tree = sample_tree(&len);

	expect_bad(tree, len, len + ROOTFS_SIZE - 1, "cut off");
	expect_bad(tree, len, len + ROOTFS_SIZE + 1, "1 bytes after its end");
	expect_bad(tree, len, len - 1, "cut off");
	expect_bad(tree, len - 1, len + ROOTFS_SIZE, "cut off");
	expect_bad(tree, 0, 0, "too short");
}

/* A 4 GiB claim, an offset into the tree, an empty root. */
static void hostile_numbers(void **state)
{
	static const struct {
		const char *prop;
		uint32_t value;
		const char *word;
	} cases[] = {
		{ "data-size", 0xFFFFFFFF, "cut off" },
		{ "data-size", 0, "empty" },
		{ "data-position", 0, "does not follow" },
		{ "data-position", 0xFFFFF000, "does not follow" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len;
		_cleanup_free_ void *tree = sample_tree(&len);
		int node = fdt_path_offset(tree, "/images/rootfs");

		assert_int_equal(fdt_setprop_inplace_u32(tree, node, cases[i].prop, cases[i].value),
				 0);
		expect_bad(tree, len, len + ROOTFS_SIZE, cases[i].word);
	}
}

/* Opens the tree for changes, in twice the room. */
static void *opened(size_t *len)
{
	_cleanup_free_ void *tree = sample_tree(len);
	void *big = calloc(2, *len);

	assert_int_equal(fdt_open_into(tree, big, (int)*len * 2), 0);
	*len *= 2;
	assert_int_equal(fdt_setprop_inplace_u32(big, fdt_path_offset(big, "/images/rootfs"),
						 "data-position", (uint32_t)*len),
			 0);
	return big;
}

static void wrong_words(void **state)
{
	static const struct {
		const char *node, *prop, *value, *word;
	} cases[] = {
		{ "/skerry", "name", "../etc", "is not a name" },
		{ "/skerry", "name", "", "one string" },
		{ "/skerry", "version", "new", "is not a version" },
		{ "/skerry", "architecture", "s390x", "architecture" },
		{ "/skerry", "kind", "unikernel", "kind" },
		{ "/skerry", "rootfs-type", "ext4", "rootfs-type" },
		{ "/skerry", "format", "x", "wrong length" },
		{ "/skerry", "privileged", "yes", "not known" },
		{ "/images/rootfs", "type", "kernel", "file system" },
		{ "/images/rootfs", "compression", "gzip", "file system" },
		{ "/images/rootfs", "data-size", "x", "wrong length" },
		{ "/images/rootfs/hash-1", "algo", "crc32", "SHA-256" },
		{ "/images/rootfs/hash-1", "value", "short", "wrong length" },
		{ "/skerry/run", "comand", "x", "comand" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len;
		_cleanup_free_ void *tree = opened(&len);
		int node = fdt_path_offset(tree, cases[i].node);

		assert_true(node >= 0);
		assert_int_equal(fdt_setprop_string(tree, node, cases[i].prop, cases[i].value), 0);
		fdt_set_totalsize(tree, (uint32_t)len);
		expect_bad(tree, len, len + ROOTFS_SIZE, cases[i].word);
	}
}

static void missing_parts(void **state)
{
	static const char *const nodes[] = { "/images", "/images/rootfs", "/images/rootfs/hash-1",
					     "/skerry", "/skerry/run" };

	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		size_t len;
		_cleanup_free_ void *tree = sample_tree(&len);

		assert_int_equal(fdt_nop_node(tree, fdt_path_offset(tree, nodes[i])), 0);
		expect_bad(tree, len, len + ROOTFS_SIZE, "is missing");
	}
}

/* Two nodes or properties of one name: which one counts must not be a matter of the reader. */
static void doubles(void **state)
{
	size_t len;
	_cleanup_free_ void *nodes = opened(&len), *props = opened(&len);
	char *name;

	assert_true(fdt_add_subnode(nodes, 0, "skerrz") >= 0);
	name = (char *)(uintptr_t)fdt_get_name(nodes, fdt_path_offset(nodes, "/skerrz"), NULL);
	name[5] = 'y';
	fdt_set_totalsize(nodes, (uint32_t)len);
	expect_bad(nodes, len, len + ROOTFS_SIZE, "twice");

	assert_int_equal(fdt_setprop_string(props, fdt_path_offset(props, "/skerry"), "nama", "a"),
			 0);
	name = memmem(props, len, "\0nama", 6);
	assert_non_null(name);
	name[4] = 'e';
	fdt_set_totalsize(props, (uint32_t)len);
	expect_bad(props, len, len + ROOTFS_SIZE, "twice");
}

static void newer_format(void **state)
{
	size_t len;
	_cleanup_free_ void *tree = sample_tree(&len);

	assert_int_equal(
		fdt_setprop_inplace_u32(tree, fdt_path_offset(tree, "/skerry"), "format", 2), 0);
	expect_bad(tree, len, len + ROOTFS_SIZE, "newer");
}

/* Every byte of the tree flipped: never a crash, never an accepted offset outside the file. */
static void flipped_bytes(void **state)
{
	size_t len;
	_cleanup_free_ uint8_t *tree = sample_tree(&len);
	size_t used = fdt_off_dt_strings(tree) + fdt_size_dt_strings(tree);

	for (size_t i = 0; i < used; i++) {
		_cleanup_(sk_image_info_freep) struct sk_image_info *got = NULL;

		tree[i] ^= 0x41;
		if (sk_image_parse(tree, len, len + ROOTFS_SIZE, &got, NULL) == 0)
			assert_true(got->rootfs_offset + got->rootfs_size == len + ROOTFS_SIZE);
		tree[i] ^= 0x41;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(heads),
		cmocka_unit_test(extents),
		cmocka_unit_test(hostile_numbers),
		cmocka_unit_test(wrong_words),
		cmocka_unit_test(missing_parts),
		cmocka_unit_test(doubles),
		cmocka_unit_test(newer_format),
		cmocka_unit_test(flipped_bytes),
	};

	return cmocka_run_group_tests_name("model/image", tests, NULL, NULL);
}
