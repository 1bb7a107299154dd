/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/core/hub.h"
#include "hub/db/users.h"
#include "hub/domain/secret.h"

/* Logins by password: limited, checked before the transaction (hashing takes long), then recorded. */

/** Who wants to log in, from where; strings borrowed. */
struct sk_login {
	const char *organisation, *user, *password;
	const char *peer; /* address */
};

/** What came of checking the password. */
struct sk_login_result {
	int64_t org; /* 0: unknown */
	struct sk_user user;
	int r; /* 0, or a failure with @err */
	struct sk_err err;
};

/**
 * sk_login_check() - check the password, if that is allowed now
 * Return: 0 with *ret filled; "too-many" when the limits forbid even to look at the password
 */
int sk_login_check(struct sk_hub *hub, const struct sk_login *l, struct sk_login_result *ret,
		   struct sk_err *err);

/** A token that was made; the hub keeps its hash only. */
struct sk_login_token {
	char secret[SK_SECRET_MAX];
	int64_t expires_s;
};

/**
 * sk_login_record() - in the transaction: the token of a login whose password was right
 * "unauthorized" when the user or his password is not what was checked any more.
 */
int sk_login_record(struct sk_conn *c, const char *name, const struct sk_login_result *checked,
		    struct sk_login_token *ret, struct sk_err *err);

/** sk_login_same() - is @was still the user whose password was checked? 0 or "unauthorized" */
int sk_login_same(struct sk_conn *c, const char *name, const struct sk_user *was,
		  struct sk_err *err);

/** sk_login_limit_change() - may this user try to change his password once more? 0 or "too-many" */
int sk_login_limit_change(struct sk_hub *hub, int64_t user, struct sk_err *err);
