/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"

/*
 * Generations: a device is always in one. Pure, table-driven; the daemon feeds events and carries
 * out the actions, the simulation does the same with power cuts between any two writes.
 */
enum sk_gen_state {
	SK_GEN_STAGED, /* verified, all images in the store, never started */
	SK_GEN_TRYING, /* started; the health gate has not answered yet */
	SK_GEN_GOOD,   /* proved healthy */
	SK_GEN_BAD,    /* failed, never started again by itself */
	SK_GEN_STATES, /* how many there are */
};

enum sk_gen_event {
	SK_GEN_EV_APPLY,
	SK_GEN_EV_BOOT, /* the daemon started while this generation is the one to run */
	SK_GEN_EV_HEALTHY,
	SK_GEN_EV_UNHEALTHY,
	SK_GEN_EV_CANCEL,
	SK_GEN_EV_BOOTS_SPENT, /* as EV_BOOT, but it has had all the boots it may have */
	SK_GEN_EV_REBOOT,      /* the machine restarted under an ephemeral one */
	SK_GEN_EVENTS,	       /* how many there are */
};

/** What the driver does when a move was made. SAVE or FORGET comes first: it is what lasts. */
enum sk_gen_action {
	SK_GEN_ACT_SAVE = 1 << 0,      /* write its record */
	SK_GEN_ACT_FORGET = 1 << 1,    /* remove its record */
	SK_GEN_ACT_SWITCH = 1 << 2,    /* it is what runs from now on */
	SK_GEN_ACT_LINK = 1 << 3,      /* the link to the current generation moves to it */
	SK_GEN_ACT_FALL_BACK = 1 << 4, /* what runs from now on is the newest good one */
};

#define SK_GEN_REASON_MAX 512

/** One generation as it is on disk. */
struct sk_generation {
	uint64_t number; /* 1, 2, 3 …; never used twice */
	struct sk_digest release;
	enum sk_gen_state state;
	bool ephemeral; /* no persistent-boot: gone after a reboot */
	uint32_t boots; /* boots spent in trying */
	uint32_t boots_max;
	int64_t changed_s; /* wall clock of the last change; 0 when the clock was not trusted */
	char project[SK_NAME_MAX + 1]; /* of its release; "" when not known */
	char version[64];
	char reason[SK_GEN_REASON_MAX]; /* why it is bad, for a person */
};

const char *sk_gen_state_name(enum sk_gen_state s);
const char *sk_gen_event_name(enum sk_gen_event e);

/**
 * sk_gen_step() - one move of one generation
 * @g:       changed as a whole or, on failure, not at all
 * @ev:      what happened
 * @reason:  why, for the record of a bad one; NULL when there is nothing to say. Cut at its bound.
 * @now_s:   wall clock, 0 when it is not trusted. Kept for people; nothing is decided by it.
 * @actions: what to do now, enum sk_gen_action
 *
 * Return: 0, or -EINVAL when the table has no such move.
 */
int sk_gen_step(struct sk_generation *g, enum sk_gen_event ev, const char *reason, int64_t now_s,
		unsigned *actions);

/** sk_gen_allowed() - is there such a move? */
bool sk_gen_allowed(enum sk_gen_state s, enum sk_gen_event ev);

/** sk_gen_boot_event() - which event a restart of the machine is for @g. */
enum sk_gen_event sk_gen_boot_event(const struct sk_generation *g);

/*
 * What runs and what was good, from all generations in the order of their numbers. Pure, and by
 * numbers alone: a clock in 1970 changes nothing. All return an index, or -1 for none.
 */

/** The newest trying one, else the newest good one. */
int sk_gen_pick_running(const struct sk_generation *all, size_t n);
/** The newest good one; with @lasting only those that a reboot leaves. */
int sk_gen_pick_good(const struct sk_generation *all, size_t n, bool lasting);

/*
 * Record on disk: text lines "key value" in a fixed order, then "sha256 <hex>" over all before it.
 * Reference: docs/reference/store.md, "Generation records"
 */
#define SK_GEN_RECORD_MAX 4096

/** sk_gen_encode() - appends the record to @out. 0, -EMSGSIZE, -EINVAL (its text) or -ENOMEM. */
int sk_gen_encode(const struct sk_generation *g, struct sk_buf *out);
/** sk_gen_decode() - exactly what sk_gen_encode() makes, else -EBADMSG and @ret is untouched. */
int sk_gen_decode(const char *data, size_t len, struct sk_generation *ret);

/**
 * struct sk_gen_link - which generation is the current one, and which number comes next
 * @current: number of the newest good one that a reboot leaves; 0 for none
 * @next:    never given out yet
 */
struct sk_gen_link {
	uint64_t current;
	uint64_t next;
};
int sk_gen_link_encode(const struct sk_gen_link *l, struct sk_buf *out);
int sk_gen_link_decode(const char *data, size_t len, struct sk_gen_link *ret);

/** sk_gen_text_ok() - no control character: what a record's text may hold. */
bool sk_gen_text_ok(const char *s);
