/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "base/conf.h"
#include "base/str.h"

static char seen[256];

static int note(void *arg, const char *key, const char *value, struct sk_err *err)
{
	size_t len = strlen(seen);

	if (sk_streq(key, "bad"))
		return sk_err_set(err, -EINVAL, "bad-value", "no such key");
	(void)snprintf(seen + len, sizeof(seen) - len, "%s=%s;", key, value);
	return 0;
}

static void settings(void **state)
{
	seen[0] = '\0';
	assert_int_equal(sk_conf_parse("f", "# c\n\n a = b c \nx=\n\tk\t=\tv=w # no comment\r\n",
				       note, NULL, NULL),
			 0);
	assert_string_equal(seen, "a=b c;x=;k=v=w # no comment;");
}

static void mistakes_name_their_line(void **state)
{
	struct sk_err err = SK_ERR_INIT;

	seen[0] = '\0';
	assert_int_equal(sk_conf_parse("f", "a = 1\nnonsense\n", note, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "f:2: \"nonsense\""));
	assert_int_equal(sk_conf_parse("f", "\nbad = 1\na = 2", note, NULL, &err), -EINVAL);
	assert_string_equal(err.text, "f:2: no such key");
	assert_string_equal(seen, "a=1;");
	assert_int_equal(sk_conf_read("/nonexistent", note, NULL, &err), -ENOENT);
	assert_string_equal(err.slug, "not-found");
	assert_true(sk_conf_read("/proc/self/mem", note, NULL, &err) < 0);
	assert_true(sk_conf_read("/bin/true", note, NULL, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings),
		cmocka_unit_test(mistakes_name_their_line),
	};

	return cmocka_run_group_tests_name("base/conf", tests, NULL, NULL);
}
