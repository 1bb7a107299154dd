/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "io/crypto/cms.h"
#include "io/crypto/crl_info.h"
#include "pki_fixture.h"

static struct pki_who root, namesake, alice;

static int set_up(void **state)
{
	root = pki_make(&(struct pki_spec){ .name = "root", .ca = true });
	namesake = pki_make(&(struct pki_spec){ .name = "root", .ca = true });
	alice = pki_make(&(struct pki_spec){ .name = "alice", .issuer = &root });
	return 0;
}

static int tear_down(void **state)
{
	pki_free(&alice);
	pki_free(&namesake);
	pki_free(&root);
	return 0;
}

/* PEM of a list; the caller frees it. */
static char *list(const struct pki_crl_spec *spec)
{
	X509_CRL *crl = pki_crl(spec);
	size_t len;
	char *pem = pki_pem_crl(crl, &len);

	X509_CRL_free(crl);
	return pem;
}

static struct sk_crl_info *read_all(const char *pem, size_t want_n)
{
	struct sk_err err = SK_ERR_INIT;
	struct sk_crl_info *v;
	size_t n;

	assert_int_equal(sk_crl_infos_read(pem, strlen(pem), 8, &v, &n, &err), 0);
	assert_int_equal(n, want_n);
	return v;
}

static void refused(const char *bytes, size_t len, size_t max, const char *slug)
{
	struct sk_err err = SK_ERR_INIT;
	struct sk_crl_info *v;
	size_t n;

	assert_true(sk_crl_infos_read(bytes, len, max, &v, &n, &err) < 0);
	assert_string_equal(err.slug, slug);
}

static void what_a_list_says(void **state)
{
	char *pem = list(&(struct pki_crl_spec){ &root, 7, { alice.cert } });
	struct sk_crl_info *v = read_all(pem, 1);

	assert_string_equal(v->issuer, "root");
	assert_int_equal(v->number, 7);
	assert_int_equal(v->n_revoked, 1);
	assert_true(v->from_s > 0 && v->to_s > v->from_s);
	assert_string_equal(v->pem, pem);
	sk_crl_infos_free(v, 1);
	free(pem);
}

static void the_form_does_not_matter(void **state)
{
	X509_CRL *crl = pki_crl(&(struct pki_crl_spec){ &root, 9, { alice.cert } });
	struct sk_err err = SK_ERR_INIT;
	unsigned char *der = NULL;
	int der_len = i2d_X509_CRL(crl, &der);
	size_t pem_len, n;
	char *pem = pki_pem_crl(crl, &pem_len);
	struct sk_crl_info *a = read_all(pem, 1), *b;

	assert_int_equal(sk_crl_infos_read(der, (size_t)der_len, 1, &b, &n, &err), 0);
	assert_true(sk_digest_equal(&a->digest, &b->digest));
	assert_true(sk_digest_equal(&a->issuer_id, &b->issuer_id));
	assert_string_equal(a->pem, b->pem);
	sk_crl_infos_free(a, 1);
	sk_crl_infos_free(b, 1);
	free(pem);
	OPENSSL_free(der);
	X509_CRL_free(crl);
}

static void lists_of_one_root_replace_each_other(void **state)
{
	char *first = list(&(struct pki_crl_spec){ &root, 1 });
	char *second = list(&(struct pki_crl_spec){ &root, 2 });
	struct sk_crl_info *a = read_all(first, 1), *b = read_all(second, 1);

	assert_true(sk_digest_equal(&a->issuer_id, &b->issuer_id));
	assert_false(sk_digest_equal(&a->digest, &b->digest));
	sk_crl_infos_free(a, 1);
	sk_crl_infos_free(b, 1);
	free(first);
	free(second);
}

static void several_in_one_file(void **state)
{
	char *a = list(&(struct pki_crl_spec){ &root, 1 });
	char *b = list(&(struct pki_crl_spec){ &namesake, 2 });
	char *both = malloc(strlen(a) + strlen(b) + 1);
	struct sk_crl_info *v;

	(void)stpcpy(stpcpy(both, a), b);
	v = read_all(both, 2);
	assert_int_equal(v[0].number, 1);
	assert_int_equal(v[1].number, 2);
	sk_crl_infos_free(v, 2);
	refused(both, strlen(both), 1, "too-large");
	refused(both, strlen(both) - 30, 8, "bad-value");
	free(both);
	free(a);
	free(b);
}

static void what_no_device_takes(void **state)
{
	const struct pki_crl_spec bad[] = {
		{ &root, -1 },
		{ &root, 1, .md = EVP_sha1() },
		{ &root, 1, .critical_oid = "1.2.3.4" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *pem = list(&bad[i]);

		refused(pem, strlen(pem), 8, "bad-value");
		free(pem);
	}
	refused("", 0, 8, "bad-value");
	refused("x", 1, 8, "bad-value");
	refused("\x30\x03\x02\x01\x01", 5, 8, "bad-value");
	refused("\x30\x80", 2, 8, "bad-value");
}

static void size_is_bounded(void **state)
{
	char *big = calloc(1, SK_CRL_INFO_SIZE_MAX + 1);

	refused(big, SK_CRL_INFO_SIZE_MAX + 1, 8, "too-large");
	free(big);
}

/* Trust without a folder: what a hub uses to check what is uploaded. */
static void trust_in_memory(void **state)
{
	_cleanup_(sk_trust_freep) struct sk_trust *t = NULL;
	struct sk_err err = SK_ERR_INIT;
	BIO *b = BIO_new(BIO_s_mem());
	char *data, *ca, *newer = list(&(struct pki_crl_spec){ &root, 5, { alice.cert } });
	char *older = list(&(struct pki_crl_spec){ &root, 4 });
	char *forged = list(&(struct pki_crl_spec){ &namesake, 6 });
	struct sk_crl_info *v;
	size_t n;
	long len;

	assert_int_equal(PEM_write_bio_X509(b, root.cert), 1);
	len = BIO_get_mem_data(b, &data);
	ca = strndup(data, (size_t)len);
	BIO_free(b);
	assert_int_equal(sk_trust_of(ca, &t, &err), 0);
	assert_int_equal(sk_trust_crls(t, &v, &n, &err), 0);
	assert_int_equal(n, 0);
	sk_crl_infos_free(v, n);
	assert_int_equal(sk_trust_update_crl(t, newer, strlen(newer), &err), 0);
	assert_int_equal(sk_trust_update_crl(t, older, strlen(older), &err), 1);
	assert_int_equal(sk_trust_update_crl(t, forged, strlen(forged), &err), -EKEYREJECTED);
	assert_int_equal(sk_trust_crls(t, &v, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_int_equal(v[0].number, 5);
	sk_crl_infos_free(v, n);
	assert_true(sk_trust_of("x", &(struct sk_trust *){ NULL }, &err) < 0);
	free(ca);
	free(newer);
	free(older);
	free(forged);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_list_says),
		cmocka_unit_test(the_form_does_not_matter),
		cmocka_unit_test(lists_of_one_root_replace_each_other),
		cmocka_unit_test(several_in_one_file),
		cmocka_unit_test(what_no_device_takes),
		cmocka_unit_test(size_is_bounded),
		cmocka_unit_test(trust_in_memory),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
