/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/generation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken is written again as the same bytes; the machine keeps to its table from there. */
static void check(const struct sk_generation *g, const struct sk_buf *text)
{
	_cleanup_buf_ struct sk_buf again = SK_BUF(SK_GEN_RECORD_MAX);
	struct sk_generation moved = *g;
	unsigned actions;

	if (sk_gen_encode(g, &again) < 0 || again.len != text->len ||
	    memcmp(again.data, text->data, text->len) != 0)
		abort();
	if (sk_gen_step(&moved, sk_gen_boot_event(g), g->reason, 0, &actions) < 0 ||
	    !sk_gen_text_ok(moved.reason))
		abort();
}

static void check_link(const struct sk_gen_link *l, const struct sk_buf *text)
{
	_cleanup_buf_ struct sk_buf again = SK_BUF(SK_GEN_RECORD_MAX);

	if (sk_gen_link_encode(l, &again) < 0 || again.len != text->len ||
	    memcmp(again.data, text->data, text->len) != 0)
		abort();
}

/* The bytes as they are, and with the right sum behind them, which no fuzzer guesses. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buf_ struct sk_buf text = SK_BUF(SK_GEN_RECORD_MAX + 128);
	struct sk_generation g;
	struct sk_gen_link link;
	struct sk_digest d;

	(void)sk_gen_link_decode((const char *)data, size, &link);
	(void)sk_gen_decode((const char *)data, size, &g);
	if (sk_buf_add(&text, data, size) < 0 || sk_digest_of(data, size, &d) < 0 ||
	    sk_buf_addf(&text, "sha256 %s\n", SK_DIGEST_STR(&d)) < 0)
		return 0;
	if (sk_gen_decode(text.data, text.len, &g) == 0)
		check(&g, &text);
	if (sk_gen_link_decode(text.data, text.len, &link) == 0)
		check_link(&link, &text);
	return 0;
}
