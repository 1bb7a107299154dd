/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>

#include "engine/capsule/engine.h"
#include "engine/capsule/runtime.h"
#include "model/backoff.h"
#include "model/capsule_state.h"

/* Shared by the files of this folder only. */

#define SK_CAPSULE_ID_LEN  64
#define SK_HEALTH_TEXT_MAX 512

struct sk_health_run;
struct sk_recovery;
struct sk_halt;

/**
 * struct sk_waiter - a caller's operation, until the capsule is where it asked for
 * @early: it is enough that the capsule is down
 * @note: to tell its end with; there from the start, so that no end is lost
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

/** struct sk_note - something to tell from the loop: an event, or (with @waiter) an end */
struct sk_note {
	struct sk_note *next;
	struct sk_capsule *c;
	const char *event;
	struct sk_waiter *waiter;
};

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
	bool stop_told;		 /* "stop" is to be told when it has ended */
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
	bool was_failed; /* as the record tells */
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
	char *run_dir, *state_dir, *volume_dir, *log_dir, *crun, *conmon;
	uint64_t log_max_bytes;
	struct sk_runtime_env env;
	const struct sk_runtime_ops *ops;
	struct sk_capsule **v; /* in order of creation */
	size_t n;

	struct sk_engine_watch *watches;
	struct sk_note *notes, **notes_end;
	sd_event_source *notes_source;

	struct sk_child *saver;
	sd_event_source *save_timer, *log_timer;

	struct sk_supervision *supervision;
	size_t n_supervision;
	struct sk_app *supervised; /* names in start order */
	size_t n_supervised;
	struct sk_recovery *recoveries;
	struct sk_rest *rests;
	bool recovering;      /* supervision is being stepped */
	struct sk_halt *halt; /* NULL, or nothing is started any more */
};

/* capsule.c: the life of one capsule */

/** Want something else of it from now on; operations with another aim end with "bad-state". */
void sk_capsule_want(struct sk_capsule *c, enum sk_cap_goal goal);
/** Feed one event, then go on towards the goal. */
void sk_capsule_feed(struct sk_capsule *c, enum sk_cap_event ev);
/** Go on towards the goal (a hold was lifted, the daemon has come back). */
void sk_capsule_advance(struct sk_capsule *c);
/** It ended: remember how, decide what follows. */
void sk_capsule_ended(struct sk_capsule *c, int exit_code, bool oom_killed);
/** How long it is given to stop unless somebody says otherwise */
uint64_t sk_capsule_own_grace(const struct sk_capsule *c);
/** It is stopping: @c->grace_ms from now on it is killed. */
void sk_capsule_set_grace(struct sk_capsule *c);
/** Kill it for its health's sake; the restart policy decides what follows. */
void sk_capsule_kill_unhealthy(struct sk_capsule *c);
void sk_capsule_free(struct sk_capsule *c);
extern const struct sk_runtime_events sk_capsule_runtime_events;
/** Ready @c->unit from the capsule's fields. 0 or -ENOMEM */
int sk_capsule_attach(struct sk_capsule *c);

/* engine.c */
/** Tell watchers, from the loop, in the order of things. */
void sk_engine_tell(struct sk_capsule *c, const char *event);
void sk_engine_end_waiter(struct sk_capsule *c, struct sk_waiter *w);
/** Take @c off the list; it is freed once all about it has been told. */
void sk_engine_forget(struct sk_capsule *c);
/** Unmount the images that no capsule has any more. */
void sk_engine_sweep_images(struct sk_engine *e);
int sk_engine_add(struct sk_engine *e, struct sk_capsule *c);
/** Paths and folders of a capsule whose id and slot are set. 0 or -ENOMEM */
int sk_engine_set_paths(struct sk_capsule *c);
/** The capsule of the running release with this name, or NULL. */
struct sk_capsule *sk_engine_app(struct sk_engine *e, const char *name);

/* record.c */
/** Note the present state in memory at once, and on disk soon after (fsynced, in a child). */
void sk_record_save(struct sk_capsule *c);
/** Write all that is not on disk yet; blocks. */
void sk_record_flush(struct sk_engine *e);
/** Flush, and leave no child behind that would write something older over it. */
void sk_record_close(struct sk_engine *e);
/** Forget the record: its folder gets the name <id>.gone. 0 or -errno */
int sk_record_drop(struct sk_capsule *c);
/**
 * sk_record_load() - a capsule from its record
 * @ret_same_boot: the record in memory was there: the daemon was restarted, not the device
 */
int sk_record_load(struct sk_engine *e, const char *id, struct sk_capsule **ret,
		   bool *ret_same_boot, struct sk_err *err);

/* recover.c */
int sk_engine_recover(struct sk_engine *e, struct sk_err *err);
void sk_recover_done(struct sk_engine *e);

/* health.c */
void sk_health_start(struct sk_capsule *c);
void sk_health_stop(struct sk_capsule *c);

/* ops.c */
/** Stop it for now: what is wanted of it stays. */
void sk_capsule_rest(struct sk_capsule *c);

/* halt.c */
/** Something changed; go on stopping if that is under way. */
void sk_halt_step(struct sk_engine *e);
void sk_halt_done(struct sk_engine *e);

/* supervise.c */
/** @c failed. @restart: it comes back by itself, its dependants are to follow. */
void sk_supervise_failed(struct sk_capsule *c, bool restart);
/** Something changed; go on with what is under way. */
void sk_supervise_step(struct sk_engine *e);
void sk_supervise_done(struct sk_engine *e);

/* log_rotate.c */
int sk_log_rotate_start(struct sk_engine *e);
/** Remove a slot's files. */
void sk_log_remove(const char *log_path);
/** After a boot: remove all but those of capsules that keep them. */
void sk_log_clear(struct sk_engine *e);
