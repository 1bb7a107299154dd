/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/capsule/engine.h"
#include "engine/runtime/runtime.h"

/*
 * The engine over a real store and real records, with a kind that only pretends. Operations end from the
 * event loop, as the real one's do. Everything fails the test on error.
 */

#define S(s)  ((char *)(s))
#define UNITS 16

/** One pretended container */
struct fake {
	struct sk_runtime_unit *u;
	sd_event_source *source;
	enum fake_step { NOTHING, CREATE, START, CLEAN, DIE } next;
	bool created, running;
	int code;
};

/** What they did, and what they are to do. @found: by a daemon that comes back. */
struct fakes {
	struct fake v[UNITS];
	int prepares, starts, cleans, live_max, ended_execs;
	bool fail_prepare, fail_create, hang_create, fail_start, fail_signal, ignore_term,
		hold_clean, lose, with_vms;
	char cleaned[16]; /* "vm 12ab": kind and start of the id of the last one */
	struct fake *held;
	enum sk_runtime_found found;
};
extern struct fakes fakes;
/** The pretended kind; without the operations that may be missing, unless a test adds them */
extern struct sk_runtime_ops fake_ops;

/** How many run. */
int live(void);
/** The loop will do that. */
void later(struct fake *f, enum fake_step what);
/** It ends by itself. */
void die(struct sk_capsule *c, int code);

struct world {
	char dir[64];
	sd_event *event;
	struct sk_store *store;
	struct sk_engine *e;
	struct sk_digest image;
	char events[1024]; /* "web:create web:start ..." */
	char done[1024];   /* by on_done(): "ok bad-state ..." */
};

/** For each test, in *state: a device without capsules, with one image. */
int setup(void **state);
int teardown(void **state);
/** The daemon begins, or begins again after sk_engine_free(). */
void open_world(struct world *w);

/** With @app.keep_logs it is one of generation 1, else a user made it. */
struct sk_capsule *make(struct world *w, const char *name, struct sk_app app);
enum sk_capsule_state state_of(struct sk_capsule *c);
/** For operations: notes in @w (a struct world) how they ended. */
void on_done(void *arg, const struct sk_err *err);

/** Let the loop run until it has nothing to do for @ms. No wait for a child or a timer: UNTIL is. */
void settle(struct world *w, uint64_t ms);
/** The loop goes on until that is so; fails the test when it never is. */
#define UNTIL(w, condition)                                                  \
	do {                                                                 \
		for (int _i = 0; !(condition); _i++) {                       \
			assert_true(_i < 10000);                             \
			assert_true(sd_event_run((w)->event, 1000000) >= 0); \
		}                                                            \
	} while (0)

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
