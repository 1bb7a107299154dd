/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/db.h"

#define SK_PASSWORD_HASH_MAX 400

/** What a login needs to know. */
struct sk_user {
	int64_t id;
	int64_t org;
	bool owner;
	bool temporary; /* a first password: good only for setting another */
	char password[SK_PASSWORD_HASH_MAX];
};

struct sk_user_repo {
	/** @hash: from crypt(3). "already-exists" */
	int (*add)(struct sk_conn *c, int64_t org, const char *name, const char *role,
		   const char *hash, bool temporary, struct sk_err *err);
	/** 1 found, 0 not. */
	int (*find)(struct sk_conn *c, int64_t org, const char *name, struct sk_user *ret,
		    struct sk_err *err);
	int (*show)(struct sk_conn *c, int64_t org, const char *name, json_t **ret,
		    struct sk_err *err);
	int (*list)(struct sk_conn *c, int64_t org, const struct sk_page *p, json_t **ret,
		    struct sk_err *err);
	/** Both: number of users changed (0 or 1). The last owner stays one: "bad-state". */
	int (*set_role)(struct sk_conn *c, int64_t org, const char *name, const char *role,
			struct sk_err *err);
	int (*remove)(struct sk_conn *c, int64_t org, const char *name, struct sk_err *err);
	/** And ends all the user's tokens but @keep_token (0: none is kept). */
	int (*set_password)(struct sk_conn *c, int64_t org, const char *name, const char *hash,
			    bool temporary, int64_t keep_token, struct sk_err *err);
};
