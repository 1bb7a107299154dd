/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/core/sweep.h"
#include "hub/db/expiry.h"

#include "base/log.h"
#include "base/macros.h"

#define ROUND_EVERY_S	3600
#define DAY_S		86400ll
#define EXPIRED_SHOWN_S (30 * DAY_S) /* how long owners see that an enrolment token has expired */

static int64_t before(const struct sk_hub_config *c, enum sk_expiry what, int64_t now_s)
{
	switch (what) {
	case SK_EXPIRY_ENROLMENTS:
		return now_s - EXPIRED_SHOWN_S;
	case SK_EXPIRY_WAITING:
		return now_s - c->pending_keep_days * DAY_S;
	case SK_EXPIRY_LOGS:
		return now_s - c->logs_keep_days * DAY_S;
	case SK_EXPIRY_JOBS:
		return now_s - c->jobs_keep_days * DAY_S;
	case SK_EXPIRY_AUDIT:
		return now_s - c->audit_keep_days * DAY_S;
	case SK_EXPIRY_SESSIONS:
	case SK_EXPIRY_TOKENS:
	default:
		return now_s;
	}
}

static int remove_some(struct sk_sweep *s, const struct sk_hub_config *config, struct sk_db *db,
		       int64_t now_s, struct sk_err *err)
{
	enum sk_expiry what = (enum sk_expiry)s->what;
	struct sk_expiry_place place = s->place;
	struct sk_conn *c;
	int n, r = sk_db_begin(db, &c, err);

	if (r < 0)
		return r;
	n = c->expiry->remove_some(c, what, before(config, what, now_s), &place, err);
	if (n <= 0) {
		sk_db_rollback(c);
		return n;
	}
	r = sk_db_commit(c, err);
	if (r == 0)
		s->place = place;
	return r < 0 ? r : n;
}

void sk_sweep_step(struct sk_sweep *s, const struct sk_hub_config *config, struct sk_db *db,
		   int64_t now_s)
{
	struct sk_err err = SK_ERR_INIT;
	int n;

	/* After the clock was set back, next_s may be far ahead: do not wait longer than a round. */
	if (now_s < s->next_s && s->next_s - now_s <= ROUND_EVERY_S)
		return;
	n = remove_some(s, config, db, now_s, &err);
	if (n > 0)
		return;
	if (n < 0)
		sk_warning("cannot remove what is over: %s", err.text);
	/* Nothing more of this kind, or it failed: the next one, and this one again in the next round. */
	s->place = (struct sk_expiry_place){ 0 };
	s->what = (s->what + 1) % SK_EXPIRIES;
	s->next_s = s->what == 0 ? now_s + ROUND_EVERY_S : 0;
}
