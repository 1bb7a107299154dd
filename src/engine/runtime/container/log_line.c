/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/container/log_line.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/macros.h"

/* A field up to the next blank. Return: what follows the blank, or NULL */
static const char *field(const char *at, const char *end, const char **ret, size_t *ret_len)
{
	const char *blank = memchr(at, ' ', (size_t)(end - at));

	if (!blank)
		return NULL;
	*ret = at;
	*ret_len = (size_t)(blank - at);
	return blank + 1;
}

/* @n digits as a number, or -1 */
static int digits(const char *s, int n)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = v * 10 + (s[i] - '0');
	}
	return v;
}

/* "+01:00" or "Z" as seconds; INT32_MIN when it is neither */
static int offset_s(const char *s, size_t len)
{
	int h, m;

	if (len == 1 && *s == 'Z')
		return 0;
	if (len != 6 || (*s != '+' && *s != '-') || s[3] != ':')
		return INT32_MIN;
	h = digits(s + 1, 2);
	m = digits(s + 4, 2);
	if (h < 0 || m < 0)
		return INT32_MIN;
	return (*s == '-' ? -1 : 1) * (h * 3600 + m * 60);
}

/* "2026-11-22T03:27:02.576987255+00:00" */
static int parse_time(const char *s, size_t len, struct sk_log_line *ret)
{
	struct tm tm = { 0 };
	size_t at = 19;
	uint32_t ns = 0, unit = 1000000000;
	int off;

	if (len < 20 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':')
		return -EBADMSG;
	tm.tm_year = digits(s, 4) - 1900;
	tm.tm_mon = digits(s + 5, 2) - 1;
	tm.tm_mday = digits(s + 8, 2);
	tm.tm_hour = digits(s + 11, 2);
	tm.tm_min = digits(s + 14, 2);
	tm.tm_sec = digits(s + 17, 2);
	if (tm.tm_year < 0 || tm.tm_mon < 0 || tm.tm_mday < 0 || tm.tm_hour < 0 || tm.tm_min < 0 ||
	    tm.tm_sec < 0)
		return -EBADMSG;
	if (s[at] == '.')
		for (at++; at < len && s[at] >= '0' && s[at] <= '9'; at++) {
			unit /= 10;
			ns += unit * (uint32_t)(s[at] - '0');
		}
	off = offset_s(s + at, len - at);
	if (off == INT32_MIN)
		return -EBADMSG;
	ret->time_s = timegm(&tm) - off;
	ret->time_ns = ns;
	return 0;
}

int sk_log_line_parse(const char *line, size_t len, struct sk_log_line *ret)
{
	const char *end = line + len, *time_at, *stream, *flag, *at;
	size_t time_len, stream_len, flag_len;

	if (len == 0 || end[-1] != '\n')
		return -EBADMSG;
	at = field(line, end, &time_at, &time_len);
	at = at ? field(at, end, &stream, &stream_len) : NULL;
	at = at ? field(at, end, &flag, &flag_len) : NULL;
	if (!at || parse_time(time_at, time_len, ret) < 0 || stream_len != 6 || flag_len != 1)
		return -EBADMSG;
	if (memcmp(stream, "stdout", 6) == 0)
		ret->stream = 1;
	else if (memcmp(stream, "stderr", 6) == 0)
		ret->stream = 2;
	else
		return -EBADMSG;
	if (*flag != 'F' && *flag != 'P')
		return -EBADMSG;
	ret->text = at;
	ret->len = (size_t)(end - at) - (*flag == 'P');
	return 0;
}
