/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <libfdt.h>

#include "base/str.h"
#include "model/image.h"

static struct sk_image_info small(void)
{
	return (struct sk_image_info){
		.rootfs_size = 4096,
		.name = (char *)"app",
		.arch = (char *)"amd64",
	};
}

static void same_facts_same_bytes(void **state)
{
	const struct sk_image_info info = small();
	_cleanup_free_ void *one = NULL, *two = NULL;
	size_t n1, n2;

	assert_int_equal(sk_image_build_tree(&info, &one, &n1, NULL), 0);
	assert_int_equal(sk_image_build_tree(&info, &two, &n2, NULL), 0);
	assert_int_equal(n1, 4096);
	assert_int_equal(n1, n2);
	assert_memory_equal(one, two, n1);
}

static void padding_is_zero(void **state)
{
	const struct sk_image_info info = small();
	_cleanup_free_ uint8_t *tree = NULL;
	size_t n;

	assert_int_equal(sk_image_build_tree(&info, (void **)&tree, &n, NULL), 0);
	assert_int_equal(fdt_totalsize(tree), n);
	for (size_t i = fdt_off_dt_strings(tree) + fdt_size_dt_strings(tree); i < n; i++)
		assert_int_equal(tree[i], 0);
}

/* Words of U-Boot's FIT that its tools read. */
static void fit_words(void **state)
{
	const struct sk_image_info info = small();
	_cleanup_free_ void *tree = NULL;
	size_t n;
	int node;

	assert_int_equal(sk_image_build_tree(&info, &tree, &n, NULL), 0);
	node = fdt_path_offset(tree, "/images/rootfs");
	assert_true(node >= 0);
	assert_string_equal(fdt_getprop(tree, node, "arch", NULL), "x86_64");
	assert_string_equal(fdt_getprop(tree, node, "type", NULL), "filesystem");
	node = fdt_path_offset(tree, "/configurations/capsule");
	assert_string_equal(fdt_getprop(tree, node, "loadables", NULL), "rootfs");
}

static void grows_with_the_configuration(void **state)
{
	struct sk_image_info info = small();
	_cleanup_(sk_image_info_freep) struct sk_image_info *got = NULL;
	_cleanup_strv_ char **arguments = NULL;
	_cleanup_free_ char *word = calloc(1, 1000);
	_cleanup_free_ void *tree = NULL;
	size_t n;

	memset(word, 'x', 999);
	for (int i = 0; i < 100; i++)
		assert_int_equal(sk_strv_add(&arguments, word), 0);
	info.run.arguments = arguments;
	assert_int_equal(sk_image_build_tree(&info, &tree, &n, NULL), 0);
	assert_true(n > 100000 && n % 4096 == 0);
	assert_int_equal(sk_image_parse(tree, n, n + 4096, &got, NULL), 0);
	assert_int_equal(sk_strv_len(got->run.arguments), 100);
}

static void expect(const struct sk_image_info *info, const char *slug)
{
	struct sk_err err = SK_ERR_INIT;
	void *tree = NULL;
	size_t n;

	assert_true(sk_image_build_tree(info, &tree, &n, &err) < 0);
	assert_string_equal(err.slug, slug);
	assert_null(tree);
}

static void wrong_facts(void **state)
{
	_cleanup_strv_ char **arguments = NULL;
	_cleanup_free_ char *word = calloc(1, 1000);
	struct sk_image_info i = small();

	i.name = (char *)"a/b";
	expect(&i, "bad-name");
	i.name = NULL;
	expect(&i, "bad-name");
	i = small();
	i.version = (char *)"latest";
	expect(&i, "bad-value");
	i = small();
	i.arch = (char *)"mips";
	expect(&i, "bad-value");
	i = small();
	i.created_s = -1;
	expect(&i, "bad-value");
	i = small();
	i.rootfs_size = 0;
	expect(&i, "too-large");
	i.rootfs_size = 1ull << 32;
	expect(&i, "too-large");
	i = small();
	memset(word, 'x', 999);
	for (int n = 0; n < 1100; n++)
		assert_int_equal(sk_strv_add(&arguments, word), 0);
	i.run.arguments = arguments;
	expect(&i, "too-large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_facts_same_bytes),
		cmocka_unit_test(padding_is_zero),
		cmocka_unit_test(fit_words),
		cmocka_unit_test(wrong_facts),
		cmocka_unit_test(grows_with_the_configuration),
	};

	return cmocka_run_group_tests_name("model/image_build", tests, NULL, NULL);
}
