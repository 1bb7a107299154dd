/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/file.h"
#include "cli/manifest/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is let through has no /incbin/ outside quotes and comments; here: none where there are neither. */
static bool hides_incbin(const char *text)
{
	return strstr(text, "/incbin/") && !strpbrk(text, "\"'") && !strstr(text, "//") &&
	       !strstr(text, "/*");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("dts", MFD_CLOEXEC);
	_cleanup_free_ char *text = strndup((const char *)data, size);
	char path[64];
	_cleanup_(sk_source_done) struct sk_source s = { .path = path };
	struct sk_err err = SK_ERR_INIT;
	int r;

	if (fd < 0 || sk_fd_write(fd, data, size) < 0)
		abort();
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = sk_dts_scan(&s, &err);
	if (r == 0 ? s.mistakes.n > 0 || hides_incbin(text) : s.mistakes.n == 0 || !err.text[0])
		abort();
	return 0;
}
