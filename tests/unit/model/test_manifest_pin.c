/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "base/str.h"
#include "dts.h"
#include "model/manifest.h"

static const char source[] = "/ { " DTS_RELEASE " apps { b { image = \"b.itb\"; };"
			     " a { image = \"a.itb\"; }; }; };";

static struct sk_image_ref ref(char *name, int seed, uint64_t size)
{
	struct sk_image_ref i = { .name = name, .size_bytes = size };

	memset(i.digest.bytes, seed, sizeof(i.digest.bytes));
	return i;
}

static void *pin(const void *dtb, size_t len, int64_t created_s, size_t *ret_len)
{
	struct sk_image_ref images[] = { ref((char[]){ "b.itb" }, 0xbb, 2),
					 ref((char[]){ "a.itb" }, 0xaa, SK_IMAGE_SIZE_MAX) };
	struct sk_err err = SK_ERR_INIT;
	void *out = NULL;

	if (sk_manifest_pin(dtb, len, images, 2, created_s, &out, ret_len, &err) < 0)
		fail_msg("%s", err.text);
	return out;
}

static void pins(void **state)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = NULL;
	size_t len, out_len;
	_cleanup_free_ void *dtb = dts_compile(source, &len);
	_cleanup_free_ void *out = pin(dtb, len, 1800000000, &out_len);

	assert_int_equal(sk_manifest_parse(out, out_len, &m, NULL, NULL), 0);
	assert_int_equal(sk_manifest_pinned(m, NULL), 0);
	assert_int_equal(m->created_s, 1800000000);
	assert_int_equal(m->n_images, 2);
	assert_int_equal(sk_manifest_app(m, "a")->image->digest.bytes[31], 0xaa);
	assert_true(sk_manifest_app(m, "a")->image->size_bytes == SK_IMAGE_SIZE_MAX);
	assert_int_equal(sk_manifest_app(m, "b")->image->size_bytes, 2);
	assert_string_equal(m->apps[0].name, "b"); /* the source's order stays */
}

/* Padding, reserved memory, an earlier pinning: none of it is in the result. */
static void is_canonical(void **state)
{
	size_t len, len2, a_len, b_len, c_len, d_len;
	_cleanup_free_ char *dtb = dts_compile(source, &len);
	_cleanup_free_ char *reserved = sk_asprintf("/memreserve/ 0x1000 0x2000; %s", source);
	_cleanup_free_ char *dtb2 = dts_compile(reserved, &len2);
	_cleanup_free_ char *a = pin(dtb, len, 7, &a_len);
	_cleanup_free_ char *b = pin(dtb2, len2, 7, &b_len);
	_cleanup_free_ char *c = pin(a, a_len, 8, &c_len);
	_cleanup_free_ char *d = pin(c, c_len, 7, &d_len);

	assert_int_equal(a_len, b_len);
	assert_memory_equal(a, b, a_len);
	assert_int_equal(a_len, d_len);
	assert_memory_equal(a, d, a_len);
	assert_memory_not_equal(a, c, a_len);
}

static void wants_exactly_its_images(void **state)
{
	struct sk_image_ref images[] = { ref((char[]){ "a.itb" }, 1, 1),
					 ref((char[]){ "b.itb" }, 1, 1),
					 ref((char[]){ "c.itb" }, 1, 1) };
	struct sk_err err = SK_ERR_INIT;
	size_t len, out_len;
	_cleanup_free_ void *dtb = dts_compile(source, &len);
	void *out = NULL;

	assert_int_equal(sk_manifest_pin(dtb, len, images, 1, 0, &out, &out_len, &err), -EINVAL);
	assert_non_null(strstr(err.text, "b.itb"));
	assert_int_equal(sk_manifest_pin(dtb, len, images, 3, 0, &out, &out_len, &err), -EINVAL);
	assert_non_null(strstr(err.text, "c.itb"));
	images[2] = images[0];
	assert_int_equal(sk_manifest_pin(dtb, len, images, 3, 0, &out, &out_len, &err), -EINVAL);
	images[0].size_bytes = SK_IMAGE_SIZE_MAX + 1;
	assert_int_equal(sk_manifest_pin(dtb, len, images, 2, 0, &out, &out_len, &err), -EINVAL);
	assert_string_equal(err.slug, "bad-release");
	assert_null(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pins),
		cmocka_unit_test(is_canonical),
		cmocka_unit_test(wants_exactly_its_images),
	};

	return cmocka_run_group_tests_name("model/manifest_pin", tests, NULL, NULL);
}
