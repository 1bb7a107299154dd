/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/domain/job.h"

#include <errno.h>

#include "base/macros.h"
#include "base/str.h"

static const char *const names[SK_JOB_STATES] = {
	[SK_JOB_WAITING] = "waiting",	      [SK_JOB_RECEIVED] = "received",
	[SK_JOB_DOWNLOADING] = "downloading", [SK_JOB_APPLYING] = "applying",
	[SK_JOB_SETTLING] = "settling",	      [SK_JOB_DONE] = "done",
	[SK_JOB_FAILED] = "failed",	      [SK_JOB_ABORTED] = "aborted",
};

#define IGN SK_JOB_IGNORE
#define PRO SK_JOB_PROGRESS
#define MOV SK_JOB_MOVE
#define NOT SK_JOB_NOTE

/* Row: state now. Column: reported step. */
static const enum sk_job_change table[SK_JOB_STATES][SK_JOB_STATES] = {
	/* clang-format off */
	/*                 waiting received downl. applying settling done failed aborted */
	[SK_JOB_WAITING]     = { IGN, MOV, MOV, MOV, MOV, MOV, MOV, IGN },
	[SK_JOB_RECEIVED]    = { IGN, PRO, MOV, MOV, MOV, MOV, MOV, IGN },
	[SK_JOB_DOWNLOADING] = { IGN, IGN, PRO, MOV, MOV, MOV, MOV, IGN },
	[SK_JOB_APPLYING]    = { IGN, IGN, IGN, PRO, MOV, MOV, MOV, IGN },
	[SK_JOB_SETTLING]    = { IGN, IGN, IGN, IGN, PRO, MOV, MOV, IGN },
	[SK_JOB_DONE]        = { IGN, IGN, IGN, IGN, IGN, IGN, IGN, IGN },
	[SK_JOB_FAILED]      = { IGN, IGN, IGN, IGN, IGN, IGN, IGN, IGN },
	[SK_JOB_ABORTED]     = { IGN, IGN, IGN, IGN, IGN, MOV, NOT, IGN },
	/* clang-format on */
};

const char *sk_job_state_name(enum sk_job_state s)
{
	return names[s];
}

int sk_job_state_parse(const char *name, enum sk_job_state *ret)
{
	for (unsigned i = 0; i < SK_JOB_STATES; i++)
		if (sk_streq(name, names[i])) {
			*ret = (enum sk_job_state)i;
			return 0;
		}
	return -EINVAL;
}

bool sk_job_reportable(enum sk_job_state s)
{
	return s != SK_JOB_WAITING && s != SK_JOB_ABORTED;
}

bool sk_job_open(enum sk_job_state s)
{
	return s < SK_JOB_DONE;
}

enum sk_job_change sk_job_report(enum sk_job_state now, enum sk_job_state step)
{
	return table[now][step];
}
