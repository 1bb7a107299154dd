/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside io/crypto only. */

#include "base/err.h"
#include "io/crypto/ossl.h"

/** sk_pkcs11_load() - fill @key from a token. "not-found", "bad-value", "not-supported" */
int sk_pkcs11_load(const char *uri, const struct sk_secret *secret, struct sk_key *key,
		   struct sk_err *err);
/** sk_pkcs11_attribute() - the URI's attribute @name, decoded and cut at @size, into @buf; false: none */
bool sk_pkcs11_attribute(const char *uri, const char *name, char *buf, size_t size);
/** sk_pkcs11_without_module() - a copy of @uri without its module-path; NULL without memory */
char *sk_pkcs11_without_module(const char *uri);
/** sk_pkcs11_close() - after the key itself was freed; @engine may be NULL. */
void sk_pkcs11_close(void *engine);
