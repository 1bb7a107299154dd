/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/job.h"
#include "base/file.h"

static char dir[64], path[96];
static struct sk_err err;

static int set_up(void **state)
{
	strcpy(dir, "/tmp/skerry-agent-job-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/job.json", dir);
	return 0;
}

static int tear_down(void **state)
{
	return sk_rm_rf(AT_FDCWD, dir);
}

static void kept_and_cleared(void **state)
{
	struct sk_job job = { .id = "j-1", .base_generation = 7, .ended = true, .reason = "why" };
	struct sk_job back;

	memset(job.release.bytes, 0xab, sizeof(job.release.bytes));
	assert_int_equal(sk_job_load(dir, &back, &err), 0);
	assert_int_equal(sk_job_save(dir, &job, &err), 0);
	assert_int_equal(sk_job_load(dir, &back, &err), 1);
	assert_string_equal(back.id, "j-1");
	assert_string_equal(back.reason, "why");
	assert_int_equal(back.base_generation, 7);
	assert_true(back.ended && !back.good);
	assert_true(sk_digest_equal(&back.release, &job.release));
	assert_int_equal(sk_job_clear(dir, &err), 0);
	assert_int_equal(sk_job_clear(dir, &err), 0);
	assert_int_equal(sk_job_load(dir, &back, &err), 0);
}

/* The longest reason, whatever JSON makes of it, is read again. */
static void the_longest_reason(void **state)
{
	struct sk_job job = { .id = "j" }, back;

	memset(job.reason, 1, sizeof(job.reason) - 1); /* six letters each */
	assert_int_equal(sk_job_save(dir, &job, &err), 0);
	assert_int_equal(sk_job_load(dir, &back, &err), 1);
	assert_string_equal(back.reason, job.reason);
}

static void damage_is_no_job(void **state)
{
	static const char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	char text[5000];
	struct sk_job back;

	static const char *const forms[] = {
		"",
		"{",
		"[]",
		"null",
		"{\"id\": \"j\"}",
		"{\"id\": \"../x\", \"release\": \"%s\"}",
		"{\"id\": \"j\", \"release\": \"zz\"}",
		"{\"id\": 5, \"release\": \"%s\"}",
		"{\"id\": \"j\", \"release\": \"%s\", \"base_generation\": -1}",
		"{\"id\": \"j\", \"release\": \"%s\"} and more",
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const char *at = strstr(forms[i], "%s");

		(void)snprintf(text, sizeof(text), "%.*s%s%s",
			       at ? (int)(at - forms[i]) : (int)strlen(forms[i]), forms[i],
			       at ? id : "", at ? at + 2 : "");
		assert_int_equal(sk_file_write(AT_FDCWD, path, text, strlen(text), 0600), 0);
		assert_int_equal(sk_job_load(dir, &back, &err), 0);
	}
	memset(text, ' ', sizeof(text));
	assert_int_equal(sk_file_write(AT_FDCWD, path, text, sizeof(text), 0600), 0);
	assert_int_equal(sk_job_load(dir, &back, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_and_cleared),
		cmocka_unit_test(the_longest_reason),
		cmocka_unit_test(damage_is_no_job),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
