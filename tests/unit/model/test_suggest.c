/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/macros.h"
#include "model/suggest.h"

static const char *nearest(const char *word)
{
	static const char *const known[] = { "memory-limit", "cpu-limit", "restart", "image",
					     "user" };
	struct sk_suggestion s = { .word = word };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		sk_suggest_try(&s, known[i]);
	return s.best;
}

static void finds_slips(void **state)
{
	assert_string_equal(nearest("memory_limit"), "memory-limit");
	assert_string_equal(nearest("Restart"), "restart");
	assert_string_equal(nearest("retsart"), "restart");
	assert_string_equal(nearest("imag"), "image");
	assert_string_equal(nearest("cpus-limit"), "cpu-limit");
	assert_string_equal(nearest("uesr"), "user");
}

static void leaves_strangers(void **state)
{
	char huge[4096];

	assert_null(nearest("privileged"));
	assert_null(nearest(""));
	assert_null(nearest("x"));
	memset(huge, 'm', sizeof(huge));
	huge[sizeof(huge) - 1] = '\0';
	assert_null(nearest(huge));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_slips),
		cmocka_unit_test(leaves_strangers),
	};

	return cmocka_run_group_tests_name("model/suggest", tests, NULL, NULL);
}
