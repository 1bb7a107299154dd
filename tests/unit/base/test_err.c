/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "base/err.h"

static void carries_code_slug_and_sentence(void **state)
{
	struct sk_err e = SK_ERR_INIT;

	assert_int_equal(sk_err_set(&e, -ENOENT, "not-found", "no capsule %s", "web"), -ENOENT);
	assert_int_equal(e.code, -ENOENT);
	assert_true(sk_err_is(&e, "not-found"));
	assert_string_equal(e.text, "no capsule web");
	assert_int_equal(sk_err_prefix(&e, "release %d", 3), -ENOENT);
	assert_string_equal(e.text, "release 3: no capsule web");
	assert_int_equal(sk_err_set(NULL, -EIO, "io", "nobody asks"), -EIO);
}

static void long_sentences_are_cut(void **state)
{
	struct sk_err e = SK_ERR_INIT;
	char text[4 * SK_ERR_TEXT_MAX];

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	(void)sk_err_set(&e, -EINVAL, "bad-value", "%s", text);
	assert_int_equal(strlen(e.text), SK_ERR_TEXT_MAX - 1);
	(void)sk_err_prefix(&e, "%s", text);
	assert_int_equal(strlen(e.text), SK_ERR_TEXT_MAX - 1);
}

static void slugs_have_one_table(void **state)
{
	struct sk_err e = SK_ERR_INIT;

	assert_int_equal(sk_err_http_status("not-found"), 404);
	assert_int_equal(sk_err_exit_code("usage"), 2);
	assert_int_equal(sk_err_http_status("no such slug"), 500);
	assert_false(sk_err_slug_known("no such slug"));
	(void)sk_err_set(&e, -EINVAL, "no such slug", "x");
	assert_true(sk_err_is(&e, "internal"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_code_slug_and_sentence),
		cmocka_unit_test(long_sentences_are_cut),
		cmocka_unit_test(slugs_have_one_table),
	};

	return cmocka_run_group_tests_name("base/err", tests, NULL, NULL);
}
