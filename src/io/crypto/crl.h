/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside io/crypto only: the revocation lists of a trust folder. */

#include <stddef.h>

#include "base/err.h"
#include "io/crypto/ossl.h"

#define SK_CRL_FILE_MAX (4u << 20)

/**
 * struct sk_crl - one root's list
 * @root: borrowed from the roots it was loaded with; NULL when it is not trusted any more. Such a list is kept: the
 *        root may be vouched for by another one (cross-signed), and what it revoked must stay that.
 */
struct sk_crl {
	X509_CRL *list;
	ASN1_INTEGER *number;
	X509 *root;
};

struct sk_crls {
	struct sk_crl *v;
	size_t n;
};

void sk_crls_done(struct sk_crls *c);

/**
 * sk_crls_load() - what crl.pem holds: at most one list of each root
 * Return: 0, "untrusted" (said to be of a root that did not sign it), "bad-value" (damaged, no number, or with a critical
 * extension: those narrow what a list is about, and none of them is understood here)
 */
int sk_crls_load(struct sk_crls *c, const void *pem, size_t len, STACK_OF(X509) * roots,
		 struct sk_err *err);

/**
 * sk_crls_with() - a copy of @old in which the list in @crl (one, PEM or DER) stands for its root's
 * Return: 0; 1 when it is not newer than the one there (*ret is empty); errors as sk_crls_load()
 */
int sk_crls_with(const struct sk_crls *old, const void *crl, size_t len, STACK_OF(X509) * roots,
		 struct sk_crls *ret, struct sk_err *err);

/** sk_crls_pem() - all of them as a file. Owned by the caller. */
int sk_crls_pem(const struct sk_crls *c, char **ret, size_t *ret_len, struct sk_err *err);

/**
 * sk_crl_unfit() - why no device would take this list, whoever signed it; NULL when it is fit
 * No number or a negative one, more entries than are taken, a critical extension, a weak hash.
 */
const char *sk_crl_unfit(X509_CRL *list);

/** sk_crls_revoked() - does the list of @issuer, if there is one, name @cert? */
bool sk_crls_revoked(const struct sk_crls *c, X509 *cert, X509 *issuer, int64_t *ret_since_s);
