/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/update/generations.h"
#include "engine/update/part.h"
#include "model/update.h"

/*
 * The update machine: carries out what model/update.h decides, over the generations on record and the parts of
 * an update. It waits for nothing and knows no clock: the daemon gives it an event loop, the simulation another.
 */
struct sk_machine;

#define SK_MACHINE_PARTS_MAX 4

/** struct sk_machine_host - what the machine needs of its surroundings; @arg is given to each */
struct sk_machine_host {
	/** Call sk_machine_go_on() from the loop. */
	void (*defer)(void *arg);
	/** The target was started: watch it, and call sk_machine_verdict(). */
	void (*watch)(void *arg);
	/** Another step was reached, see sk_upd_step_name(); "idle" comes with the outcome on record. */
	void (*emit)(void *arg, const char *step, const char *reason);
	/** The target was recorded as good. */
	void (*proved)(void *arg);
	/** Another generation is to run: call sk_machine_set_target(). */
	void (*retarget)(void *arg);
	/** What nothing needs any more can go. */
	void (*collect)(void *arg);
	/** Nothing is under way any more. @repair: what should run does not; call sk_machine_restore() after a while. */
	void (*idle)(void *arg, bool repair);
	/** Restart the machine. NULL where that cannot be done: a part that needs it fails then. */
	void (*reboot)(void *arg);
	void *arg;
};

/** @gens must outlive the object; @host is copied. */
int sk_machine_new(struct sk_generations *gens, const struct sk_machine_host *host,
		   struct sk_machine **ret, struct sk_err *err);
void sk_machine_free(struct sk_machine *m);
SK_DEFINE_CLEANUP(struct sk_machine, sk_machine_free);

/** sk_machine_add_part() - the next one in order. 0, or "too-many" */
int sk_machine_add_part(struct sk_machine *m, const struct sk_part_ops *ops, void *part,
			struct sk_err *err);
/** What the parts report to. */
struct sk_part_host sk_machine_part_host(struct sk_machine *m);

/** What is to run; borrowed until it is set again. */
void sk_machine_set_target(struct sk_machine *m, const struct sk_part_target *to);

/** sk_machine_can_apply() - 0, or "bad-state" with what is going on */
int sk_machine_can_apply(const struct sk_machine *m, struct sk_err *err);
/**
 * sk_machine_apply() - go to a staged generation
 * Recorded as trying before any part is called, so that the next start finds it after a power cut. On failure
 * nothing is changed. On success the target is set to @to.
 */
int sk_machine_apply(struct sk_machine *m, const struct sk_part_target *to, struct sk_err *err);
/** sk_machine_start() - once, with the target set: go on with a trying generation, or make a good one run */
void sk_machine_start(struct sk_machine *m);
/** sk_machine_restore() - make the target run, if nothing else is going on */
void sk_machine_restore(struct sk_machine *m);
/** sk_machine_verdict() - of the health gate; @reason when it is not @well */
void sk_machine_verdict(struct sk_machine *m, bool well, const char *reason);
void sk_machine_go_on(struct sk_machine *m);
/** sk_machine_halt() - judge and change nothing any more; the next start takes up what is under way */
void sk_machine_halt(struct sk_machine *m);

enum sk_upd_state sk_machine_state(const struct sk_machine *m);
bool sk_machine_halted(const struct sk_machine *m);
