/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside io/crypto only: OpenSSL types with clean-up, and what each file here needs of them. */

#include <openssl/bio.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/macros.h"
#include "io/crypto/keys.h"
#include "io/crypto/pki.h"

SK_DEFINE_CLEANUP(BIO, BIO_free_all);
SK_DEFINE_CLEANUP(X509, X509_free);
SK_DEFINE_CLEANUP(X509_CRL, X509_CRL_free);
SK_DEFINE_CLEANUP(X509_REQ, X509_REQ_free);
SK_DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free);
SK_DEFINE_CLEANUP(CMS_ContentInfo, CMS_ContentInfo_free);
SK_DEFINE_CLEANUP(X509_STORE, X509_STORE_free);
SK_DEFINE_CLEANUP(X509_STORE_CTX, X509_STORE_CTX_free);
SK_DEFINE_CLEANUP(ASN1_INTEGER, ASN1_INTEGER_free);
SK_DEFINE_CLEANUP(BIGNUM, BN_free);

static inline void sk_x509_stackp(STACK_OF(X509) * *s)
{
	sk_X509_pop_free(*s, X509_free);
}
#define _cleanup_x509s_ _cleanup_(sk_x509_stackp)

/** OpenSSL's own words for what failed last, for the end of a sentence; empties its queue. */
const char *sk_ossl_why(void);

/** For PEM readers of what must not be encrypted: never asks anybody for a passphrase. */
int sk_ossl_no_passphrase(char *buf, int size, int rwflag, void *arg);

/** sk_bio_text() - what was written to a BIO in memory, NUL-terminated, owned by the caller. @ret_len may be NULL. */
int sk_bio_text(BIO *b, char **ret, size_t *ret_len, struct sk_err *err);

/** The common name, else the whole name; control characters become '?'. NULL without memory. */
char *sk_x509_name(const X509_NAME *name);

/** "2026-11-22T04:05:06Z" as seconds; INT64_MIN when it cannot be read. */
int64_t sk_asn1_time(const ASN1_TIME *t);

/** Every X.509 block of a PEM file's bytes, at most @max. "bad-value" */
int sk_x509_read_all(const void *pem, size_t len, int max, STACK_OF(X509) * *ret,
		     struct sk_err *err);

static inline void sk_x509_crl_stackp(STACK_OF(X509_CRL) * *s)
{
	sk_X509_CRL_pop_free(*s, X509_CRL_free);
}
#define _cleanup_x509_crls_ _cleanup_(sk_x509_crl_stackp)

/** sk_x509_crl_read_all() - every revocation list of a PEM file's bytes, at least one. "bad-value" */
int sk_x509_crl_read_all(const void *pem, size_t len, STACK_OF(X509_CRL) * *ret,
			 struct sk_err *err);

/** sk_x509_crl_read_der() - the one list that is in DER. "bad-value" */
int sk_x509_crl_read_der(const void *der, size_t len, X509_CRL **ret, struct sk_err *err);

/** Does a file's first byte say DER, not PEM? */
bool sk_is_der(const void *data, size_t len);

/** sk_x509_crl_number() - 0 when it has none, UINT64_MAX when it is larger than that */
uint64_t sk_x509_crl_number(X509_CRL *list);

/** sk_x509_crl_refuse() - "bad-value", about a revocation list; empties OpenSSL's queue */
int sk_x509_crl_refuse(struct sk_err *err, const char *why);

/**
 * sk_key_strong() - RSA of 2048 to 8192 bit, or one of the named curves P-256, P-384, P-521
 * Curves given by their parameters are refused: who chooses the parameters forges signatures.
 */
bool sk_key_strong(EVP_PKEY *key);

/** sk_signature_strong() - may this signature algorithm's hash be relied on? SHA-256, -384, -512 */
bool sk_signature_strong(int signature_nid);

/** sk_cert_signs_releases() - purpose of a signer's certificate. -EKEYREJECTED, "untrusted" */
int sk_cert_signs_releases(X509 *cert, struct sk_err *err);

struct sk_key {
	EVP_PKEY *pkey;
	struct sk_pkcs11 *token; /* that the key is in; NULL: in none */
};

struct sk_signer {
	struct sk_key *key;
	X509 *cert;
	STACK_OF(X509) * chain; /* intermediates, may be empty */
};

struct sk_cert {
	X509 *x509;
};
/** sk_cert_wrap() - @steals is freed on failure too. */
int sk_cert_wrap(X509 *steals, struct sk_cert **ret, struct sk_err *err);

/** sk_hash_for() - SHA-256, or a longer one when the key is stronger. */
const EVP_MD *sk_hash_for(EVP_PKEY *key);

/**
 * sk_trust_check() - a signer's certificate against the roots, the revocations and the clock
 * @others: certificates that came along, to build the chain with; not trusted; may be NULL
 * Return: 0, or -EKEYREJECTED with "untrusted", "revoked", "expired"
 */
int sk_trust_check(const struct sk_trust *t, X509 *cert, STACK_OF(X509) * others, int64_t now_s,
		   struct sk_err *err);
