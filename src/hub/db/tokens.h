/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"
#include "hub/db/query.h"

/** Who a user's token speaks for. */
struct sk_token_owner {
	int64_t token;
	int64_t user;
	int64_t org;
	bool owner;
	bool temporary;
	char name[SK_NAME_MAX + 1];
};

/** Only the hash of a token is kept. @kind: "login" or "api". */
int sk_token_add(struct sk_conn *c, int64_t org, int64_t user, const char *name, const char *kind,
		 const struct sk_digest *hash, int64_t expires_s, int64_t *ret_id,
		 struct sk_err *err);
/** sk_token_check() - 1 when it is good at @now_s, 0 when not. */
int sk_token_check(struct sk_conn *c, const struct sk_digest *hash, int64_t now_s,
		   struct sk_token_owner *ret, struct sk_err *err);
/** sk_token_trim_logins() - the oldest logins of a user beyond @most end. */
int sk_token_trim_logins(struct sk_conn *c, int64_t user, int most, struct sk_err *err);
/** sk_token_count() - of one user, those that programs use. */
int sk_token_count(struct sk_conn *c, int64_t user, int64_t *ret, struct sk_err *err);
int sk_token_show(struct sk_conn *c, int64_t org, int64_t id, json_t **ret, struct sk_err *err);
/** @user: that user's, or 0 for all of the organisation. */
int sk_token_list(struct sk_conn *c, int64_t org, int64_t user, const struct sk_page *p,
		  json_t **ret, struct sk_err *err);
/** Both: number of tokens ended. */
int sk_token_del(struct sk_conn *c, int64_t org, int64_t user, const char *uid, struct sk_err *err);
int sk_token_del_id(struct sk_conn *c, int64_t org, int64_t id, struct sk_err *err);
