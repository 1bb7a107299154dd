/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Certificates, lists and messages that the product itself refuses to make, made with OpenSSL
 * alone. Everything fails the test on error. Times are around PKI_NOW.
 */
#include <openssl/cms.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PKI_NOW 1800000000 /* 2027-01-15T08:00:00Z */
#define PKI_DAY 86400

struct pki_who {
	EVP_PKEY *key;
	X509 *cert;
};

struct pki_spec {
	const char *name;
	const struct pki_who *issuer; /* NULL: signs itself */
	bool ca;
	const char *ku;	      /* default: for a CA keyCertSign,cRLSign; else digitalSignature */
	const char *eku;      /* default codeSigning; "" for none */
	const char *curve;    /* default P-256 */
	int rsa_bits;	      /* not 0: RSA */
	const EVP_MD *md;     /* default SHA-256 */
	int64_t from_s, to_s; /* default a day ago, a year on */
	int64_t serial;	      /* default: a new one */
	bool explicit_curve;
	EVP_PKEY *key;		  /* use this one (a reference is taken) */
	const char *critical_oid; /* adds a critical extension of this type */
	const char *constraints;  /* basic constraints, default critical, CA or not; "" for none */
	bool proxy;		  /* a proxy certificate (RFC 3820) */
};

struct pki_who pki_make(const struct pki_spec *spec);
void pki_free(struct pki_who *w);

struct pki_crl_spec {
	const struct pki_who *issuer;
	long number; /* -1: none */
	const X509 *revoked[4];
	const EVP_MD *md;
	int64_t this_s, next_s;
	const char *critical_oid;
	const char *entry_oid;	/* critical extension of each entry */
	const char *number_hex; /* instead of @number: any number of bytes, "-…" for below 0 */
	size_t n_others;	/* entries of serials that nobody has */
	const X509 *key_id;	/* the issuer's key is named as this one's */
};
X509_CRL *pki_crl(const struct pki_crl_spec *spec);

/** Writes ca.pem of the roots given (ended by NULL). */
void pki_write_roots(const char *dir, const struct pki_who *const *roots);
void pki_write_crl(const char *dir, X509_CRL *crl);
char *pki_pem_crl(X509_CRL *crl, size_t *ret_len);
void pki_write_key(const char *path, EVP_PKEY *key, const char *passphrase);
void pki_write_cert(const char *path, X509 *cert);

/** DER owned by the caller; @more (NULL-terminated, may be NULL): certificates that go along. */
unsigned char *pki_sign(const void *content, size_t len, const struct pki_who *who,
			const EVP_MD *md, X509 *const *more, unsigned int flags, size_t *ret_len);
unsigned char *pki_cms_der(CMS_ContentInfo *cms, size_t *ret_len);
