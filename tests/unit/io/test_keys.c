/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "io/crypto/ossl.h"
#include "pki_fixture.h"

static char dir[] = "/tmp/skerry-test-keys-XXXXXX";
static char key_path[128], cert_path[128];
static struct pki_who root, alice;

static int set_up(void **state)
{
	assert_non_null(mkdtemp(dir));
	(void)snprintf(key_path, sizeof(key_path), "%s/a.key", dir);
	(void)snprintf(cert_path, sizeof(cert_path), "%s/a.pem", dir);
	root = pki_make(&(struct pki_spec){ .name = "root", .ca = true });
	alice = pki_make(&(struct pki_spec){ .name = "alice", .issuer = &root });
	return 0;
}

static int tear_down(void **state)
{
	pki_free(&alice);
	pki_free(&root);
	return sk_rm_rf(AT_FDCWD, dir);
}

static void refused(const struct sk_secret *secret, const char *slug, const char *text)
{
	struct sk_err err = SK_ERR_INIT;
	struct sk_key *k = NULL;

	assert_true(sk_key_load(key_path, secret, &k, &err) < 0);
	assert_null(k);
	assert_string_equal(err.slug, slug);
	if (!strstr(err.text, text) || !strstr(err.text, "key"))
		fail_msg("\"%s\" is not in \"%s\"", text, err.text);
}

static void put(const char *text, mode_t mode)
{
	assert_int_equal(sk_file_write(AT_FDCWD, key_path, text, strlen(text), mode), 0);
}

static void files(void **state)
{
	_cleanup_(sk_key_freep) struct sk_key *k = NULL;
	_cleanup_free_ char *big = malloc(100000);

	refused(NULL, "not-found", "No such file");
	put("", 0600);
	refused(NULL, "bad-value", "no private key");
	put("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0600);
	refused(NULL, "bad-value", "no private key");
	memset(big, 'x', 99999);
	big[99999] = '\0';
	put(big, 0600);
	refused(NULL, "io", "too large");
	pki_write_key(key_path, alice.key, NULL);
	assert_int_equal(sk_key_load(key_path, NULL, &k, NULL), 0);
	/* Nothing is signed with a key that others may have read. */
	assert_int_equal(chmod(key_path, 0604), 0);
	refused(NULL, "bad-value", "chmod 600");
	assert_int_equal(chmod(key_path, 0640), 0);
	sk_key_free(TAKE_PTR(k));
	assert_int_equal(sk_key_load(key_path, NULL, &k, NULL), 0);
	assert_int_equal(unlink(key_path), 0);
	assert_int_equal(mkfifo(key_path, 0600), 0);
	refused(NULL, "bad-value", "regular file");
	assert_int_equal(unlink(key_path), 0);
	assert_int_equal(mkdir(key_path, 0700), 0);
	refused(NULL, "bad-value", "regular file");
	assert_int_equal(rmdir(key_path), 0);
}

static unsigned asked;

static int say(void *arg, const char *what, char *buf, size_t size)
{
	const char *word = arg;
	size_t len = word ? strlen(word) : 0;

	asked++;
	assert_true(strlen(what) > 0);
	if (!word || len > size)
		return -ENOENT;
	memcpy(buf, word, len);
	return (int)len;
}

static void passphrases(void **state)
{
	const struct sk_secret right = { say, (char *)"open sesame" },
			       wrong = { say, (char *)"open" }, none = { say, NULL };
	_cleanup_(sk_key_freep) struct sk_key *k = NULL;

	pki_write_key(key_path, alice.key, "open sesame");
	refused(NULL, "bad-value", "no passphrase was given");
	refused(&none, "bad-value", "no passphrase was given");
	refused(&wrong, "bad-value", "wrong passphrase");
	asked = 0;
	assert_int_equal(sk_key_load(key_path, &right, &k, NULL), 0);
	assert_int_equal(asked, 1);
	assert_int_equal(EVP_PKEY_eq(k->pkey, alice.key), 1);
	/* A key without one asks nobody. */
	pki_write_key(key_path, alice.key, NULL);
	sk_key_free(TAKE_PTR(k));
	assert_int_equal(sk_key_load(key_path, &right, &k, NULL), 0);
	assert_int_equal(asked, 1);
}

static void weak(void **state)
{
	struct pki_who w = pki_make(&(struct pki_spec){ .name = "weak", .rsa_bits = 1024 });

	pki_write_key(key_path, w.key, NULL);
	refused(NULL, "bad-value", "weak");
	pki_free(&w);
}

static void signers(void **state)
{
	struct sk_signer *s = NULL;
	struct sk_err err = SK_ERR_INIT;
	BIO *b;

	pki_write_key(key_path, alice.key, NULL);
	assert_int_equal(sk_signer_load(key_path, cert_path, &s, &err), -ENOENT);
	assert_string_equal(err.slug, "not-found");
	pki_write_cert(cert_path, root.cert);
	assert_int_equal(sk_signer_load(key_path, cert_path, &s, &err), -EINVAL);
	assert_non_null(strstr(err.text, "do not belong together"));
	assert_null(s);
	/* The signer's first, then what leads to the root. */
	b = BIO_new_file(cert_path, "w");
	assert_int_equal(PEM_write_bio_X509(b, alice.cert), 1);
	assert_int_equal(PEM_write_bio_X509(b, root.cert), 1);
	BIO_free(b);
	assert_int_equal(sk_signer_load(key_path, cert_path, &s, &err), 0);
	assert_int_equal(X509_cmp(s->cert, alice.cert), 0);
	assert_int_equal(sk_X509_num(s->chain), 1);
	sk_signer_free(s);
	assert_int_equal(truncate(cert_path, 100), 0);
	s = NULL;
	assert_int_equal(sk_signer_load(key_path, cert_path, &s, &err), -EINVAL);
	assert_non_null(strstr(err.text, cert_path));
	assert_null(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files),
		cmocka_unit_test(passphrases),
		cmocka_unit_test(weak),
		cmocka_unit_test(signers),
	};

	return cmocka_run_group_tests_name("io/keys", tests, set_up, tear_down);
}
