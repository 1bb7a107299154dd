/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"

/*
 * Generations: a device is always in one. Pure, table-driven; the daemon feeds events and carries
 * out the actions, the simulation does the same with power cuts between any two writes.
 */
enum sk_gen_state {
	SK_GEN_STAGED, /* verified, all images in the store, never started */
	SK_GEN_TRYING, /* started; the health gate has not answered yet */
	SK_GEN_GOOD,   /* proved healthy */
	SK_GEN_BAD,    /* failed, never started again by itself */
};

enum sk_gen_event {
	SK_GEN_EV_APPLY,
	SK_GEN_EV_BOOT, /* the daemon started while this generation is the one to run */
	SK_GEN_EV_HEALTHY,
	SK_GEN_EV_UNHEALTHY,
	SK_GEN_EV_CANCEL,
};

#define SK_GEN_REASON_MAX 512

/** One generation as it is on disk. */
struct sk_generation {
	uint64_t number; /* 1, 2, 3 …; never used twice */
	struct sk_digest release;
	enum sk_gen_state state;
	bool ephemeral; /* no persistent-boot: gone after a reboot */
	uint32_t boots; /* boots spent in trying */
	uint32_t boots_max;
	int64_t changed_s; /* wall clock of the last change; 0 when the clock was not trusted */
	char version[64];
	char reason[SK_GEN_REASON_MAX]; /* why it is bad, for a person */
};

const char *sk_gen_state_name(enum sk_gen_state s);
const char *sk_gen_event_name(enum sk_gen_event e);
