/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "base/macros.h"
#include "cli/manifest/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Files beside it are not read here: see fuzz_variables.c. A Compose file is either refused with a mistake, or becomes source; never both. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(sk_source_done) struct sk_source s = { .path = "/nonexistent/compose.yaml" };
	struct sk_err err = SK_ERR_INIT;
	int r = sk_compose_to_dts((const char *)data, size, &s, &err);

	if (r == 0 ? s.mistakes.n > 0 || !s.dts : s.mistakes.n == 0 || s.dts || !err.text[0])
		abort();
	return 0;
}
