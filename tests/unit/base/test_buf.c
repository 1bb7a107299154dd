/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "base/buf.h"

static void grows_to_its_bound(void **state)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(10);

	assert_int_equal(sk_buf_adds(&b, "12345"), 0);
	assert_int_equal(sk_buf_addf(&b, "%d", 67890), 0);
	assert_string_equal(b.data, "1234567890");
	assert_int_equal(sk_buf_adds(&b, "x"), -EMSGSIZE);
	assert_int_equal(sk_buf_addf(&b, "%s", "x"), -EMSGSIZE);
	assert_string_equal(b.data, "1234567890");
}

static void huge_requests_do_not_wrap(void **state)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(SIZE_MAX / 2);

	assert_int_equal(sk_buf_adds(&b, "x"), 0);
	assert_int_equal(sk_buf_reserve(&b, SIZE_MAX), -EMSGSIZE);
	assert_int_equal(sk_buf_reserve(&b, SIZE_MAX / 2), -EMSGSIZE);
}

static void drops_and_takes(void **state)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(100);
	_cleanup_free_ char *s = NULL, *empty = NULL;
	size_t len;

	empty = sk_buf_take(&b, &len);
	assert_string_equal(empty, "");
	assert_int_equal(len, 0);
	assert_int_equal(sk_buf_adds(&b, "hello world"), 0);
	sk_buf_drop(&b, 6);
	assert_string_equal(b.data, "world");
	sk_buf_drop(&b, 100);
	assert_int_equal(b.len, 0);
	assert_int_equal(sk_buf_adds(&b, "again"), 0);
	s = sk_buf_take(&b, &len);
	assert_string_equal(s, "again");
	assert_int_equal(len, 5);
	assert_null(b.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_to_its_bound),
		cmocka_unit_test(huge_requests_do_not_wrap),
		cmocka_unit_test(drops_and_takes),
	};

	return cmocka_run_group_tests_name("base/buf", tests, NULL, NULL);
}
