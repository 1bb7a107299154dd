/* SPDX-License-Identifier: Apache-2.0 */
#include "model/update.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
#define GO_BACK (SK_UPD_ACT_RECORD_BAD | SK_UPD_ACT_REVERT)

static const struct {
	enum sk_upd_state from;
	enum sk_upd_event ev;
	enum sk_upd_state to;
	unsigned actions;
} table[] = {
	{ SK_UPD_IDLE,           SK_UPD_EV_APPLY,   SK_UPD_STAGING,       SK_UPD_ACT_STAGE },
	{ SK_UPD_BACK_SETTLING,  SK_UPD_EV_APPLY,   SK_UPD_STAGING,       SK_UPD_ACT_STAGE },
	{ SK_UPD_IDLE,           SK_UPD_EV_TRYING,  SK_UPD_STAGING,       SK_UPD_ACT_STAGE },
	{ SK_UPD_IDLE,           SK_UPD_EV_RESTORE, SK_UPD_REVERTING,     SK_UPD_ACT_REVERT },

	{ SK_UPD_STAGING,        SK_UPD_EV_DONE,    SK_UPD_ACTIVATING,    SK_UPD_ACT_ACTIVATE },
	{ SK_UPD_STAGING,        SK_UPD_EV_FAILED,  SK_UPD_REVERTING,     GO_BACK },
	{ SK_UPD_ACTIVATING,     SK_UPD_EV_DONE,    SK_UPD_SETTLING,      SK_UPD_ACT_WATCH },
	{ SK_UPD_ACTIVATING,     SK_UPD_EV_FAILED,  SK_UPD_REVERTING,     GO_BACK },
	{ SK_UPD_ACTIVATING,     SK_UPD_EV_REBOOT,  SK_UPD_REBOOTING,     SK_UPD_ACT_REBOOT },
	{ SK_UPD_SETTLING,       SK_UPD_EV_WELL,    SK_UPD_CONFIRMING,    SK_UPD_ACT_RECORD_GOOD | SK_UPD_ACT_CONFIRM },
	{ SK_UPD_SETTLING,       SK_UPD_EV_UNWELL,  SK_UPD_REVERTING,     GO_BACK },

	/* Back: there is nothing further to fall to, so a failure is skipped and tried again. */
	{ SK_UPD_REVERTING,      SK_UPD_EV_DONE,    SK_UPD_BACK_SETTLING, SK_UPD_ACT_WATCH },
	{ SK_UPD_REVERTING,      SK_UPD_EV_FAILED,  SK_UPD_BACK_SETTLING, SK_UPD_ACT_WATCH },
	{ SK_UPD_REVERTING,      SK_UPD_EV_REBOOT,  SK_UPD_REBOOTING,     SK_UPD_ACT_REBOOT },
	{ SK_UPD_BACK_SETTLING,  SK_UPD_EV_WELL,    SK_UPD_CONFIRMING,    SK_UPD_ACT_CONFIRM },
	{ SK_UPD_BACK_SETTLING,  SK_UPD_EV_UNWELL,  SK_UPD_CONFIRMING,    SK_UPD_ACT_CONFIRM },

	{ SK_UPD_CONFIRMING,     SK_UPD_EV_DONE,    SK_UPD_IDLE,          SK_UPD_ACT_COLLECT },
	{ SK_UPD_CONFIRMING,     SK_UPD_EV_FAILED,  SK_UPD_IDLE,          SK_UPD_ACT_COLLECT | SK_UPD_ACT_REPAIR },
};
/* clang-format on */

int sk_upd_next(enum sk_upd_state from, enum sk_upd_event ev, enum sk_upd_state *ret_to,
		unsigned *ret_actions)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].from != from || table[i].ev != ev)
			continue;
		*ret_to = table[i].to;
		*ret_actions = table[i].actions;
		return 0;
	}
	return -EINVAL;
}

const char *sk_upd_state_name(enum sk_upd_state s)
{
	static const char *const names[] = {
		[SK_UPD_IDLE] = "idle",
		[SK_UPD_STAGING] = "staging",
		[SK_UPD_ACTIVATING] = "activating",
		[SK_UPD_SETTLING] = "settling",
		[SK_UPD_REVERTING] = "reverting",
		[SK_UPD_BACK_SETTLING] = "back-settling",
		[SK_UPD_CONFIRMING] = "confirming",
		[SK_UPD_REBOOTING] = "rebooting",
	};

	return names[s];
}

const char *sk_upd_event_name(enum sk_upd_event e)
{
	static const char *const names[] = {
		[SK_UPD_EV_APPLY] = "apply",	 [SK_UPD_EV_TRYING] = "trying",
		[SK_UPD_EV_RESTORE] = "restore", [SK_UPD_EV_DONE] = "done",
		[SK_UPD_EV_FAILED] = "failed",	 [SK_UPD_EV_REBOOT] = "reboot",
		[SK_UPD_EV_WELL] = "well",	 [SK_UPD_EV_UNWELL] = "unwell",
	};

	return names[e];
}

const char *sk_upd_step_name(enum sk_upd_state s, bool starting)
{
	switch (s) {
	case SK_UPD_IDLE:
		return "idle";
	case SK_UPD_STAGING:
	case SK_UPD_ACTIVATING:
	case SK_UPD_REVERTING:
		return starting ? "starting" : "stopping";
	case SK_UPD_REBOOTING:
		return "stopping";
	case SK_UPD_SETTLING:
	case SK_UPD_BACK_SETTLING:
	case SK_UPD_CONFIRMING:
		return "settling";
	}
	return "idle";
}

bool sk_upd_is_back(enum sk_upd_state s)
{
	return s == SK_UPD_REVERTING || s == SK_UPD_BACK_SETTLING;
}

void sk_gate_init(struct sk_gate *g, uint64_t settle_ms, uint64_t timeout_ms, uint64_t now_ms)
{
	*g = (struct sk_gate){
		.settle_ms = settle_ms,
		/* A time-out shorter than the settle time would make each release fail. */
		.timeout_ms = timeout_ms > settle_ms ? timeout_ms : settle_ms + 1000,
		.started_ms = now_ms,
	};
}

static bool is_well(const struct sk_gate_capsule *c)
{
	return c->is == SK_GATE_UP || c->is == SK_GATE_FINISHED;
}

/* It does not become well by itself. */
static bool is_lost(const struct sk_gate_capsule *c)
{
	return c->is == SK_GATE_ENDED || c->is == SK_GATE_SICK || c->is == SK_GATE_MISSING;
}

static void gate_explain(const struct sk_gate_capsule *c, bool late, char *buf, size_t size)
{
	const char *cause = c->cause && c->cause[0] ? c->cause : NULL;
	const char *sep = cause ? ": " : "";

	if (c->is == SK_GATE_MISSING)
		(void)snprintf(buf, size, "capsule %s is gone", c->name);
	else if (c->is == SK_GATE_SICK)
		(void)snprintf(buf, size, "capsule %s is unhealthy%s%s", c->name, sep, cause ?: "");
	else if (late && c->is == SK_GATE_PENDING)
		(void)snprintf(buf, size, "capsule %s did not become healthy in time%s%s", c->name,
			       sep, cause ?: "");
	else if (c->restarts > 0 || c->is == SK_GATE_ENDED)
		(void)snprintf(buf, size, "capsule %s ended with exit code %d%s%s", c->name,
			       c->exit_code, sep, cause ?: "");
	else
		(void)snprintf(buf, size, "capsule %s did not come up in time%s%s", c->name, sep,
			       cause ?: "");
}

/* The capsule that is named in the reason: one that is not well, else the one that restarts most. */
static const struct sk_gate_capsule *gate_at_fault(const struct sk_gate_capsule *caps, size_t n)
{
	const struct sk_gate_capsule *worst = NULL;

	for (size_t i = 0; i < n; i++)
		if (is_lost(&caps[i]))
			return &caps[i];
	for (size_t i = 0; i < n; i++)
		if (!is_well(&caps[i]))
			return &caps[i];
	for (size_t i = 0; i < n; i++)
		if (!worst || caps[i].restarts > worst->restarts)
			worst = &caps[i];
	return worst;
}

static uint64_t sum_restarts(const struct sk_gate_capsule *caps, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += caps[i].restarts;
	return sum;
}

static bool all_well(const struct sk_gate_capsule *caps, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_well(&caps[i]))
			return false;
	return true;
}

static bool any_lost(const struct sk_gate_capsule *caps, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_lost(&caps[i]))
			return true;
	return false;
}

/* Keeps well_since_ms: since when all were well in one piece, without a restart. */
static void gate_note(struct sk_gate *g, uint64_t now_ms, const struct sk_gate_capsule *caps,
		      size_t n)
{
	uint64_t restarts = sum_restarts(caps, n);
	bool restarted = g->looked && restarts != g->restarts_seen;

	if (!g->looked)
		g->restarts_first = restarts;
	g->looked = true;
	g->restarts_seen = restarts;
	if (!all_well(caps, n)) {
		g->well = false;
	} else if (!g->well || restarted) {
		g->well = true;
		g->well_since_ms = now_ms;
	}
}

enum sk_gate_verdict sk_gate_look(struct sk_gate *g, uint64_t now_ms,
				  const struct sk_gate_capsule *caps, size_t n,
				  uint64_t *ret_next_ms, char *reason, size_t reason_size)
{
	uint64_t end_ms = g->started_ms + g->timeout_ms;
	const struct sk_gate_capsule *who;
	bool late;

	gate_note(g, now_ms, caps, n);
	if (g->well && now_ms - g->well_since_ms >= g->settle_ms)
		return SK_GATE_WELL;
	late = now_ms >= end_ms;
	if (late || any_lost(caps, n) ||
	    g->restarts_seen - g->restarts_first > SK_GATE_RESTARTS_MAX) {
		who = gate_at_fault(caps, n);
		if (who)
			gate_explain(who, late, reason, reason_size);
		else
			(void)snprintf(reason, reason_size, "not settled in time");
		return SK_GATE_UNWELL;
	}
	*ret_next_ms = g->well ? g->well_since_ms + g->settle_ms : end_ms;
	if (*ret_next_ms > end_ms)
		*ret_next_ms = end_ms;
	return SK_GATE_WAIT;
}
