/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * How a device goes from one generation to another, and back: pure, table-driven. The machine of
 * engine/update/machine.h feeds events and carries out the actions in the order of their bits, in the daemon
 * and in the simulation. Generations themselves: model/generation.h.
 *
 * An update has parts (capsules, an OS slot, ...). Towards a new generation they are staged and activated in
 * their order; on the way back, and after a restart into a good generation, they are reverted in reverse order
 * to what that one says.
 */
enum sk_upd_state {
	SK_UPD_IDLE,
	SK_UPD_STAGING,	   /* the new is made ready; the old still runs */
	SK_UPD_ACTIVATING, /* the new takes over */
	SK_UPD_SETTLING,   /* the health gate watches the new */
	SK_UPD_REVERTING,  /* towards the newest good generation: after a failure, or a restart */
	SK_UPD_BACK_SETTLING,
	SK_UPD_CONFIRMING, /* what runs is recorded as good: parts give up what they kept to go back to */
	SK_UPD_REBOOTING, /* a part takes over with the next start of the machine; left by that alone */
};

enum sk_upd_event {
	SK_UPD_EV_APPLY,   /* a generation is recorded as the one to try */
	SK_UPD_EV_TRYING,  /* the daemon starts and finds a generation in trying */
	SK_UPD_EV_RESTORE, /* the daemon starts and finds a good one, or none at all */
	SK_UPD_EV_DONE,	   /* all parts did what the state is for */
	SK_UPD_EV_FAILED,  /* one of them could not */
	SK_UPD_EV_REBOOT,  /* one of them did, and it takes a restart of the machine */
	SK_UPD_EV_WELL,	   /* the health gate's verdict, and all parts are active */
	SK_UPD_EV_UNWELL,
};

/* In the order in which they must be carried out. */
enum sk_upd_action {
	SK_UPD_ACT_RECORD_GOOD = 1 << 0, /* on disk before anything else happens */
	SK_UPD_ACT_RECORD_BAD = 1 << 1,
	SK_UPD_ACT_STAGE = 1 << 2,    /* part after part; then DONE or FAILED */
	SK_UPD_ACT_ACTIVATE = 1 << 3, /* part after part; then DONE, FAILED or REBOOT */
	SK_UPD_ACT_REVERT = 1 << 4,   /* the last part first; then DONE, FAILED or REBOOT */
	SK_UPD_ACT_WATCH = 1 << 5,    /* health gate; then WELL or UNWELL */
	SK_UPD_ACT_CONFIRM = 1 << 6,  /* part after part; then DONE or FAILED */
	SK_UPD_ACT_COLLECT = 1 << 7,  /* old generations, releases and images */
	SK_UPD_ACT_REPAIR = 1 << 8,   /* what should run does not: try again later */
	SK_UPD_ACT_REBOOT = 1 << 9,
};

/**
 * sk_upd_next() - the one place that knows what follows what
 * Return: 0 with the new state and actions; -EINVAL when the event means nothing in that state
 */
int sk_upd_next(enum sk_upd_state from, enum sk_upd_event ev, enum sk_upd_state *ret_to,
		unsigned *ret_actions);

const char *sk_upd_state_name(enum sk_upd_state s);
const char *sk_upd_event_name(enum sk_upd_event e);
/**
 * sk_upd_step_name() - the word of the API: "idle", "stopping", "starting", "settling"
 * @starting: the old is stopped, the new begins to start
 */
const char *sk_upd_step_name(enum sk_upd_state s, bool starting);
/** On the way to the newest good generation, not to a new one. */
bool sk_upd_is_back(enum sk_upd_state s);

/* The health gate. */

#define SK_GATE_RESTARTS_MAX 3u

/** What the gate sees of one capsule. */
struct sk_gate_capsule {
	const char *name;
	enum {
		SK_GATE_DOWN,	  /* on its way up, or waiting for a restart */
		SK_GATE_UP,	  /* runs; its health check, if any, is content */
		SK_GATE_PENDING,  /* runs; its health check has not answered yet */
		SK_GATE_FINISHED, /* ended with 0 and is not meant to run again */
		SK_GATE_ENDED,	  /* ended, nothing will start it */
		SK_GATE_SICK,	  /* its health check failed */
		SK_GATE_MISSING,
	} is;
	uint32_t restarts; /* counted by the engine since the capsule was made */
	int exit_code;	   /* of the last run */
	const char *cause; /* last health output or error; may be NULL */
};

/**
 * struct sk_gate - all well for settle_ms in one piece, within timeout_ms
 * Times are of a monotonic clock, in milliseconds.
 */
struct sk_gate {
	uint64_t settle_ms, timeout_ms;
	uint64_t started_ms;
	uint64_t well_since_ms;
	uint64_t restarts_seen; /* sum at the last look */
	uint64_t restarts_first;
	bool well, looked;
};

enum sk_gate_verdict { SK_GATE_WAIT, SK_GATE_WELL, SK_GATE_UNWELL };

void sk_gate_init(struct sk_gate *g, uint64_t settle_ms, uint64_t timeout_ms, uint64_t now_ms);

/**
 * sk_gate_look() - the verdict on what is seen now
 * @ret_next_ms: with SK_GATE_WAIT: look again by then, even if nothing happens
 * @reason: with SK_GATE_UNWELL: which capsule and why, for a person
 */
enum sk_gate_verdict sk_gate_look(struct sk_gate *g, uint64_t now_ms,
				  const struct sk_gate_capsule *caps, size_t n,
				  uint64_t *ret_next_ms, char *reason, size_t reason_size);
