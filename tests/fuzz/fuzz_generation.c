/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/generation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken is written again as the same bytes; the machine keeps to its table from there. */
static void check(const struct sk_generation *g, const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(2 * SK_GEN_RECORD_MAX);
	struct sk_generation again, moved = *g;
	unsigned actions;

	if (sk_gen_encode(g, &b) < 0 || b.len < size || memcmp(b.data, data, size) != 0)
		abort();
	if (sk_gen_decode(b.data, b.len, &again) < 0 || memcmp(&again, g, sizeof(again)) != 0)
		abort();
	if (sk_gen_step(&moved, sk_gen_boot_event(g), g->reason, 0, &actions) < 0 ||
	    !sk_gen_text_ok(moved.reason))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sk_generation g;
	struct sk_gen_link link;

	/* Zeroed, so that whole structs can be compared. */
	memset(&g, 0, sizeof(g));
	(void)sk_gen_link_decode((const char *)data, size, &link);
	(void)sk_gen_decode((const char *)data, size, &g);
	/* Without the sum, which a fuzzer cannot guess. */
	memset(&g, 0, sizeof(g));
	if (sk_gen_decode_body((const char *)data, size, &g) == 0)
		check(&g, data, size);
	return 0;
}
