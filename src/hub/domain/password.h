/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "hub/db/users.h"

#define SK_PASSWORD_MIN 10
#define SK_PASSWORD_MAX 256

/** sk_password_hash() - yescrypt, by crypt(3). "bad-value" when too short or too long. */
int sk_password_hash(const char *password, char ret[static SK_PASSWORD_HASH_MAX],
		     struct sk_err *err);

/** sk_password_check() - takes as long for @hash NULL (no such user) as for a real one. */
bool sk_password_check(const char *password, const char *hash);
