/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/db.h"

struct sk_deployment {
	int64_t id;
	int64_t org;
	int64_t project;
	int64_t release; /* attached; 0: none */
	int64_t rollout; /* counts attachments */
};

struct sk_deployment_repo {
	int (*add)(struct sk_conn *c, int64_t org, int64_t project, const char *name,
		   struct sk_err *err);
	/** Both: 1 found, 0 not. */
	int (*find)(struct sk_conn *c, int64_t org, const char *project, const char *name,
		    struct sk_deployment *ret, struct sk_err *err);
	int (*get)(struct sk_conn *c, int64_t org, int64_t id, struct sk_deployment *ret,
		   struct sk_err *err);
	/** With the progress of its present roll-out: jobs counted by state. */
	int (*show)(struct sk_conn *c, int64_t org, int64_t id, json_t **ret, struct sk_err *err);
	/** @project: of that project, or 0 for all. */
	int (*list)(struct sk_conn *c, int64_t org, int64_t project, const struct sk_page *p,
		    json_t **ret, struct sk_err *err);
	/** @release 0 detaches. Starts a new roll-out number, put in @d. */
	int (*attach)(struct sk_conn *c, struct sk_deployment *d, int64_t release,
		      struct sk_err *err);
	/** 1, 0, or "in-use" while devices belong to it. */
	int (*remove)(struct sk_conn *c, int64_t org, int64_t id, struct sk_err *err);
};
