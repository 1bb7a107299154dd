/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "skerry/app.h"

static void knows_its_capsule(void **state)
{
	(void)unsetenv("SKERRY_APP");
	assert_null(sk_app_name());
	(void)setenv("SKERRY_APP", "web", 1);
	assert_string_equal(sk_app_name(), "web");
}

static void logs_a_line(void **state)
{
	int saved = dup(STDERR_FILENO), fds[2];
	char got[128];
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	(void)dup2(fds[1], STDERR_FILENO);
	assert_int_equal(sk_app_log(SK_APP_WARNING, "low %s\n<0>x", "water"), 0);
	(void)dup2(saved, STDERR_FILENO);
	n = read(fds[0], got, sizeof(got) - 1);
	got[n > 0 ? n : 0] = '\0';
	assert_string_equal(got, "<4>low water <0>x\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_its_capsule),
		cmocka_unit_test(logs_a_line),
	};

	return cmocka_run_group_tests_name("lib/app", tests, NULL, NULL);
}
