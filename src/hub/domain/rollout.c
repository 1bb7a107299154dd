/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/domain/rollout.h"

#include <errno.h>

#include "hub/db/deployments.h"
#include "hub/db/jobs.h"
#include "hub/db/releases.h"

static int check_complete(struct sk_conn *c, const struct sk_release_row *rel, struct sk_err *err)
{
	int64_t missing = 0;
	int r = c->releases->missing(c, rel->id, &missing, err);

	if (r < 0)
		return r;
	if (missing > 0)
		return sk_err_set(err, -EBUSY, "bad-state",
				  "release %s lacks %d images: upload them first", rel->version,
				  (int)missing);
	return 0;
}

int sk_rollout_attach(struct sk_conn *c, struct sk_deployment *d, const struct sk_release_row *rel,
		      bool again, const char *by, struct sk_err *err)
{
	int r;

	if (rel->project != d->project)
		return sk_err_set(err, -EINVAL, "bad-value", "the release is of another project");
	r = check_complete(c, rel, err);
	if (r < 0)
		return r;
	r = c->deployments->attach(c, d, rel->id, err);
	if (r < 0)
		return r;
	return c->jobs->rollout(c,
				&(struct sk_job_rollout){ .org = d->org,
							  .deployment = d->id,
							  .rollout = d->rollout,
							  .release = rel->id,
							  .again = again,
							  .by = by },
				err);
}

int sk_rollout_detach(struct sk_conn *c, struct sk_deployment *d, const char *by,
		      struct sk_err *err)
{
	int n = c->jobs->abort_rollout(c, d->id, "the roll-out was aborted", err);
	int r = n < 0 ? n : c->deployments->attach(c, d, 0, err);

	return r < 0 ? r : n;
}

int sk_rollout_one(struct sk_conn *c, const struct sk_device *dev, const struct sk_release_row *rel,
		   const char *by, int64_t *ret_job, struct sk_err *err)
{
	int r = check_complete(c, rel, err);

	if (r < 0)
		return r;
	return c->jobs->add(c,
			    &(struct sk_job_new){ .org = dev->org,
						  .device = dev->id,
						  .kind = "release",
						  .release = rel->id,
						  .by = by },
			    ret_job, err);
}

int sk_rollout_join(struct sk_conn *c, const struct sk_device *dev, const struct sk_deployment *d,
		    const char *by, struct sk_err *err)
{
	struct sk_release_row rel;
	int r;

	if (d->release == 0)
		return 0;
	r = c->releases->get(c, d->org, d->release, &rel, err);
	if (r <= 0)
		return r;
	r = sk_streq(rel.digest, dev->release) ? c->jobs->last_not_done(c, dev->id, err) : 1;
	if (r <= 0)
		return r;
	r = c->jobs->add(c,
			 &(struct sk_job_new){ .org = dev->org,
					       .device = dev->id,
					       .kind = "release",
					       .release = rel.id,
					       .deployment = d->id,
					       .rollout = d->rollout,
					       .by = by },
			 NULL, err);
	return r < 0 ? r : 1;
}
