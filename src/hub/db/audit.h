/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/db.h"

/** One line of the audit log; rows are never changed nor removed (triggers refuse it). */
struct sk_audit {
	int64_t org;
	const char *actor;   /* "user:alice", "device:<id>", "local" */
	const char *action;  /* "release.upload" */
	const char *object;  /* may be NULL */
	const char *peer;    /* address; may be NULL */
	const char *outcome; /* "ok" or the slug of the failure */
	uint64_t times;	     /* that it stands for; 0 is one */
};

struct sk_audit_repo {
	int (*add)(struct sk_conn *c, const struct sk_audit *a, struct sk_err *err);
	/** Newest first. */
	int (*list)(struct sk_conn *c, int64_t org, const struct sk_page *p, json_t **ret,
		    struct sk_err *err);
};
