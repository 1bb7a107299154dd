/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/macros.h"
#include "hub/domain/job.h"

/* Any order of reports, with repeats: never backwards, and an end is an end. */
static void never_backwards(void **state)
{
	unsigned seed = 7;

	for (int run = 0; run < 20000; run++) {
		enum sk_job_state now = SK_JOB_WAITING;

		for (int i = 0; i < 12; i++) {
			enum sk_job_state step;

			seed = seed * 1103515245u + 12345u;
			step = (enum sk_job_state)((seed >> 16) % SK_JOB_STATES);
			if (sk_job_report(now, step) == SK_JOB_MOVE) {
				assert_true(step > now || now == SK_JOB_ABORTED);
				assert_true(sk_job_open(now) || now == SK_JOB_ABORTED);
				assert_true(sk_job_reportable(step));
				now = step;
			}
		}
	}
}

static void ends_are_believed(void **state)
{
	assert_int_equal(sk_job_report(SK_JOB_ABORTED, SK_JOB_DONE), SK_JOB_MOVE);
	assert_int_equal(sk_job_report(SK_JOB_ABORTED, SK_JOB_APPLYING), SK_JOB_IGNORE);
	assert_int_equal(sk_job_report(SK_JOB_ABORTED, SK_JOB_FAILED), SK_JOB_NOTE);
	assert_int_equal(sk_job_report(SK_JOB_DONE, SK_JOB_FAILED), SK_JOB_IGNORE);
	assert_int_equal(sk_job_report(SK_JOB_FAILED, SK_JOB_DONE), SK_JOB_IGNORE);
	assert_int_equal(sk_job_report(SK_JOB_DOWNLOADING, SK_JOB_DOWNLOADING), SK_JOB_PROGRESS);
}

static void names(void **state)
{
	enum sk_job_state s;

	for (unsigned i = 0; i < SK_JOB_STATES; i++) {
		assert_int_equal(sk_job_state_parse(sk_job_state_name((enum sk_job_state)i), &s),
				 0);
		assert_int_equal(s, i);
	}
	assert_true(sk_job_state_parse("", &s) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_backwards),
		cmocka_unit_test(ends_are_believed),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests_name("hub/jobs", tests, NULL, NULL);
}
