/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "io/crypto/ossl.h"
#include "io/crypto/pki.h"

/* What certificates and revocation lists say, for people. */

void sk_cert_free(struct sk_cert *c)
{
	if (!c)
		return;
	X509_free(c->x509);
	free(c);
}

int sk_cert_wrap(X509 *steals, struct sk_cert **ret, struct sk_err *err)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret) {
		X509_free(steals);
		return sk_err_oom(err);
	}
	(*ret)->x509 = steals;
	return 0;
}

int sk_cert_parse(const void *pem, size_t len, struct sk_cert **ret, struct sk_err *err)
{
	_cleanup_(BIO_free_allp) BIO *b = NULL;
	X509 *x509;

	if (len > INT_MAX || !(b = BIO_new_mem_buf(pem, (int)len)))
		return sk_err_oom(err);
	x509 = PEM_read_bio_X509(b, NULL, sk_ossl_no_passphrase, NULL);
	ERR_clear_error();
	if (!x509)
		return sk_err_set(err, -EINVAL, "bad-value", "no certificate (PEM)");
	return sk_cert_wrap(x509, ret, err);
}

int sk_cert_pem(const struct sk_cert *c, char **ret, size_t *ret_len, struct sk_err *err)
{
	_cleanup_(BIO_free_allp) BIO *b = BIO_new(BIO_s_mem());

	if (!b || PEM_write_bio_X509(b, c->x509) != 1)
		return sk_err_oom(err);
	return sk_bio_text(b, ret, ret_len, err);
}

bool sk_cert_is_for(const struct sk_cert *c, const struct sk_key *k)
{
	return EVP_PKEY_eq(X509_get0_pubkey(c->x509), k->pkey) == 1;
}

static void format_serial(const ASN1_INTEGER *serial, char buf[static SK_SERIAL_HEX + 1])
{
	const unsigned char *bytes = ASN1_STRING_get0_data(serial);
	int len = SK_MIN(ASN1_STRING_length(serial), SK_SERIAL_HEX / 2);

	buf[0] = '\0';
	for (int i = 0; i < len; i++)
		(void)snprintf(buf + 2 * (size_t)i, 3, "%02x", bytes[i]);
}

static void format_key(EVP_PKEY *key, char buf[static 32])
{
	char group[32] = "?";

	if (key && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) {
		(void)snprintf(buf, 32, "RSA %d", EVP_PKEY_get_bits(key));
	} else if (key && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) {
		(void)EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
		if (EC_curve_nid2nist(OBJ_sn2nid(group)))
			(void)snprintf(group, sizeof(group), "%s",
				       EC_curve_nid2nist(OBJ_sn2nid(group)));
		(void)snprintf(buf, 32, "ECDSA %.24s", group);
	} else {
		(void)snprintf(buf, 32, "unknown");
	}
}

void sk_cert_facts_done(struct sk_cert_facts *f)
{
	free(f->name);
	free(f->issuer);
	free(f->problem);
	*f = (struct sk_cert_facts){ 0 };
}

int sk_cert_facts(const struct sk_cert *c, struct sk_cert_facts *ret, struct sk_err *err)
{
	struct sk_err problem = SK_ERR_INIT;
	struct sk_cert_facts f = {
		.name = sk_x509_name(X509_get_subject_name(c->x509)),
		.issuer = sk_x509_name(X509_get_issuer_name(c->x509)),
		.from_s = sk_asn1_time(X509_get0_notBefore(c->x509)),
		.to_s = sk_asn1_time(X509_get0_notAfter(c->x509)),
		.ca = X509_check_ca(c->x509) == 1,
	};
	unsigned int len = sizeof(f.fingerprint.bytes);

	format_serial(X509_get0_serialNumber(c->x509), f.serial);
	format_key(X509_get0_pubkey(c->x509), f.key);
	if (sk_cert_signs_releases(c->x509, &problem) < 0)
		f.problem = strdup(problem.text);
	ERR_clear_error();
	if (!f.name || !f.issuer || (problem.code && !f.problem) ||
	    X509_digest(c->x509, EVP_sha256(), f.fingerprint.bytes, &len) != 1) {
		sk_cert_facts_done(&f);
		return sk_err_oom(err);
	}
	*ret = f;
	return 0;
}

void sk_crl_facts_done(struct sk_crl_facts *f)
{
	free(f->issuer);
	free(f->revoked);
	*f = (struct sk_crl_facts){ 0 };
}

int sk_crl_facts(const void *pem, size_t len, struct sk_crl_facts *ret, struct sk_err *err)
{
	_cleanup_(BIO_free_allp) BIO *b = BIO_new_mem_buf(pem, (int)SK_MIN(len, (size_t)INT_MAX));
	_cleanup_(X509_CRL_freep) X509_CRL *crl = NULL;
	STACK_OF(X509_REVOKED) * entries;
	struct sk_crl_facts f = { 0 };

	if (!b)
		return sk_err_oom(err);
	crl = PEM_read_bio_X509_CRL(b, NULL, sk_ossl_no_passphrase, NULL);
	ERR_clear_error();
	if (!crl)
		return sk_err_set(err, -EINVAL, "bad-value", "no revocation list (PEM)");
	entries = X509_CRL_get_REVOKED(crl);
	f.n_revoked = entries ? (size_t)sk_X509_REVOKED_num(entries) : 0;
	f.revoked = calloc(f.n_revoked + 1, sizeof(*f.revoked));
	f.issuer = sk_x509_name(X509_CRL_get_issuer(crl));
	if (!f.revoked || !f.issuer) {
		sk_crl_facts_done(&f);
		return sk_err_oom(err);
	}
	for (size_t i = 0; i < f.n_revoked; i++) {
		X509_REVOKED *e = sk_X509_REVOKED_value(entries, (int)i);

		format_serial(X509_REVOKED_get0_serialNumber(e), f.revoked[i].serial);
		f.revoked[i].since_s = sk_asn1_time(X509_REVOKED_get0_revocationDate(e));
	}
	f.number = sk_x509_crl_number(crl);
	if (f.number == UINT64_MAX)
		f.number = 0;
	f.from_s = sk_asn1_time(X509_CRL_get0_lastUpdate(crl));
	f.to_s = sk_asn1_time(X509_CRL_get0_nextUpdate(crl));
	*ret = f;
	return 0;
}
