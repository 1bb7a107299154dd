/* SPDX-License-Identifier: Apache-2.0 */
#include "model/backoff.h"

#include "base/macros.h"

void sk_backoff_policy_of(const struct sk_app *app, struct sk_backoff_policy *ret)
{
	*ret = (struct sk_backoff_policy){
		.restart = app->restart,
		.max = app->restart_max,
		.window_ms = app->restart_window_ms,
		.min_ms = app->backoff_min_ms,
		.max_ms = app->backoff_max_ms,
	};
}

static uint64_t longest_ms(const struct sk_backoff_policy *p)
{
	uint64_t max = p->max_ms ? p->max_ms : SK_BACKOFF_MAX_MS;

	return SK_MAX(max, p->min_ms);
}

static uint64_t delay_ms(const struct sk_backoff *b, const struct sk_backoff_policy *p)
{
	uint64_t d = p->min_ms ? p->min_ms : SK_BACKOFF_MIN_MS, max = longest_ms(p);

	for (uint32_t i = 0; i < b->doublings && d < max; i++)
		d = d > max / 2 ? max : d * 2;
	return SK_MIN(d, max);
}

/* The window opens with the first restart of a series, so two numbers are all there is to keep. */
static bool within_bound(struct sk_backoff *b, const struct sk_backoff_policy *p, uint64_t now_ms)
{
	bool over = p->window_ms > 0 && now_ms - b->window_start_ms > p->window_ms;

	if (b->count == 0 || over) {
		b->window_start_ms = now_ms;
		b->count = 0;
	}
	return p->max == 0 || b->count < p->max;
}

enum sk_backoff_verdict sk_backoff_ended(struct sk_backoff *b, const struct sk_backoff_policy *p,
					 uint64_t now_ms, uint64_t ran_ms, bool failed,
					 uint64_t *ret_delay_ms)
{
	if (p->restart == SK_RESTART_NO || (p->restart == SK_RESTART_ON_FAILURE && !failed))
		return SK_BACKOFF_STAY_DOWN;
	if (ran_ms >= SK_MAX(SK_BACKOFF_RESET_MS, longest_ms(p)))
		b->doublings = 0;
	if (!within_bound(b, p, now_ms))
		return SK_BACKOFF_GIVE_UP;
	*ret_delay_ms = delay_ms(b, p);
	if (b->count < UINT32_MAX)
		b->count++;
	if (b->doublings < 64)
		b->doublings++;
	return SK_BACKOFF_RESTART;
}
