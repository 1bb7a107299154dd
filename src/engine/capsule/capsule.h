/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>

#include "engine/capsule/engine.h"
#include "engine/runtime/runtime.h"
#include "model/backoff.h"
#include "model/capsule_state.h"

/* Shared by the files of this folder only. */

#define SK_CAPSULE_ID_LEN  64
#define SK_HEALTH_TEXT_MAX 512

struct sk_health_run;
struct sk_recovery;
struct sk_halt;
struct sk_leftover;
struct sk_capsule_change;

/**
 * struct sk_waiter - a caller's operation, until the capsule is where it asked for
 * @early: it is enough that the capsule is down
 * @note: carries its end to the caller; made with it, so that no end is lost when memory runs out
 */
struct sk_waiter {
	struct sk_waiter *next;
	struct sk_note *note;
	enum sk_cap_goal goal;
	bool early;
	sk_engine_done done;
	void *arg;
	bool failed;
	struct sk_err err;
};

/** struct sk_note - what the loop is to hand on: an event, the end of an operation, or the capsule to free */
struct sk_note {
	struct sk_note *next;
	struct sk_capsule *c;
	const char *event;
	struct sk_waiter *waiter;
	void (*release)(struct sk_capsule *c);
};

/**
 * struct sk_capsule_change - what the state machine of a capsule emits
 * @from: the state before; it is in @c->state now
 *
 * SK_CHANGE_MOVED:   an event was handled: state, goal or results may be others than before
 * SK_CHANGE_FAILED:  a run ended by itself and badly, or is followed by another (@c->after is RETRY
 *		      then); the machine goes on after that, unless the capsule is held
 * SK_CHANGE_REMOVED: its files are about to be removed
 * SK_CHANGE_FREED:   the last that is heard of it
 */
struct sk_capsule_change {
	enum sk_change {
		SK_CHANGE_MOVED,
		SK_CHANGE_FAILED,
		SK_CHANGE_REMOVED,
		SK_CHANGE_FREED
	} what;
	enum sk_cap_state from;
};

/** Called from inside the change, in the order of engine.c's table; may bring about others. */
typedef void (*sk_capsule_observer)(struct sk_capsule *c, const struct sk_capsule_change *change);

struct sk_capsule {
	struct sk_engine *e;
	char id[SK_CAPSULE_ID_LEN + 1];
	struct sk_app app; /* a copy; its image points to @image */
	struct sk_image_ref image;
	char **labels;
	uint64_t generation;
	bool tty, open_stdin, auto_remove;
	unsigned slot;
	char *dir, *disk_dir, *log_path;

	enum sk_cap_state state;
	enum sk_cap_goal goal;
	enum sk_cap_event after; /* CLEANED, RETRY or GIVE_UP: how cleaning ends */
	bool then_run;		 /* a restart: stopped first, then to run */
	bool down;		 /* none of its processes lives; being cleaned */
	bool held;		 /* supervision: not to be started again yet */
	bool unhealthy_kill;	 /* killed because its health check failed */
	bool emit_stop;		 /* it was asked to stop: "stop" follows its "die" */
	uint64_t grace_ms;

	struct sk_backoff backoff;
	uint64_t retry_ms;
	int exit_code;
	bool oom_killed;
	uint32_t restarts;
	int64_t created_s, started_s, finished_s;
	uint64_t started_mono_ms;
	char error[512];

	enum sk_health_state health;
	char health_text[SK_HEALTH_TEXT_MAX];
	struct sk_health_check health_check;
	struct sk_health_run *health_run;

	struct sk_runtime_unit unit;
	sd_event_source *timer; /* grace or back-off */
	struct sk_child *destroyer;
	struct sk_waiter *waiters;
	bool dirty;	 /* the record on disk is older than this */
	bool was_failed; /* by the record */
	bool forgotten;
};

struct sk_engine_watch {
	struct sk_engine *e;
	struct sk_engine_watch *next;
	sk_engine_event_fn fn;
	void *arg;
	bool gone;
};

struct sk_engine {
	sd_event *event;
	struct sk_store *store;
	char *run_dir, *state_dir, *volume_dir, *log_dir;
	uint64_t log_max_bytes;
	struct sk_runtime_env env;
	struct sk_runtimes kinds;
	const sk_capsule_observer *observers; /* of all capsules; ends with NULL */
	struct sk_capsule **v;		      /* in order of creation */
	size_t n;

	struct sk_engine_watch *watches;
	struct sk_note *notes, **notes_end;
	sd_event_source *notes_source;

	struct sk_child *saver;
	sd_event_source *save_timer, *log_timer;
	bool save_is_retry; /* what @save_timer is for */

	struct sk_supervision *supervision;
	size_t n_supervision;
	struct sk_app *supervised; /* names in start order */
	size_t n_supervised;
	struct sk_recovery *recoveries;
	struct sk_leftover *leftovers;
	bool recovering;      /* supervision is being stepped */
	struct sk_halt *halt; /* NULL, or nothing is started any more */
};

/* capsule.c: the state machine and the operations on it */

/** Paths, kind and unit of a capsule whose id, slot and app are set. 0, "not-supported", "out-of-memory" */
int sk_capsule_open(struct sk_capsule *c, struct sk_err *err);
/** Change the goal; operations with another one end with "bad-state". */
void sk_capsule_set_goal(struct sk_capsule *c, enum sk_cap_goal goal);
/** Feed one event, then go on towards the goal. */
void sk_capsule_feed(struct sk_capsule *c, enum sk_cap_event ev);
/** Go on towards the goal: a hold was lifted, or the daemon has come back. */
void sk_capsule_advance(struct sk_capsule *c);
/** It ended: remember how, decide what follows. */
void sk_capsule_ended(struct sk_capsule *c, int exit_code, bool oom_killed);
/** How long it is given to stop unless a caller says otherwise */
uint64_t sk_capsule_own_grace(const struct sk_capsule *c);
/** Kill it for its health's sake; the restart policy decides what follows. */
void sk_capsule_kill_unhealthy(struct sk_capsule *c);
/** Stop it and leave its goal as it is: a later daemon starts it again. */
void sk_capsule_stop_for_now(struct sk_capsule *c);
void sk_capsule_free(struct sk_capsule *c);

/* list.c */
int sk_engine_add(struct sk_engine *e, struct sk_capsule *c);
/** The capsule of the running release with this name, or NULL. */
struct sk_capsule *sk_engine_app(struct sk_engine *e, const char *name);
/** Release what the kinds keep for images that no capsule has any more. */
void sk_engine_sweep_images(struct sk_engine *e);
/** Takes off the list what is gone. */
void sk_list_observe(struct sk_capsule *c, const struct sk_capsule_change *change);

/* events.c: all from the loop, in the order in which these were called */
int sk_events_init(struct sk_engine *e, struct sk_err *err);
void sk_events_done(struct sk_engine *e);
void sk_engine_emit(struct sk_capsule *c, const char *event);
/** Hand its result to the caller of an operation. Takes @w. */
void sk_engine_end_waiter(struct sk_capsule *c, struct sk_waiter *w);
/** Free @c with @release once all events about it have reached their subscribers. */
void sk_engine_release(struct sk_capsule *c, void (*release)(struct sk_capsule *c));

/* record.c */
/** Note the present state in memory at once, and on disk soon after (fsynced, in a child). */
void sk_record_save(struct sk_capsule *c);
/** Write all that is not on disk yet; blocks. 0, or -EIO: what failed is still to be written */
int sk_record_flush(struct sk_engine *e);
/** Flush, and leave no child behind that would write something older over it. */
void sk_record_close(struct sk_engine *e);
/**
 * sk_record_load() - a capsule from its record
 * @ret_same_boot: the record in memory was there: the daemon was restarted, not the device
 */
int sk_record_load(struct sk_engine *e, const char *id, struct sk_capsule **ret,
		   bool *ret_same_boot, struct sk_err *err);
/** Saves what has changed; of what is removed, the record's folder gets the name <id>.gone. */
void sk_record_observe(struct sk_capsule *c, const struct sk_capsule_change *change);

/* recover.c */
int sk_engine_recover(struct sk_engine *e, struct sk_err *err);
void sk_recover_done(struct sk_engine *e);

/* health.c */
void sk_health_start(struct sk_capsule *c);
/** Checks a capsule from when it runs until its run has ended. */
void sk_health_observe(struct sk_capsule *c, const struct sk_capsule_change *change);

/* halt.c */
/** Goes on stopping if that is under way. */
void sk_halt_observe(struct sk_capsule *c, const struct sk_capsule_change *change);
void sk_halt_done(struct sk_engine *e);

/* supervise.c */
/** Begins a recovery when an app failed that others depend on, and goes on with those under way. */
void sk_supervise_observe(struct sk_capsule *c, const struct sk_capsule_change *change);
void sk_supervise_done(struct sk_engine *e);

/* log_rotate.c */
int sk_log_rotate_start(struct sk_engine *e);
/** Remove a slot's files. */
void sk_log_remove(const char *log_path);
/** Removes the log of a capsule that is removed. */
void sk_log_observe(struct sk_capsule *c, const struct sk_capsule_change *change);
/** After a boot: remove all but those of capsules that keep them. */
void sk_log_clear(struct sk_engine *e);
