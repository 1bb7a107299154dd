/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "io/crypto/cms.h"
#include "io/crypto/ossl.h"
#include "pki_fixture.h"

#define CONTENT	    "the manifest of a release"
#define CONTENT_LEN sizeof(CONTENT)

static char dir[] = "/tmp/skerry-test-cms-XXXXXX";
static struct pki_who root, other_root, signer;
static struct sk_trust *trust;

static int set_up(void **state)
{
	struct sk_err err = SK_ERR_INIT;

	assert_non_null(mkdtemp(dir));
	root = pki_make(&(struct pki_spec){ .name = "root", .ca = true });
	other_root = pki_make(&(struct pki_spec){ .name = "other root", .ca = true });
	signer = pki_make(&(struct pki_spec){ .name = "alice", .issuer = &root });
	pki_write_roots(dir, (const struct pki_who *const[]){ &root, NULL });
	return sk_trust_load(dir, &trust, &err);
}

static int tear_down(void **state)
{
	sk_trust_free(trust);
	pki_free(&signer);
	pki_free(&other_root);
	pki_free(&root);
	return sk_rm_rf(AT_FDCWD, dir);
}

/* Checks one message; on success the content must be what was signed. */
static void check_at(const unsigned char *der, size_t len, int64_t now_s, const char *slug,
		     const char *text)
{
	_cleanup_free_ void *content = NULL;
	_cleanup_free_ char *name = NULL;
	struct sk_err err = SK_ERR_INIT;
	size_t content_len;
	int r = sk_cms_verify(der, len, 4096, trust, now_s, &content, &content_len, &name, &err);

	if (!slug) {
		if (r != 0)
			print_message("# %s: %s\n", err.slug, err.text);
		assert_int_equal(r, 0);
		assert_int_equal(content_len, CONTENT_LEN);
		assert_memory_equal(content, CONTENT, CONTENT_LEN);
		assert_non_null(name);
		return;
	}
	assert_true(r < 0);
	assert_null(content);
	assert_null(name);
	assert_string_equal(err.slug, slug);
	if (!strstr(err.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, err.text);
	assert_int_equal(r, strcmp(slug, "bad-release") == 0 ? -EBADMSG : -EKEYREJECTED);
}

/* Signs with @who, checks, frees. */
static void check_by(const struct pki_who *who, const EVP_MD *md, X509 *const *more,
		     const char *slug, const char *text)
{
	size_t len;
	unsigned char *der = pki_sign(CONTENT, CONTENT_LEN, who, md, more, 0, &len);

	check_at(der, len, PKI_NOW, slug, text);
	free(der);
}

static void check_spec(const struct pki_spec *spec, const char *slug, const char *text)
{
	struct pki_who who = pki_make(spec);

	check_by(&who, NULL, NULL, slug, text);
	pki_free(&who);
}

static void good(void **state)
{
	check_by(&signer, NULL, NULL, NULL, NULL);
	check_by(&signer, EVP_sha512(), NULL, NULL, NULL);
	check_spec(&(struct pki_spec){ .name = "rsa", .issuer = &root, .rsa_bits = 2048 }, NULL,
		   NULL);
	check_spec(&(struct pki_spec){ .name = "p384", .issuer = &root, .curve = "P-384" }, NULL,
		   NULL);
}

static void wrong_signer(void **state)
{
	check_spec(&(struct pki_spec){ .name = "mallory", .issuer = &other_root }, "untrusted",
		   "issued by \"other root\"");
	check_spec(&(struct pki_spec){ .name = "mallory" }, "untrusted", "signed by itself");
}

/* Same name as the real root, another key. */
static void false_root(void **state)
{
	struct pki_who fake = pki_make(&(struct pki_spec){ .name = "root", .ca = true });

	check_spec(&(struct pki_spec){ .name = "mallory", .issuer = &fake }, "untrusted", "");
	pki_free(&fake);
}

static void wrong_purpose(void **state)
{
	check_spec(&(struct pki_spec){ .name = "tls", .issuer = &root, .eku = "serverAuth" },
		   "untrusted", "another purpose");
	check_spec(&(struct pki_spec){ .name = "none", .issuer = &root, .eku = "" }, "untrusted",
		   "another purpose");
	check_spec(
		&(struct pki_spec){ .name = "any", .issuer = &root, .eku = "anyExtendedKeyUsage" },
		"untrusted", "another purpose");
	check_spec(&(struct pki_spec){ .name = "enc", .issuer = &root, .ku = "keyEncipherment" },
		   "untrusted", "digital signature");
	check_spec(&(struct pki_spec){ .name = "nothing", .issuer = &root, .ku = "" }, "untrusted",
		   "digital signature");
	check_spec(&(struct pki_spec){ .name = "odd", .issuer = &root, .critical_oid = "1.2.3.4" },
		   "untrusted", "critical");
}

static void ca_as_signer(void **state)
{
	check_by(&root, NULL, NULL, "untrusted", "never releases");
	check_spec(&(struct pki_spec){ .name = "sub",
				       .issuer = &root,
				       .ca = true,
				       .ku = "keyCertSign,digitalSignature",
				       .eku = "codeSigning" },
		   "untrusted", "never releases");
}

/* A release certificate is no CA, whatever it signs. */
static void signer_as_ca(void **state)
{
	struct pki_who below = pki_make(&(struct pki_spec){ .name = "below", .issuer = &signer });

	check_by(&below, NULL, (X509 *const[]){ signer.cert, NULL }, "untrusted", "");
	pki_free(&below);
}

static void intermediate(void **state)
{
	struct pki_who mid =
		pki_make(&(struct pki_spec){ .name = "mid", .issuer = &root, .ca = true });
	struct pki_who tls = pki_make(&(struct pki_spec){
		.name = "tls ca", .issuer = &root, .ca = true, .eku = "serverAuth" });
	struct pki_who leaf = pki_make(&(struct pki_spec){ .name = "leaf", .issuer = &mid });
	struct pki_who leaf2 = pki_make(&(struct pki_spec){ .name = "leaf", .issuer = &tls });

	check_by(&leaf, NULL, (X509 *const[]){ mid.cert, NULL }, NULL, NULL);
	check_by(&leaf, NULL, NULL, "untrusted", "issued by \"mid\"");
	check_by(&leaf2, NULL, (X509 *const[]){ tls.cert, NULL }, "untrusted",
		 "may not issue certificates for signing code");
	pki_free(&leaf2);
	pki_free(&leaf);
	pki_free(&tls);
	pki_free(&mid);
}

/* What is under @n authorities, each made by @spec for its depth (0: right below the root). */
static void check_under(struct pki_spec (*spec)(size_t depth), size_t n, int64_t now_s,
			const char *slug, const char *text)
{
	struct pki_who ca[8], leaf;
	X509 *more[8] = { NULL };
	size_t len;
	unsigned char *der;

	for (size_t i = 0; i < n; i++) {
		struct pki_spec s = spec(i);

		s.issuer = i ? &ca[i - 1] : &root;
		s.ca = true;
		ca[i] = pki_make(&s);
		more[i] = ca[i].cert;
	}
	leaf = pki_make(&(struct pki_spec){ .name = "leaf", .issuer = &ca[n - 1] });
	der = pki_sign(CONTENT, CONTENT_LEN, &leaf, NULL, more, 0, &len);
	check_at(der, len, now_s, slug, text);
	free(der);
	pki_free(&leaf);
	for (size_t i = 0; i < n; i++)
		pki_free(&ca[i]);
}

static const char *const ca_names[] = { "mid", "below", "further", "deep", "deepest" };

static struct pki_spec plain_ca(size_t depth)
{
	return (struct pki_spec){ .name = ca_names[depth] };
}

static struct pki_spec no_further_ca(size_t depth)
{
	return (struct pki_spec){ .name = ca_names[depth],
				  .constraints = depth ? NULL : "critical,CA:TRUE,pathlen:0" };
}

static struct pki_spec old_ca(size_t depth)
{
	return (struct pki_spec){ .name = "mid", .from_s = PKI_NOW - 9, .to_s = PKI_NOW - 1 };
}

static struct pki_spec ca_without_cert_sign(size_t depth)
{
	return (struct pki_spec){ .name = "mid", .ku = "critical,cRLSign" };
}

static struct pki_spec unconstrained_ca(size_t depth)
{
	return (struct pki_spec){ .name = "mid", .constraints = "" };
}

static struct pki_spec weak_ca(size_t depth)
{
	return (struct pki_spec){ .name = "mid", .curve = "P-224" };
}

static struct pki_spec small_rsa_ca(size_t depth)
{
	return (struct pki_spec){ .name = "mid", .rsa_bits = 1024 };
}

static struct pki_spec sha1_ca(size_t depth)
{
	return (struct pki_spec){ .name = "mid", .md = EVP_sha1() };
}

/* Strong enough for OpenSSL's level, not for the rule of the release format. */
static struct pki_spec sha224_ca(size_t depth)
{
	return (struct pki_spec){ .name = "mid", .md = EVP_sha224() };
}

static struct pki_spec odd_ca(size_t depth)
{
	return (struct pki_spec){ .name = "mid", .critical_oid = "1.2.3.4" };
}

static void authorities_between(void **state)
{
	check_under(plain_ca, 4, PKI_NOW, NULL, NULL);
	check_under(plain_ca, 5, PKI_NOW, "untrusted", "");
	check_under(no_further_ca, 1, PKI_NOW, NULL, NULL);
	check_under(no_further_ca, 2, PKI_NOW, "untrusted", "path length");
	check_under(no_further_ca, 2, 0, "untrusted", "path length");
	check_under(old_ca, 1, PKI_NOW, "expired", "\"mid\" expired");
	check_under(old_ca, 1, 0, NULL, NULL);
	check_under(ca_without_cert_sign, 1, PKI_NOW, "untrusted", "");
	check_under(unconstrained_ca, 1, PKI_NOW, "untrusted", "");
	check_under(weak_ca, 1, PKI_NOW, "untrusted", "weak");
	check_under(small_rsa_ca, 1, PKI_NOW, "untrusted", "weak");
	check_under(sha1_ca, 1, PKI_NOW, "untrusted", "weak");
	check_under(sha224_ca, 1, PKI_NOW, "untrusted", "weak hash");
	check_under(odd_ca, 1, PKI_NOW, "untrusted", "critical");
}

/* Root B is not trusted here, but root A certified its key: what B issued leads to A. */
static void cross_signed(void **state)
{
	struct pki_who cross = pki_make(&(struct pki_spec){
		.name = "other root", .issuer = &root, .ca = true, .key = other_root.key });
	struct pki_who bob = pki_make(&(struct pki_spec){ .name = "bob", .issuer = &other_root });

	check_by(&bob, NULL, NULL, "untrusted", "issued by \"other root\"");
	check_by(&bob, NULL, (X509 *const[]){ cross.cert, NULL }, NULL, NULL);
	check_by(&bob, NULL, (X509 *const[]){ other_root.cert, cross.cert, NULL }, NULL, NULL);
	pki_free(&bob);
	pki_free(&cross);
}

static void root_past_its_date(void **state)
{
	struct pki_who old = pki_make(&(struct pki_spec){
		.name = "root", .ca = true, .from_s = PKI_NOW - 9, .to_s = PKI_NOW - 1 });
	struct pki_who who = pki_make(&(struct pki_spec){ .name = "bob", .issuer = &old });
	struct sk_trust *kept = trust;
	size_t len;
	unsigned char *der = pki_sign(CONTENT, CONTENT_LEN, &who, NULL, NULL, 0, &len);

	pki_write_roots(dir, (const struct pki_who *const[]){ &old, NULL });
	assert_int_equal(sk_trust_load(dir, &trust, NULL), 0);
	check_at(der, len, PKI_NOW, "expired", "\"root\" expired");
	check_at(der, len, 0, NULL, NULL);
	sk_trust_free(trust);
	trust = kept;
	pki_write_roots(dir, (const struct pki_who *const[]){ &root, NULL });
	free(der);
	pki_free(&who);
	pki_free(&old);
}

/* A device whose clock went mad, into a time when all that exists has ended. */
static void clock_in_2100(void **state)
{
	size_t len;
	unsigned char *der = pki_sign(CONTENT, CONTENT_LEN, &signer, NULL, NULL, 0, &len);

	check_at(der, len, 4102444800, "expired", "");
	check_at(der, len, INT64_C(253402300800), "untrusted", ""); /* 10000: not even a date */
	check_at(der, len, -1, "untrusted", "not valid before");
	free(der);
}

/* A certificate that a signer makes for a proxy of his own. */
static void proxy(void **state)
{
	struct pki_who p =
		pki_make(&(struct pki_spec){ .name = "alice",
					     .issuer = &signer,
					     .proxy = "critical,language:id-ppl-anyLanguage" });

	check_by(&p, NULL, (X509 *const[]){ signer.cert, NULL }, "untrusted", "");
	pki_free(&p);
}

static void other_kinds_of_keys(void **state)
{
	struct pki_who ed = pki_make(&(struct pki_spec){
		.name = "ed", .issuer = &root, .key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") });
	struct pki_who rsa =
		pki_make(&(struct pki_spec){ .name = "rsa", .issuer = &root, .rsa_bits = 2048 });
	BIO *in = BIO_new_mem_buf(CONTENT, CONTENT_LEN);
	const unsigned int flags = CMS_BINARY | CMS_PARTIAL | CMS_KEY_PARAM;
	CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, flags);
	CMS_SignerInfo *si = CMS_add1_signer(cms, rsa.cert, rsa.key, EVP_sha256(), flags);
	struct sk_err err = SK_ERR_INIT;
	unsigned char *der;
	size_t len;

	assert_int_equal(sk_cert_signs_releases(ed.cert, &err), -EKEYREJECTED);
	assert_non_null(strstr(err.text, "weak key"));
	assert_non_null(si);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(CMS_SignerInfo_get0_pkey_ctx(si),
						      RSA_PKCS1_PSS_PADDING),
			 1);
	assert_int_equal(CMS_final(cms, in, NULL, CMS_BINARY), 1);
	der = pki_cms_der(cms, &len);
	check_at(der, len, PKI_NOW, "untrusted", "ECDSA and RSA");
	free(der);
	CMS_ContentInfo_free(cms);
	BIO_free(in);
	pki_free(&rsa);
	EVP_PKEY_free(ed.key); /* the reference that was made with it */
	pki_free(&ed);
}

/* More bits than anybody needs only cost the device time. */
static void huge_key(void **state)
{
	struct pki_who who = pki_make(&(struct pki_spec){ .name = "slow", .issuer = &root });
	EVP_PKEY *fake = NULL;
	BIGNUM *n = BN_new(), *e = BN_new();
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	OSSL_PARAM *params;

	assert_int_equal(BN_set_bit(n, 16383) && BN_set_bit(n, 0) && BN_set_word(e, 65537), 1);
	assert_int_equal(OSSL_PARAM_BLD_push_BN(bld, "n", n) && OSSL_PARAM_BLD_push_BN(bld, "e", e),
			 1);
	params = OSSL_PARAM_BLD_to_param(bld);
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &fake, EVP_PKEY_PUBLIC_KEY, params), 1);
	assert_int_equal(X509_set_pubkey(who.cert, fake), 1);
	assert_true(X509_sign(who.cert, root.key, EVP_sha256()) > 0);
	assert_false(sk_key_strong(X509_get0_pubkey(who.cert)));
	assert_int_equal(sk_cert_signs_releases(who.cert, NULL), -EKEYREJECTED);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(fake);
	BN_free(n);
	BN_free(e);
	pki_free(&who);
}

/* A root that comes along in the message is a stranger's all the same. */
static void embedded_root(void **state)
{
	struct pki_who who =
		pki_make(&(struct pki_spec){ .name = "mallory", .issuer = &other_root });

	check_by(&who, NULL, (X509 *const[]){ other_root.cert, NULL }, "untrusted",
		 "signed by itself");
	pki_free(&who);
}

static void too_many_certs(void **state)
{
	struct pki_who extra[8];
	X509 *more[ARRAY_SIZE(extra) + 1] = { NULL };

	for (size_t i = 0; i < ARRAY_SIZE(extra); i++) {
		extra[i] = pki_make(&(struct pki_spec){ .name = "extra", .ca = true });
		more[i] = extra[i].cert;
	}
	check_by(&signer, NULL, more, "bad-release", "too many certificates");
	more[7] = NULL;
	check_by(&signer, NULL, more, NULL, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(extra); i++)
		pki_free(&extra[i]);
}

static void dates(void **state)
{
	struct pki_who old = pki_make(&(struct pki_spec){
		.name = "old", .issuer = &root, .to_s = PKI_NOW - 1, .from_s = PKI_NOW - 9 });
	struct pki_who young = pki_make(
		&(struct pki_spec){ .name = "young", .issuer = &root, .from_s = PKI_NOW + 60 });
	size_t len;
	unsigned char *der = pki_sign(CONTENT, CONTENT_LEN, &old, NULL, NULL, 0, &len);

	check_at(der, len, PKI_NOW, "expired", "expired at 2027-01-15T07:59:59Z");
	check_at(der, len, PKI_NOW - 5, NULL, NULL);
	check_at(der, len, 0, NULL, NULL); /* the clock is not trusted */
	free(der);
	der = pki_sign(CONTENT, CONTENT_LEN, &young, NULL, NULL, 0, &len);
	check_at(der, len, PKI_NOW, "untrusted", "not valid before");
	check_at(der, len, PKI_NOW + 61, NULL, NULL);
	check_at(der, len, 0, NULL, NULL);
	check_at(der, len, 1, "untrusted", "not valid before"); /* 1970, believed */
	free(der);
	pki_free(&young);
	pki_free(&old);
}

static void weak(void **state)
{
	struct pki_who rsa =
		pki_make(&(struct pki_spec){ .name = "rsa", .issuer = &root, .rsa_bits = 2048 });

	check_by(&signer, EVP_sha1(), NULL, "untrusted", "SHA-256");
	check_by(&signer, EVP_sha224(), NULL, "untrusted", "SHA-256");
	check_by(&rsa, EVP_md5(), NULL, "untrusted", "SHA-256");
	check_by(&rsa, EVP_sha1(), NULL, "untrusted", "SHA-256");
	pki_free(&rsa);
	check_spec(&(struct pki_spec){ .name = "short", .issuer = &root, .rsa_bits = 1024 },
		   "untrusted", "too weak");
	check_spec(&(struct pki_spec){ .name = "p224", .issuer = &root, .curve = "P-224" },
		   "untrusted", "weak key");
	check_spec(&(struct pki_spec){ .name = "koblitz", .issuer = &root, .curve = "secp256k1" },
		   "untrusted", "weak key");
	check_spec(&(struct pki_spec){ .name = "sha1", .issuer = &root, .md = EVP_sha1() },
		   "untrusted", "too weak");
	check_spec(&(struct pki_spec){ .name = "expl", .issuer = &root, .explicit_curve = true },
		   "untrusted", "");
}

static void two_signers(void **state)
{
	struct pki_who bob = pki_make(&(struct pki_spec){ .name = "bob", .issuer = &root });
	const unsigned int flags = CMS_BINARY | CMS_PARTIAL;
	BIO *in = BIO_new_mem_buf(CONTENT, CONTENT_LEN);
	CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, flags);
	unsigned char *der;
	size_t len;

	assert_non_null(CMS_add1_signer(cms, signer.cert, signer.key, NULL, flags));
	assert_non_null(CMS_add1_signer(cms, bob.cert, bob.key, NULL, flags));
	assert_int_equal(CMS_final(cms, in, NULL, CMS_BINARY), 1);
	der = pki_cms_der(cms, &len);
	check_at(der, len, PKI_NOW, "bad-release", "several signers");
	free(der);
	CMS_ContentInfo_free(cms);
	BIO_free(in);
	pki_free(&bob);
}

static void odd_forms(void **state)
{
	static const unsigned char not_cms[] = { 0x30, 0x00 };
	BIO *in = BIO_new_mem_buf(CONTENT, CONTENT_LEN), *ber = BIO_new(BIO_s_mem());
	CMS_ContentInfo *cms;
	unsigned char *der;
	char *data;
	size_t len;

	check_at(not_cms, sizeof(not_cms), PKI_NOW, "bad-release", "not CMS SignedData");
	check_at(not_cms, 0, PKI_NOW, "bad-release", "cut off");
	der = pki_sign(CONTENT, CONTENT_LEN, &signer, NULL, NULL, CMS_DETACHED, &len);
	check_at(der, len, PKI_NOW, "bad-release", "without the manifest");
	free(der);
	der = pki_sign("", 0, &signer, NULL, NULL, 0, &len);
	check_at(der, len, PKI_NOW, "bad-release", "without the manifest");
	free(der);
	der = pki_sign(CONTENT, CONTENT_LEN, &signer, NULL, NULL, CMS_NOATTR, &len);
	check_at(der, len, PKI_NOW, "bad-release", "signed attributes");
	free(der);
	der = pki_sign(CONTENT, CONTENT_LEN, &signer, NULL, NULL, CMS_NOCERTS, &len);
	check_at(der, len, PKI_NOW, "bad-release", "certificate is not in it");
	free(der);
	/* BER, as streaming makes it */
	cms = CMS_sign(signer.cert, signer.key, NULL, in, CMS_BINARY | CMS_STREAM);
	assert_int_equal(i2d_CMS_bio_stream(ber, cms, in, CMS_BINARY | CMS_STREAM), 1);
	len = (size_t)BIO_get_mem_data(ber, &data);
	check_at((unsigned char *)data, len, PKI_NOW, "bad-release", "damaged");
	CMS_ContentInfo_free(cms);
	BIO_free(ber);
	BIO_free(in);
}

static void other_types(void **state)
{
	static const unsigned char unsigned_data[] = {
		0x30, 0x28, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02, 0xa0,
		0x1b, 0x30, 0x19, 0x02, 0x01, 0x01, 0x31, 0x00, 0x30, 0x10, 0x06, 0x09, 0x2a, 0x86,
		0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01, 0xa0, 0x03, 0x04, 0x01, 0x78, 0x31, 0x00,
	};
	BIO *in = BIO_new_mem_buf(CONTENT, CONTENT_LEN);
	CMS_ContentInfo *cms = CMS_digest_create(in, EVP_sha256(), CMS_BINARY);
	unsigned char *der;
	size_t len;

	der = pki_cms_der(cms, &len);
	check_at(der, len, PKI_NOW, "bad-release", "not CMS SignedData");
	free(der);
	CMS_ContentInfo_free(cms);
	check_at(unsigned_data, sizeof(unsigned_data), PKI_NOW, "bad-release", "nobody signed it");
	BIO_free(in);
}

static void truncated(void **state)
{
	size_t len;
	unsigned char *der = pki_sign(CONTENT, CONTENT_LEN, &signer, NULL, NULL, 0, &len);

	for (size_t n = 0; n < len; n++) {
		unsigned char *cut = malloc(n + 1); /* so that a sanitizer sees reads behind it */

		memcpy(cut, der, n);
		check_at(cut, n, PKI_NOW, "bad-release", "cut off");
		free(cut);
	}
	free(der);
}

static void trailing(void **state)
{
	size_t len;
	unsigned char *der = pki_sign(CONTENT, CONTENT_LEN, &signer, NULL, NULL, 0, &len);
	unsigned char *longer = calloc(1, len + 1);

	memcpy(longer, der, len);
	check_at(longer, len + 1, PKI_NOW, "bad-release", "behind its end");
	free(longer);
	free(der);
}

/* No bit of a message can be changed without notice, but for those that are not signed. */
static void flipped(void **state)
{
	size_t len, accepted = 0;
	unsigned char *der = pki_sign(CONTENT, CONTENT_LEN, &signer, NULL, NULL, 0, &len);

	for (size_t i = 0; i < len; i++) {
		_cleanup_free_ void *content = NULL;
		size_t content_len;

		der[i] ^= 0x01;
		if (sk_cms_verify(der, len, 4096, trust, PKI_NOW, &content, &content_len, NULL,
				  NULL) == 0) {
			assert_int_equal(content_len, CONTENT_LEN);
			assert_memory_equal(content, CONTENT, CONTENT_LEN);
			accepted++;
		}
		der[i] ^= 0x01;
	}
	assert_true(accepted < 16);
	free(der);
}

static void changed_content(void **state)
{
	size_t len;
	unsigned char *der = pki_sign(CONTENT, CONTENT_LEN, &signer, NULL, NULL, 0, &len);
	unsigned char *at = memmem(der, len, "manifest", 8);

	assert_non_null(at);
	*at = 'M';
	check_at(der, len, PKI_NOW, "untrusted", "changed after it was signed");
	free(der);
}

static void bounds(void **state)
{
	struct sk_err err = SK_ERR_INIT;
	void *content = NULL;
	size_t len, content_len;
	unsigned char *der = pki_sign(CONTENT, CONTENT_LEN, &signer, NULL, NULL, 0, &len);

	assert_int_equal(sk_cms_verify(der, len, CONTENT_LEN - 1, trust, 0, &content, &content_len,
				       NULL, &err),
			 -EBADMSG);
	assert_non_null(strstr(err.text, "at most 25"));
	assert_int_equal(sk_cms_peek(der, len, CONTENT_LEN - 1, &content, &content_len, &err),
			 -EBADMSG);
	assert_null(content);
	assert_int_equal(sk_cms_peek(der, len, CONTENT_LEN, &content, &content_len, &err), 0);
	assert_string_equal(content, CONTENT);
	free(content);
	free(der);
}

static void sign_and_verify(void **state)
{
	_cleanup_(sk_signer_freep) struct sk_signer *s = NULL;
	_cleanup_free_ void *der = NULL, *content = NULL;
	_cleanup_free_ char *name = NULL;
	struct sk_err err = SK_ERR_INIT;
	char key[256], cert[256];
	size_t len, content_len;

	(void)snprintf(key, sizeof(key), "%s/alice.key", dir);
	(void)snprintf(cert, sizeof(cert), "%s/alice.pem", dir);
	pki_write_key(key, signer.key, NULL);
	pki_write_cert(cert, signer.cert);
	assert_int_equal(sk_signer_load(key, cert, &s, &err), 0);
	assert_int_equal(sk_cms_sign(CONTENT, CONTENT_LEN, s, &der, &len, &err), 0);
	assert_int_equal(
		sk_cms_verify(der, len, 4096, trust, PKI_NOW, &content, &content_len, &name, &err),
		0);
	assert_memory_equal(content, CONTENT, CONTENT_LEN);
	assert_string_equal(name, "alice");
	assert_int_equal(sk_cms_sign("", 0, s, &der, &len, &err), -EINVAL);
}

static void sign_refuses_ca(void **state)
{
	_cleanup_(sk_signer_freep) struct sk_signer *s = NULL;
	struct sk_err err = SK_ERR_INIT;
	char key[256], cert[256];
	void *der = NULL;
	size_t len;

	(void)snprintf(key, sizeof(key), "%s/root.key", dir);
	(void)snprintf(cert, sizeof(cert), "%s/root.pem", dir);
	pki_write_key(key, root.key, NULL);
	pki_write_cert(cert, root.cert);
	assert_int_equal(sk_signer_load(key, cert, &s, &err), 0);
	assert_int_equal(sk_cms_sign(CONTENT, CONTENT_LEN, s, &der, &len, &err), -EINVAL);
	assert_string_equal(err.slug, "bad-value");
	assert_null(der);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(wrong_signer),
		cmocka_unit_test(false_root),
		cmocka_unit_test(wrong_purpose),
		cmocka_unit_test(ca_as_signer),
		cmocka_unit_test(signer_as_ca),
		cmocka_unit_test(intermediate),
		cmocka_unit_test(authorities_between),
		cmocka_unit_test(cross_signed),
		cmocka_unit_test(root_past_its_date),
		cmocka_unit_test(clock_in_2100),
		cmocka_unit_test(proxy),
		cmocka_unit_test(other_kinds_of_keys),
		cmocka_unit_test(huge_key),
		cmocka_unit_test(embedded_root),
		cmocka_unit_test(too_many_certs),
		cmocka_unit_test(dates),
		cmocka_unit_test(weak),
		cmocka_unit_test(two_signers),
		cmocka_unit_test(odd_forms),
		cmocka_unit_test(other_types),
		cmocka_unit_test(truncated),
		cmocka_unit_test(trailing),
		cmocka_unit_test(flipped),
		cmocka_unit_test(changed_content),
		cmocka_unit_test(bounds),
		cmocka_unit_test(sign_and_verify),
		cmocka_unit_test(sign_refuses_ca),
	};

	return cmocka_run_group_tests_name("io/cms", tests, set_up, tear_down);
}
