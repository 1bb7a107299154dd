/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/retry.h"

void sk_retry_reset(struct sk_retry *r)
{
	r->next_ms = 0;
}

uint64_t sk_retry_next(struct sk_retry *r, uint32_t random)
{
	uint64_t base = r->next_ms ? r->next_ms : r->min_ms;

	if (base > r->max_ms)
		base = r->max_ms;
	r->next_ms = base > r->max_ms / 2 ? r->max_ms : base * 2;
	return base / 2 + (base / 2) * random / UINT32_MAX;
}
