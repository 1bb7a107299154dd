/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * The life of a job as the hub sees it: pure. Devices report over a bad link: late, twice, out of
 * order, after the job was taken back. A report never moves a job backwards. A device that says that
 * it is done is believed even when the job was aborted meanwhile; that it failed then is only what
 * follows from taking its files away, or at least not why the job ended.
 */
enum sk_job_state {
	SK_JOB_WAITING, /* not yet reported by the device */
	SK_JOB_RECEIVED,
	SK_JOB_DOWNLOADING,
	SK_JOB_APPLYING,
	SK_JOB_SETTLING,
	SK_JOB_DONE,
	SK_JOB_FAILED,
	SK_JOB_ABORTED,
};
#define SK_JOB_STATES (SK_JOB_ABORTED + 1)

/** What a report does to a job. */
enum sk_job_change {
	SK_JOB_IGNORE,	 /* out of date: the job is further already */
	SK_JOB_PROGRESS, /* the same step, more bytes perhaps */
	SK_JOB_MOVE,	 /* another state */
	SK_JOB_NOTE,	 /* the same state; worth a line in the history */
};

const char *sk_job_state_name(enum sk_job_state s);
/** sk_job_state_parse() - 0 or -EINVAL. */
int sk_job_state_parse(const char *name, enum sk_job_state *ret);
/** May a device report it? ("waiting" and "aborted" are the hub's own.) */
bool sk_job_reportable(enum sk_job_state s);
bool sk_job_open(enum sk_job_state s);
enum sk_job_change sk_job_report(enum sk_job_state now, enum sk_job_state step);
