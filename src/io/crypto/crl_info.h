/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"

/**
 * struct sk_crl_info - what one revocation list says of itself
 * @issuer:    the root's name, for people
 * @issuer_id: of the root's name and key: lists with the same one replace each other
 * @number:    INT64_MAX when it is larger than that
 * @to_s:      when the next one is due; INT64_MIN when it does not say
 * @digest:    SHA-256 of its DER form, whichever form it was read from
 * @pem:       as a file, this list alone
 */
struct sk_crl_info {
	char *issuer;
	struct sk_digest issuer_id;
	int64_t number;
	int64_t from_s, to_s;
	size_t n_revoked;
	struct sk_digest digest;
	char *pem;
};

#define SK_CRL_INFO_SIZE_MAX (1u << 20) /* of a file that is read here */

/**
 * sk_crl_infos_read() - one list (DER), or one or more (PEM), at most @max of them
 * Nobody's signature is checked, but what no device would take is refused here already.
 * Return: 0, "bad-value", "too-large" (file, number of lists)
 */
int sk_crl_infos_read(const void *data, size_t len, size_t max, struct sk_crl_info **ret,
		      size_t *ret_n, struct sk_err *err);
void sk_crl_infos_free(struct sk_crl_info *v, size_t n);

/** Inside io/crypto: from OpenSSL's form (X509_CRL), borrowed. */
int sk_crl_info_fill(struct sk_crl_info *ret, void *x509_crl, struct sk_err *err);
