/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/macros.h"

/* The examples of RFC 4648, section 10. */
static const struct {
	const char *plain, *text;
} examples[] = {
	{ "f", "Zg==" },	{ "fo", "Zm8=" },	 { "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
};

static void there_and_back(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
		size_t len = strlen(examples[i].plain), got = 0;
		_cleanup_free_ char *text = sk_base64_encode(examples[i].plain, len);
		char plain[9];

		assert_string_equal(text, examples[i].text);
		assert_int_equal(sk_base64_decode(text, plain, sizeof(plain), &got), 0);
		assert_int_equal(got, len);
		assert_memory_equal(plain, examples[i].plain, len);
	}
}

static void nothing(void **state)
{
	_cleanup_free_ char *text = sk_base64_encode("", 0);

	assert_string_equal(text, "");
}

static void refuses(void **state)
{
	static const char *const wrong[] = {
		"",	    "Zg",   "Zg=",  "Zg==\n",  " Zm9v", "Zm\n9",   "Zm9v Zm9v",
		"Zg==Zm9v", "Z===", "====", "Zm9vZg=", "Zm-_",	"Zm9\xc3", "Zm9vZm9vZm9vZm9v"
	};
	char plain[9];
	size_t len = 77;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (sk_base64_decode(wrong[i], plain, sizeof(plain), &len) != -EINVAL)
			fail_msg("\"%s\" was taken", wrong[i]);
	assert_int_equal(len, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(nothing),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests_name("base/base64", tests, NULL, NULL);
}
