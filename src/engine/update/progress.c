/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/update/progress.h"

#include <stdio.h>

#include "base/clock.h"

void sk_progress_init(struct sk_progress *p)
{
	*p = (struct sk_progress){ .seq = sk_mono_us(), .step = "idle" };
}

void sk_progress_set(struct sk_progress *p, const char *step, const struct sk_generation *gen,
		     const char *reason)
{
	p->step = step;
	p->seq++;
	p->generation = gen ? gen->number : 0;
	p->release = gen ? gen->release : (struct sk_digest){ 0 };
	(void)snprintf(p->version, sizeof(p->version), "%s", gen ? gen->version : "");
	(void)snprintf(p->reason, sizeof(p->reason), "%s", reason);
}

void sk_progress_set_outcome(struct sk_progress *p, const struct sk_generations *gens)
{
	const struct sk_generation *newest = NULL;
	size_t n;
	const struct sk_generation *all = sk_generations_all(gens, &n);

	for (size_t i = 0; i < n; i++)
		if ((all[i].state == SK_GEN_GOOD || all[i].state == SK_GEN_BAD) &&
		    (!newest || all[i].number > newest->number))
			newest = &all[i];
	if (!newest)
		sk_progress_set(p, "idle", NULL, "");
	else if (newest->state == SK_GEN_GOOD)
		sk_progress_set(p, "good", newest, "");
	else
		sk_progress_set(p, "bad", newest, newest->reason);
}
