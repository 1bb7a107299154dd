/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <unistd.h>

#include "base/log.h"

/* What one call writes to standard error. */
static void log_to(char *buf, size_t size, enum sk_log_level level, const char *text)
{
	int saved = dup(STDERR_FILENO), fds[2];
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	(void)dup2(fds[1], STDERR_FILENO);
	sk_log(level, "%s", text);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	(void)close(fds[1]);
	n = read(fds[0], buf, size - 1);
	buf[n > 0 ? n : 0] = '\0';
	(void)close(fds[0]);
}

static void one_record_is_one_line(void **state)
{
	char line[256];

	(void)setenv("JOURNAL_STREAM", "1:2", 1);
	sk_log_open("test", SK_LOG_INFO);
	log_to(line, sizeof(line), SK_LOG_INFO, "name\n<0>forged\x1b[2J");
	assert_string_equal(line, "<6>name <0>forged [2J\n");
}

static void levels_above_the_limit_are_silent(void **state)
{
	char line[256];

	sk_log_open("test", SK_LOG_WARNING);
	log_to(line, sizeof(line), SK_LOG_INFO, "x");
	assert_string_equal(line, "");
}

static void long_lines_are_cut(void **state)
{
	static char text[10000], line[8192];

	memset(text, 'a', sizeof(text) - 1);
	sk_log_open("test", SK_LOG_INFO);
	log_to(line, sizeof(line), SK_LOG_INFO, text);
	assert_true(strlen(line) < 2049);
	assert_int_equal(line[strlen(line) - 1], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_record_is_one_line),
		cmocka_unit_test(levels_above_the_limit_are_silent),
		cmocka_unit_test(long_lines_are_cut),
	};

	return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
