/* SPDX-License-Identifier: Apache-2.0 */
#include "io/crypto/cms.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "io/crypto/der.h"
#include "io/crypto/ossl.h"

#define CERTS_MAX   8
#define CONTENT_MAX (64u << 20) /* most that is ever signed or taken; callers give less */

/* DER of the two object identifiers that may stand here. */
static const uint8_t oid_signed_data[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02 };
static const uint8_t oid_data[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01 };

/** What the outer structure holds; found without any allocation. */
struct layout {
	struct sk_der content;
	size_t n_certs, n_signers;
};

static int refuse_release(struct sk_err *err, const char *why)
{
	return sk_err_set(err, -EBADMSG, "bad-release", "not a release file: %s", why);
}

static bool is_oid(const struct sk_der *v, const uint8_t *oid, size_t len)
{
	return v->len == len && memcmp(v->at, oid, len) == 0;
}

static size_t count(struct sk_der set)
{
	struct sk_der one;
	uint8_t tag;
	size_t n = 0;

	while (sk_der_next(&set, &tag, &one) == 0)
		n++;
	return n;
}

/* EncapsulatedContentInfo: { OID data, [0] { OCTET STRING } } */
static int find_content(struct sk_der encap, struct layout *ret, struct sk_err *err)
{
	struct sk_der oid, box;

	if (sk_der_expect(&encap, SK_DER_OID, &oid) < 0 ||
	    !is_oid(&oid, oid_data, sizeof(oid_data)))
		return refuse_release(err, "what it holds is not marked as plain data");
	if (sk_der_expect(&encap, SK_DER_CONTEXT(0), &box) < 0 ||
	    sk_der_expect(&box, SK_DER_OCTET_STRING, &ret->content) < 0 || ret->content.len == 0)
		return refuse_release(err,
				      "the signature stands alone, without the manifest in it");
	if (box.len || encap.len)
		return refuse_release(err, "malformed");
	return 0;
}

/* SignedData: { version, digest algorithms, encap, [0] certificates, [1] CRLs, signer infos } */
static int find_parts(struct sk_der sd, struct layout *ret, struct sk_err *err)
{
	struct sk_der version, algorithms, encap, part;
	int r;

	if (sk_der_expect(&sd, SK_DER_INTEGER, &version) < 0 ||
	    sk_der_expect(&sd, SK_DER_SET, &algorithms) < 0 ||
	    sk_der_expect(&sd, SK_DER_SEQUENCE, &encap) < 0)
		return refuse_release(err, "malformed signature");
	r = find_content(encap, ret, err);
	if (r < 0)
		return r;
	if (sk_der_expect(&sd, SK_DER_CONTEXT(0), &part) == 0)
		ret->n_certs = count(part);
	(void)sk_der_expect(&sd, SK_DER_CONTEXT(1), &part); /* never used: see sk_trust */
	if (sk_der_expect(&sd, SK_DER_SET, &part) < 0 || sd.len)
		return refuse_release(err, "malformed signature");
	ret->n_signers = count(part);
	return 0;
}

static int lay_out(const void *der, size_t len, size_t content_max, struct layout *ret,
		   struct sk_err *err)
{
	struct sk_der in = { der, len }, info, oid, box, sd;
	int r;

	*ret = (struct layout){ 0 };
	if (len > INT_MAX || sk_der_check(der, len) < 0)
		return refuse_release(err,
				      "it is damaged, cut off, or has something behind its end");
	if (sk_der_expect(&in, SK_DER_SEQUENCE, &info) < 0 ||
	    sk_der_expect(&info, SK_DER_OID, &oid) < 0 ||
	    !is_oid(&oid, oid_signed_data, sizeof(oid_signed_data)) ||
	    sk_der_expect(&info, SK_DER_CONTEXT(0), &box) < 0 || info.len ||
	    sk_der_expect(&box, SK_DER_SEQUENCE, &sd) < 0 || box.len)
		return refuse_release(err, "it is not CMS SignedData");
	r = find_parts(sd, ret, err);
	if (r < 0)
		return r;
	if (ret->content.len > content_max)
		return sk_err_set(err, -EBADMSG, "bad-release",
				  "the manifest inside has %zu bytes; at most %zu are allowed",
				  ret->content.len, content_max);
	return 0;
}

static int parse(const void *der, size_t len, size_t content_max, CMS_ContentInfo **ret,
		 struct sk_err *err)
{
	const unsigned char *at = der;
	struct layout l;
	int r = lay_out(der, len, SK_MIN(content_max, (size_t)CONTENT_MAX), &l, err);

	if (r < 0)
		return r;
	if (l.n_signers == 0)
		return refuse_release(err, "nobody signed it");
	if (l.n_signers > 1)
		return refuse_release(err, "it has several signers; one is needed");
	if (l.n_certs == 0)
		return refuse_release(err, "the signer's certificate is not in it");
	if (l.n_certs > CERTS_MAX)
		return refuse_release(err, "too many certificates in it");
	*ret = d2i_CMS_ContentInfo(NULL, &at, (long)len);
	if (!*ret || at != (const unsigned char *)der + len) {
		ERR_clear_error();
		return refuse_release(err, "malformed signature");
	}
	return 0;
}

/* The one signer and, among the certificates inside, the one that it names. @ret is borrowed. */
static int find_signer(CMS_ContentInfo *cms, STACK_OF(X509) * certs, CMS_SignerInfo **ret_si,
		       X509 **ret, struct sk_err *err)
{
	STACK_OF(CMS_SignerInfo) *infos = CMS_get0_SignerInfos(cms);

	if (sk_CMS_SignerInfo_num(infos) != 1)
		return refuse_release(err, "malformed signature");
	*ret_si = sk_CMS_SignerInfo_value(infos, 0);
	for (int i = 0; i < sk_X509_num(certs); i++) {
		if (CMS_SignerInfo_cert_cmp(*ret_si, sk_X509_value(certs, i)) != 0)
			continue;
		*ret = sk_X509_value(certs, i);
		CMS_SignerInfo_set1_signer_cert(*ret_si, *ret);
		return 0;
	}
	return refuse_release(err, "the signer's certificate is not in it");
}

static int check_algorithms(CMS_SignerInfo *si, X509 *cert, struct sk_err *err)
{
	int digest, signature, hash = NID_undef, key = NID_undef;
	EVP_PKEY *pkey = X509_get0_pubkey(cert); /* NULL when it cannot be read */
	X509_ALGOR *digest_alg, *signature_alg;
	bool ok;

	CMS_SignerInfo_get0_algs(si, NULL, NULL, &digest_alg, &signature_alg);
	digest = OBJ_obj2nid(digest_alg->algorithm);
	signature = OBJ_obj2nid(signature_alg->algorithm);
	ok = digest == NID_sha256 || digest == NID_sha384 || digest == NID_sha512;
	/* RFC 3370: plain rsaEncryption says PKCS #1 v1.5 with the digest named beside it. */
	if (ok && signature != NID_rsaEncryption)
		ok = OBJ_find_sigid_algs(signature, &hash, &key) == 1 && hash == digest;
	else
		key = EVP_PKEY_RSA;
	if (ok && pkey && EVP_PKEY_get_base_id(pkey) == key)
		return 0;
	return sk_err_set(
		err, -EKEYREJECTED, "untrusted",
		"signed with %s over %s; only ECDSA and RSA (PKCS #1) over SHA-256, SHA-384 "
		"or SHA-512 are accepted",
		OBJ_nid2sn(signature), OBJ_nid2sn(digest));
}

/*
 * Without signed attributes the signature is over the content itself, and the bytes of somebody's
 * signed attributes could be passed off as content. So they must be there, and name the type.
 */
static int check_attributes(CMS_SignerInfo *si, struct sk_err *err)
{
	const ASN1_OBJECT *type;

	if (CMS_signed_get_attr_count(si) < 2)
		return refuse_release(err, "its signature has no signed attributes");
	/* -3: exactly one such attribute with exactly one value */
	type = CMS_signed_get0_data_by_OBJ(si, OBJ_nid2obj(NID_pkcs9_contentType), -3,
					   V_ASN1_OBJECT);
	if (!type || OBJ_obj2nid(type) != NID_pkcs7_data) {
		ERR_clear_error();
		return refuse_release(err, "its signature is for another type of content");
	}
	return 0;
}

static int check_signature(CMS_ContentInfo *cms, struct sk_err *err)
{
	const unsigned int flags = CMS_NO_SIGNER_CERT_VERIFY | CMS_NOINTERN | CMS_BINARY;

	if (CMS_verify(cms, NULL, NULL, NULL, NULL, flags) == 1)
		return 0;
	return sk_err_set(err, -EKEYREJECTED, "untrusted",
			  "the signature does not fit: the release was changed after it was signed "
			  "(%s)",
			  sk_ossl_why());
}

static int copy_out(const void *data, size_t len, void **ret, size_t *ret_len, struct sk_err *err)
{
	char *copy = malloc(len + 1);

	if (!copy)
		return sk_err_oom(err);
	memcpy(copy, data, len);
	copy[len] = '\0';
	*ret = copy;
	*ret_len = len;
	return 0;
}

static int take_content(CMS_ContentInfo *cms, void **ret, size_t *ret_len, struct sk_err *err)
{
	ASN1_OCTET_STRING **at = CMS_get0_content(cms);

	if (!at || !*at || ASN1_STRING_length(*at) <= 0)
		return refuse_release(err, "it is empty");
	return copy_out(ASN1_STRING_get0_data(*at), (size_t)ASN1_STRING_length(*at), ret, ret_len,
			err);
}

/* Cheap checks first; nothing of the content is handed out before all have passed. */
static int verify_signer(CMS_ContentInfo *cms, const struct sk_trust *trust, int64_t now_s,
			 char **ret_name, struct sk_err *err)
{
	_cleanup_x509s_ STACK_OF(X509) *certs = CMS_get1_certs(cms);
	_cleanup_free_ char *name = NULL;
	CMS_SignerInfo *si = NULL;
	X509 *cert = NULL;
	int r;

	r = find_signer(cms, certs, &si, &cert, err);
	if (r < 0)
		return r;
	r = check_algorithms(si, cert, err);
	if (r < 0)
		return r;
	r = check_attributes(si, err);
	if (r < 0)
		return r;
	r = sk_trust_check(trust, cert, certs, now_s, err);
	if (r < 0)
		return r;
	r = check_signature(cms, err);
	if (r < 0)
		return r;
	name = sk_x509_name(X509_get_subject_name(cert));
	if (!name)
		return sk_err_oom(err);
	*ret_name = TAKE_PTR(name);
	return 0;
}

int sk_cms_verify(const void *der, size_t len, size_t content_max, const struct sk_trust *trust,
		  int64_t now_s, void **ret, size_t *ret_len, char **ret_signer_name,
		  struct sk_err *err)
{
	_cleanup_(CMS_ContentInfo_freep) CMS_ContentInfo *cms = NULL;
	_cleanup_free_ char *name = NULL;
	int r;

	r = parse(der, len, content_max, &cms, err);
	if (r == 0)
		r = verify_signer(cms, trust, now_s, &name, err);
	if (r == 0)
		r = take_content(cms, ret, ret_len, err);
	ERR_clear_error();
	if (r == 0 && ret_signer_name)
		*ret_signer_name = TAKE_PTR(name);
	return r;
}

int sk_cms_peek(const void *der, size_t len, size_t content_max, void **ret, size_t *ret_len,
		struct sk_err *err)
{
	struct layout l;
	int r = lay_out(der, len, content_max, &l, err);

	if (r < 0)
		return r;
	return copy_out(l.content.at, l.content.len, ret, ret_len, err);
}

int sk_cms_signer(const void *der, size_t len, struct sk_cert **ret, struct sk_err *err)
{
	_cleanup_(CMS_ContentInfo_freep) CMS_ContentInfo *cms = NULL;
	_cleanup_x509s_ STACK_OF(X509) *certs = NULL;
	CMS_SignerInfo *si = NULL;
	X509 *cert = NULL;
	int r = parse(der, len, CONTENT_MAX, &cms, err);

	if (r < 0)
		return r;
	certs = CMS_get1_certs(cms);
	r = find_signer(cms, certs, &si, &cert, err);
	if (r < 0)
		return r;
	if (X509_up_ref(cert) != 1)
		return sk_err_oom(err);
	return sk_cert_wrap(cert, ret, err);
}

static CMS_ContentInfo *build(const void *content, size_t len, const struct sk_signer *signer)
{
	const unsigned int flags = CMS_BINARY | CMS_PARTIAL | CMS_NOSMIMECAP;
	_cleanup_(BIO_free_allp) BIO *in = BIO_new_mem_buf(content, (int)len);
	_cleanup_(CMS_ContentInfo_freep) CMS_ContentInfo *cms = NULL;
	EVP_PKEY *key = signer->key->pkey;

	if (!in)
		return NULL;
	cms = CMS_sign(NULL, NULL, NULL, NULL, flags);
	if (!cms || !CMS_add1_signer(cms, signer->cert, key, sk_hash_for(key), flags))
		return NULL;
	for (int i = 0; i < sk_X509_num(signer->chain); i++)
		if (CMS_add1_cert(cms, sk_X509_value(signer->chain, i)) != 1)
			return NULL;
	if (CMS_final(cms, in, NULL, CMS_BINARY) != 1)
		return NULL;
	return TAKE_PTR(cms);
}

int sk_cms_sign(const void *content, size_t len, const struct sk_signer *signer, void **ret,
		size_t *ret_len, struct sk_err *err)
{
	_cleanup_(CMS_ContentInfo_freep) CMS_ContentInfo *cms = NULL;
	struct sk_err why = SK_ERR_INIT;
	unsigned char *der = NULL;
	int n, r;

	if (len == 0 || len > CONTENT_MAX)
		return sk_err_set(err, -EINVAL, "bad-value", "cannot sign %zu bytes", len);
	if (sk_cert_signs_releases(signer->cert, &why) < 0)
		return sk_err_set(err, -EINVAL, "bad-value", "cannot sign: %s", why.text);
	ERR_clear_error();
	cms = build(content, len, signer);
	n = cms ? i2d_CMS_ContentInfo(cms, &der) : -1;
	if (n <= 0)
		return sk_err_set(err, -EIO, "io", "cannot sign: %s", sk_ossl_why());
	r = copy_out(der, (size_t)n, ret, ret_len, err);
	OPENSSL_free(der);
	return r;
}
