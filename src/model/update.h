/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * How a device goes from one generation to another, and back: pure, table-driven. The daemon
 * feeds events and carries out the actions in the order of their bits; the simulation does the
 * same with the power cut between any two. Generations themselves: model/generation.h.
 *
 * One mechanism serves an upgrade, a boot and the way back: prepare what is missing, stop what
 * does not belong, start what should run, watch it.
 */
enum sk_upd_state {
	SK_UPD_IDLE,
	SK_UPD_PREPARING, /* new capsules are made ready; the old ones still run */
	SK_UPD_STOPPING,
	SK_UPD_STARTING,
	SK_UPD_SETTLING,
	SK_UPD_BACK_PREPARING, /* towards the newest good generation: after a failure, or a boot */
	SK_UPD_BACK_STOPPING,
	SK_UPD_BACK_STARTING,
	SK_UPD_BACK_SETTLING,
};

enum sk_upd_event {
	SK_UPD_EV_APPLY,   /* a staged generation was chosen */
	SK_UPD_EV_TRYING,  /* the daemon starts and finds a generation in trying */
	SK_UPD_EV_RESTORE, /* the daemon starts and finds a good one, or none at all */
	SK_UPD_EV_DONE,	   /* what the state does is done */
	SK_UPD_EV_FAILED,  /* it cannot be done */
	SK_UPD_EV_WELL,	   /* the health gate's verdict */
	SK_UPD_EV_UNWELL,
};

/* In the order in which they must be carried out. */
enum sk_upd_action {
	SK_UPD_ACT_RECORD_TRYING = 1 << 0, /* on disk before anything else happens */
	SK_UPD_ACT_RECORD_GOOD = 1 << 1,
	SK_UPD_ACT_RECORD_BAD = 1 << 2,
	SK_UPD_ACT_PLAN = 1 << 3, /* compare what is there with what the running generation wants */
	SK_UPD_ACT_PREPARE = 1 << 4, /* then DONE or FAILED */
	SK_UPD_ACT_STOP = 1 << 5,    /* reverse start order; then DONE or FAILED */
	SK_UPD_ACT_START = 1 << 6,   /* start order; then DONE or FAILED */
	SK_UPD_ACT_WATCH = 1 << 7,   /* health gate; then WELL or UNWELL */
	SK_UPD_ACT_REMOVE = 1 << 8,  /* capsules that do not belong */
	SK_UPD_ACT_COLLECT = 1 << 9, /* old generations, releases and images */
	SK_UPD_ACT_REPAIR = 1 << 10, /* the way back had failures: try again later */
};

/**
 * sk_upd_next() - the one place that knows what follows what
 * Return: 0 with the new state and actions; -EINVAL when the event means nothing in that state
 */
int sk_upd_next(enum sk_upd_state from, enum sk_upd_event ev, enum sk_upd_state *ret_to,
		unsigned *ret_actions);

const char *sk_upd_state_name(enum sk_upd_state s);
const char *sk_upd_event_name(enum sk_upd_event e);
/** The word of the API: "idle", "stopping", "starting", "settling". */
const char *sk_upd_step_name(enum sk_upd_state s);
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
