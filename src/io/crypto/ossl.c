/* SPDX-License-Identifier: Apache-2.0 */
#include "io/crypto/ossl.h"

#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "base/text.h"
#include "io/crypto/der.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192 /* more only costs the verifier time */

const char *sk_ossl_why(void)
{
	unsigned long e = ERR_peek_last_error();
	const char *why = e ? ERR_reason_error_string(e) : NULL;

	ERR_clear_error();
	return why ? why : "no reason given";
}

int sk_ossl_no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

int sk_bio_text(BIO *b, char **ret, size_t *ret_len, struct sk_err *err)
{
	char *data;
	long len = BIO_get_mem_data(b, &data);

	*ret = len > 0 ? strndup(data, (size_t)len) : NULL;
	if (!*ret)
		return sk_err_oom(err);
	if (ret_len)
		*ret_len = (size_t)len;
	return 0;
}

static char *common_name(const X509_NAME *name)
{
	int i = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	const ASN1_STRING *data;
	unsigned char *utf8 = NULL;
	char *copy = NULL;
	int len;

	if (i < 0)
		return NULL;
	data = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i));
	len = ASN1_STRING_to_UTF8(&utf8, data);
	/* A NUL within would show another name than the one that was signed. */
	if (len > 0 && strlen((char *)utf8) == (size_t)len)
		copy = strdup((char *)utf8);
	OPENSSL_free(utf8);
	return copy;
}

char *sk_x509_name(const X509_NAME *name)
{
	char *s = common_name(name);

	if (!s) {
		_cleanup_(BIO_free_allp) BIO *b = BIO_new(BIO_s_mem());
		char *data;
		long len;

		if (!b || X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253) < 0)
			return NULL;
		len = BIO_get_mem_data(b, &data);
		s = len > 0 ? strndup(data, (size_t)len) : strdup("(no name)");
	}
	sk_text_clean(s, "");
	return s;
}

int64_t sk_asn1_time(const ASN1_TIME *t)
{
	struct tm tm;

	if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
		return INT64_MIN;
	return timegm(&tm);
}

int sk_x509_read_all(const void *pem, size_t len, int max, STACK_OF(X509) * *ret,
		     struct sk_err *err)
{
	_cleanup_x509s_ STACK_OF(X509) *all = sk_X509_new_null();
	_cleanup_(BIO_free_allp) BIO *b = BIO_new_mem_buf(pem, (int)len);
	X509 *one;

	if (!all || !b)
		return sk_err_oom(err);
	ERR_clear_error();
	while ((one = PEM_read_bio_X509(b, NULL, sk_ossl_no_passphrase, NULL))) {
		if (sk_X509_num(all) >= max || sk_X509_push(all, one) <= 0) {
			X509_free(one);
			return sk_err_set(err, -EINVAL, "bad-value",
					  "more than %d certificates in one file", max);
		}
	}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return sk_err_set(err, -EINVAL, "bad-value", "damaged certificate: %s",
				  sk_ossl_why());
	ERR_clear_error();
	if (sk_X509_num(all) == 0)
		return sk_err_set(err, -EINVAL, "bad-value", "no certificate (PEM) in it");
	*ret = TAKE_PTR(all);
	return 0;
}

int sk_x509_crl_refuse(struct sk_err *err, const char *why)
{
	ERR_clear_error();
	return sk_err_set(err, -EINVAL, "bad-value", "revocation list: %s", why);
}

bool sk_is_der(const void *data, size_t len)
{
	return len > 0 && *(const unsigned char *)data == SK_DER_SEQUENCE;
}

int sk_x509_crl_read_all(const void *pem, size_t len, STACK_OF(X509_CRL) * *ret, struct sk_err *err)
{
	_cleanup_x509_crls_ STACK_OF(X509_CRL) *all = sk_X509_CRL_new_null();
	_cleanup_(BIO_free_allp) BIO *b = NULL;
	X509_CRL *one;

	if (len > INT_MAX)
		return sk_x509_crl_refuse(err, "it is too large");
	b = BIO_new_mem_buf(pem, (int)len);
	if (!all || !b)
		return sk_err_oom(err);
	ERR_clear_error();
	while ((one = PEM_read_bio_X509_CRL(b, NULL, sk_ossl_no_passphrase, NULL))) {
		if (sk_X509_CRL_push(all, one) <= 0) {
			X509_CRL_free(one);
			return sk_err_oom(err);
		}
	}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return sk_x509_crl_refuse(err, "it is damaged");
	ERR_clear_error();
	if (sk_X509_CRL_num(all) == 0)
		return sk_x509_crl_refuse(err, "there is none in the file");
	*ret = TAKE_PTR(all);
	return 0;
}

int sk_x509_crl_read_der(const void *der, size_t len, X509_CRL **ret, struct sk_err *err)
{
	const unsigned char *at = der;

	*ret = sk_der_check(der, len) == 0 ? d2i_X509_CRL(NULL, &at, (long)len) : NULL;
	return *ret ? 0 : sk_x509_crl_refuse(err, "it is damaged");
}

uint64_t sk_x509_crl_number(X509_CRL *list)
{
	_cleanup_(ASN1_INTEGER_freep) ASN1_INTEGER *n =
		X509_CRL_get_ext_d2i(list, NID_crl_number, NULL, NULL);
	uint64_t value = 0;

	if (n && ASN1_INTEGER_get_uint64(&value, n) != 1)
		value = UINT64_MAX;
	ERR_clear_error();
	return value;
}

static bool curve_strong(EVP_PKEY *key)
{
	static const char *const curves[] = { SN_X9_62_prime256v1, SN_secp384r1, SN_secp521r1 };
	int explicit_params = 0;
	char group[64];
	size_t len;

	if (EVP_PKEY_get_group_name(key, group, sizeof(group), &len) != 1)
		return false;
	(void)EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
				     &explicit_params);
	if (explicit_params)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(curves); i++)
		if (sk_streq(group, curves[i]))
			return true;
	return false;
}

bool sk_key_strong(EVP_PKEY *key)
{
	int bits;

	if (!key)
		return false;
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		bits = EVP_PKEY_get_bits(key);
		return bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX;
	case EVP_PKEY_EC:
		return curve_strong(key);
	default:
		return false;
	}
}

bool sk_signature_strong(int signature_nid)
{
	int hash;

	return OBJ_find_sigid_algs(signature_nid, &hash, NULL) == 1 &&
	       (hash == NID_sha256 || hash == NID_sha384 || hash == NID_sha512);
}

const EVP_MD *sk_hash_for(EVP_PKEY *key)
{
	int bits = EVP_PKEY_get_bits(key);

	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && bits > 384)
		return EVP_sha512();
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && bits > 256)
		return EVP_sha384();
	return EVP_sha256();
}

int sk_cert_signs_releases(X509 *cert, struct sk_err *err)
{
	_cleanup_free_ char *name = sk_x509_name(X509_get_subject_name(cert));
	const char *why = NULL;

	if (!name)
		return sk_err_oom(err);
	if (X509_get_extension_flags(cert) & (EXFLAG_INVALID | EXFLAG_CRITICAL))
		why = "has an extension that is damaged, or critical and unknown here";
	else if (X509_check_ca(cert) != 0)
		why = "belongs to a CA: a CA signs certificates, never releases";
	else if (!(X509_get_extension_flags(cert) & EXFLAG_KUSAGE) ||
		 !(X509_get_key_usage(cert) & KU_DIGITAL_SIGNATURE))
		why = "has not the key usage \"digital signature\"";
	else if (!(X509_get_extension_flags(cert) & EXFLAG_XKUSAGE) ||
		 !(X509_get_extended_key_usage(cert) & XKU_CODE_SIGN))
		why = "is for another purpose: its extended key usage is not \"code signing\"";
	else if (!sk_key_strong(X509_get0_pubkey(cert)))
		why = "has a weak key: RSA from 2048 bit or ECDSA P-256, P-384, P-521 is needed";
	if (why)
		return sk_err_set(err, -EKEYREJECTED, "untrusted", "certificate \"%s\" %s", name,
				  why);
	return 0;
}
