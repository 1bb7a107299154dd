/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/file.h"
#include "cli/manifest/compose_vars.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever expands stays in its bound; whatever does not is told. */
static void expand(const struct sk_map *vars, const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = strndup((const char *)data, size), *got = NULL;
	char why[SK_VARS_WHY] = "";
	int r = sk_vars_expand(vars, text, &got, why);

	if (r == 0 ? !got || (strchr(text, '$') && strlen(got) > SK_VARS_VALUE_MAX)
		   : r != -EINVAL || got)
		abort();
}

/* The same bytes as a file of variables and as a value in which these stand. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("env", MFD_CLOEXEC);
	_cleanup_(sk_map_freep) struct sk_map *vars = NULL;
	struct sk_mistakes mistakes = { 0 };
	char path[64];
	int r;

	if (fd < 0 || sk_fd_write(fd, data, size) < 0)
		abort();
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = sk_vars_read(path, NULL, &mistakes, &vars);
	if (r == 0 ? !vars || mistakes.n > 0 : vars || mistakes.n == 0)
		abort();
	sk_mistakes_done(&mistakes);
	expand(vars, data, size);
	return 0;
}
