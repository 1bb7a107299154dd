/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/deployments.h"
#include "hub/db/devices.h"
#include "hub/db/releases.h"

/* What sends a release on its way. All inside the caller's write transaction. */

/**
 * sk_rollout_attach() - attach a release to a deployment: a job for each of its devices
 * @again: also for those that run it already
 * Return: number of jobs; "bad-state" when images are missing; "bad-value": of another project
 */
int sk_rollout_attach(struct sk_conn *c, struct sk_deployment *d, const struct sk_release_row *rel,
		      bool again, const char *by, struct sk_err *err);

/** sk_rollout_detach() - no release for devices that come later; open jobs end. Their number. */
int sk_rollout_detach(struct sk_conn *c, struct sk_deployment *d, const char *by,
		      struct sk_err *err);

/** sk_rollout_one() - one device to one release. 0 with the job's internal id. */
int sk_rollout_one(struct sk_conn *c, const struct sk_device *dev, const struct sk_release_row *rel,
		   const char *by, int64_t *ret_job, struct sk_err *err);

/**
 * sk_rollout_join() - a device came into a deployment: give it the deployment's release
 * 1 when it got a job, 0 when there is nothing to do.
 */
int sk_rollout_join(struct sk_conn *c, const struct sk_device *dev, const struct sk_deployment *d,
		    const char *by, struct sk_err *err);
