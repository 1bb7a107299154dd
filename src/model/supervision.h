/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "model/manifest.h"

/**
 * struct sk_supervision_plan - what a failure takes with it
 * @stop:  dependants of the failed app, direct and indirect, in reverse start order
 * @start: the failed app, then the same dependants in start order
 * String vectors, owned; the failed app itself is down already and does not stand in @stop.
 */
struct sk_supervision_plan {
	char **stop, **start;
};

void sk_supervision_plan_done(struct sk_supervision_plan *p);

/**
 * sk_supervision_plan() - work out the plan for @failed
 * An app that the manifest does not know, or that nobody depends on, has a plan without @stop.
 * Return: 0 or -ENOMEM
 */
int sk_supervision_plan(const struct sk_manifest *m, const char *failed,
			struct sk_supervision_plan *ret);
