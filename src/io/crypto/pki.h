/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "io/crypto/keys.h"

/*
 * Making what trust is made of: keys, a root CA, certificates for signing releases, revocation
 * lists; and the certificate of a server with its own CA. Nothing here touches a file. All PEM that is returned is NUL-terminated and owned by
 * the caller. Times are seconds since 1970.
 */

enum sk_key_type { SK_KEY_P256, SK_KEY_P384, SK_KEY_RSA3072, SK_KEY_RSA4096 };

int sk_key_make(enum sk_key_type type, struct sk_key **ret, struct sk_err *err);

/** sk_key_pem() - PKCS #8, encrypted (AES-256, scrypt) with @passphrase unless that is NULL. */
int sk_key_pem(const struct sk_key *k, const char *passphrase, char **ret, size_t *ret_len,
	       struct sk_err *err);

/** sk_key_public_pem() - SubjectPublicKeyInfo */
int sk_key_public_pem(const struct sk_key *k, char **ret, size_t *ret_len, struct sk_err *err);

struct sk_cert;
void sk_cert_free(struct sk_cert *c);
SK_DEFINE_CLEANUP(struct sk_cert, sk_cert_free);

/** sk_cert_parse() - the first certificate of a PEM file's bytes. "bad-value" */
int sk_cert_parse(const void *pem, size_t len, struct sk_cert **ret, struct sk_err *err);
int sk_cert_pem(const struct sk_cert *c, char **ret, size_t *ret_len, struct sk_err *err);
bool sk_cert_is_for(const struct sk_cert *c, const struct sk_key *k);

#define SK_SERIAL_HEX 40 /* RFC 5280: at most 20 bytes */

/**
 * struct sk_cert_facts - what a person wants to know of a certificate
 * @problem: why it cannot sign releases, a sentence; NULL when it can
 */
struct sk_cert_facts {
	char *name, *issuer;
	char serial[SK_SERIAL_HEX + 1];
	char key[32]; /* "ECDSA P-256", "RSA 3072" */
	int64_t from_s, to_s;
	bool ca;
	struct sk_digest fingerprint; /* SHA-256 of the DER */
	char *problem;
};
int sk_cert_facts(const struct sk_cert *c, struct sk_cert_facts *ret, struct sk_err *err);
void sk_cert_facts_done(struct sk_cert_facts *f);

/** A CA: its key and its certificate; both borrowed. */
struct sk_ca {
	const struct sk_key *key;
	const struct sk_cert *cert;
};

/** What a certificate is for. A root for servers certifies no other CA. */
enum sk_cert_use { SK_CERT_RELEASES, SK_CERT_SERVER };

/** What is to be certified, and for how long. */
struct sk_subject {
	const char *name; /* common name, at most 64 bytes */
	int64_t from_s, to_s;
	enum sk_cert_use use;
	const char *
		hosts; /* SK_CERT_SERVER, not a root's: host names and addresses with blanks between */
};

/** sk_ca_make() - a root: its certificate, signed by itself */
int sk_ca_make(const struct sk_key *key, const struct sk_subject *who, struct sk_cert **ret,
	       struct sk_err *err);

/** sk_ca_certify() - a certificate for the key @key. "bad-name" (also of a host), "bad-value", "io" */
int sk_ca_certify(const struct sk_ca *ca, const struct sk_subject *who, const struct sk_key *key,
		  struct sk_cert **ret, struct sk_err *err);

/**
 * sk_ca_certify_request() - the same for the key of a request (PKCS #10, PEM)
 * The request's own signature is checked (who asks has the key); of what it asks for, only the
 * key is taken.
 */
int sk_ca_certify_request(const struct sk_ca *ca, const struct sk_subject *who, const void *csr,
			  size_t len, struct sk_cert **ret, struct sk_err *err);

/** sk_request_make() - a request for a certificate; the key may be in a token. */
int sk_request_make(const struct sk_key *key, const char *name, char **ret, size_t *ret_len,
		    struct sk_err *err);
/** sk_request_name() - the common name that it asks for; not checked by anybody. */
int sk_request_name(const void *csr, size_t len, char **ret, struct sk_err *err);

struct sk_revoked {
	char serial[SK_SERIAL_HEX + 1];
	int64_t since_s;
};

struct sk_crl_subject {
	uint64_t number; /* above that of every list before */
	int64_t from_s, to_s;
	const struct sk_revoked *revoked;
	size_t n_revoked;
};

int sk_ca_revoke(const struct sk_ca *ca, const struct sk_crl_subject *what, char **ret,
		 size_t *ret_len, struct sk_err *err);

/** struct sk_crl_facts - @number: 0 also for one that does not fit, so that counting on does not wrap */
struct sk_crl_facts {
	char *issuer;
	uint64_t number;
	int64_t from_s, to_s;
	struct sk_revoked *revoked;
	size_t n_revoked;
};
/** sk_crl_facts() - the first list (PEM); its signature is not checked. "bad-value" */
int sk_crl_facts(const void *pem, size_t len, struct sk_crl_facts *ret, struct sk_err *err);
void sk_crl_facts_done(struct sk_crl_facts *f);
