/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"
#include "pki_fixture.h"

#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static EVP_PKEY *make_key(const struct pki_spec *s)
{
	EVP_PKEY_CTX *ctx;
	EVP_PKEY *key = NULL;

	if (s->key) {
		assert_int_equal(EVP_PKEY_up_ref(s->key), 1);
		return s->key;
	}
	if (s->rsa_bits) {
		key = EVP_RSA_gen((unsigned int)s->rsa_bits);
		assert_non_null(key);
		return key;
	}
	ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_group_name(ctx, s->curve ? s->curve : "P-256"), 1);
	if (s->explicit_curve)
		assert_int_equal(EVP_PKEY_CTX_set_ec_param_enc(ctx, OPENSSL_EC_EXPLICIT_CURVE), 1);
	assert_int_equal(EVP_PKEY_generate(ctx, &key), 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static void add_ext(X509 *c, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);

	assert_non_null(e);
	assert_int_equal(X509_add_ext(c, e, -1), 1);
	X509_EXTENSION_free(e);
}

static X509_EXTENSION *unknown_critical(const char *oid)
{
	ASN1_OCTET_STRING *null = ASN1_OCTET_STRING_new();
	ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
	X509_EXTENSION *e;

	assert_int_equal(ASN1_OCTET_STRING_set(null, (const unsigned char *)"\x05\x00", 2), 1);
	e = X509_EXTENSION_create_by_OBJ(NULL, obj, 1, null);
	assert_non_null(e);
	ASN1_OCTET_STRING_free(null);
	ASN1_OBJECT_free(obj);
	return e;
}

static void add_proxy(X509 *c)
{
	PROXY_CERT_INFO_EXTENSION *info = PROXY_CERT_INFO_EXTENSION_new();

	info->proxyPolicy->policyLanguage = OBJ_nid2obj(NID_id_ppl_anyLanguage);
	assert_int_equal(X509_add1_ext_i2d(c, NID_proxyCertInfo, info, 1, 0), 1);
	PROXY_CERT_INFO_EXTENSION_free(info);
}

static void add_exts(X509 *c, const struct pki_spec *s)
{
	const char *ku = s->ku	 ? s->ku
			 : s->ca ? "critical,keyCertSign,cRLSign"
				 : "critical,digitalSignature";
	const char *eku = s->eku ? s->eku : s->ca ? "" : "codeSigning";
	const char *bc = s->constraints ? s->constraints
			 : s->ca	? "critical,CA:TRUE"
					: "critical,CA:FALSE";
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, s->issuer ? s->issuer->cert : c, c, NULL, NULL, 0);
	if (*bc)
		add_ext(c, &ctx, NID_basic_constraints, bc);
	if (s->proxy)
		add_proxy(c);
	if (*ku)
		add_ext(c, &ctx, NID_key_usage, ku);
	if (*eku)
		add_ext(c, &ctx, NID_ext_key_usage, eku);
	add_ext(c, &ctx, NID_subject_key_identifier, "hash");
	if (s->critical_oid) {
		X509_EXTENSION *e = unknown_critical(s->critical_oid);

		assert_int_equal(X509_add_ext(c, e, -1), 1);
		X509_EXTENSION_free(e);
	}
}

struct pki_who pki_make(const struct pki_spec *s)
{
	static int64_t serial = 1000;
	struct pki_who w = { .key = make_key(s), .cert = X509_new() };
	X509_NAME *name = X509_get_subject_name(w.cert);

	assert_int_equal(X509_set_version(w.cert, 2), 1);
	assert_int_equal(ASN1_INTEGER_set_int64(X509_get_serialNumber(w.cert),
						s->serial ? s->serial : ++serial),
			 1);
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
						    (const unsigned char *)s->name, -1, -1, 0),
			 1);
	assert_int_equal(X509_set_issuer_name(
				 w.cert, s->issuer ? X509_get_subject_name(s->issuer->cert) : name),
			 1);
	ASN1_TIME_set(X509_getm_notBefore(w.cert), s->from_s ? s->from_s : PKI_NOW - PKI_DAY);
	ASN1_TIME_set(X509_getm_notAfter(w.cert), s->to_s ? s->to_s : PKI_NOW + 365 * PKI_DAY);
	assert_int_equal(X509_set_pubkey(w.cert, w.key), 1);
	add_exts(w.cert, s);
	assert_true(X509_sign(w.cert, s->issuer ? s->issuer->key : w.key,
			      s->md ? s->md : EVP_sha256()) > 0);
	return w;
}

void pki_free(struct pki_who *w)
{
	EVP_PKEY_free(w->key);
	X509_free(w->cert);
	*w = (struct pki_who){ 0 };
}

static void add_revoked(X509_CRL *crl, const ASN1_INTEGER *serial, const char *critical_oid)
{
	X509_REVOKED *r = X509_REVOKED_new();
	ASN1_TIME *t = ASN1_TIME_set(NULL, PKI_NOW - 3600);

	assert_int_equal(X509_REVOKED_set_serialNumber(r, (ASN1_INTEGER *)serial), 1);
	assert_int_equal(X509_REVOKED_set_revocationDate(r, t), 1);
	if (critical_oid) {
		X509_EXTENSION *e = unknown_critical(critical_oid);

		assert_int_equal(X509_REVOKED_add_ext(r, e, -1), 1);
		X509_EXTENSION_free(e);
	}
	assert_int_equal(X509_CRL_add0_revoked(crl, r), 1);
	ASN1_TIME_free(t);
}

static ASN1_INTEGER *from_hex(const char *hex)
{
	BIGNUM *n = NULL;
	ASN1_INTEGER *ret;

	assert_true(BN_hex2bn(&n, hex) > 0);
	ret = BN_to_ASN1_INTEGER(n, NULL);
	assert_non_null(ret);
	BN_free(n);
	return ret;
}

static void add_key_id(X509_CRL *crl, const X509 *of)
{
	AUTHORITY_KEYID *id = AUTHORITY_KEYID_new();
	unsigned char sha1[EVP_MAX_MD_SIZE];
	unsigned int len;

	assert_int_equal(X509_pubkey_digest(of, EVP_sha1(), sha1, &len), 1);
	id->keyid = ASN1_OCTET_STRING_new();
	assert_int_equal(ASN1_OCTET_STRING_set(id->keyid, sha1, (int)len), 1);
	assert_int_equal(X509_CRL_add1_ext_i2d(crl, NID_authority_key_identifier, id, 0, 0), 1);
	AUTHORITY_KEYID_free(id);
}

X509_CRL *pki_crl(const struct pki_crl_spec *s)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *from = ASN1_TIME_set(NULL, s->this_s ? s->this_s : PKI_NOW - 3600);
	ASN1_TIME *to = ASN1_TIME_set(NULL, s->next_s ? s->next_s : PKI_NOW + 30 * PKI_DAY);

	assert_int_equal(X509_CRL_set_version(crl, 1), 1);
	assert_int_equal(X509_CRL_set_issuer_name(crl, X509_get_subject_name(s->issuer->cert)), 1);
	assert_int_equal(X509_CRL_set1_lastUpdate(crl, from), 1);
	assert_int_equal(X509_CRL_set1_nextUpdate(crl, to), 1);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	if (s->number >= 0) {
		ASN1_INTEGER *n = s->number_hex ? from_hex(s->number_hex) : ASN1_INTEGER_new();

		if (!s->number_hex)
			assert_int_equal(ASN1_INTEGER_set(n, s->number), 1);
		assert_int_equal(X509_CRL_add1_ext_i2d(crl, NID_crl_number, n, 0, 0), 1);
		ASN1_INTEGER_free(n);
	}
	if (s->key_id)
		add_key_id(crl, s->key_id);
	if (s->critical_oid) {
		X509_EXTENSION *e = unknown_critical(s->critical_oid);

		assert_int_equal(X509_CRL_add_ext(crl, e, -1), 1);
		X509_EXTENSION_free(e);
	}
	for (size_t i = 0; i < 4 && s->revoked[i]; i++)
		add_revoked(crl, X509_get0_serialNumber(s->revoked[i]), s->entry_oid);
	for (size_t i = 0; i < s->n_others; i++) {
		ASN1_INTEGER *n = ASN1_INTEGER_new();

		assert_int_equal(ASN1_INTEGER_set_int64(n, 1 + (int64_t)i), 1);
		add_revoked(crl, n, NULL);
		ASN1_INTEGER_free(n);
	}
	assert_int_equal(X509_CRL_sort(crl), 1);
	assert_true(X509_CRL_sign(crl, s->issuer->key, s->md ? s->md : EVP_sha256()) > 0);
	return crl;
}

static BIO *create(const char *dir, const char *name)
{
	char path[512];
	BIO *b;

	assert_true(snprintf(path, sizeof(path), "%s%s%s", dir, name ? "/" : "", name ? name : "") <
		    (int)sizeof(path));
	b = BIO_new_file(path, "w");
	assert_non_null(b);
	return b;
}

void pki_write_roots(const char *dir, const struct pki_who *const *roots)
{
	BIO *b = create(dir, "ca.pem");

	for (; *roots; roots++)
		assert_int_equal(PEM_write_bio_X509(b, (*roots)->cert), 1);
	BIO_free(b);
}

void pki_write_crl(const char *dir, X509_CRL *crl)
{
	BIO *b = create(dir, "crl.pem");

	assert_int_equal(PEM_write_bio_X509_CRL(b, crl), 1);
	BIO_free(b);
}

char *pki_pem_crl(X509_CRL *crl, size_t *ret_len)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *data, *copy;

	assert_int_equal(PEM_write_bio_X509_CRL(b, crl), 1);
	*ret_len = (size_t)BIO_get_mem_data(b, &data);
	copy = strndup(data, *ret_len);
	BIO_free(b);
	return copy;
}

void pki_write_key(const char *path, EVP_PKEY *key, const char *passphrase)
{
	BIO *b = create(path, NULL);

	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(
				 b, key, passphrase ? EVP_aes_256_cbc() : NULL, passphrase,
				 passphrase ? (int)strlen(passphrase) : 0, NULL, NULL),
			 1);
	BIO_free(b);
	assert_int_equal(chmod(path, 0600), 0);
}

void pki_write_cert(const char *path, X509 *cert)
{
	BIO *b = create(path, NULL);

	assert_int_equal(PEM_write_bio_X509(b, cert), 1);
	BIO_free(b);
}

unsigned char *pki_cms_der(CMS_ContentInfo *cms, size_t *ret_len)
{
	unsigned char *der = NULL, *copy;
	int n = i2d_CMS_ContentInfo(cms, &der);

	assert_true(n > 0);
	*ret_len = (size_t)n;
	copy = malloc((size_t)n);
	memcpy(copy, der, (size_t)n);
	OPENSSL_free(der);
	return copy;
}

unsigned char *pki_sign(const void *content, size_t len, const struct pki_who *who,
			const EVP_MD *md, X509 *const *more, unsigned int flags, size_t *ret_len)
{
	BIO *in = BIO_new_mem_buf(content, (int)len);
	CMS_ContentInfo *cms;
	unsigned char *der;

	flags |= CMS_BINARY | CMS_PARTIAL | CMS_NOSMIMECAP;
	cms = CMS_sign(NULL, NULL, NULL, NULL, flags);
	assert_non_null(cms);
	assert_non_null(CMS_add1_signer(cms, who->cert, who->key, md ? md : EVP_sha256(), flags));
	for (; more && *more; more++)
		assert_int_equal(CMS_add1_cert(cms, *more), 1);
	assert_int_equal(CMS_final(cms, in, NULL, CMS_BINARY), 1);
	der = pki_cms_der(cms, ret_len);
	CMS_ContentInfo_free(cms);
	BIO_free(in);
	return der;
}
