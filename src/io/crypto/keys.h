/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

/**
 * struct sk_secret - where a passphrase or PIN comes from when a key needs one
 * @get: writes at most @size bytes to @buf (no NUL needed) and returns their number, or -errno when
 *       there is none; @what is for a question to a person: a key file or a token. What it
 *       wrote is wiped after use.
 */
struct sk_secret {
	int (*get)(void *arg, const char *what, char *buf, size_t size);
	void *arg;
};

/** A private key: from a PEM file, or one that never leaves its PKCS#11 token. */
struct sk_key;

/**
 * sk_key_load() - "pkcs11:" URI (RFC 7512) or name of a PEM file
 * @secret: asked when the key is encrypted or the URI has no PIN; may be NULL: then such a key
 *          is refused
 * Return: 0, "not-found", "io", "bad-value" (damaged, no passphrase, a weak key, a file that
 * everybody may read)
 */
int sk_key_load(const char *key, const struct sk_secret *secret, struct sk_key **ret,
		struct sk_err *err);
/**
 * sk_key_parse() - the same of a PEM file's bytes
 * @what: how to call them in messages, and to whom @secret asks
 */
int sk_key_parse(const char *pem, size_t len, const char *what, const struct sk_secret *secret,
		 struct sk_key **ret, struct sk_err *err);
void sk_key_free(struct sk_key *k);
SK_DEFINE_CLEANUP(struct sk_key, sk_key_free);

/** A private key with its certificate: from PEM files or a "pkcs11:" URI (RFC 7512). */
struct sk_signer;
int sk_signer_load(const char *key, const char *cert_file, struct sk_signer **ret,
		   struct sk_err *err);
/** sk_signer_load_with() - the same for a key that needs a passphrase or PIN; @secret as above. */
int sk_signer_load_with(const char *key, const char *cert_file, const struct sk_secret *secret,
			struct sk_signer **ret, struct sk_err *err);
void sk_signer_free(struct sk_signer *s);
SK_DEFINE_CLEANUP(struct sk_signer, sk_signer_free);

/**
 * struct sk_trust - the roots a device believes, and what they have revoked
 * A folder with ca.pem (one or more roots) and, where there is one, crl.pem. Revocation lists are
 * taken only when a root signed them, and only with a CRL number not below the present one.
 */
struct sk_trust;
int sk_trust_load(const char *dir, struct sk_trust **ret, struct sk_err *err);
/**
 * sk_trust_refresh() - the same folder again, if its files are not what they were when they were read
 * Return: 0 unchanged, 1 read anew. On failure *t is NULL: what is not known any more is not believed.
 */
int sk_trust_refresh(struct sk_trust **t, struct sk_err *err);
/** sk_trust_of() - the roots of @ca_pem, without a folder: lists are kept in memory alone. */
int sk_trust_of(const char *ca_pem, struct sk_trust **ret, struct sk_err *err);
/**
 * sk_trust_update_crl() - verify a newer list (one, PEM or DER) and replace <dir>/crl.pem
 * sk_trust_check_crl() does all of it but the replacing.
 * Return: 0; 1 when it is not newer (nothing changed); "untrusted" (no root signed it),
 * "bad-value" (damaged, without number, with a critical extension), "io", "no-space"
 */
int sk_trust_check_crl(const struct sk_trust *t, const void *crl, size_t len, struct sk_err *err);
int sk_trust_update_crl(struct sk_trust *t, const void *crl, size_t len, struct sk_err *err);
/** sk_trust_crls() - the lists that are in force, one a root. Owned by the caller. */
struct sk_crl_info;
int sk_trust_crls(const struct sk_trust *t, struct sk_crl_info **ret, size_t *ret_n,
		  struct sk_err *err);
void sk_trust_free(struct sk_trust *t);
SK_DEFINE_CLEANUP(struct sk_trust, sk_trust_free);
