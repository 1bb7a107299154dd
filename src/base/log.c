/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"

static const char *log_program = "skerry";
static enum sk_log_level log_max = SK_LOG_WARNING;
static bool log_journal;

void sk_log_open(const char *program, enum sk_log_level max_level)
{
	log_program = program;
	log_max = max_level;
	log_journal = getenv("JOURNAL_STREAM") != NULL;
}

static int log_prefix(char *buf, size_t size, enum sk_log_level level)
{
	char when[32];
	struct tm tm;
	time_t now = time(NULL);

	if (log_journal)
		return snprintf(buf, size, "<%d>", level);
	if (!gmtime_r(&now, &tm) || !strftime(when, sizeof(when), "%FT%TZ", &tm))
		when[0] = '\0';
	return snprintf(buf, size, "%s %s: ", when, log_program);
}

void sk_log(enum sk_log_level level, const char *fmt, ...)
{
	int saved = errno;
	char line[2048];
	va_list ap;
	int n, m;

	if (level > log_max)
		return;
	n = log_prefix(line, sizeof(line), level);
	if (n < 0 || (size_t)n >= sizeof(line))
		return;
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m < 0)
		return;
	/* One record, one line: a peer cannot forge log lines, nor reach the terminal of who reads. */
	sk_text_clean(line, "\t");
	n = (int)strlen(line);
	line[n++] = '\n';
	/* One write, so that lines of several processes do not mix. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0) {
		/* nowhere left to say so */
	}
	errno = saved;
}
