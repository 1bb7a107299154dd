/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "model/fdt_read.h"
#include "model/manifest.h"

#define ROOM (4u << 20)

/* A tree that is being written; done() ends it. */
static void *begin(void)
{
	void *fdt = calloc(1, ROOM);

	assert_int_equal(fdt_create(fdt, ROOM), 0);
	assert_int_equal(fdt_finish_reservemap(fdt), 0);
	assert_int_equal(fdt_begin_node(fdt, ""), 0);
	return fdt;
}

static size_t done(void *fdt)
{
	assert_int_equal(fdt_end_node(fdt), 0);
	assert_int_equal(fdt_finish(fdt), 0);
	return fdt_totalsize(fdt);
}

/* A stranger's tree: what the check says, and the whole parser after it. Frees @fdt. */
static void check(void *fdt, size_t len, int code, const char *slug, const char *text)
{
	struct sk_manifest *m = NULL;
	struct sk_err err = SK_ERR_INIT;
	int r = sk_fdt_check(fdt, len, &err);

	assert_int_equal(r, code);
	if (code < 0) {
		assert_string_equal(err.slug, slug);
		if (!strstr(err.text, text))
			fail_msg("\"%s\" is not in \"%s\"", text, err.text);
		assert_int_equal(sk_manifest_parse(fdt, len, &m, NULL, &err), code);
		assert_null(m);
	}
	free(fdt);
}

static void *with_nodes(unsigned n)
{
	void *fdt = begin();
	char name[16];

	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(fdt_begin_node(fdt, name), 0);
		assert_int_equal(fdt_end_node(fdt), 0);
	}
	return fdt;
}

static void a_hundred_thousand_nodes(void **state)
{
	void *fdt = with_nodes(SK_FDT_NODES_MAX - 1);

	check(fdt, done(fdt), 0, NULL, NULL);
	fdt = with_nodes(SK_FDT_NODES_MAX);
	check(fdt, done(fdt), -EFBIG, "too-large", "16384 nodes");
	fdt = with_nodes(100000);
	check(fdt, done(fdt), -EFBIG, "too-large", "16384 nodes");
}

static void as_many_properties(void **state)
{
	void *fdt = begin();

	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(fdt_property(fdt, "p", NULL, 0), 0);
	check(fdt, done(fdt), -EFBIG, "too-large", "65536 properties");
}

static void *nested(unsigned depth)
{
	void *fdt = begin();

	for (unsigned i = 1; i < depth; i++)
		assert_int_equal(fdt_begin_node(fdt, "d"), 0);
	for (unsigned i = 1; i < depth; i++)
		assert_int_equal(fdt_end_node(fdt), 0);
	return fdt;
}

static void deep(void **state)
{
	void *fdt = nested(SK_FDT_DEPTH_MAX);

	check(fdt, done(fdt), 0, NULL, NULL);
	fdt = nested(SK_FDT_DEPTH_MAX + 1);
	check(fdt, done(fdt), -EINVAL, "bad-manifest", "nested more than 16");
	fdt = nested(60000);
	check(fdt, done(fdt), -EINVAL, "bad-manifest", "nested more than 16");
}

static void long_names(void **state)
{
	char name[SK_FDT_NAME_MAX + 2];
	void *fdt;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	fdt = begin();
	assert_int_equal(fdt_begin_node(fdt, name), 0);
	assert_int_equal(fdt_end_node(fdt), 0);
	check(fdt, done(fdt), -EINVAL, "bad-manifest", "name");
	fdt = begin();
	assert_int_equal(fdt_property(fdt, name, NULL, 0), 0);
	check(fdt, done(fdt), -EINVAL, "bad-manifest", "name is too long");
	name[SK_FDT_NAME_MAX] = '\0';
	fdt = begin();
	assert_int_equal(fdt_property(fdt, name, NULL, 0), 0);
	assert_int_equal(fdt_begin_node(fdt, name), 0);
	assert_int_equal(fdt_end_node(fdt), 0);
	check(fdt, done(fdt), 0, NULL, NULL);
}

static void *small(size_t *ret_len)
{
	void *fdt = begin();

	assert_int_equal(fdt_property_string(fdt, "word", "value"), 0);
	assert_int_equal(fdt_begin_node(fdt, "sub"), 0);
	assert_int_equal(fdt_end_node(fdt), 0);
	*ret_len = done(fdt);
	return fdt;
}

/* Cut anywhere, longer than it says, of another version, older than any: no sound tree. */
static void unsound(void **state)
{
	size_t len;
	char *fdt = small(&len);

	for (size_t n = 0; n < len; n++) {
		char *cut = malloc(n + 1);

		memcpy(cut, fdt, n);
		assert_non_null(sk_fdt_unsound(cut, n));
		free(cut);
	}
	assert_non_null(sk_fdt_unsound(fdt, len + 4));
	assert_null(sk_fdt_unsound(fdt, len));
	for (unsigned version = 0; version < 20; version++) {
		fdt_set_version(fdt, version);
		fdt_set_last_comp_version(fdt, SK_MIN(version, 16u));
		assert_int_equal(sk_fdt_unsound(fdt, len) == NULL, version == 17);
	}
	check(fdt, SK_MANIFEST_SIZE_MAX + 1, -EFBIG, "too-large", "at most 4194304");
}

/* A property as long as nearly 4 GiB: libfdt 1.6 would step back and walk for ever. */
static void lengths_that_lead_back(void **state)
{
	size_t len;
	char *fdt = small(&len);
	int at = fdt_first_property_offset(fdt, 0);
	struct fdt_property *word = (void *)(fdt + fdt_off_dt_struct(fdt) + at);

	for (uint32_t i = 1; i < 64; i++) {
		word->len = cpu_to_fdt32(-i);
		assert_non_null(sk_fdt_unsound(fdt, len));
		word->len = cpu_to_fdt32(INT32_MAX - 32 + i);
		assert_non_null(sk_fdt_unsound(fdt, len));
	}
	word->len = cpu_to_fdt32(sizeof("value"));
	assert_null(sk_fdt_unsound(fdt, len));
	free(fdt);
}

/* Every byte changed in turn: refused or read, never more than that. */
static void flipped(void **state)
{
	size_t len;
	unsigned char *fdt = small(&len);

	for (size_t i = 0; i < 8 * len; i++) {
		struct sk_manifest *m = NULL;

		fdt[i / 8] ^= (unsigned char)(1u << i % 8);
		if (sk_manifest_parse(fdt, len, &m, NULL, NULL) == 0)
			sk_manifest_free(m);
		fdt[i / 8] ^= (unsigned char)(1u << i % 8);
	}
	free(fdt);
}

static void aligned(void **state)
{
	size_t len;
	char *fdt = small(&len), *odd = malloc(len + 8);
	void *copy = NULL;

	assert_ptr_equal(sk_fdt_aligned(fdt, len, &copy), fdt);
	assert_null(copy);
	memcpy(odd + 3, fdt, len);
	assert_ptr_not_equal(sk_fdt_aligned(odd + 3, len, &copy), odd + 3);
	assert_int_equal((uintptr_t)copy & 7, 0);
	assert_memory_equal(copy, fdt, len);
	free(copy);
	free(odd);
	free(fdt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hundred_thousand_nodes),
		cmocka_unit_test(as_many_properties),
		cmocka_unit_test(deep),
		cmocka_unit_test(long_names),
		cmocka_unit_test(unsound),
		cmocka_unit_test(lengths_that_lead_back),
		cmocka_unit_test(flipped),
		cmocka_unit_test(aligned),
	};

	return cmocka_run_group_tests_name("model/fdt_read", tests, NULL, NULL);
}
