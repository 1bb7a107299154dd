/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/query.h"

struct sk_deployment {
	int64_t id;
	int64_t org;
	int64_t project;
	int64_t release; /* attached; 0: none */
	int64_t rollout; /* counts attachments */
};

int sk_deployment_add(struct sk_conn *c, int64_t org, int64_t project, const char *name,
		      struct sk_err *err);
/** Both: 1 found, 0 not. */
int sk_deployment_find(struct sk_conn *c, int64_t org, const char *project, const char *name,
		       struct sk_deployment *ret, struct sk_err *err);
int sk_deployment_get(struct sk_conn *c, int64_t org, int64_t id, struct sk_deployment *ret,
		      struct sk_err *err);
/** sk_deployment_show() - with the progress of its present roll-out: jobs counted by state. */
int sk_deployment_show(struct sk_conn *c, int64_t org, int64_t id, json_t **ret,
		       struct sk_err *err);
/** @project: of that project, or 0 for all. */
int sk_deployment_list(struct sk_conn *c, int64_t org, int64_t project, const struct sk_page *p,
		       json_t **ret, struct sk_err *err);
/** sk_deployment_attach() - @release 0 detaches. Starts a new roll-out number, put in @d. */
int sk_deployment_attach(struct sk_conn *c, struct sk_deployment *d, int64_t release,
			 struct sk_err *err);
/** sk_deployment_del() - 1, 0, or "in-use" while devices belong to it. */
int sk_deployment_del(struct sk_conn *c, int64_t org, int64_t id, struct sk_err *err);
