/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "model/manifest.h"

/* Fixed numbers of Linux, not the C library's idea of them: the signal is for another process. */
#define RT_MIN 34
#define RT_MAX 64

int sk_signal_parse(const char *s, int *ret)
{
	uint32_t v;

	if (sk_parse_u32(s, &v) == 0) {
		if (v < 1 || v > RT_MAX)
			return -EINVAL;
		*ret = (int)v;
		return 0;
	}
	if (sk_str_starts(s, "SIG"))
		s += 3;
	if (sk_str_starts(s, "RTMIN+") && sk_parse_u32(s + 6, &v) == 0 && v <= RT_MAX - RT_MIN) {
		*ret = RT_MIN + (int)v;
		return 0;
	}
	for (int i = 1; i < RT_MIN; i++) {
		const char *name = sigabbrev_np(i);

		if (name && sk_streq(name, s)) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *sk_signal_name(char buf[static 16], int sig)
{
	const char *name = sig > 0 && sig < RT_MIN ? sigabbrev_np(sig) : NULL;

	if (name)
		(void)snprintf(buf, 16, "SIG%s", name);
	else if (sig >= RT_MIN && sig <= RT_MAX)
		(void)snprintf(buf, 16, "SIGRTMIN+%d", sig - RT_MIN);
	else
		(void)snprintf(buf, 16, "%d", sig);
	return buf;
}
