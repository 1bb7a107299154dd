/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/*
 * The life of one capsule as a table: (state, event) -> (state, action). Pure; the engine feeds
 * events and carries out the actions. At most one thing of a capsule is under way at any time, so
 * none is ever run twice; what somebody wants of it meanwhile is only its goal, and
 * sk_cap_toward() returns the next event on the way there.
 */
enum sk_cap_state {
	SK_CAP_NEW,	  /* a record; nothing is mounted, nothing runs */
	SK_CAP_PREPARING, /* being mounted and created */
	SK_CAP_PREPARED,  /* held at its first instruction */
	SK_CAP_STARTING,  /* asked to run, not confirmed yet */
	SK_CAP_RUNNING,
	SK_CAP_STOPPING,   /* signalled; SIGKILL follows after the grace time */
	SK_CAP_CLEANING,   /* ended; what it held is being given back */
	SK_CAP_EXITED,	   /* ended; nothing is mounted */
	SK_CAP_BACKOFF,	   /* as EXITED, until its restart is due */
	SK_CAP_FAILED,	   /* as EXITED; its restarts are used up */
	SK_CAP_DESTROYING, /* its files are being removed */
	SK_CAP_GONE,
	SK_CAP_N_STATES,
};

enum sk_cap_event {
	SK_CAP_EV_NONE,
	SK_CAP_EV_PREPARE,
	SK_CAP_EV_CREATED,
	SK_CAP_EV_START,
	SK_CAP_EV_STARTED,
	SK_CAP_EV_STEP_FAILED, /* creating or starting did not work */
	SK_CAP_EV_STOP,
	SK_CAP_EV_KILL,
	SK_CAP_EV_DIED,
	SK_CAP_EV_CLEAN,   /* give up what is prepared */
	SK_CAP_EV_CLEANED, /* and it stays down */
	SK_CAP_EV_RETRY,   /* cleaned, and it is to be restarted */
	SK_CAP_EV_GIVE_UP, /* cleaned, and its restarts are used up */
	SK_CAP_EV_DUE,	   /* the back-off is over */
	SK_CAP_EV_DESTROY,
	SK_CAP_EV_DESTROYED,
};

enum sk_cap_action {
	SK_CAP_DO_NOTHING,
	SK_CAP_DO_CREATE,  /* mount, create; ends in CREATED or STEP_FAILED */
	SK_CAP_DO_START,   /* ends in STARTED, STEP_FAILED or DIED */
	SK_CAP_DO_STOP,	   /* stop signal, timer for SIGKILL; ends in DIED */
	SK_CAP_DO_KILL,	   /* SIGKILL; ends in DIED */
	SK_CAP_DO_CLEAN,   /* delete, unmount; ends in CLEANED, RETRY or GIVE_UP */
	SK_CAP_DO_WAIT,	   /* timer; ends in DUE */
	SK_CAP_DO_DESTROY, /* remove all files; ends in DESTROYED */
	SK_CAP_DO_FORGET,
};

enum sk_cap_goal {
	SK_CAP_GOAL_STOPPED,
	SK_CAP_GOAL_PREPARED,
	SK_CAP_GOAL_RUNNING,
	SK_CAP_GOAL_GONE,
	SK_CAP_N_GOALS,
};

struct sk_cap_transition {
	enum sk_cap_state from;
	enum sk_cap_event event;
	enum sk_cap_state to;
	enum sk_cap_action action;
};

/** sk_cap_step() - the table's row; NULL when @event cannot happen in @state. */
const struct sk_cap_transition *sk_cap_step(enum sk_cap_state state, enum sk_cap_event event);

/** sk_cap_toward() - the event that leads on to @goal; NONE when there, or while waiting. */
enum sk_cap_event sk_cap_toward(enum sk_cap_state state, enum sk_cap_goal goal);

/** sk_cap_reached() - is @state what @goal asks for? (RUNNING is beyond PREPARED.) */
bool sk_cap_reached(enum sk_cap_state state, enum sk_cap_goal goal);

/** sk_cap_live() - may a process of the capsule exist in this state? */
bool sk_cap_live(enum sk_cap_state state);

const char *sk_cap_state_name(enum sk_cap_state s);
