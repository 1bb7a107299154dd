/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/str.h"
#include "io/crypto/cms.h"
#include "io/crypto/ossl.h"
#include "pki_fixture.h"

/* A root, a signer and what they make, all by the product's own means. */
static struct sk_key *root_key, *key;
static struct sk_cert *root;
static struct sk_ca ca;

#define WHO(n) \
	(&(struct sk_subject){ .name = n, .from_s = PKI_NOW - PKI_DAY, .to_s = PKI_NOW + PKI_DAY })

static int set_up(void **state)
{
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(sk_key_make(SK_KEY_P256, &root_key, &err), 0);
	assert_int_equal(sk_key_make(SK_KEY_P384, &key, &err), 0);
	assert_int_equal(sk_ca_make(root_key, WHO("root"), &root, &err), 0);
	ca = (struct sk_ca){ root_key, root };
	return 0;
}

static int tear_down(void **state)
{
	sk_cert_free(root);
	sk_key_free(key);
	sk_key_free(root_key);
	return 0;
}

static struct sk_trust *trust_root(void)
{
	_cleanup_free_ char *pem = NULL;
	struct sk_trust *t = NULL;
	size_t len;

	assert_int_equal(sk_cert_pem(root, &pem, &len, NULL), 0);
	assert_int_equal(strlen(pem), len);
	assert_int_equal(sk_trust_of(pem, &t, NULL), 0);
	return t;
}

/* What the device says of a certificate made here. */
static void check(const struct sk_trust *t, const struct sk_cert *cert, int64_t now_s,
		  const char *slug)
{
	struct sk_err err = SK_ERR_INIT;

	(void)sk_trust_check(t, cert->x509, NULL, now_s, &err);
	assert_string_equal(err.slug, slug);
}

static void certifies(void **state)
{
	_cleanup_(sk_trust_freep) struct sk_trust *t = trust_root();
	_cleanup_(sk_cert_freep) struct sk_cert *cert = NULL;
	_cleanup_(sk_cert_facts_done) struct sk_cert_facts facts = { 0 }, of_root = { 0 };

	assert_int_equal(sk_ca_certify(&ca, WHO("J\xc3\xbcrgen"), key, &cert, NULL), 0);
	check(t, cert, PKI_NOW, "");
	check(t, cert, PKI_NOW + 2 * PKI_DAY, "expired");
	check(t, cert, PKI_NOW - 2 * PKI_DAY, "untrusted");
	check(t, root, PKI_NOW, "untrusted");
	assert_true(sk_cert_is_for(cert, key));
	assert_false(sk_cert_is_for(cert, root_key));
	assert_int_equal(sk_cert_facts(cert, &facts, NULL), 0);
	assert_string_equal(facts.name, "J\xc3\xbcrgen");
	assert_string_equal(facts.issuer, "root");
	assert_string_equal(facts.key, "ECDSA P-384");
	assert_int_equal(strlen(facts.serial), 32);
	assert_int_equal(facts.to_s, PKI_NOW + PKI_DAY);
	assert_null(facts.problem);
	assert_false(facts.ca);
	assert_int_equal(sk_cert_facts(root, &of_root, NULL), 0);
	assert_true(of_root.ca);
	assert_non_null(strstr(of_root.problem, "never releases"));
	assert_string_not_equal(facts.serial, of_root.serial);
}

static void refuses(void **state)
{
	static const char long_name[] =
		"0123456789012345678901234567890123456789012345678901234567890123"
		"4";
	_cleanup_(sk_cert_freep) struct sk_cert *cert = NULL;
	const struct sk_ca wrong_key = { key, root };
	struct sk_subject back = *WHO("back");
	struct sk_err err = SK_ERR_INIT;
	struct sk_cert *none = NULL;
	struct sk_ca no_ca;

	back.to_s = back.from_s;
	assert_int_equal(sk_ca_certify(&ca, &back, key, &none, &err), -EINVAL);
	assert_int_equal(sk_ca_certify(&ca, WHO(""), key, &none, &err), -EINVAL);
	assert_string_equal(err.slug, "bad-name");
	assert_int_equal(sk_ca_certify(&ca, WHO(long_name), key, &none, &err), -EINVAL);
	assert_int_equal(sk_ca_certify(&wrong_key, WHO("x"), key, &none, &err), -EINVAL);
	assert_non_null(strstr(err.text, "belong together"));
	assert_int_equal(sk_ca_certify(&ca, WHO("x"), key, &cert, NULL), 0);
	no_ca = (struct sk_ca){ key, cert };
	assert_int_equal(sk_ca_certify(&no_ca, WHO("y"), key, &none, &err), -EINVAL);
	assert_non_null(strstr(err.text, "not a CA's"));
	assert_null(none);
}

static X509 *server(const char *hosts, struct sk_err *err)
{
	struct sk_subject who = *WHO("hub");
	struct sk_cert *cert = NULL;
	X509 *x;

	who.use = SK_CERT_SERVER;
	who.hosts = hosts;
	if (sk_ca_certify(&ca, &who, key, &cert, err) < 0)
		return NULL;
	x = X509_dup(cert->x509);
	sk_cert_free(cert);
	assert_non_null(x);
	return x;
}

static void certifies_servers(void **state)
{
	_cleanup_(sk_trust_freep) struct sk_trust *t = trust_root();
	_cleanup_(X509_freep) X509 *x = server("hub.example 192.0.2.1 ::1 *.hub.example", NULL);
	struct sk_err err = SK_ERR_INIT;

	assert_non_null(x);
	assert_int_equal(X509_check_purpose(x, X509_PURPOSE_SSL_SERVER, 0), 1);
	assert_int_equal(X509_check_host(x, "hub.example", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(x, "a.hub.example", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(x, "elsewhere", 0, 0, NULL), 0);
	assert_int_equal(X509_check_ip_asc(x, "192.0.2.1", 0), 1);
	assert_int_equal(X509_check_ip_asc(x, "::1", 0), 1);
	assert_true(sk_trust_check(t, x, NULL, PKI_NOW, &err) < 0);
	assert_non_null(strstr(err.text, "another purpose"));
	assert_null(server("a,DNS:evil", &err));
	assert_string_equal(err.slug, "bad-name");
	assert_null(server("a\nb", &err));
	assert_string_equal(err.slug, "bad-name");
	assert_null(server(" ", &err));
	assert_string_equal(err.slug, "bad-value");
}

/* A server's own root certifies servers, and no other CA below it. */
static void root_for_servers(void **state)
{
	_cleanup_(sk_cert_freep) struct sk_cert *own = NULL;
	struct sk_subject who = *WHO("hub authority");

	who.use = SK_CERT_SERVER;
	assert_int_equal(sk_ca_make(root_key, &who, &own, NULL), 0);
	assert_int_equal(X509_check_ca(own->x509), 1);
	assert_int_equal(X509_get_pathlen(own->x509), 0);
	assert_int_equal(X509_get_pathlen(root->x509), -1);
}

/* For a key that stays where it is: only the key of the request is taken. */
static void requests(void **state)
{
	_cleanup_(sk_trust_freep) struct sk_trust *t = trust_root();
	_cleanup_(sk_cert_freep) struct sk_cert *cert = NULL;
	_cleanup_free_ char *csr = NULL, *name = NULL;
	struct sk_err err = SK_ERR_INIT;
	struct sk_cert *none = NULL;
	size_t len;
	char *at;

	assert_int_equal(sk_request_make(key, "asks for much", &csr, &len, NULL), 0);
	assert_int_equal(sk_request_name(csr, len, &name, NULL), 0);
	assert_string_equal(name, "asks for much");
	assert_int_equal(sk_ca_certify_request(&ca, WHO("gets this"), csr, len, &cert, NULL), 0);
	check(t, cert, PKI_NOW, "");
	assert_true(sk_cert_is_for(cert, key));
	/* Changed anywhere: not the asker's any more. */
	at = strchr(csr, '\n') + 40;
	*at = *at == 'A' ? 'B' : 'A';
	assert_true(sk_ca_certify_request(&ca, WHO("x"), csr, len, &none, &err) < 0);
	assert_string_equal(err.slug, "bad-value");
	assert_int_equal(sk_ca_certify_request(&ca, WHO("x"), "", 0, &none, &err), -EINVAL);
	assert_int_equal(sk_ca_certify_request(&ca, WHO("x"), csr, 1 << 20, &none, &err), -EINVAL);
	assert_non_null(strstr(err.text, "too large"));
	assert_null(none);
}

static void revokes(void **state)
{
	_cleanup_(sk_trust_freep) struct sk_trust *t = trust_root();
	_cleanup_(sk_cert_freep) struct sk_cert *cert = NULL, *other = NULL;
	_cleanup_(sk_cert_facts_done) struct sk_cert_facts facts = { 0 };
	_cleanup_(sk_crl_facts_done) struct sk_crl_facts list = { 0 };
	_cleanup_free_ char *pem = NULL;
	struct sk_revoked gone = { .since_s = PKI_NOW - 60 };
	struct sk_crl_subject what = { .number = 7,
				       .from_s = PKI_NOW,
				       .to_s = PKI_NOW + PKI_DAY,
				       .revoked = &gone,
				       .n_revoked = 1 };
	struct sk_err err = SK_ERR_INIT;
	size_t len;

	assert_int_equal(sk_ca_certify(&ca, WHO("a"), key, &cert, NULL), 0);
	assert_int_equal(sk_ca_certify(&ca, WHO("b"), key, &other, NULL), 0);
	assert_int_equal(sk_cert_facts(cert, &facts, NULL), 0);
	(void)snprintf(gone.serial, sizeof(gone.serial), "%s", facts.serial);
	assert_int_equal(sk_ca_revoke(&ca, &what, &pem, &len, &err), 0);
	assert_int_equal(sk_trust_update_crl(t, pem, len, &err), 0);
	check(t, cert, PKI_NOW, "revoked");
	check(t, other, PKI_NOW, "");
	assert_int_equal(sk_crl_facts(pem, len, &list, NULL), 0);
	assert_int_equal(list.number, 7);
	assert_int_equal(list.n_revoked, 1);
	assert_string_equal(list.revoked[0].serial, facts.serial);
	assert_int_equal(list.revoked[0].since_s, PKI_NOW - 60);
	assert_string_equal(list.issuer, "root");
	/* A serial that is none. */
	(void)snprintf(gone.serial, sizeof(gone.serial), "zz");
	free(TAKE_PTR(pem));
	assert_true(sk_ca_revoke(&ca, &what, &pem, &len, &err) < 0);
	assert_null(pem);
	assert_int_equal(sk_crl_facts("junk", 4, &list, &err), -EINVAL);
}

/* The number of a list from elsewhere may have 20 bytes. One more than the largest that fits would be 0 again. */
static void crl_number_that_does_not_fit(void **state)
{
	_cleanup_(sk_crl_facts_done) struct sk_crl_facts list = { 0 };
	_cleanup_(BIO_free_allp) BIO *in = NULL, *out = BIO_new(BIO_s_mem());
	_cleanup_(X509_CRL_freep) X509_CRL *crl = NULL;
	_cleanup_(ASN1_INTEGER_freep) ASN1_INTEGER *number = NULL;
	_cleanup_free_ char *pem = NULL, *large = NULL;
	struct sk_crl_subject what = { .number = 7, .from_s = PKI_NOW, .to_s = PKI_NOW + PKI_DAY };
	size_t len;

	assert_int_equal(sk_ca_revoke(&ca, &what, &pem, &len, NULL), 0);
	in = BIO_new_mem_buf(pem, (int)len);
	crl = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL);
	number = s2i_ASN1_INTEGER(NULL, "0x10000000000000000");
	assert_non_null(crl);
	assert_non_null(number);
	assert_int_equal(X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, X509V3_ADD_REPLACE),
			 1);
	assert_true(X509_CRL_sign(crl, root_key->pkey, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509_CRL(out, crl), 1);
	assert_int_equal(sk_bio_text(out, &large, &len, NULL), 0);
	assert_int_equal(sk_crl_facts(large, len, &list, NULL), 0);
	assert_int_equal(list.number, 0);
}

static int say(void *arg, const char *what, char *buf, size_t size)
{
	memcpy(buf, arg, strlen(arg));
	return (int)strlen(arg);
}

/* Written with a passphrase, a key file tells nothing without it. */
static void key_files(void **state)
{
	static const enum sk_key_type types[] = { SK_KEY_P256, SK_KEY_P384, SK_KEY_RSA3072 };
	const struct sk_secret right = { say, (char *)"secret" };
	char path[] = "/tmp/skerry-test-pki-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	(void)close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		_cleanup_(sk_key_freep) struct sk_key *made = NULL, *read = NULL;
		_cleanup_free_ char *pem = NULL, *public = NULL;
		size_t len;

		assert_int_equal(sk_key_make(types[i], &made, NULL), 0);
		assert_true(sk_key_strong(made->pkey));
		assert_int_equal(sk_key_pem(made, "secret", &pem, &len, NULL), 0);
		assert_non_null(strstr(pem, "ENCRYPTED PRIVATE KEY"));
		assert_int_equal(sk_file_write(AT_FDCWD, path, pem, len, 0600), 0);
		assert_int_equal(sk_key_load(path, NULL, &read, NULL), -EINVAL);
		assert_int_equal(sk_key_load(path, &right, &read, NULL), 0);
		assert_int_equal(EVP_PKEY_eq(made->pkey, read->pkey), 1);
		assert_int_equal(sk_key_public_pem(made, &public, &len, NULL), 0);
		assert_null(strstr(public, "PRIVATE"));
	}
	assert_int_equal(unlink(path), 0);
}

static void certificate_files(void **state)
{
	_cleanup_(sk_cert_freep) struct sk_cert *again = NULL;
	_cleanup_free_ char *pem = NULL;
	struct sk_err err = SK_ERR_INIT;
	struct sk_cert *none = NULL;
	size_t len;

	assert_int_equal(sk_cert_pem(root, &pem, &len, NULL), 0);
	assert_int_equal(sk_cert_parse(pem, len, &again, NULL), 0);
	assert_int_equal(X509_cmp(again->x509, root->x509), 0);
	for (size_t n = 0; n < len - 2; n += 7)
		assert_int_equal(sk_cert_parse(pem, n, &none, &err), -EINVAL);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(certifies),
		cmocka_unit_test(certifies_servers),
		cmocka_unit_test(root_for_servers),
		cmocka_unit_test(refuses),
		cmocka_unit_test(requests),
		cmocka_unit_test(revokes),
		cmocka_unit_test(crl_number_that_does_not_fit),
		cmocka_unit_test(key_files),
		cmocka_unit_test(certificate_files),
	};

	return cmocka_run_group_tests_name("io/pki", tests, set_up, tear_down);
}
