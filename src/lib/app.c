/* SPDX-License-Identifier: Apache-2.0 */
#include "skerry/app.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The engine sets it for each capsule; docs/reference/capsules.md, "Environment". */
#define NAME_VARIABLE "SKERRY_APP"

const char *sk_app_name(void)
{
	return getenv(NAME_VARIABLE);
}

int sk_app_log(enum sk_app_severity severity, const char *fmt, ...)
{
	char line[4096];
	int n, m;
	va_list ap;

	n = snprintf(line, sizeof(line), "<%d>", (int)severity);
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (m < 0)
		return -EINVAL;
	n = n + m < (int)sizeof(line) - 1 ? n + m : (int)sizeof(line) - 2;
	for (int i = 0; i < n; i++)
		if ((unsigned char)line[i] < ' ' && line[i] != '\t')
			line[i] = ' ';
	line[n++] = '\n';
	while (write(STDERR_FILENO, line, (size_t)n) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}
