/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "agent/retry.h"

static void doubles_up_to_its_bound(void **state)
{
	struct sk_retry r = { 100, 1000, 0 };
	const uint64_t most[] = { 100, 200, 400, 800, 1000, 1000, 1000 };

	for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++)
		assert_int_equal(sk_retry_next(&r, UINT32_MAX), most[i]);
	sk_retry_reset(&r);
	assert_int_equal(sk_retry_next(&r, UINT32_MAX), 100);
}

static void never_less_than_half(void **state)
{
	struct sk_retry r = { 100, 1000, 0 };

	assert_int_equal(sk_retry_next(&r, 0), 50);
	assert_int_equal(sk_retry_next(&r, 0), 100);
	for (uint32_t n = 0; n < 1000; n++)
		assert_uint_in_range(sk_retry_next(&r, n * 4294967u), 100, 1000);
}

static void huge_bounds_do_not_overflow(void **state)
{
	struct sk_retry r = { UINT64_C(7) * 86400000, UINT64_C(7) * 86400000, 0 };

	for (int i = 0; i < 100; i++)
		assert_uint_in_range(sk_retry_next(&r, UINT32_MAX), r.min_ms / 2, r.max_ms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(doubles_up_to_its_bound),
		cmocka_unit_test(never_less_than_half),
		cmocka_unit_test(huge_bounds_do_not_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
