/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside io/crypto only. */

#include "base/err.h"
#include "io/crypto/ossl.h"

/**
 * sk_pkcs11_load() - fill @key from a token
 * Through OpenSSL's PKCS#11 provider; through its engine where there is no provider (Debian 12).
 * "not-found" (no such module, token or key; wrong PIN), "bad-value", "not-supported"
 */
int sk_pkcs11_load(const char *uri, const struct sk_secret *secret, struct sk_key *key,
		   struct sk_err *err);
/** sk_pkcs11_attribute() - the URI's attribute @name, decoded and cut at @size, into @buf; false: none */
bool sk_pkcs11_attribute(const char *uri, const char *name, char *buf, size_t size);
/** sk_pkcs11_without() - a copy of @uri without its attribute @name; NULL without memory */
char *sk_pkcs11_without(const char *uri, const char *name);

enum sk_pkcs11_why {
	SK_PKCS11_NO_KEY = 1, /* no token, or none with such a key */
	SK_PKCS11_NO_TOKEN,
	SK_PKCS11_NOT_IN_TOKEN, /* the token opened and has no such key */
	SK_PKCS11_WRONG_PIN,
	SK_PKCS11_LOCKED,
	SK_PKCS11_WANTS_PIN,
};

/** struct sk_pkcs11 - one way to a token; it stays open as long as the key is in use */
struct sk_pkcs11 {
	const struct sk_pkcs11_way *way; /* NULL: not open */
	void *handle;			 /* of the way: the provider's context, or the engine */
	const char *pin; /* while a key is loaded; NULL: none was given, or it is in the URI */
	bool asked;	 /* a token asked for the PIN */
};

/**
 * struct sk_pkcs11_way - OpenSSL's provider, or its engine
 * @open: fills @p. @module: file of the PKCS#11 module; NULL: the default. -ENOSYS when there is no
 *        such way on this machine (@err is untouched)
 * @load: @uri is without module-path and pin-value. Return: 0, or enum sk_pkcs11_why with
 *        OpenSSL's reason in its queue, where it has one
 */
struct sk_pkcs11_way {
	int (*open)(struct sk_pkcs11 *p, const char *module, struct sk_err *err);
	int (*load)(struct sk_pkcs11 *p, const char *uri, EVP_PKEY **ret);
	void (*close)(struct sk_pkcs11 *p);
};
extern const struct sk_pkcs11_way sk_pkcs11_provider, sk_pkcs11_engine;

/** sk_pkcs11_free() - after the key itself was freed; @p may be NULL. */
void sk_pkcs11_free(struct sk_pkcs11 *p);
