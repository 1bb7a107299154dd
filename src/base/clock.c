/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t sk_mono_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t sk_mono_ms(void)
{
	return sk_mono_us() / 1000;
}

int64_t sk_wall_s(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec;
}

const char *sk_time_format(char buf[static 32], int64_t unix_s)
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(buf, 32, "%FT%TZ", &tm))
		(void)snprintf(buf, 32, "?");
	return buf;
}

int sk_time_parse(const char *s, int64_t *ret_unix_s)
{
	struct tm tm = { 0 }, back;
	const char *end = strptime(s, "%Y-%m-%d", &tm);
	time_t t;

	if (end && *end == 'T') {
		end = strptime(end, "T%H:%M:%S", &tm);
		end = end && *end == 'Z' ? end + 1 : NULL;
	}
	if (!end || *end)
		return -EINVAL;
	back = tm;
	t = timegm(&back);
	/* timegm() carries 31 February over into March; such a date is a mistake. */
	if (back.tm_mday != tm.tm_mday || back.tm_mon != tm.tm_mon)
		return -EINVAL;
	*ret_unix_s = t;
	return 0;
}
