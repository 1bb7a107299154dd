/* SPDX-License-Identifier: Apache-2.0 */

/* Lines that a capsule's output became: the monitor's log, an HTTP answer, a mountinfo line */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "engine/runtime/container/log_line.h"
#include "engine/capsule/probe.h"
#include "engine/runtime/container/rootfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = calloc(1, size + 1);
	struct sk_log_line l;
	char small[32];

	if (!text)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	if (sk_log_line_parse(text, size, &l) == 0 &&
	    (l.text < text || l.text + l.len > text + size || l.time_ns >= 1000000000))
		abort();
	if (sk_probe_http_status(text) > 999)
		abort();
	(void)sk_mountinfo_path(text, small, sizeof(small));
	return 0;
}
