/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "engine/capsule/engine.h"
#include "engine/update/capsule_plan.h"
#include "model/update.h"

/*
 * Watches the capsules of a plan until they were all well for a while in one piece, or cannot be any more:
 * the rule is sk_gate_look() of model/update.h, asked again with each event of the engine and in time.
 */
struct sk_health_gate;

/** @verdict: called once for each sk_health_gate_begin(), from the loop, unless it was ended before */
int sk_health_gate_new(sd_event *event, struct sk_engine *engine,
		       void (*verdict)(void *arg, bool well, const char *reason), void *arg,
		       struct sk_health_gate **ret, struct sk_err *err);
void sk_health_gate_free(struct sk_health_gate *g);
SK_DEFINE_CLEANUP(struct sk_health_gate, sk_health_gate_free);

/** @plan is borrowed until the verdict or sk_health_gate_end(). */
void sk_health_gate_begin(struct sk_health_gate *g, const struct sk_capsule_plan *plan);
void sk_health_gate_end(struct sk_health_gate *g);
