/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"

/** A private key with its certificate: from PEM files or a "pkcs11:" URI (RFC 7512). */
struct sk_signer;
int sk_signer_load(const char *key, const char *cert_file, struct sk_signer **ret,
		   struct sk_err *err);
void sk_signer_free(struct sk_signer *s);
SK_DEFINE_CLEANUP(struct sk_signer, sk_signer_free);

/**
 * struct sk_trust - the roots a device believes, and what they have revoked
 * A folder with ca.pem (one or more roots) and, where there is one, crl.pem. Revocation lists are
 * taken only when a root signed them, and only with a CRL number not below the present one.
 */
struct sk_trust;
int sk_trust_load(const char *dir, struct sk_trust **ret, struct sk_err *err);
/** sk_trust_update_crl() - verify a newer list (PEM or DER) and replace <dir>/crl.pem. 0, 1 when it is not newer, or "untrusted". */
int sk_trust_update_crl(struct sk_trust *t, const void *crl, size_t len, struct sk_err *err);
void sk_trust_free(struct sk_trust *t);
SK_DEFINE_CLEANUP(struct sk_trust, sk_trust_free);
