/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/release/release.h"

/*
 * A part of an update: the capsules of a release, its OS slot, its packages. The machine (machine.h) calls one part
 * after the other, in their order, and in reverse order on the way back.
 *
 * Each call may come again: after a power cut at any instruction the next start of the daemon goes through the
 * same calls, and what is done already is done. Of the parts' state the machine believes only what is_active says.
 */

/**
 * struct sk_part_target - what is to run
 * @generation: 0 with @release NULL: nothing is to run
 * Borrowed by parts until the next call with another one.
 */
struct sk_part_target {
	uint64_t generation;
	const struct sk_release *release;
};

/** What a call of a part comes to; a failure is a negative errno, with @err filled. */
enum sk_part_outcome {
	SK_PART_DONE,
	SK_PART_LATER,	/* it goes on; the host's done() is called when it has ended */
	SK_PART_REBOOT, /* done once the machine was restarted (activate and revert only) */
};

/**
 * struct sk_part_ops - what a part can do
 * @name:      "capsules", for logs and reasons
 * @stage:     get all of @to ready that can be while the old runs: nothing that runs is changed
 * @activate:  @to takes over, on trial
 * @is_active: does this device really run @to? Asked after a restart too, and not taken from memory then
 * @confirm:   @to is recorded as good: give up what is not needed for it. Called after a way back too, also when
 *             that did not succeed: what the device cannot start without is kept, and the call fails.
 * @revert:    make @to run, from any state that the other calls can leave; on the way back, and at each start into
 *             a good generation. What is missing for it is staged again. As there is nothing further to fall back
 *             to, it does all that can be done before it fails. After a restart that it asked for and that did not
 *             help it fails once, instead of asking for another.
 */
struct sk_part_ops {
	const char *name;
	int (*stage)(void *part, const struct sk_part_target *to, struct sk_err *err);
	int (*activate)(void *part, const struct sk_part_target *to, struct sk_err *err);
	bool (*is_active)(void *part, const struct sk_part_target *to);
	int (*confirm)(void *part, const struct sk_part_target *to, struct sk_err *err);
	int (*revert)(void *part, const struct sk_part_target *to, struct sk_err *err);
};

struct sk_part {
	const struct sk_part_ops *ops;
	void *part;
};

/** struct sk_part_host - whom a part reports to */
struct sk_part_host {
	/** What was begun with SK_PART_LATER has ended; never called from within the call that began it. */
	void (*done)(void *arg, int outcome, const struct sk_err *err);
	/** The old is stopped, the new begins to start: the API's step becomes "starting". */
	void (*starting)(void *arg);
	void *arg;
};
