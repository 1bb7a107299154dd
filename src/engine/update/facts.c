/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/timex.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/update/private.h"

static bool kernel_synchronised(void)
{
	struct timex tx = { 0 };
	int state = adjtimex(&tx);

	return state >= 0 && state != TIME_ERROR && !(tx.status & STA_UNSYNC);
}

bool sk_update_clock_trusted(const struct sk_update *u)
{
	if (u->clock == SK_CLOCK_UNTRUSTED)
		return false;
	/* Time does not go back behind what runs here already. */
	if (u->good && sk_wall_s() < u->good->manifest->created_s)
		return false;
	return u->clock == SK_CLOCK_TRUSTED || kernel_synchronised();
}

int64_t sk_update_now_s(const struct sk_update *u)
{
	return sk_update_clock_trusted(u) ? sk_wall_s() : 0;
}

void sk_update_facts(const struct sk_update *u, struct sk_device_facts *ret)
{
	const struct sk_generation *floor = sk_generations_floor(u->gens);

	*ret = (struct sk_device_facts){
		.compatible = u->compatible,
		.project = floor && floor->project[0] ? floor->project : NULL,
		.version = floor ? floor->version : NULL,
		.has_os_slots = u->has_os_slots,
		.now_s = sk_update_now_s(u),
	};
}

int sk_update_trust(struct sk_update *u, struct sk_err *err)
{
	int r;

	if (!u->trust)
		return sk_trust_load(u->trust_dir, &u->trust, err);
	r = sk_trust_refresh(&u->trust, err);
	if (r > 0)
		sk_notice("%s has changed and was read again", u->trust_dir);
	return SK_MIN(r, 0);
}
