/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <signal.h>

#include "base/macros.h"
#include "model/manifest.h"

static void parses(void **state)
{
	int sig = 0;

	assert_int_equal(sk_signal_parse("SIGTERM", &sig), 0);
	assert_int_equal(sig, SIGTERM);
	assert_int_equal(sk_signal_parse("QUIT", &sig), 0);
	assert_int_equal(sig, SIGQUIT);
	assert_int_equal(sk_signal_parse("9", &sig), 0);
	assert_int_equal(sig, SIGKILL);
	assert_int_equal(sk_signal_parse("SIGRTMIN+3", &sig), 0);
	assert_int_equal(sig, 37);
}

static void refuses(void **state)
{
	static const char *const bad[] = { "",	      "SIG",	   "0",
					   "65",      "TERMINATE", "SIGRTMIN+31",
					   "sigterm", "-9",	   "SIGRTMIN+" };
	int sig = 77;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (sk_signal_parse(bad[i], &sig) == 0)
			fail_msg("accepted \"%s\"", bad[i]);
	assert_int_equal(sig, 77);
}

static void every_name_reads_back(void **state)
{
	char name[16];
	int sig;

	for (int i = 1; i <= 64; i++) {
		assert_int_equal(sk_signal_parse(sk_signal_name(name, i), &sig), 0);
		assert_int_equal(sig, i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses),
		cmocka_unit_test(refuses),
		cmocka_unit_test(every_name_reads_back),
	};

	return cmocka_run_group_tests_name("model/signal", tests, NULL, NULL);
}
