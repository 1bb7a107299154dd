/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/macros.h"
#include "dts.h"
#include "model/manifest.h"

/*
 * Every allocation fails in turn: the answer is always -ENOMEM (or the mistake that was already
 * known), nothing leaks, nothing crashes.
 */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);

static long left = -1; /* allocations until one fails; below 0: none does */

static bool fails(void)
{
	return left >= 0 && left-- == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

static const char good[] =
	"/ { " DTS_RELEASE " apps { a { image = \"i\"; command = \"x\", \"y\"; user = \"u\";"
	" devices = \"/dev/a\"; msg_servers = \"m\"; environment { A = \"1\"; };"
	" volumes { d = \"/d\"; }; health-check { command = \"c\"; }; }; b { image = \"j\"; }; };"
	" supervision { b = \"a\"; }; keys { k { apps = \"a\"; uses = \"sign\"; }; };"
	" msg_servers { m { dir_access_control { p { publish = \"a\"; }; }; }; }; };";

static const char bad[] = "/ { " DTS_RELEASE " apps { a { imgae = \"i\"; kind = \"x\"; }; };"
			  " supervision { b = \"a\"; }; };";

static void parse_fails_cleanly(void **state)
{
	size_t len;
	_cleanup_free_ void *dtb = dts_compile(good, &len);
	long n = 0;
	int r;

	do {
		_cleanup_(sk_manifest_freep) struct sk_manifest *m = NULL;

		left = n++;
		r = sk_manifest_parse(dtb, len, &m, NULL, NULL);
		left = -1;
		assert_true(r == 0 || r == -ENOMEM);
		assert_true((r == 0) == (m != NULL));
	} while (r != 0);
	assert_true(n > 50);
}

static void mistakes_fail_cleanly(void **state)
{
	size_t len;
	_cleanup_free_ void *dtb = dts_compile(bad, &len);
	bool without = false;

	for (long n = 0; !without; n++) {
		_cleanup_(sk_diags_done) struct sk_diags diags = { 0 };
		struct sk_manifest *m = NULL;
		int r;

		left = n;
		r = sk_manifest_parse(dtb, len, &m, &diags, NULL);
		without = left >= 0;
		left = -1;
		assert_true(r == -EINVAL || r == -ENOMEM);
		assert_null(m);
	}
}

static void pin_fails_cleanly(void **state)
{
	struct sk_image_ref images[] = { { .name = (char[]){ "i" }, .size_bytes = 1 },
					 { .name = (char[]){ "j" }, .size_bytes = 1 } };
	size_t len, out_len;
	_cleanup_free_ void *dtb = dts_compile(good, &len);
	long n = 0;
	int r;

	do {
		_cleanup_free_ void *out = NULL;

		left = n++;
		r = sk_manifest_pin(dtb, len, images, 2, 1, &out, &out_len, NULL);
		left = -1;
		assert_true(r == 0 || r == -ENOMEM);
		assert_true((r == 0) == (out != NULL));
	} while (r != 0);
}

static void merge_fails_cleanly(void **state)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = NULL;
	size_t len;
	_cleanup_free_ void *dtb = dts_compile(good, &len);
	const struct sk_run nothing = { 0 };
	long n = 0;
	int r;

	assert_int_equal(sk_manifest_parse(dtb, len, &m, NULL, NULL), 0);
	do {
		_cleanup_(sk_run_done) struct sk_run run = { 0 };

		left = n++;
		r = sk_run_merge(&sk_manifest_app(m, "a")->run, &nothing, &run);
		left = -1;
		assert_true(r == 0 || r == -ENOMEM);
		assert_true((r == 0) == (run.command != NULL));
	} while (r != 0);
	assert_true(n > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_fails_cleanly),
		cmocka_unit_test(mistakes_fail_cleanly),
		cmocka_unit_test(pin_fails_cleanly),
		cmocka_unit_test(merge_fails_cleanly),
	};

	return cmocka_run_group_tests_name("model/manifest_oom", tests, NULL, NULL);
}
