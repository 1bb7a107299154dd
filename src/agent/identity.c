/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/str.h"

#define KEY_FILE_MAX 4096

struct sk_identity {
	EVP_PKEY *key;
	char id[SK_DIGEST_HEX + 1];
	char *public;
};

SK_DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free);
SK_DEFINE_CLEANUP(EVP_MD_CTX, EVP_MD_CTX_free);
SK_DEFINE_CLEANUP(BIO, BIO_free_all);

static int describe(struct sk_identity *id, struct sk_err *err)
{
	unsigned char *der = NULL;
	struct sk_digest d;
	int len = i2d_PUBKEY(id->key, &der);

	if (len <= 0 || sk_digest_of(der, (size_t)len, &d) < 0)
		return sk_err_oom(err);
	sk_digest_hex(&d, id->id);
	id->public = sk_base64_encode(der, (size_t)len);
	OPENSSL_free(der);
	return id->public ? 0 : sk_err_oom(err);
}

static int parse_key(const char *pem, size_t len, const char *path, EVP_PKEY **ret,
		     struct sk_err *err)
{
	_cleanup_(BIO_free_allp) BIO *bio = BIO_new_mem_buf(pem, (int)len);
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	char group[32] = "";

	key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"") : NULL;
	if (!key || !EVP_PKEY_is_a(key, "EC") ||
	    !EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) ||
	    !sk_streq(group, "prime256v1"))
		return sk_err_set(err, -EINVAL, "damaged",
				  "%s holds no EC P-256 key; remove it and enrol the device anew",
				  path);
	*ret = TAKE_PTR(key);
	return 0;
}

static int make_key(const char *path, EVP_PKEY **ret, struct sk_err *err)
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = EVP_EC_gen("P-256");
	_cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_secmem());
	char *pem;
	long len;
	int r;

	if (!key || !bio || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		return sk_err_set(err, -EIO, "internal", "cannot make a key");
	len = BIO_get_mem_data(bio, &pem);
	r = sk_file_write(AT_FDCWD, path, pem, (size_t)len, 0600);
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot write %s: %s", path, strerror(-r));
	*ret = TAKE_PTR(key);
	return 0;
}

int sk_identity_open(const char *state_dir, struct sk_identity **ret, struct sk_err *err)
{
	_cleanup_(sk_identity_freep) struct sk_identity *id = calloc(1, sizeof(*id));
	_cleanup_free_ char *path = sk_asprintf("%s/device.key", state_dir);
	_cleanup_free_ char *pem = NULL;
	size_t len = 0;
	int r;

	if (!id || !path)
		return sk_err_oom(err);
	r = sk_mkdir_p(AT_FDCWD, state_dir, 0700);
	if (r == 0)
		r = sk_file_read(AT_FDCWD, path, KEY_FILE_MAX, &pem, &len);
	if (r == -ENOENT)
		r = make_key(path, &id->key, err);
	else if (r < 0)
		r = sk_err_set(err, r, "io", "cannot read %s: %s", path, strerror(-r));
	else
		r = parse_key(pem, len, path, &id->key, err);
	if (pem)
		OPENSSL_cleanse(pem, len);
	if (r == 0)
		r = describe(id, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(id);
	return 0;
}

void sk_identity_free(struct sk_identity *id)
{
	EVP_PKEY_free(id->key);
	free(id->public);
	free(id);
}

const char *sk_identity_id(const struct sk_identity *id)
{
	return id->id;
}

const char *sk_identity_public(const struct sk_identity *id)
{
	return id->public;
}

char *sk_identity_sign(const struct sk_identity *id, const char *purpose, const char *challenge)
{
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	_cleanup_free_ char *text = sk_asprintf("%s\n%s\n%s", purpose, challenge, id->id);
	unsigned char sig[256];
	size_t len = sizeof(sig);

	if (!ctx || !text || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, id->key) != 1 ||
	    EVP_DigestSign(ctx, sig, &len, (unsigned char *)text, strlen(text)) != 1)
		return NULL;
	return sk_base64_encode(sig, len);
}
