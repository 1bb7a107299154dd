/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/db.h"

/*
 * What is removed when it is old, a few rows in each transaction, so that nobody waits for it and a
 * kill between two of them leaves nothing half done. What a device may still need stays whatever its
 * age: open jobs, its newest SK_JOBS_KEPT release jobs, and those that gave it what it runs and what it
 * ran before, to which it would fall back (a device reaches the files of its jobs only).
 */
enum sk_expiry {
	SK_EXPIRY_SESSIONS,
	SK_EXPIRY_TOKENS,
	SK_EXPIRY_ENROLMENTS, /* tokens; not before owners could see for a while that they expired */
	SK_EXPIRY_WAITING,    /* devices that nobody accepted; audited */
	SK_EXPIRY_LOGS,
	SK_EXPIRY_JOBS,
	SK_EXPIRY_AUDIT, /* the database refuses to lose what is younger than 30 days */
};

#define SK_EXPIRIES		 (SK_EXPIRY_AUDIT + 1)
#define SK_EXPIRY_AUDIT_MIN_DAYS 30
#define SK_JOBS_KEPT		 8

/** Where a walk through one kind stands; all zero at its start. */
struct sk_expiry_place {
	int64_t at_s;
	int64_t id;
};

struct sk_expiry_repo {
	/**
	 * One slice
	 * @before_s: what ended, came or was said before
	 * @place:    moved on
	 * Return: rows looked at, at most 500; 0 when there are no more; or a failure
	 */
	int (*remove_some)(struct sk_conn *c, enum sk_expiry what, int64_t before_s,
			   struct sk_expiry_place *place, struct sk_err *err);
};
