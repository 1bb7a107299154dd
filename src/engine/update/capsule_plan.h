/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/capsule/engine.h"
#include "engine/update/part.h"

/** How far the present step is with an app: those that do not depend on each other go side by side. */
enum sk_desired_step {
	SK_DESIRED_TODO,
	SK_DESIRED_BUSY,
	SK_DESIRED_THROUGH,
};

/**
 * struct sk_desired - an app of the target, and the capsule that is to be it
 * @owner:  whose plan it is in
 * @n_deps: apps that it depends on
 * @waits:  of them those that are not through
 * @again:  what is under way only made room: once more after it
 * @app:    borrowed from the target's manifest
 * @id:     of the capsule; "": there is none yet
 */
struct sk_desired {
	void *owner;
	enum sk_desired_step step;
	size_t n_deps, waits;
	bool again;
	const struct sk_app *app;
	struct sk_digest fingerprint;
	char id[SK_DIGEST_HEX + 1];
};

/**
 * struct sk_capsule_plan - the capsules that exist, compared with those that the target has
 * @target:  borrowed, and so is what of it the plan points to
 * @surplus: ids of release capsules that do not belong, in the order to stop them
 */
struct sk_capsule_plan {
	struct sk_part_target target;
	struct sk_desired *desired;
	size_t n_desired;
	char **surplus;
};

/** sk_capsule_plan_make() - anew; @owner is put into each row. 0 or -ENOMEM */
int sk_capsule_plan_make(struct sk_capsule_plan *p, struct sk_engine *engine,
			 const struct sk_part_target *target, void *owner, struct sk_err *err);
void sk_capsule_plan_clear(struct sk_capsule_plan *p);
/** Is it a plan for @to? */
bool sk_capsule_plan_is_for(const struct sk_capsule_plan *p, const struct sk_part_target *to);

/** All apps are still to do, each waits for those that it depends on. */
void sk_capsule_plan_rewind(struct sk_capsule_plan *p);
/** @d is through: those that depend on it have one less to wait for. */
void sk_capsule_plan_through(struct sk_capsule_plan *p, struct sk_desired *d);
