/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"
#include "hub/db/db.h"

/** Who a user's token speaks for. */
struct sk_token_owner {
	int64_t token;
	int64_t user;
	int64_t org;
	bool owner;
	bool temporary;
	char name[SK_NAME_MAX + 1];
};

struct sk_token_repo {
	/** Only the hash of a token is kept. @kind: "login" or "api". */
	int (*add)(struct sk_conn *c, int64_t org, int64_t user, const char *name, const char *kind,
		   const struct sk_digest *hash, int64_t expires_s, int64_t *ret_id,
		   struct sk_err *err);
	/** 1 when it is good at @now_s, 0 when not. */
	int (*check)(struct sk_conn *c, const struct sk_digest *hash, int64_t now_s,
		     struct sk_token_owner *ret, struct sk_err *err);
	/** The oldest logins of a user beyond @most end. */
	int (*trim_logins)(struct sk_conn *c, int64_t user, int most, struct sk_err *err);
	/** Of one user, those that programs use. */
	int (*count)(struct sk_conn *c, int64_t user, int64_t *ret, struct sk_err *err);
	int (*show)(struct sk_conn *c, int64_t org, int64_t id, json_t **ret, struct sk_err *err);
	/** @user: that user's, or 0 for all of the organisation. */
	int (*list)(struct sk_conn *c, int64_t org, int64_t user, const struct sk_page *p,
		    json_t **ret, struct sk_err *err);
	/** Both: number of tokens ended. */
	int (*remove)(struct sk_conn *c, int64_t org, int64_t user, const char *uid,
		      struct sk_err *err);
	int (*remove_id)(struct sk_conn *c, int64_t org, int64_t id, struct sk_err *err);
};
