/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/macros.h"
#include "model/version.h"

static void accepts(void **state)
{
	static const char *const good[] = {
		"0",	     "1",	"1.2",
		"1.2.3",     "1.2.3.4", "1.4.0-rc.2",
		"1-a",	     "1.0-0",	"9999999999.9999999999.9999999999.9999999999",
		"1.0-x-y.7", "1.0--",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (!sk_version_ok(good[i]))
			fail_msg("refused %s", good[i]);
}

static void refuses(void **state)
{
	static const char *const bad[] = {
		"",
		".",
		"1.",
		".1",
		"v1",
		"1.2.3.4.5",
		"01.2",
		"1.00",
		"1.2-",
		"1.2-rc.",
		"1.2-rc..1",
		"1.2-01",
		"1.2+build",
		"1 ",
		" 1",
		"1.2-r\xc3\xa9",
		"10000000000",
		"1.2/3",
		"1.2\n",
		"-1",
		"1.0-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (sk_version_ok(bad[i]))
			fail_msg("accepted %s", bad[i]);
}

/* Each stands above the one before it, and every pair agrees with that. */
static void orders(void **state)
{
	static const char *const up[] = {
		"0",	       "0.0.1-0",	"0.0.1",	  "0.9",
		"1.0.0-alpha", "1.0-alpha.1",	"1.0-alpha.beta", "1-beta",
		"1.0-beta.2",  "1.0.0-beta.11", "1.0.0-rc.1",	  "1",
		"1.0.0.1",     "1.2",		"1.10",		  "2",
		"10",	       "9999999999",
	};

	for (size_t i = 0; i < ARRAY_SIZE(up); i++)
		for (size_t j = 0; j < ARRAY_SIZE(up); j++) {
			int r = sk_version_cmp(up[i], up[j]);

			if ((r > 0) != (i > j) || (r < 0) != (i < j))
				fail_msg("%s and %s: %d", up[i], up[j], r);
		}
}

static void equals(void **state)
{
	assert_int_equal(sk_version_cmp("1", "1.0.0.0"), 0);
	assert_int_equal(sk_version_cmp("1.2-rc.1", "1.2.0-rc.1"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts),
		cmocka_unit_test(refuses),
		cmocka_unit_test(orders),
		cmocka_unit_test(equals),
	};

	return cmocka_run_group_tests_name("model/version", tests, NULL, NULL);
}
