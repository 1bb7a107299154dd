/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/str.h"
#include "io/crypto/ossl.h"
#include "pki_fixture.h"

static void name_is(const unsigned char *cn, int len, const char *want)
{
	X509_NAME *n = X509_NAME_new();
	_cleanup_free_ char *got = NULL;

	assert_int_equal(X509_NAME_add_entry_by_txt(n, "O", MBSTRING_UTF8,
						    (const unsigned char *)"Acme", -1, -1, 0),
			 1);
	if (cn)
		assert_int_equal(X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8, cn, len, -1, 0),
				 1);
	got = sk_x509_name(n);
	assert_non_null(got);
	if (want)
		assert_string_equal(got, want);
	for (const char *s = got; *s; s++)
		assert_true((unsigned char)*s >= ' ' && *s != 0x7f);
	X509_NAME_free(n);
}

/* For people: the common name, unless it hides something behind a NUL. */
static void names(void **state)
{
	name_is((const unsigned char *)"alice", -1, "alice");
	name_is((const unsigned char *)"J\xc3\xbcrgen", -1, "J\xc3\xbcrgen");
	name_is(NULL, 0, "O=Acme");
	name_is((const unsigned char *)"root\0.evil", 10, NULL);
	name_is((const unsigned char *)"a\x1b[2Jb\n", -1, NULL);
}

static void times(void **state)
{
	ASN1_TIME *t = ASN1_TIME_set(NULL, 1800000000);

	assert_int_equal(sk_asn1_time(t), 1800000000);
	assert_int_equal(ASN1_TIME_set_string(t, "99991231235959Z"), 1);
	assert_int_equal(sk_asn1_time(t), INT64_C(253402300799));
	assert_int_equal(ASN1_STRING_set((ASN1_STRING *)t, "soon", 4), 1);
	assert_int_equal(sk_asn1_time(t), INT64_MIN);
	assert_int_equal(sk_asn1_time(NULL), INT64_MIN);
	ASN1_TIME_free(t);
}

static char *pem_of(X509 *cert, size_t *ret_len)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *data, *copy;

	assert_int_equal(PEM_write_bio_X509(b, cert), 1);
	*ret_len = (size_t)BIO_get_mem_data(b, &data);
	copy = strndup(data, *ret_len);
	BIO_free(b);
	return copy;
}

static void read_all(void **state)
{
	struct pki_who who = pki_make(&(struct pki_spec){ .name = "root", .ca = true });
	size_t len;
	_cleanup_free_ char *one = pem_of(who.cert, &len);
	_cleanup_free_ char *two = sk_asprintf("text before\n%s%s", one, one),
			    *cut = sk_asprintf("%s%.*s", one, (int)len / 2, one),
			    *bad = sk_asprintf("%s-----BEGIN CERTIFICATE-----\nAAAA\n"
					       "-----END CERTIFICATE-----\n",
					       one);
	const struct {
		const char *pem, *text;
	} refused[] = {
		{ "", "no certificate" }, { "junk", "no certificate" }, { cut, "damaged" },
		{ bad, "damaged" },	  { two, "more than 1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		_cleanup_x509s_ STACK_OF(X509) *all = NULL;
		struct sk_err err = SK_ERR_INIT;

		assert_int_equal(
			sk_x509_read_all(refused[i].pem, strlen(refused[i].pem), 1, &all, &err),
			-EINVAL);
		assert_string_equal(err.slug, "bad-value");
		if (!strstr(err.text, refused[i].text))
			fail_msg("\"%s\" is not in \"%s\"", refused[i].text, err.text);
	}
	for (int n = 1; n <= 2; n++) {
		_cleanup_x509s_ STACK_OF(X509) *all = NULL;
		const char *pem = n == 1 ? one : two;

		assert_int_equal(sk_x509_read_all(pem, strlen(pem), 2, &all, NULL), 0);
		assert_int_equal(sk_X509_num(all), n);
	}
	pki_free(&who);
}

static void strength(void **state)
{
	static const struct {
		struct pki_spec spec;
		bool strong;
	} keys[] = {
		{ { .name = "x" }, true },
		{ { .name = "x", .curve = "P-384" }, true },
		{ { .name = "x", .curve = "P-521" }, true },
		{ { .name = "x", .rsa_bits = 2048 }, true },
		{ { .name = "x", .rsa_bits = 2047 }, false },
		{ { .name = "x", .rsa_bits = 1024 }, false },
		{ { .name = "x", .curve = "P-224" }, false },
		{ { .name = "x", .curve = "secp256k1" }, false },
		{ { .name = "x", .curve = "brainpoolP256r1" }, false },
		{ { .name = "x", .explicit_curve = true }, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct pki_who who = pki_make(&keys[i].spec);
		unsigned char *der = NULL;
		const unsigned char *at;
		EVP_PKEY *read;
		int len = i2d_PUBKEY(who.key, &der);

		/* As it comes out of a certificate. */
		at = der;
		read = d2i_PUBKEY(NULL, &at, len);
		assert_non_null(read);
		if (sk_key_strong(read) != keys[i].strong)
			fail_msg("key %zu", i);
		EVP_PKEY_free(read);
		OPENSSL_free(der);
		pki_free(&who);
	}
	assert_false(sk_key_strong(NULL));
	assert_true(sk_signature_strong(NID_ecdsa_with_SHA256));
	assert_true(sk_signature_strong(NID_sha512WithRSAEncryption));
	assert_false(sk_signature_strong(NID_sha1WithRSAEncryption));
	assert_false(sk_signature_strong(NID_md5WithRSAEncryption));
	assert_false(sk_signature_strong(NID_ecdsa_with_SHA224));
	assert_false(sk_signature_strong(NID_undef));
	assert_false(sk_signature_strong(NID_sha256));
}

static void hashes(void **state)
{
	static const struct {
		const char *curve;
		int hash;
	} keys[] = { { "P-256", NID_sha256 }, { "P-384", NID_sha384 }, { "P-521", NID_sha512 } };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct pki_who who =
			pki_make(&(struct pki_spec){ .name = "x", .curve = keys[i].curve });

		assert_int_equal(EVP_MD_get_type(sk_hash_for(who.key)), keys[i].hash);
		pki_free(&who);
	}
}

/* By itself, without the chain that OpenSSL looks at as well. */
static void purpose(void **state)
{
	static const struct {
		struct pki_spec spec;
		const char *text; /* NULL: may sign */
	} certs[] = {
		{ { .name = "x" }, NULL },
		{ { .name = "x", .eku = "codeSigning,emailProtection" }, NULL },
		{ { .name = "x", .critical_oid = "1.2.3.4" }, "critical" },
		{ { .name = "x",
		    .ca = true,
		    .ku = "digitalSignature,keyCertSign",
		    .eku = "codeSigning" },
		  "never releases" },
		{ { .name = "x", .ku = "" }, "digital signature" },
		{ { .name = "x", .ku = "nonRepudiation" }, "digital signature" },
		{ { .name = "x", .eku = "" }, "another purpose" },
		{ { .name = "x", .eku = "anyExtendedKeyUsage" }, "another purpose" },
		{ { .name = "x", .eku = "critical,timeStamping" }, "another purpose" },
		{ { .name = "x", .curve = "P-224" }, "weak key" },
		{ { .name = "x", .constraints = "" }, NULL }, /* no CA: so says its absence */
	};

	for (size_t i = 0; i < ARRAY_SIZE(certs); i++) {
		struct pki_who who = pki_make(&certs[i].spec);
		struct sk_err err = SK_ERR_INIT;
		int r = sk_cert_signs_releases(who.cert, &err);

		assert_int_equal(r, certs[i].text ? -EKEYREJECTED : 0);
		if (certs[i].text && !strstr(err.text, certs[i].text))
			fail_msg("\"%s\" is not in \"%s\"", certs[i].text, err.text);
		pki_free(&who);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),    cmocka_unit_test(times),  cmocka_unit_test(read_all),
		cmocka_unit_test(strength), cmocka_unit_test(hashes), cmocka_unit_test(purpose),
	};

	return cmocka_run_group_tests_name("io/ossl", tests, NULL, NULL);
}
