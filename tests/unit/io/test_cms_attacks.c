/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/macros.h"
#include "base/str.h"
#include "io/crypto/cms.h"
#include "pki_fixture.h"

/*
 * Messages that no library makes: SignedData put together byte by byte, so that each part of it can
 * be wrong by itself while the signature over it is right.
 */
#define CONTENT "the manifest of a release"

#define OID_DATA	 "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
#define OID_SIGNED_DATA	 "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
#define OID_TST_INFO	 "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x04"
#define OID_CONTENT_TYPE "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03"
#define OID_DIGEST	 "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04"
#define OID_SIGNING_TIME "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05"
#define OID_ODD		 "\x2a\x03\x04"
#define OID_SHA1	 "\x2b\x0e\x03\x02\x1a"
#define OID_SHA256	 "\x60\x86\x48\x01\x65\x03\x04\x02\x01"
#define OID_SHA512	 "\x60\x86\x48\x01\x65\x03\x04\x02\x03"
#define OID_SHA3_256	 "\x60\x86\x48\x01\x65\x03\x04\x02\x08"
#define OID_ECDSA_SHA1	 "\x2a\x86\x48\xce\x3d\x04\x01"
#define OID_ECDSA_SHA256 "\x2a\x86\x48\xce\x3d\x04\x03\x02"
#define OID_ECDSA_SHA512 "\x2a\x86\x48\xce\x3d\x04\x03\x04"
#define OID_RSA		 "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"

static char dir[] = "/tmp/skerry-test-attacks-XXXXXX";
static struct pki_who root, signer;
static struct sk_trust *trust;

static int set_up(void **state)
{
	struct sk_err err = SK_ERR_INIT;

	assert_non_null(mkdtemp(dir));
	root = pki_make(&(struct pki_spec){ .name = "root", .ca = true });
	signer = pki_make(&(struct pki_spec){ .name = "alice", .issuer = &root });
	pki_write_roots(dir, (const struct pki_who *const[]){ &root, NULL });
	return sk_trust_load(dir, &trust, &err);
}

static int tear_down(void **state)
{
	sk_trust_free(trust);
	pki_free(&signer);
	pki_free(&root);
	return sk_rm_rf(AT_FDCWD, dir);
}

/* DER by hand */

static void tlv(struct sk_buf *out, uint8_t tag, const void *body, size_t len)
{
	uint8_t head[4] = { tag };
	size_t n = 2;

	if (len < 0x80) {
		head[1] = (uint8_t)len;
	} else if (len < 0x100) {
		head[1] = 0x81;
		head[n++] = (uint8_t)len;
	} else {
		head[1] = 0x82;
		head[n++] = (uint8_t)(len >> 8);
		head[n++] = (uint8_t)len;
	}
	assert_int_equal(sk_buf_add(out, head, n), 0);
	assert_int_equal(sk_buf_add(out, body, len), 0);
}

/* Puts what is in @b from @from on into a value of its own. */
static void wrap(struct sk_buf *b, size_t from, uint8_t tag)
{
	size_t len = b->len - from;
	char *copy = malloc(len + 1);

	memcpy(copy, b->data + from, len);
	b->len = from;
	tlv(b, tag, copy, len);
	free(copy);
}

static void oid(struct sk_buf *b, const char *bytes)
{
	tlv(b, 0x06, bytes, strlen(bytes));
}

static void algorithm(struct sk_buf *b, const char *bytes)
{
	size_t from = b->len;

	oid(b, bytes);
	wrap(b, from, 0x30);
}

static void attribute(struct sk_buf *b, const char *type, uint8_t tag, const void *value,
		      size_t len)
{
	size_t from = b->len, set;

	oid(b, type);
	set = b->len;
	tlv(b, tag, value, len);
	wrap(b, set, 0x31);
	wrap(b, from, 0x30);
}

/* What is wrong with it. By default nothing is. */
struct attack {
	bool no_content_type, content_type_twice, no_digest, digest_twice, wrong_digest,
		no_attributes;
	const char *content_type;	  /* attribute */
	const char *kind;		  /* eContentType */
	const char *set, *digest, *signs; /* algorithms */
	bool by_key_id, by_nobody;
	const char *unsigned_attribute;
	bool crl;
	X509 *before, *after; /* more certificates */
	bool certificate_twice;
	const struct pki_who *by; /* default alice */
};

static void digest_attribute(struct sk_buf *b, bool wrong)
{
	unsigned char d[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)CONTENT, strlen(CONTENT), d);
	d[0] ^= wrong;
	attribute(b, OID_DIGEST, 0x04, d, sizeof(d));
}

static void add_attributes(struct sk_buf *b, const struct attack *a)
{
	const char *type = a->content_type ?: OID_DATA;

	if (!a->no_content_type)
		attribute(b, OID_CONTENT_TYPE, 0x06, type, strlen(type));
	if (a->content_type_twice)
		attribute(b, OID_CONTENT_TYPE, 0x06, OID_TST_INFO, strlen(OID_TST_INFO));
	attribute(b, OID_SIGNING_TIME, 0x17, "270115080000Z", 13);
	if (a->digest_twice)
		digest_attribute(b, !a->wrong_digest);
	if (!a->no_digest)
		digest_attribute(b, a->wrong_digest);
}

/* Over the attributes as a SET, whatever their tag in the message, or over the content. */
static void add_signature(struct sk_buf *b, const struct attack *a, EVP_PKEY *key)
{
	_cleanup_buf_ struct sk_buf what = SK_BUF(65536);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char sig[1024];
	size_t len = sizeof(sig);

	if (a->no_attributes) {
		(void)sk_buf_adds(&what, CONTENT);
	} else {
		add_attributes(&what, a);
		wrap(&what, 0, 0x31);
	}
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &len, (unsigned char *)what.data, what.len), 1);
	EVP_MD_CTX_free(ctx);
	tlv(b, 0x04, sig, len);
}

static void add_der(struct sk_buf *b, unsigned char *der, int len)
{
	assert_true(len > 0);
	assert_int_equal(sk_buf_add(b, der, (size_t)len), 0);
	OPENSSL_free(der);
}

static void add_cert(struct sk_buf *b, X509 *cert)
{
	unsigned char *der = NULL;
	int len = cert ? i2d_X509(cert, &der) : 0;

	if (cert)
		add_der(b, der, len);
}

static void add_name(struct sk_buf *b, const struct attack *a, X509 *cert)
{
	size_t from = b->len;
	unsigned char *der = NULL;
	int len;

	if (a->by_key_id) {
		const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(cert);

		tlv(b, 0x80, ASN1_STRING_get0_data(id), (size_t)ASN1_STRING_length(id));
		return;
	}
	len = i2d_X509_NAME(X509_get_issuer_name(cert), &der);
	add_der(b, der, len);
	der = NULL;
	len = i2d_ASN1_INTEGER(X509_get_serialNumber(cert), &der);
	der[len - 1] ^= a->by_nobody;
	add_der(b, der, len);
	wrap(b, from, 0x30);
}

static void add_signer(struct sk_buf *b, const struct attack *a, const struct pki_who *who)
{
	size_t from = b->len, attributes;

	tlv(b, 0x02, a->by_key_id ? "\x03" : "\x01", 1);
	add_name(b, a, who->cert);
	algorithm(b, a->digest ?: OID_SHA256);
	attributes = b->len;
	if (!a->no_attributes) {
		add_attributes(b, a);
		wrap(b, attributes, 0xa0);
	}
	algorithm(b, a->signs ?: OID_ECDSA_SHA256);
	add_signature(b, a, who->key);
	attributes = b->len;
	if (a->unsigned_attribute) {
		attribute(b, a->unsigned_attribute, 0x06, OID_TST_INFO, strlen(OID_TST_INFO));
		wrap(b, attributes, 0xa1);
	}
	wrap(b, from, 0x30);
	wrap(b, from, 0x31);
}

static void add_content(struct sk_buf *b, const struct attack *a)
{
	size_t from = b->len, box;

	oid(b, a->kind ?: OID_DATA);
	box = b->len;
	tlv(b, 0x04, CONTENT, strlen(CONTENT));
	wrap(b, box, 0xa0);
	wrap(b, from, 0x30);
}

/* A list of the root's that revokes nobody. */
static void add_list(struct sk_buf *b)
{
	X509_CRL *crl = pki_crl(&(struct pki_crl_spec){ .issuer = &root, .number = 99 });
	unsigned char *der = NULL;
	size_t from = b->len;
	int len = i2d_X509_CRL(crl, &der);

	add_der(b, der, len);
	wrap(b, from, 0xa1);
	X509_CRL_free(crl);
}

static void add_certs(struct sk_buf *b, const struct attack *a, const struct pki_who *who)
{
	size_t from = b->len;

	add_cert(b, a->before);
	add_cert(b, who->cert);
	if (a->certificate_twice)
		add_cert(b, who->cert);
	add_cert(b, a->after);
	wrap(b, from, 0xa0);
}

static void make(struct sk_buf *b, const struct attack *a)
{
	const struct pki_who *who = a->by ?: &signer;
	size_t box, algorithms;

	oid(b, OID_SIGNED_DATA);
	box = b->len;
	tlv(b, 0x02, "\x01", 1);
	algorithms = b->len;
	algorithm(b, a->set ?: OID_SHA256);
	wrap(b, algorithms, 0x31);
	add_content(b, a);
	add_certs(b, a, who);
	if (a->crl)
		add_list(b);
	add_signer(b, a, who);
	wrap(b, box, 0x30);
	wrap(b, box, 0xa0);
	wrap(b, 0, 0x30);
}

/* @slug NULL: it is right. */
static void check_under(const struct sk_trust *t, const struct attack *a, int64_t now_s,
			const char *slug)
{
	_cleanup_buf_ struct sk_buf der = SK_BUF(65536);
	_cleanup_free_ void *content = NULL;
	struct sk_err err = SK_ERR_INIT;
	size_t len = 0;
	int r;

	make(&der, a);
	r = sk_cms_verify(der.data, der.len, 4096, t, now_s, &content, &len, NULL, &err);
	if (!slug) {
		if (r != 0)
			fail_msg("%s: %s", err.slug, err.text);
		assert_int_equal(len, strlen(CONTENT));
		assert_memory_equal(content, CONTENT, len);
		return;
	}
	assert_true(r < 0);
	assert_null(content);
	assert_string_equal(err.slug, slug);
}

static void check(const struct attack *a, const char *slug)
{
	check_under(trust, a, PKI_NOW, slug);
}

static void right_ones(void **state)
{
	check(&(struct attack){ 0 }, NULL);
	check(&(struct attack){ .by_key_id = true }, NULL);
	/* What is not signed is not looked at. */
	check(&(struct attack){ .unsigned_attribute = OID_ODD }, NULL);
	check(&(struct attack){ .certificate_twice = true }, NULL);
	check(&(struct attack){ .before = root.cert }, NULL);
}

static void attributes(void **state)
{
	check(&(struct attack){ .no_content_type = true }, "bad-release");
	check(&(struct attack){ .content_type = OID_TST_INFO }, "bad-release");
	check(&(struct attack){ .content_type_twice = true }, "bad-release");
	check(&(struct attack){ .no_digest = true }, "untrusted");
	/* where only a signed one counts */
	check(&(struct attack){ .unsigned_attribute = OID_CONTENT_TYPE }, "untrusted");
	check(&(struct attack){ .wrong_digest = true }, "untrusted");
	check(&(struct attack){ .digest_twice = true }, "untrusted");
	check(&(struct attack){ .digest_twice = true, .wrong_digest = true }, "untrusted");
	check(&(struct attack){ .no_attributes = true }, "bad-release");
	check(&(struct attack){ .kind = OID_TST_INFO }, "bad-release");
	check(&(struct attack){ .kind = OID_TST_INFO, .content_type = OID_TST_INFO },
	      "bad-release");
}

static void algorithms(void **state)
{
	check(&(struct attack){ .digest = OID_SHA1 }, "untrusted");
	check(&(struct attack){ .digest = OID_SHA512 }, "untrusted");
	check(&(struct attack){ .digest = OID_SHA3_256 }, "untrusted");
	check(&(struct attack){ .set = OID_SHA1 }, "untrusted");
	check(&(struct attack){ .signs = OID_ECDSA_SHA1 }, "untrusted");
	check(&(struct attack){ .signs = OID_ECDSA_SHA512 }, "untrusted");
	check(&(struct attack){ .signs = OID_RSA }, "untrusted");
	check(&(struct attack){ .signs = OID_SHA256 }, "untrusted");
	check(&(struct attack){ .signs = OID_DATA }, "untrusted");
}

static void signers(void **state)
{
	struct pki_who twin = pki_make(&(struct pki_spec){
		.name = "alice",
		.issuer = &root,
		.serial = ASN1_INTEGER_get(X509_get0_serialNumber(signer.cert)) });
	struct pki_who fake = pki_make(&(struct pki_spec){ .name = "root", .ca = true });
	struct pki_who impostor = pki_make(&(struct pki_spec){
		.name = "alice",
		.issuer = &fake,
		.serial = ASN1_INTEGER_get(X509_get0_serialNumber(signer.cert)) });

	check(&(struct attack){ .by_nobody = true }, "bad-release");
	/* Issuer and serial are somebody's who did sign; the certificate of another one leads nowhere. */
	check(&(struct attack){ .by = &impostor }, "untrusted");
	check(&(struct attack){ .by = &impostor, .before = signer.cert }, "untrusted");
	check(&(struct attack){ .by = &impostor, .after = fake.cert }, "untrusted");
	check(&(struct attack){ .by = &signer, .before = impostor.cert }, "untrusted");
	check(&(struct attack){ .by = &signer, .before = twin.cert }, "untrusted");
	pki_free(&impostor);
	pki_free(&fake);
	pki_free(&twin);
}

/* The bytes of the signed attributes as content, under the signature that was made for them. */
static void attributes_as_content(void **state)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(65536), content = SK_BUF(65536);
	const struct attack a = { 0 };
	struct sk_err err = SK_ERR_INIT;
	void *got = NULL;
	size_t box, part, len;

	add_attributes(&content, &a);
	wrap(&content, 0, 0x31);
	oid(&b, OID_SIGNED_DATA);
	box = b.len;
	tlv(&b, 0x02, "\x01", 1);
	part = b.len;
	algorithm(&b, OID_SHA256);
	wrap(&b, part, 0x31);
	part = b.len;
	oid(&b, OID_DATA);
	len = b.len;
	tlv(&b, 0x04, content.data, content.len);
	wrap(&b, len, 0xa0);
	wrap(&b, part, 0x30);
	add_certs(&b, &a, &signer);
	part = b.len;
	tlv(&b, 0x02, "\x01", 1);
	add_name(&b, &a, signer.cert);
	algorithm(&b, OID_SHA256);
	algorithm(&b, OID_ECDSA_SHA256);
	add_signature(&b, &a, signer.key);
	wrap(&b, part, 0x30);
	wrap(&b, part, 0x31);
	wrap(&b, box, 0x30);
	wrap(&b, box, 0xa0);
	wrap(&b, 0, 0x30);
	assert_int_equal(sk_cms_verify(b.data, b.len, 4096, trust, PKI_NOW, &got, &len, NULL, &err),
			 -EBADMSG);
	assert_null(got);
	assert_non_null(strstr(err.text, "signed attributes"));
}

/* A list that comes along takes no revocation back. */
static void embedded_list(void **state)
{
	_cleanup_(sk_trust_freep) struct sk_trust *t = NULL;
	X509_CRL *crl = pki_crl(
		&(struct pki_crl_spec){ .issuer = &root, .number = 1, .revoked = { signer.cert } });
	_cleanup_free_ char *path = sk_asprintf("%s/crl.pem", dir);

	check(&(struct attack){ .crl = true }, NULL);
	pki_write_crl(dir, crl);
	assert_int_equal(sk_trust_load(dir, &t, NULL), 0);
	check_under(t, &(struct attack){ 0 }, PKI_NOW, "revoked");
	check_under(t, &(struct attack){ .crl = true }, PKI_NOW, "revoked");
	check_under(t, &(struct attack){ .by_key_id = true }, 0, "revoked");
	X509_CRL_free(crl);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_ones),
		cmocka_unit_test(attributes),
		cmocka_unit_test(algorithms),
		cmocka_unit_test(signers),
		cmocka_unit_test(attributes_as_content),
		cmocka_unit_test(embedded_list),
	};

	return cmocka_run_group_tests_name("io/cms/attacks", tests, set_up, tear_down);
}
