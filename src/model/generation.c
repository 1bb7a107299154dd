/* SPDX-License-Identifier: Apache-2.0 */
#include "model/generation.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"

const char *sk_gen_state_name(enum sk_gen_state s)
{
	static const char *const names[SK_GEN_STATES] = {
		[SK_GEN_STAGED] = "staged",
		[SK_GEN_TRYING] = "trying",
		[SK_GEN_GOOD] = "good",
		[SK_GEN_BAD] = "bad",
	};

	return s < SK_GEN_STATES ? names[s] : "?";
}

const char *sk_gen_event_name(enum sk_gen_event e)
{
	static const char *const names[SK_GEN_EVENTS] = {
		[SK_GEN_EV_APPLY] = "apply",	 [SK_GEN_EV_BOOT] = "boot",
		[SK_GEN_EV_HEALTHY] = "healthy", [SK_GEN_EV_UNHEALTHY] = "unhealthy",
		[SK_GEN_EV_CANCEL] = "cancel",	 [SK_GEN_EV_BOOTS_SPENT] = "boots-spent",
		[SK_GEN_EV_REBOOT] = "reboot",
	};

	return e < SK_GEN_EVENTS ? names[e] : "?";
}

/* Internal: the boot counter goes up by one. Not an action for the driver. */
#define SPEND_BOOT (1u << 16)

#define SAVE	  SK_GEN_ACT_SAVE
#define FORGET	  SK_GEN_ACT_FORGET
#define SWITCH	  SK_GEN_ACT_SWITCH
#define LINK	  SK_GEN_ACT_LINK
#define FALL_BACK SK_GEN_ACT_FALL_BACK

/* The whole machine. What is not here cannot happen. docs/explanation/generations.md draws it. */
static const struct transition {
	enum sk_gen_state from;
	enum sk_gen_event event;
	enum sk_gen_state to;
	unsigned actions;
} table[] = {
	/* clang-format off */
	{ SK_GEN_STAGED, SK_GEN_EV_APPLY,       SK_GEN_TRYING, SAVE | SWITCH      },
	{ SK_GEN_STAGED, SK_GEN_EV_BOOT,        SK_GEN_STAGED, 0                  },
	{ SK_GEN_STAGED, SK_GEN_EV_CANCEL,      SK_GEN_BAD,    SAVE               },
	{ SK_GEN_TRYING, SK_GEN_EV_BOOT,        SK_GEN_TRYING, SAVE | SPEND_BOOT  },
	{ SK_GEN_TRYING, SK_GEN_EV_HEALTHY,     SK_GEN_GOOD,   SAVE | LINK        },
	{ SK_GEN_TRYING, SK_GEN_EV_UNHEALTHY,   SK_GEN_BAD,    SAVE | FALL_BACK   },
	{ SK_GEN_TRYING, SK_GEN_EV_CANCEL,      SK_GEN_BAD,    SAVE | FALL_BACK   },
	{ SK_GEN_TRYING, SK_GEN_EV_BOOTS_SPENT, SK_GEN_BAD,    SAVE | FALL_BACK   },
	{ SK_GEN_TRYING, SK_GEN_EV_REBOOT,      SK_GEN_BAD,    SAVE | FALL_BACK   },
	{ SK_GEN_GOOD,   SK_GEN_EV_BOOT,        SK_GEN_GOOD,   0                  },
	{ SK_GEN_GOOD,   SK_GEN_EV_REBOOT,      SK_GEN_GOOD,   FORGET | FALL_BACK },
	{ SK_GEN_BAD,    SK_GEN_EV_BOOT,        SK_GEN_BAD,    0                  },
	/* clang-format on */
};

static const struct transition *transition_find(enum sk_gen_state from, enum sk_gen_event ev)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].from == from && table[i].event == ev)
			return &table[i];
	return NULL;
}

bool sk_gen_allowed(enum sk_gen_state s, enum sk_gen_event ev)
{
	return transition_find(s, ev) != NULL;
}

/* One line: it goes to terminals, logs and JSON, and may quote what a failing program printed. */
static void set_reason(struct sk_generation *g, const char *reason)
{
	(void)snprintf(g->reason, sizeof(g->reason), "%s", reason);
	sk_text_clean(g->reason, "");
}

/* The one setter of a state. */
static void make_move(struct sk_generation *g, const struct transition *t)
{
	if (g->state != t->to)
		sk_debug("gen %llu: %s -> %s", (unsigned long long)g->number,
			 sk_gen_state_name(g->state), sk_gen_state_name(t->to));
	g->state = t->to;
	if (t->actions & SPEND_BOOT)
		g->boots++;
}

int sk_gen_step(struct sk_generation *g, enum sk_gen_event ev, const char *reason, int64_t now_s,
		unsigned *actions)
{
	const struct transition *t = transition_find(g->state, ev);

	if (!t)
		return -EINVAL;
	make_move(g, t);
	if (t->actions & SAVE)
		g->changed_s = now_s;
	if (t->to == SK_GEN_BAD && (t->actions & SAVE) && reason)
		set_reason(g, reason);
	*actions = t->actions & ~SPEND_BOOT;
	/* One that a reboot ends is never what a reboot leads to. */
	if (g->ephemeral)
		*actions &= ~(unsigned)LINK;
	return 0;
}

enum sk_gen_event sk_gen_boot_event(const struct sk_generation *g)
{
	bool ran = g->state == SK_GEN_TRYING || g->state == SK_GEN_GOOD;

	if (g->ephemeral && ran)
		return SK_GEN_EV_REBOOT;
	if (g->state == SK_GEN_TRYING && g->boots >= g->boots_max)
		return SK_GEN_EV_BOOTS_SPENT;
	return SK_GEN_EV_BOOT;
}

int sk_gen_pick_good(const struct sk_generation *all, size_t n, bool lasting)
{
	while (n-- > 0)
		if (all[n].state == SK_GEN_GOOD && !(lasting && all[n].ephemeral))
			return (int)n;
	return -1;
}

int sk_gen_pick_running(const struct sk_generation *all, size_t n)
{
	for (size_t i = n; i-- > 0;)
		if (all[i].state == SK_GEN_TRYING)
			return (int)i;
	return sk_gen_pick_good(all, n, false);
}
