/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"
#include "engine/capsule/engine.h"

/*
 * A capsule engine without processes, for tests of what drives one. Operations end from the event
 * loop, as the real one's do; capsules are kept over "restarts of the daemon" (another
 * sk_engine_new()) until fake_power_cut().
 */
extern struct sk_buf fake_trace;    /* "create web;prepare web;stop web;…" */
extern const char *fake_fail_start; /* app whose start fails */
extern const char *fake_sick;	    /* app whose health check fails */
extern const char *fake_dies;	    /* app that ends with exit code 3 right after its start */
extern bool fake_unique_names;	    /* refuse a second capsule of a name */
extern unsigned fake_double_runs;   /* times that two of one app ran at once */

void fake_reset(void);
/** All processes are gone, the records stay. */
void fake_power_cut(void);
/** How many capsules of the app run; @ret_id (may be NULL): of the last one. */
unsigned fake_running(const char *app, const char **ret_id);
unsigned fake_count(void);
/** As if the engine told its watcher. */
void fake_event(struct sk_capsule *c, const char *event);
/** It changes by itself, as after a restart or between two. */
void fake_set_state(struct sk_capsule *c, enum sk_capsule_state state);
/** It is gone without a word, as if its record had been removed by hand. */
void fake_forget(struct sk_capsule *c);
