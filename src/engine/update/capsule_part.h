/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/capsule/engine.h"
#include "engine/claims/claims.h"
#include "engine/update/capsule_plan.h"
#include "engine/update/part.h"
#include "store/store.h"

/*
 * The capsules of a release, as a part of an update: those that do not belong are stopped, those that the
 * target has are made and started, in their order. Capsules that a user made are left alone.
 */
struct sk_capsule_part;
extern const struct sk_part_ops sk_capsule_part_ops;

/** @store and @engine must outlive the object. */
int sk_capsule_part_new(struct sk_store *store, struct sk_engine *engine,
			struct sk_capsule_part **ret, struct sk_err *err);
void sk_capsule_part_free(struct sk_capsule_part *p);
SK_DEFINE_CLEANUP(struct sk_capsule_part, sk_capsule_part_free);
void sk_capsule_part_set_host(struct sk_capsule_part *p, const struct sk_part_host *host);

/** sk_capsule_part_claim() - claims the image of each capsule, whoever made it */
int sk_capsule_part_claim(struct sk_capsule_part *p, struct sk_claims *claims, struct sk_err *err);
/** sk_capsule_part_forget() - the target that it was given is about to be freed */
void sk_capsule_part_forget(struct sk_capsule_part *p);
/** sk_capsule_part_halt() - begin nothing any more */
void sk_capsule_part_halt(struct sk_capsule_part *p);
/** What it made of the target; borrowed. */
const struct sk_capsule_plan *sk_capsule_part_plan(const struct sk_capsule_part *p);
/** How many old capsules are still being removed. */
unsigned sk_capsule_part_removing(const struct sk_capsule_part *p);
