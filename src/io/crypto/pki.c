/* SPDX-License-Identifier: Apache-2.0 */
#include "io/crypto/pki.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/pkcs12.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "io/crypto/ossl.h"

#define SERIAL_BYTES 16
#define NAME_MAX_CN  64
#define CSR_MAX	     (64u << 10)
#define HOSTS_MAX    8192  /* of a server's certificate, with the words around each */
#define SCRYPT_N     16384 /* 16 MiB of memory for each guess */
#define SCRYPT_R     8
#define SCRYPT_P     1

static int pki_failed(struct sk_err *err, const char *what)
{
	return sk_err_set(err, -EIO, "io", "cannot make %s: %s", what, sk_ossl_why());
}

int sk_key_make(enum sk_key_type type, struct sk_key **ret, struct sk_err *err)
{
	_cleanup_(sk_key_freep) struct sk_key *k = calloc(1, sizeof(*k));

	if (!k)
		return sk_err_oom(err);
	ERR_clear_error();
	switch (type) {
	case SK_KEY_P256:
		k->pkey = EVP_EC_gen("P-256");
		break;
	case SK_KEY_P384:
		k->pkey = EVP_EC_gen("P-384");
		break;
	case SK_KEY_RSA3072:
		k->pkey = EVP_RSA_gen(3072);
		break;
	case SK_KEY_RSA4096:
		k->pkey = EVP_RSA_gen(4096);
		break;
	}
	if (!k->pkey)
		return pki_failed(err, "a key");
	*ret = TAKE_PTR(k);
	return 0;
}

/* scrypt, because OpenSSL's own choice (2048 rounds of PBKDF2) is guessed in an afternoon. */
static int write_encrypted(BIO *b, EVP_PKEY *key, const char *passphrase)
{
	PKCS8_PRIV_KEY_INFO *plain = EVP_PKEY2PKCS8(key);
	X509_ALGOR *how = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), NULL, 0, NULL, SCRYPT_N,
						SCRYPT_R, SCRYPT_P);
	X509_SIG *sealed = NULL;
	int ok;

	if (plain && how)
		sealed = PKCS8_set0_pbe(passphrase, (int)strlen(passphrase), plain, how);
	ok = sealed && PEM_write_bio_PKCS8(b, sealed) == 1;
	if (!sealed)
		X509_ALGOR_free(how);
	X509_SIG_free(sealed);
	PKCS8_PRIV_KEY_INFO_free(plain);
	return ok;
}

int sk_key_pem(const struct sk_key *k, const char *passphrase, char **ret, size_t *ret_len,
	       struct sk_err *err)
{
	/* Secure memory: wiped when it is freed. */
	_cleanup_(BIO_free_allp) BIO *b = BIO_new(BIO_s_secmem());
	int ok;

	if (!b)
		return sk_err_oom(err);
	ERR_clear_error();
	if (passphrase)
		ok = write_encrypted(b, k->pkey, passphrase);
	else
		ok = PEM_write_bio_PKCS8PrivateKey(b, k->pkey, NULL, NULL, 0, NULL, NULL) == 1;
	return ok ? sk_bio_text(b, ret, ret_len, err) : pki_failed(err, "the key file");
}

int sk_key_public_pem(const struct sk_key *k, char **ret, size_t *ret_len, struct sk_err *err)
{
	_cleanup_(BIO_free_allp) BIO *b = BIO_new(BIO_s_mem());

	if (!b || PEM_write_bio_PUBKEY(b, k->pkey) != 1)
		return sk_err_oom(err);
	return sk_bio_text(b, ret, ret_len, err);
}

struct extension {
	int nid;
	const char *value; /* in the words of OpenSSL's configuration */
};

static const struct extension root_extensions[] = {
	{ NID_basic_constraints, "critical,CA:TRUE" },
	{ NID_key_usage, "critical,keyCertSign,cRLSign" },
	{ NID_subject_key_identifier, "hash" },
	{ 0 },
};

static const struct extension server_root_extensions[] = {
	{ NID_basic_constraints, "critical,CA:TRUE,pathlen:0" },
	{ NID_key_usage, "critical,keyCertSign,cRLSign" },
	{ NID_subject_key_identifier, "hash" },
	{ 0 },
};

static const struct extension signer_extensions[] = {
	{ NID_basic_constraints, "critical,CA:FALSE" },
	{ NID_key_usage, "critical,digitalSignature" },
	{ NID_ext_key_usage, "codeSigning" },
	{ NID_subject_key_identifier, "hash" },
	{ NID_authority_key_identifier, "keyid:always" },
	{ 0 },
};

static const struct extension server_extensions[] = {
	{ NID_basic_constraints, "critical,CA:FALSE" },
	{ NID_key_usage, "critical,digitalSignature" },
	{ NID_ext_key_usage, "serverAuth" },
	{ NID_subject_key_identifier, "hash" },
	{ NID_authority_key_identifier, "keyid:always" },
	{ 0 },
};

static int add_extension(X509 *cert, X509 *issuer, const struct extension *ext)
{
	X509_EXTENSION *e;
	X509V3_CTX ctx;
	int ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, ext->nid, ext->value);
	ok = e && X509_add_ext(cert, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

static int add_extensions(X509 *cert, X509 *issuer, const struct extension *ext)
{
	for (; ext->nid; ext++)
		if (!add_extension(cert, issuer, ext))
			return 0;
	return 1;
}

/* "DNS:a,IP:127.0.0.1": a comma or colon in a name would say something else there. */
static int format_host(struct sk_buf *b, const char *host, struct sk_err *err)
{
	unsigned char ip[16];
	bool is_ip = inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;

	if (!is_ip && strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789.-*") != strlen(host))
		return sk_err_set(err, -EINVAL, "bad-name", "\"%s\" is no host name or address",
				  host);
	if (sk_buf_addf(b, "%s%s:%s", b->len ? "," : "", is_ip ? "IP" : "DNS", host) < 0)
		return sk_err_set(err, -EINVAL, "bad-value", "too many host names");
	return 0;
}

static int add_hosts(X509 *cert, const char *hosts, struct sk_err *err)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(HOSTS_MAX);
	_cleanup_strv_ char **v = NULL;
	_cleanup_free_ char *value = NULL;
	int r;

	if (sk_strv_split(hosts, ' ', &v) < 0)
		return sk_err_oom(err);
	SK_STRV_FOREACH (host, v) {
		r = format_host(&b, *host, err);
		if (r < 0)
			return r;
	}
	if (b.len == 0)
		return sk_err_set(err, -EINVAL, "bad-value", "no host names");
	value = sk_buf_take(&b, NULL);
	if (!value)
		return sk_err_oom(err);
	return add_extension(cert, NULL, &(struct extension){ NID_subject_alt_name, value })
		       ? 0
		       : pki_failed(err, "the certificate");
}

static const struct extension *extensions_for(const struct sk_subject *who, bool root)
{
	bool server = who->use == SK_CERT_SERVER;

	if (root)
		return server ? server_root_extensions : root_extensions;
	return server ? server_extensions : signer_extensions;
}

/* Random: nobody can foresee it, and no counter has to survive a crash. */
static int set_serial(X509 *cert)
{
	unsigned char bytes[SERIAL_BYTES];
	_cleanup_(BN_freep) BIGNUM *n = NULL;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return 0;
	bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive, and always of one length */
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	return n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL;
}

static int set_name(X509_NAME *name, const char *cn)
{
	return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1,
					  -1, 0);
}

static int fill(X509 *cert, const struct sk_subject *who, EVP_PKEY *key, X509 *issuer)
{
	return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert) &&
	       set_name(X509_get_subject_name(cert), who->name) == 1 &&
	       X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1 &&
	       ASN1_TIME_set(X509_getm_notBefore(cert), who->from_s) &&
	       ASN1_TIME_set(X509_getm_notAfter(cert), who->to_s) &&
	       X509_set_pubkey(cert, key) == 1 &&
	       add_extensions(cert, issuer, extensions_for(who, issuer == cert));
}

static int check_subject(const struct sk_subject *who, struct sk_err *err)
{
	size_t len = strlen(who->name);

	if (len == 0 || len > NAME_MAX_CN)
		return sk_err_set(err, -EINVAL, "bad-name",
				  "a certificate's name has 1 to %d bytes", NAME_MAX_CN);
	if (who->from_s >= who->to_s)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "a certificate cannot end before it begins");
	return 0;
}

/* @issuer NULL: signed by itself. */
static int make_cert(const struct sk_subject *who, EVP_PKEY *key, X509 *issuer,
		     EVP_PKEY *issuer_key, struct sk_cert **ret, struct sk_err *err)
{
	_cleanup_(X509_freep) X509 *cert = X509_new();
	int r = check_subject(who, err);

	if (r < 0)
		return r;
	ERR_clear_error();
	if (!cert || !fill(cert, who, key, issuer ? issuer : cert))
		return pki_failed(err, "the certificate");
	if (issuer && who->use == SK_CERT_SERVER) {
		r = add_hosts(cert, who->hosts, err);
		if (r < 0)
			return r;
	}
	if (X509_sign(cert, issuer_key, sk_hash_for(issuer_key)) <= 0)
		return pki_failed(err, "the certificate");
	return sk_cert_wrap(TAKE_PTR(cert), ret, err);
}

int sk_ca_make(const struct sk_key *key, const struct sk_subject *who, struct sk_cert **ret,
	       struct sk_err *err)
{
	return make_cert(who, key->pkey, NULL, key->pkey, ret, err);
}

static int check_ca(const struct sk_ca *ca, struct sk_err *err)
{
	if (X509_check_ca(ca->cert->x509) != 1)
		return sk_err_set(err, -EINVAL, "bad-value", "that certificate is not a CA's");
	if (!sk_cert_is_for(ca->cert, ca->key))
		return sk_err_set(err, -EINVAL, "bad-value",
				  "the CA's key and certificate do not belong together");
	return 0;
}

int sk_ca_certify(const struct sk_ca *ca, const struct sk_subject *who, const struct sk_key *key,
		  struct sk_cert **ret, struct sk_err *err)
{
	int r = check_ca(ca, err);

	if (r < 0)
		return r;
	return make_cert(who, key->pkey, ca->cert->x509, ca->key->pkey, ret, err);
}

static int parse_request(const void *csr, size_t len, X509_REQ **ret, struct sk_err *err)
{
	_cleanup_(BIO_free_allp) BIO *b = NULL;

	if (len > CSR_MAX)
		return sk_err_set(err, -EINVAL, "bad-value", "the request is too large");
	b = BIO_new_mem_buf(csr, (int)len);
	if (!b)
		return sk_err_oom(err);
	*ret = PEM_read_bio_X509_REQ(b, NULL, sk_ossl_no_passphrase, NULL);
	ERR_clear_error();
	if (!*ret)
		return sk_err_set(
			err, -EINVAL, "bad-value",
			"not a certificate request (PEM, as skerry key request makes it)");
	return 0;
}

int sk_ca_certify_request(const struct sk_ca *ca, const struct sk_subject *who, const void *csr,
			  size_t len, struct sk_cert **ret, struct sk_err *err)
{
	_cleanup_(X509_REQ_freep) X509_REQ *req = NULL;
	EVP_PKEY *key;
	int r = check_ca(ca, err);

	if (r == 0)
		r = parse_request(csr, len, &req, err);
	if (r < 0)
		return r;
	key = X509_REQ_get0_pubkey(req);
	if (!sk_key_strong(key))
		return sk_err_set(err, -EINVAL, "bad-value",
				  "the request's key is weak or of another kind: RSA from 2048 bit "
				  "or ECDSA P-256, P-384, P-521 is needed");
	if (X509_REQ_verify(req, key) != 1) {
		ERR_clear_error();
		return sk_err_set(err, -EINVAL, "bad-value",
				  "the request is not signed by the key in it");
	}
	return make_cert(who, key, ca->cert->x509, ca->key->pkey, ret, err);
}

int sk_request_make(const struct sk_key *key, const char *name, char **ret, size_t *ret_len,
		    struct sk_err *err)
{
	_cleanup_(X509_REQ_freep) X509_REQ *req = X509_REQ_new();
	_cleanup_(BIO_free_allp) BIO *b = BIO_new(BIO_s_mem());

	if (!req || !b)
		return sk_err_oom(err);
	ERR_clear_error();
	if (set_name(X509_REQ_get_subject_name(req), name) != 1 ||
	    X509_REQ_set_pubkey(req, key->pkey) != 1 ||
	    X509_REQ_sign(req, key->pkey, sk_hash_for(key->pkey)) <= 0 ||
	    PEM_write_bio_X509_REQ(b, req) != 1)
		return pki_failed(err, "the request");
	return sk_bio_text(b, ret, ret_len, err);
}

int sk_request_name(const void *csr, size_t len, char **ret, struct sk_err *err)
{
	_cleanup_(X509_REQ_freep) X509_REQ *req = NULL;
	int r = parse_request(csr, len, &req, err);

	if (r < 0)
		return r;
	*ret = sk_x509_name(X509_REQ_get_subject_name(req));
	return *ret ? 0 : sk_err_oom(err);
}

static int add_revoked(X509_CRL *crl, const struct sk_revoked *one)
{
	X509_REVOKED *r = X509_REVOKED_new();
	ASN1_TIME *since = ASN1_TIME_set(NULL, one->since_s);
	ASN1_INTEGER *serial = NULL;
	BIGNUM *n = NULL;
	int ok;

	ok = r && since && BN_hex2bn(&n, one->serial) == (int)strlen(one->serial) &&
	     (serial = BN_to_ASN1_INTEGER(n, NULL)) &&
	     X509_REVOKED_set_serialNumber(r, serial) == 1 &&
	     X509_REVOKED_set_revocationDate(r, since) == 1 && X509_CRL_add0_revoked(crl, r) == 1;
	if (!ok)
		X509_REVOKED_free(r);
	BN_free(n);
	ASN1_TIME_free(since);
	ASN1_INTEGER_free(serial);
	return ok;
}

static int set_dates(X509_CRL *crl, const struct sk_crl_subject *what)
{
	ASN1_TIME *from = ASN1_TIME_set(NULL, what->from_s);
	ASN1_TIME *to = ASN1_TIME_set(NULL, what->to_s);
	int ok = from && to && X509_CRL_set1_lastUpdate(crl, from) == 1 &&
		 X509_CRL_set1_nextUpdate(crl, to) == 1;

	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	return ok;
}

static int set_number(X509_CRL *crl, uint64_t number)
{
	ASN1_INTEGER *n = ASN1_INTEGER_new();
	int ok = n && ASN1_INTEGER_set_uint64(n, number) == 1 &&
		 X509_CRL_add1_ext_i2d(crl, NID_crl_number, n, 0, 0) == 1;

	ASN1_INTEGER_free(n);
	return ok;
}

static int set_authority(X509_CRL *crl, X509 *ca)
{
	X509_EXTENSION *e;
	X509V3_CTX ctx;
	int ok;

	X509V3_set_ctx(&ctx, ca, NULL, NULL, crl, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
	ok = e && X509_CRL_add_ext(crl, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

int sk_ca_revoke(const struct sk_ca *ca, const struct sk_crl_subject *what, char **ret,
		 size_t *ret_len, struct sk_err *err)
{
	_cleanup_(X509_CRL_freep) X509_CRL *crl = X509_CRL_new();
	_cleanup_(BIO_free_allp) BIO *b = BIO_new(BIO_s_mem());
	X509 *cert = ca->cert->x509;
	int ok, r = check_ca(ca, err);

	if (r < 0)
		return r;
	ERR_clear_error();
	ok = crl && b && X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
	     X509_CRL_set_issuer_name(crl, X509_get_subject_name(cert)) == 1 &&
	     set_dates(crl, what) && set_authority(crl, cert) && set_number(crl, what->number);
	for (size_t i = 0; ok && i < what->n_revoked; i++)
		ok = add_revoked(crl, &what->revoked[i]);
	if (!ok || X509_CRL_sort(crl) != 1 ||
	    X509_CRL_sign(crl, ca->key->pkey, sk_hash_for(ca->key->pkey)) <= 0 ||
	    PEM_write_bio_X509_CRL(b, crl) != 1)
		return pki_failed(err, "the revocation list");
	return sk_bio_text(b, ret, ret_len, err);
}
