/* SPDX-License-Identifier: Apache-2.0 */
#include "model/capsule_state.h"

#include <stddef.h>

#include "base/macros.h"

static const struct sk_cap_transition table[] = {
	/* clang-format off */
	/* from               event                   to                  action             */
	{ SK_CAP_NEW,         SK_CAP_EV_PREPARE,      SK_CAP_PREPARING,   SK_CAP_DO_CREATE  },
	{ SK_CAP_NEW,         SK_CAP_EV_DESTROY,      SK_CAP_DESTROYING,  SK_CAP_DO_DESTROY },
	{ SK_CAP_EXITED,      SK_CAP_EV_PREPARE,      SK_CAP_PREPARING,   SK_CAP_DO_CREATE  },
	{ SK_CAP_EXITED,      SK_CAP_EV_DESTROY,      SK_CAP_DESTROYING,  SK_CAP_DO_DESTROY },
	{ SK_CAP_FAILED,      SK_CAP_EV_PREPARE,      SK_CAP_PREPARING,   SK_CAP_DO_CREATE  },
	{ SK_CAP_FAILED,      SK_CAP_EV_DESTROY,      SK_CAP_DESTROYING,  SK_CAP_DO_DESTROY },

	{ SK_CAP_PREPARING,   SK_CAP_EV_CREATED,      SK_CAP_PREPARED,    SK_CAP_DO_NOTHING },
	{ SK_CAP_PREPARING,   SK_CAP_EV_STEP_FAILED,  SK_CAP_CLEANING,    SK_CAP_DO_CLEAN   },
	{ SK_CAP_PREPARING,   SK_CAP_EV_CLEAN,        SK_CAP_CLEANING,    SK_CAP_DO_CLEAN   },

	{ SK_CAP_PREPARED,    SK_CAP_EV_START,        SK_CAP_STARTING,    SK_CAP_DO_START   },
	{ SK_CAP_PREPARED,    SK_CAP_EV_CLEAN,        SK_CAP_CLEANING,    SK_CAP_DO_CLEAN   },
	{ SK_CAP_PREPARED,    SK_CAP_EV_DIED,         SK_CAP_CLEANING,    SK_CAP_DO_CLEAN   },

	{ SK_CAP_STARTING,    SK_CAP_EV_STARTED,      SK_CAP_RUNNING,     SK_CAP_DO_NOTHING },
	{ SK_CAP_STARTING,    SK_CAP_EV_STEP_FAILED,  SK_CAP_CLEANING,    SK_CAP_DO_CLEAN   },
	{ SK_CAP_STARTING,    SK_CAP_EV_DIED,         SK_CAP_CLEANING,    SK_CAP_DO_CLEAN   },

	{ SK_CAP_RUNNING,     SK_CAP_EV_STOP,         SK_CAP_STOPPING,    SK_CAP_DO_STOP    },
	{ SK_CAP_RUNNING,     SK_CAP_EV_KILL,         SK_CAP_STOPPING,    SK_CAP_DO_KILL    },
	{ SK_CAP_RUNNING,     SK_CAP_EV_DIED,         SK_CAP_CLEANING,    SK_CAP_DO_CLEAN   },

	{ SK_CAP_STOPPING,    SK_CAP_EV_KILL,         SK_CAP_STOPPING,    SK_CAP_DO_KILL    },
	{ SK_CAP_STOPPING,    SK_CAP_EV_DIED,         SK_CAP_CLEANING,    SK_CAP_DO_CLEAN   },

	{ SK_CAP_CLEANING,    SK_CAP_EV_CLEANED,      SK_CAP_EXITED,      SK_CAP_DO_NOTHING },
	{ SK_CAP_CLEANING,    SK_CAP_EV_RETRY,        SK_CAP_BACKOFF,     SK_CAP_DO_WAIT    },
	{ SK_CAP_CLEANING,    SK_CAP_EV_GIVE_UP,      SK_CAP_FAILED,      SK_CAP_DO_NOTHING },

	{ SK_CAP_BACKOFF,     SK_CAP_EV_DUE,          SK_CAP_EXITED,      SK_CAP_DO_NOTHING },

	{ SK_CAP_DESTROYING,  SK_CAP_EV_DESTROYED,    SK_CAP_GONE,        SK_CAP_DO_FORGET  },
	/* clang-format on */
};

const struct sk_cap_transition *sk_cap_step(enum sk_cap_state state, enum sk_cap_event event)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].from == state && table[i].event == event)
			return &table[i];
	return NULL;
}

/* Any other state waits: an action is under way whose end is an event. */
static const enum sk_cap_event toward[SK_CAP_N_GOALS][SK_CAP_N_STATES] = {
	[SK_CAP_GOAL_STOPPED] = {
		[SK_CAP_PREPARED] = SK_CAP_EV_CLEAN,
		[SK_CAP_RUNNING] = SK_CAP_EV_STOP,
		[SK_CAP_BACKOFF] = SK_CAP_EV_DUE,
	},
	[SK_CAP_GOAL_PREPARED] = {
		[SK_CAP_NEW] = SK_CAP_EV_PREPARE,
		[SK_CAP_EXITED] = SK_CAP_EV_PREPARE,
		[SK_CAP_FAILED] = SK_CAP_EV_PREPARE,
		[SK_CAP_BACKOFF] = SK_CAP_EV_DUE,
	},
	[SK_CAP_GOAL_RUNNING] = {
		[SK_CAP_NEW] = SK_CAP_EV_PREPARE,
		[SK_CAP_EXITED] = SK_CAP_EV_PREPARE,
		[SK_CAP_FAILED] = SK_CAP_EV_PREPARE,
		[SK_CAP_PREPARED] = SK_CAP_EV_START,
	},
	[SK_CAP_GOAL_GONE] = {
		[SK_CAP_NEW] = SK_CAP_EV_DESTROY,
		[SK_CAP_EXITED] = SK_CAP_EV_DESTROY,
		[SK_CAP_FAILED] = SK_CAP_EV_DESTROY,
		[SK_CAP_BACKOFF] = SK_CAP_EV_DUE,
		[SK_CAP_PREPARING] = SK_CAP_EV_CLEAN,
		[SK_CAP_PREPARED] = SK_CAP_EV_CLEAN,
		[SK_CAP_RUNNING] = SK_CAP_EV_KILL,
	},
};

enum sk_cap_event sk_cap_toward(enum sk_cap_state state, enum sk_cap_goal goal)
{
	return toward[goal][state];
}

bool sk_cap_reached(enum sk_cap_state state, enum sk_cap_goal goal)
{
	switch (goal) {
	case SK_CAP_GOAL_STOPPED:
		return state == SK_CAP_NEW || state == SK_CAP_EXITED || state == SK_CAP_FAILED ||
		       state == SK_CAP_GONE;
	case SK_CAP_GOAL_PREPARED:
		return state == SK_CAP_PREPARED || state == SK_CAP_RUNNING;
	case SK_CAP_GOAL_RUNNING:
		return state == SK_CAP_RUNNING;
	case SK_CAP_GOAL_GONE:
		return state == SK_CAP_GONE;
	case SK_CAP_N_GOALS:
		break;
	}
	return false;
}

bool sk_cap_live(enum sk_cap_state state)
{
	return state >= SK_CAP_PREPARING && state <= SK_CAP_CLEANING;
}

const char *sk_cap_state_name(enum sk_cap_state s)
{
	static const char *const names[SK_CAP_N_STATES] = {
		[SK_CAP_NEW] = "new",
		[SK_CAP_PREPARING] = "preparing",
		[SK_CAP_PREPARED] = "prepared",
		[SK_CAP_STARTING] = "starting",
		[SK_CAP_RUNNING] = "running",
		[SK_CAP_STOPPING] = "stopping",
		[SK_CAP_CLEANING] = "cleaning",
		[SK_CAP_EXITED] = "exited",
		[SK_CAP_BACKOFF] = "backoff",
		[SK_CAP_FAILED] = "failed",
		[SK_CAP_DESTROYING] = "destroying",
		[SK_CAP_GONE] = "gone",
	};

	return s < SK_CAP_N_STATES ? names[s] : "?";
}
