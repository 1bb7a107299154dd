/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/digest.h"
#include "base/err.h"

/*
 * Tokens: a prefix that tells what it is, then 256 random bits in hex. The hub keeps the SHA-256
 * only; with that much randomness nothing slower is needed.
 */
#define SK_SECRET_MAX 80

/** @prefix: "sku_" (user), "skd_" (device session), "ske_" (enrolment). */
int sk_secret_new(const char *prefix, char ret[static SK_SECRET_MAX], struct sk_digest *ret_hash,
		  struct sk_err *err);
/** sk_secret_hash() - of a token that came in. 0, or -EINVAL when it cannot be one. */
int sk_secret_hash(const char *secret, struct sk_digest *ret);
/** sk_random() - 0 or "internal". */
int sk_random(void *buf, size_t len, struct sk_err *err);
/** A password to be typed once: 20 letters and digits that are hard to mix up. */
int sk_secret_password(char ret[static 32], struct sk_err *err);
