/* SPDX-License-Identifier: Apache-2.0 */
#include "io/crypto/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/str.h"
#include "io/crypto/ossl.h"
#include "io/crypto/pkcs11.h"

#define KEY_FILE_MAX  (64u << 10)
#define CERT_FILE_MAX (256u << 10)
#define CERTS_MAX     8

void sk_key_free(struct sk_key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->pkey);
	sk_pkcs11_free(k->token);
	free(k);
}

/** What passes between the passphrase callback and who asked for the key. */
struct asking {
	const struct sk_secret *secret;
	const char *what;
	bool asked, none;
};

static int passphrase(char *buf, int size, int rwflag, void *arg)
{
	struct asking *a = arg;
	int n = -1;

	a->asked = true;
	if (a->secret)
		n = a->secret->get(a->secret->arg, a->what, buf, (size_t)size);
	a->none = n < 0;
	return n;
}

static int parse_key(const char *pem, size_t len, const char *file, const struct sk_secret *secret,
		     EVP_PKEY **ret, struct sk_err *err)
{
	_cleanup_(BIO_free_allp) BIO *b = BIO_new_mem_buf(pem, (int)len);
	struct asking a = { .secret = secret, .what = file };

	if (!b)
		return sk_err_oom(err);
	*ret = PEM_read_bio_PrivateKey(b, NULL, passphrase, &a);
	ERR_clear_error();
	if (*ret)
		return 0;
	if (a.none)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "key %s is encrypted and no passphrase was given", file);
	if (a.asked)
		return sk_err_set(err, -EINVAL, "bad-value", "key %s: wrong passphrase", file);
	return sk_err_set(err, -EINVAL, "bad-value", "%s holds no private key (PEM)", file);
}

static int read_key(const char *file, char **ret, size_t *ret_len, struct sk_err *err)
{
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return sk_err_set(err, -errno, errno == ENOENT ? "not-found" : "io",
				  "cannot read key %s: %s", file, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return sk_err_set(err, -EINVAL, "bad-value", "key %s is not a regular file", file);
	if (st.st_mode & S_IRWXO)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "key %s may be used by everybody on this machine (mode %04o); "
				  "chmod 600 it, and think about who has read it",
				  file, st.st_mode & 07777u);
	r = sk_fd_read(fd, KEY_FILE_MAX, ret, ret_len);
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot read key %s: %s", file, strerror(-r));
	return 0;
}

static int load_file(const char *file, const struct sk_secret *secret, struct sk_key *key,
		     struct sk_err *err)
{
	_cleanup_free_ char *pem = NULL;
	size_t len;
	int r;

	r = read_key(file, &pem, &len, err);
	if (r < 0)
		return r;
	r = parse_key(pem, len, file, secret, &key->pkey, err);
	explicit_bzero(pem, len);
	return r;
}

static int check_strength(const struct sk_key *k, struct sk_err *err)
{
	if (sk_key_strong(k->pkey))
		return 0;
	return sk_err_set(err, -EINVAL, "bad-value",
			  "the key is weak or of another kind: RSA from 2048 bit or ECDSA "
			  "P-256, P-384, P-521 is needed");
}

int sk_key_parse(const char *pem, size_t len, const char *what, const struct sk_secret *secret,
		 struct sk_key **ret, struct sk_err *err)
{
	_cleanup_(sk_key_freep) struct sk_key *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return sk_err_oom(err);
	r = parse_key(pem, len, what, secret, &k->pkey, err);
	if (r < 0)
		return r;
	r = check_strength(k, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(k);
	return 0;
}

int sk_key_load(const char *key, const struct sk_secret *secret, struct sk_key **ret,
		struct sk_err *err)
{
	_cleanup_(sk_key_freep) struct sk_key *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return sk_err_oom(err);
	if (sk_str_starts(key, "pkcs11:"))
		r = sk_pkcs11_load(key, secret, k, err);
	else
		r = load_file(key, secret, k, err);
	if (r < 0)
		return r;
	r = check_strength(k, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(k);
	return 0;
}

void sk_signer_free(struct sk_signer *s)
{
	if (!s)
		return;
	sk_key_free(s->key);
	X509_free(s->cert);
	sk_X509_pop_free(s->chain, X509_free);
	free(s);
}

/* The first certificate is the signer's, what follows leads towards the root. */
static int load_certs(struct sk_signer *s, const char *file, struct sk_err *err)
{
	_cleanup_free_ char *pem = NULL;
	size_t len;
	int r;

	r = sk_file_read(AT_FDCWD, file, CERT_FILE_MAX, &pem, &len);
	if (r < 0)
		return sk_err_set(err, r, r == -ENOENT ? "not-found" : "io",
				  "cannot read certificate %s: %s", file, strerror(-r));
	r = sk_x509_read_all(pem, len, CERTS_MAX, &s->chain, err);
	if (r < 0) {
		(void)sk_err_prefix(err, "%s", file);
		return r;
	}
	s->cert = sk_X509_shift(s->chain);
	return 0;
}

int sk_signer_load_with(const char *key, const char *cert_file, const struct sk_secret *secret,
			struct sk_signer **ret, struct sk_err *err)
{
	_cleanup_(sk_signer_freep) struct sk_signer *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return sk_err_oom(err);
	r = load_certs(s, cert_file, err);
	if (r == 0)
		r = sk_key_load(key, secret, &s->key, err);
	if (r < 0)
		return r;
	if (EVP_PKEY_eq(s->key->pkey, X509_get0_pubkey(s->cert)) != 1)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "key and certificate %s do not belong together", cert_file);
	*ret = TAKE_PTR(s);
	return 0;
}

int sk_signer_load(const char *key, const char *cert_file, struct sk_signer **ret,
		   struct sk_err *err)
{
	return sk_signer_load_with(key, cert_file, NULL, ret, err);
}
