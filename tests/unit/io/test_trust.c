/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "io/crypto/cms.h"
#include "pki_fixture.h"

static char dir[64];
static struct pki_who root, other, alice, bob;

static int set_up(void **state)
{
	strcpy(dir, "/tmp/skerry-test-trust-XXXXXX");
	assert_non_null(mkdtemp(dir));
	root = pki_make(&(struct pki_spec){ .name = "root", .ca = true });
	other = pki_make(&(struct pki_spec){ .name = "other", .ca = true });
	alice = pki_make(&(struct pki_spec){ .name = "alice", .issuer = &root });
	bob = pki_make(&(struct pki_spec){ .name = "bob", .issuer = &other });
	pki_write_roots(dir, (const struct pki_who *const[]){ &root, NULL });
	return 0;
}

static int tear_down(void **state)
{
	pki_free(&bob);
	pki_free(&alice);
	pki_free(&other);
	pki_free(&root);
	return sk_rm_rf(AT_FDCWD, dir);
}

/* What a signature of @who comes to: a slug, or "" */
static void check_under(const struct sk_trust *t, const struct pki_who *who, X509 *const *more,
			const char *slug)
{
	struct sk_err err = SK_ERR_INIT;
	void *content = NULL;
	size_t len, content_len;
	unsigned char *der = pki_sign("x", 1, who, NULL, more, 0, &len);

	(void)sk_cms_verify(der, len, 16, t, PKI_NOW, &content, &content_len, NULL, &err);
	assert_string_equal(err.slug, slug);
	free(content);
	free(der);
}

/* The same under the trust that is on disk. */
static void check_who(const struct pki_who *who, X509 *const *more, const char *slug)
{
	_cleanup_(sk_trust_freep) struct sk_trust *t = NULL;

	assert_int_equal(sk_trust_load(dir, &t, NULL), 0);
	check_under(t, who, more, slug);
}

static void check_load(const char *slug)
{
	struct sk_trust *t = NULL;
	struct sk_err err = SK_ERR_INIT;

	assert_true(sk_trust_load(dir, &t, &err) < 0);
	assert_null(t);
	assert_string_equal(err.slug, slug);
	assert_non_null(strstr(err.text, dir));
}

static int update_under(struct sk_trust *t, const struct pki_crl_spec *spec, struct sk_err *err)
{
	X509_CRL *crl = pki_crl(spec);
	size_t len;
	char *pem = pki_pem_crl(crl, &len);
	int r = sk_trust_update_crl(t, pem, len, err);

	free(pem);
	X509_CRL_free(crl);
	return r;
}

static int update(const struct pki_crl_spec *spec, struct sk_err *err)
{
	_cleanup_(sk_trust_freep) struct sk_trust *t = NULL;

	assert_int_equal(sk_trust_load(dir, &t, err), 0);
	return update_under(t, spec, err);
}

static void put(const char *name, const char *text)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(sk_file_write(AT_FDCWD, path, text, strlen(text), 0644), 0);
}

static void no_list(void **state)
{
	check_who(&alice, NULL, "");
	check_who(&bob, NULL, "untrusted");
}

static void revoked(void **state)
{
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(update(&(struct pki_crl_spec){ .issuer = &root, .number = 1 }, &err), 0);
	check_who(&alice, NULL, "");
	assert_int_equal(update(&(struct pki_crl_spec){ .issuer = &root,
							.number = 2,
							.revoked = { alice.cert } },
				&err),
			 0);
	check_who(&alice, NULL, "revoked");
}

/* The one that the device holds already, or an older one without the revocation. */
static void replay(void **state)
{
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(update(&(struct pki_crl_spec){ .issuer = &root,
							.number = 300,
							.revoked = { alice.cert } },
				&err),
			 0);
	for (long n = 0; n <= 300; n += 100)
		assert_int_equal(
			update(&(struct pki_crl_spec){ .issuer = &root, .number = n }, &err), 1);
	check_who(&alice, NULL, "revoked");
	assert_int_equal(update(&(struct pki_crl_spec){ .issuer = &root, .number = 301 }, &err), 0);
	check_who(&alice, NULL, "");
}

static void expired_list_counts(void **state)
{
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(update(&(struct pki_crl_spec){ .issuer = &root,
							.number = 1,
							.this_s = PKI_NOW - 9 * PKI_DAY,
							.next_s = PKI_NOW - 8 * PKI_DAY,
							.revoked = { alice.cert } },
				&err),
			 0);
	check_who(&alice, NULL, "revoked");
}

static void refused_lists(void **state)
{
	struct pki_who fake = pki_make(&(struct pki_spec){ .name = "root", .ca = true });
	struct pki_who signs_no_lists = pki_make(
		&(struct pki_spec){ .name = "strict", .ca = true, .ku = "critical,keyCertSign" });
	const struct {
		struct pki_crl_spec spec;
		const char *slug;
	} cases[] = {
		{ { .issuer = &other, .number = 9 }, "untrusted" },
		{ { .issuer = &fake, .number = 9 }, "untrusted" },
		{ { .issuer = &alice, .number = 9 }, "untrusted" },
		{ { .issuer = &root, .number = -1 }, "bad-value" },
		{ { .issuer = &root, .number = 9, .md = EVP_sha1() }, "bad-value" },
		{ { .issuer = &root, .number = 9, .critical_oid = "1.2.3.4" }, "bad-value" },
		/* delta lists and those about a part only */
		{ { .issuer = &root, .number = 9, .critical_oid = "2.5.29.27" }, "bad-value" },
		{ { .issuer = &root, .number = 9, .critical_oid = "2.5.29.28" }, "bad-value" },
		/* about a certificate of another issuer (indirect lists) */
		{ { .issuer = &root,
		    .number = 9,
		    .revoked = { alice.cert },
		    .entry_oid = "2.5.29.29" },
		  "bad-value" },
		{ { .issuer = &root, .number_hex = "-01" }, "bad-value" },
		{ { .issuer = &root, .number_hex = "7f0102030405060708090a0b0c0d0e0f1011121314" },
		  "bad-value" },
		{ { .issuer = &root, .number = 9, .n_others = 100001 }, "bad-value" },
		{ { .issuer = &signs_no_lists, .number = 9 }, "untrusted" },
	};
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/crl.pem", dir);
	pki_write_roots(dir, (const struct pki_who *const[]){ &root, &signs_no_lists, NULL });
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sk_err err = SK_ERR_INIT;

		assert_true(update(&cases[i].spec, &err) < 0);
		assert_string_equal(err.slug, cases[i].slug);
		assert_int_equal(access(path, F_OK), -1);
	}
	pki_free(&signs_no_lists);
	pki_free(&fake);
}

/* Numbers have up to 20 bytes; what counts is their value, not their length or first digits. */
static void numbers_of_lists(void **state)
{
	static const struct {
		const char *number;
		int r;
	} steps[] = {
		{ "ff", 0 },
		{ "0100", 0 },
		{ "ff", 1 },
		{ "7fffffffffffffff", 0 },
		{ "8000000000000000", 0 },
		{ "7fffffffffffffff", 1 },
		{ "0fffffffffffffffffffffffffffffffffffffff", 0 },
		{ "8000000000000000", 1 },
		{ "0fffffffffffffffffffffffffffffffffffffff", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct sk_err err = SK_ERR_INIT;

		if (update(&(struct pki_crl_spec){ .issuer = &root, .number_hex = steps[i].number },
			   &err) != steps[i].r)
			fail_msg("%s: %s", steps[i].number, err.text);
	}
}

/* The root's certificate was renewed with the same key: its lists count for both. */
static void renewed_root(void **state)
{
	struct pki_who again = pki_make(&(struct pki_spec){
		.name = "root", .ca = true, .key = root.key, .to_s = PKI_NOW + 999 * PKI_DAY });
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(update(&(struct pki_crl_spec){ .issuer = &root,
							.number = 1,
							.revoked = { alice.cert } },
				&err),
			 0);
	pki_write_roots(dir, (const struct pki_who *const[]){ &again, NULL });
	check_who(&alice, NULL, "revoked");
	pki_write_roots(dir, (const struct pki_who *const[]){ &again, &root, NULL });
	check_who(&alice, NULL, "revoked");
	assert_int_equal(update(&(struct pki_crl_spec){ .issuer = &again, .number = 1 }, &err), 1);
	pki_free(&again);
}

/* A list that does not say whose key signed it, and none of the roots did: nothing is taken until somebody looks. */
static void list_without_its_root(void **state)
{
	struct pki_who fake = pki_make(&(struct pki_spec){ .name = "root", .ca = true });
	struct pki_who renamed =
		pki_make(&(struct pki_spec){ .name = "renamed", .ca = true, .key = root.key });
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(update(&(struct pki_crl_spec){ .issuer = &root, .number = 1 }, &err), 0);
	pki_write_roots(dir, (const struct pki_who *const[]){ &other, NULL });
	check_load("untrusted");
	/* Or it says so, and one of name and key is known here: a bit of the other one turned over. */
	pki_write_roots(dir, (const struct pki_who *const[]){ &root, NULL });
	assert_int_equal(
		update(&(struct pki_crl_spec){ .issuer = &root, .number = 2, .key_id = root.cert },
		       &err),
		0);
	pki_write_roots(dir, (const struct pki_who *const[]){ &fake, NULL });
	check_load("untrusted");
	pki_write_roots(dir, (const struct pki_who *const[]){ &renamed, NULL });
	check_load("untrusted");
	pki_free(&renamed);
	pki_free(&fake);
}

/*
 * The root was taken out of ca.pem, as docs/howto/keys.md has it. Its list is no obstacle; it goes on to count where
 * the new root vouches for the old one, survives another list, and is as new as ever when the root comes back.
 */
static void former_root(void **state)
{
	const struct pki_crl_spec old = {
		.issuer = &root, .number = 7, .revoked = { alice.cert }, .key_id = root.cert
	};
	struct pki_who cross = pki_make(&(struct pki_spec){
		.name = "root", .ca = true, .key = root.key, .issuer = &other });
	struct pki_who carol = pki_make(&(struct pki_spec){ .name = "carol", .issuer = &root });
	X509 *more[] = { cross.cert, NULL };
	struct sk_err err = SK_ERR_INIT;

	pki_write_roots(dir, (const struct pki_who *const[]){ &root, &other, NULL });
	assert_int_equal(update(&old, &err), 0);
	pki_write_roots(dir, (const struct pki_who *const[]){ &other, NULL });
	check_who(&bob, NULL, "");
	check_who(&carol, NULL, "untrusted");
	check_who(&carol, more, "");
	check_who(&alice, more, "revoked");
	assert_int_equal(update(&(struct pki_crl_spec){ .issuer = &other, .number = 1 }, &err), 0);
	check_who(&alice, more, "revoked");
	/* Nobody sends one of a root that is not there. */
	assert_true(update(&old, &err) < 0);
	assert_string_equal(err.slug, "untrusted");
	pki_write_roots(dir, (const struct pki_who *const[]){ &root, &other, NULL });
	check_who(&alice, NULL, "revoked");
	assert_int_equal(update(&(struct pki_crl_spec){ .issuer = &root, .number = 7 }, &err), 1);
	pki_free(&carol);
	pki_free(&cross);
}

/* Read anew when a file is another one, by whatever hand and however it was put there; what cannot be read is not believed. */
static void refreshed(void **state)
{
	struct sk_trust *t = NULL;
	struct sk_err err = SK_ERR_INIT;
	X509_CRL *crl = pki_crl(
		&(struct pki_crl_spec){ .issuer = &root, .number = 1, .revoked = { alice.cert } });
	X509_CRL *next = pki_crl(&(struct pki_crl_spec){ .issuer = &root, .number = 2 });
	size_t len;
	char *pem = pki_pem_crl(next, &len);

	assert_int_equal(sk_trust_load(dir, &t, &err), 0);
	assert_int_equal(sk_trust_refresh(&t, &err), 0);
	pki_write_crl(dir, crl);
	assert_int_equal(sk_trust_refresh(&t, &err), 1);
	assert_int_equal(sk_trust_refresh(&t, &err), 0);
	/* Its own writing is no change. */
	assert_int_equal(sk_trust_update_crl(t, pem, len, &err), 0);
	assert_int_equal(sk_trust_refresh(&t, &err), 0);
	pki_write_roots(dir, (const struct pki_who *const[]){ &root, &other, NULL });
	assert_int_equal(sk_trust_refresh(&t, &err), 1);
	assert_int_equal(sk_trust_refresh(&t, &err), 0);
	put("ca.pem", "-----BEGIN CERT");
	assert_true(sk_trust_refresh(&t, &err) < 0);
	assert_string_equal(err.slug, "bad-value");
	assert_non_null(strstr(err.text, "ca.pem"));
	assert_null(t);
	/* Gone altogether: what was believed before is not believed any longer. */
	pki_write_roots(dir, (const struct pki_who *const[]){ &root, NULL });
	assert_int_equal(sk_trust_load(dir, &t, &err), 0);
	assert_int_equal(sk_rm_rf(AT_FDCWD, dir), 0);
	assert_true(sk_trust_refresh(&t, &err) < 0);
	assert_null(t);
	free(pem);
	X509_CRL_free(next);
	X509_CRL_free(crl);
}

/* Which of them counts would depend on their order. */
static void two_lists_of_one_root(void)
{
	X509_CRL *crl = pki_crl(
		&(struct pki_crl_spec){ .issuer = &root, .number = 1, .revoked = { alice.cert } });
	size_t len;
	char *pem = pki_pem_crl(crl, &len);
	char *two = malloc(2 * len + 1);

	memcpy(two, pem, len);
	memcpy(two + len, pem, len);
	two[2 * len] = '\0';
	put("crl.pem", two);
	free(two);
	free(pem);
	X509_CRL_free(crl);
}

/* A damaged list must not read as "nothing is revoked". */
static void damaged_on_disk(void **state)
{
	put("crl.pem", "");
	check_load("bad-value");
	put("crl.pem", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n");
	check_load("bad-value");
	two_lists_of_one_root();
	check_load("bad-value");
	put("crl.pem", "");
	put("ca.pem", "");
	check_load("bad-value");
	put("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	check_load("bad-value");
}

static void roots_must_be_roots(void **state)
{
	struct pki_who mid =
		pki_make(&(struct pki_spec){ .name = "mid", .issuer = &root, .ca = true });
	struct pki_who self = pki_make(&(struct pki_spec){ .name = "self" });
	struct pki_who weak =
		pki_make(&(struct pki_spec){ .name = "weak", .ca = true, .rsa_bits = 1024 });

	pki_write_roots(dir, (const struct pki_who *const[]){ &root, &mid, NULL });
	check_load("bad-value");
	pki_write_roots(dir, (const struct pki_who *const[]){ &self, NULL });
	check_load("bad-value");
	pki_write_roots(dir, (const struct pki_who *const[]){ &weak, NULL });
	check_load("bad-value");
	pki_free(&weak);
	pki_free(&self);
	pki_free(&mid);
}

static void two_roots(void **state)
{
	struct sk_err err = SK_ERR_INIT;

	pki_write_roots(dir, (const struct pki_who *const[]){ &root, &other, NULL });
	check_who(&alice, NULL, "");
	check_who(&bob, NULL, "");
	assert_int_equal(update(&(struct pki_crl_spec){ .issuer = &other,
							.number = 50,
							.revoked = { bob.cert } },
				&err),
			 0);
	/* each root counts for itself; the other's list stays */
	assert_int_equal(update(&(struct pki_crl_spec){ .issuer = &root,
							.number = 2,
							.revoked = { alice.cert } },
				&err),
			 0);
	check_who(&alice, NULL, "revoked");
	check_who(&bob, NULL, "revoked");
}

/* The same serial from another issuer is another certificate. */
static void serial_of_another(void **state)
{
	struct pki_who a =
		pki_make(&(struct pki_spec){ .name = "a", .issuer = &root, .serial = 77 });
	struct pki_who b =
		pki_make(&(struct pki_spec){ .name = "b", .issuer = &other, .serial = 77 });
	struct sk_err err = SK_ERR_INIT;

	pki_write_roots(dir, (const struct pki_who *const[]){ &root, &other, NULL });
	assert_int_equal(update(&(struct pki_crl_spec){ .issuer = &root,
							.number = 1,
							.revoked = { a.cert } },
				&err),
			 0);
	check_who(&a, NULL, "revoked");
	check_who(&b, NULL, "");
	pki_free(&b);
	pki_free(&a);
}

static void revoked_intermediate(void **state)
{
	struct pki_who mid =
		pki_make(&(struct pki_spec){ .name = "mid", .issuer = &root, .ca = true });
	struct pki_who leaf = pki_make(&(struct pki_spec){ .name = "leaf", .issuer = &mid });
	X509 *const more[] = { mid.cert, NULL };
	struct sk_err err = SK_ERR_INIT;

	check_who(&leaf, more, "");
	assert_int_equal(update(&(struct pki_crl_spec){ .issuer = &root,
							.number = 1,
							.revoked = { mid.cert } },
				&err),
			 0);
	check_who(&leaf, more, "revoked");
	pki_free(&leaf);
	pki_free(&mid);
}

/* OpenSSL sorts the entries of a list that it looks something up in: it must be written as it was signed. */
static void looked_up_then_written(void **state)
{
	_cleanup_(sk_trust_freep) struct sk_trust *t = NULL;
	struct sk_err err = SK_ERR_INIT;

	pki_write_roots(dir, (const struct pki_who *const[]){ &root, &other, NULL });
	assert_int_equal(sk_trust_load(dir, &t, &err), 0);
	assert_int_equal(update_under(t,
				      &(struct pki_crl_spec){
					      .issuer = &root,
					      .number = 1,
					      .revoked = { root.cert, alice.cert, other.cert },
					      .n_others = 5 },
				      &err),
			 0);
	check_under(t, &alice, NULL, "revoked");
	check_under(t, &bob, NULL, "");
	assert_int_equal(
		update_under(t, &(struct pki_crl_spec){ .issuer = &other, .number = 1 }, &err), 0);
	check_who(&alice, NULL, "revoked");
}

/* DER, cut anywhere, changed anywhere: nothing is stored. */
static void mangled(void **state)
{
	_cleanup_(sk_trust_freep) struct sk_trust *t = NULL;
	X509_CRL *crl = pki_crl(&(struct pki_crl_spec){ .issuer = &root, .number = 1 });
	unsigned char *der = NULL;
	int len = i2d_X509_CRL(crl, &der);
	struct sk_err err = SK_ERR_INIT;
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/crl.pem", dir);
	assert_int_equal(sk_trust_load(dir, &t, &err), 0);
	for (int n = 0; n < len; n++) {
		unsigned char *cut = malloc((size_t)n + 1);

		memcpy(cut, der, (size_t)n);
		assert_true(sk_trust_update_crl(t, cut, (size_t)n, &err) < 0);
		free(cut);
		der[n] ^= 1;
		assert_true(sk_trust_update_crl(t, der, (size_t)len, &err) < 0);
		der[n] ^= 1;
	}
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(sk_trust_update_crl(t, der, (size_t)len, &err), 0);
	assert_int_equal(sk_trust_update_crl(t, der, (size_t)len, &err), 1);
	OPENSSL_free(der);
	X509_CRL_free(crl);
}

static void two_at_once(void **state)
{
	_cleanup_(sk_trust_freep) struct sk_trust *t = NULL;
	X509_CRL *crl = pki_crl(&(struct pki_crl_spec){ .issuer = &root, .number = 1 });
	size_t len;
	char *pem = pki_pem_crl(crl, &len), *two = malloc(2 * len);
	struct sk_err err = SK_ERR_INIT;

	memcpy(two, pem, len);
	memcpy(two + len, pem, len);
	assert_int_equal(sk_trust_load(dir, &t, &err), 0);
	assert_int_equal(sk_trust_update_crl(t, two, 2 * len, &err), -EINVAL);
	put("crl.pem", "");
	free(two);
	free(pem);
	X509_CRL_free(crl);
}

static void no_folder(void **state)
{
	struct sk_trust *t = NULL;
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(sk_trust_load("/nonexistent", &t, &err), -ENOENT);
	assert_string_equal(err.slug, "not-found");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(no_list),
		TEST(revoked),
		TEST(replay),
		TEST(expired_list_counts),
		TEST(refused_lists),
		TEST(damaged_on_disk),
		TEST(roots_must_be_roots),
		TEST(numbers_of_lists),
		TEST(renewed_root),
		TEST(list_without_its_root),
		TEST(former_root),
		TEST(refreshed),
		TEST(two_roots),
		TEST(serial_of_another),
		TEST(revoked_intermediate),
		TEST(looked_up_then_written),
		TEST(mangled),
		TEST(two_at_once),
		TEST(no_folder),
	};

	return cmocka_run_group_tests_name("io/trust", tests, NULL, NULL);
}
