/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <unistd.h>

#include "base/signals.h"

static void end_by_these(void **state)
{
	sigset_t set;
	int ends[2];

	(void)signal(SIGHUP, SIG_DFL);
	sk_end_signals(&set);
	for (int sig = 1; sig < 32; sig++)
		assert_int_equal(sigismember(&set, sig),
				 sig == SIGTERM || sig == SIGINT || sig == SIGHUP);
	/* A peer that has gone is an error of the write. */
	assert_int_equal(pipe(ends), 0);
	(void)close(ends[0]);
	assert_int_equal(write(ends[1], "x", 1), -1);
	(void)close(ends[1]);
}

static void not_by_a_hangup_under_nohup(void **state)
{
	sigset_t set;

	(void)signal(SIGHUP, SIG_IGN);
	sk_end_signals(&set);
	assert_int_equal(sigismember(&set, SIGHUP), 0);
	assert_int_equal(sigismember(&set, SIGTERM), 1);
	(void)signal(SIGHUP, SIG_DFL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(end_by_these),
		cmocka_unit_test(not_by_a_hangup_under_nohup),
	};

	return cmocka_run_group_tests_name("base/signals", tests, NULL, NULL);
}
