/* SPDX-License-Identifier: Apache-2.0 */
#include "io/crypto/crl_info.h"

#include <errno.h>
#include <string.h>

#include "io/crypto/crl.h"
#include "io/crypto/ossl.h"

static void info_done(struct sk_crl_info *i)
{
	free(i->issuer);
	free(i->pem);
	*i = (struct sk_crl_info){ 0 };
}

void sk_crl_infos_free(struct sk_crl_info *v, size_t n)
{
	for (size_t i = 0; v && i < n; i++)
		info_done(&v[i]);
	free(v);
}

/* Two roots can have one name: the key's identifier, where the list has one, tells them apart. */
static int issuer_id(X509_CRL *list, struct sk_digest *ret)
{
	AUTHORITY_KEYID *key = X509_CRL_get_ext_d2i(list, NID_authority_key_identifier, NULL, NULL);
	const ASN1_OCTET_STRING *id = key ? key->keyid : NULL;
	struct sk_hasher *h = sk_hasher_new();
	unsigned char *name = NULL;
	int len = i2d_X509_NAME(X509_CRL_get_issuer(list), &name);
	int r = h && len > 0 ? sk_hasher_add(h, name, (size_t)len) : -ENOMEM;

	if (r == 0 && id)
		r = sk_hasher_add(h, ASN1_STRING_get0_data(id), (size_t)ASN1_STRING_length(id));
	if (r == 0)
		r = sk_hasher_end(h, ret);
	if (h)
		sk_hasher_free(h);
	OPENSSL_free(name);
	AUTHORITY_KEYID_free(key);
	ERR_clear_error();
	return r;
}

static int digest_of(X509_CRL *list, struct sk_digest *ret)
{
	unsigned char *der = NULL;
	int len = i2d_X509_CRL(list, &der);
	int r = len > 0 ? sk_digest_of(der, (size_t)len, ret) : -ENOMEM;

	OPENSSL_free(der);
	return r;
}

static char *pem_of(X509_CRL *list)
{
	_cleanup_(BIO_free_allp) BIO *b = BIO_new(BIO_s_mem());
	char *pem = NULL;

	if (b && PEM_write_bio_X509_CRL(b, list) == 1)
		(void)sk_bio_text(b, &pem, NULL, NULL);
	return pem;
}

int sk_crl_info_fill(struct sk_crl_info *ret, void *x509_crl, struct sk_err *err)
{
	X509_CRL *list = x509_crl;
	STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(list);
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(list);

	*ret = (struct sk_crl_info){
		.issuer = sk_x509_name(X509_CRL_get_issuer(list)),
		.number = (int64_t)SK_MIN(sk_x509_crl_number(list), (uint64_t)INT64_MAX),
		.from_s = sk_asn1_time(X509_CRL_get0_lastUpdate(list)),
		.to_s = next ? sk_asn1_time(next) : INT64_MIN,
		.n_revoked = entries ? (size_t)sk_X509_REVOKED_num(entries) : 0,
		.pem = pem_of(list),
	};
	if (ret->issuer && ret->pem && issuer_id(list, &ret->issuer_id) == 0 &&
	    digest_of(list, &ret->digest) == 0)
		return 0;
	info_done(ret);
	ERR_clear_error();
	return sk_err_oom(err);
}

static int refuse_large(struct sk_err *err)
{
	return sk_err_set(err, -EFBIG, "too-large", "revocation list: larger than %u bytes",
			  SK_CRL_INFO_SIZE_MAX);
}

static int add_info(X509_CRL *list, struct sk_crl_info **v, size_t *n, struct sk_err *err)
{
	const char *why = sk_crl_unfit(list);
	struct sk_crl_info *grown;
	int r;

	if (why)
		return sk_x509_crl_refuse(err, why);
	grown = reallocarray(*v, *n + 1, sizeof(*grown));
	if (!grown)
		return sk_err_oom(err);
	*v = grown;
	r = sk_crl_info_fill(&grown[*n], list, err);
	if (r < 0)
		return r;
	/* DER grows by a third when it becomes PEM, and that is what is handed on. */
	if (strlen(grown[(*n)++].pem) > SK_CRL_INFO_SIZE_MAX)
		return refuse_large(err);
	return 0;
}

static int read_der(const void *data, size_t len, struct sk_crl_info **v, size_t *n,
		    struct sk_err *err)
{
	_cleanup_(X509_CRL_freep) X509_CRL *list = NULL;
	int r = sk_x509_crl_read_der(data, len, &list, err);

	return r < 0 ? r : add_info(list, v, n, err);
}

static int read_pem(const void *data, size_t len, size_t max, struct sk_crl_info **v, size_t *n,
		    struct sk_err *err)
{
	_cleanup_x509_crls_ STACK_OF(X509_CRL) *lists = NULL;
	int r = sk_x509_crl_read_all(data, len, &lists, err);

	if (r < 0)
		return r;
	if ((size_t)sk_X509_CRL_num(lists) > max)
		return sk_err_set(err, -EFBIG, "too-large",
				  "revocation list: more than %zu in one file", max);
	for (int i = 0; r == 0 && i < sk_X509_CRL_num(lists); i++)
		r = add_info(sk_X509_CRL_value(lists, i), v, n, err);
	return r;
}

int sk_crl_infos_read(const void *data, size_t len, size_t max, struct sk_crl_info **ret,
		      size_t *ret_n, struct sk_err *err)
{
	struct sk_crl_info *v = NULL;
	size_t n = 0;
	int r;

	if (len > SK_CRL_INFO_SIZE_MAX)
		return refuse_large(err);
	if (sk_is_der(data, len))
		r = read_der(data, len, &v, &n, err);
	else
		r = read_pem(data, len, max, &v, &n, err);
	if (r < 0) {
		sk_crl_infos_free(v, n);
		return r;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}
