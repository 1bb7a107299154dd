/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/db.h"

/** Enrolment tokens: a device that shows one is accepted into the token's deployment by itself. */
struct sk_enrolment {
	int64_t id;
	int64_t org;
	int64_t deployment;
};

struct sk_enrolment_repo {
	/** @uses_max: 0 for no bound. Only the hash is kept. */
	int (*add)(struct sk_conn *c, int64_t org, int64_t deployment, const char *name,
		   const struct sk_digest *hash, int64_t expires_s, int64_t uses_max,
		   int64_t *ret_id, struct sk_err *err);
	/** Counts a use; 1, or 0 when unknown, expired, revoked or used up. */
	int (*use)(struct sk_conn *c, const struct sk_digest *hash, int64_t now_s,
		   struct sk_enrolment *ret, struct sk_err *err);
	int (*show)(struct sk_conn *c, int64_t org, int64_t id, json_t **ret, struct sk_err *err);
	int (*list)(struct sk_conn *c, int64_t org, int64_t deployment, const struct sk_page *p,
		    json_t **ret, struct sk_err *err);
	/** 1, or 0 when there is none. */
	int (*revoke)(struct sk_conn *c, int64_t org, int64_t deployment, const char *uid,
		      struct sk_err *err);
};
