/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/db.h"

/** A device's session: one a device; only the hash of its token is kept. */
struct sk_session {
	int64_t device;
	int64_t org;
	int64_t deployment;
	/* In the same look-up, because idle polls are most of the load: */
	bool has_work; /* an open job */
	bool crls_due; /* revocation lists that it has not looked at */
};

struct sk_session_repo {
	int (*set)(struct sk_conn *c, int64_t device, const struct sk_digest *hash,
		   int64_t expires_s, struct sk_err *err);
	/** 1 when it is good at @now_s and its device accepted; 0. */
	int (*check)(struct sk_conn *c, const struct sk_digest *hash, int64_t now_s,
		     struct sk_session *ret, struct sk_err *err);
	int (*end)(struct sk_conn *c, int64_t device, struct sk_err *err);
};
