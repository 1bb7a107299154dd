/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/domain/proof.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/ec.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#define DER_MAX 1023 /* a multiple of 3, as base64 comes */

static void pkey_free(EVP_PKEY **at)
{
	EVP_PKEY_free(*at);
}

static void md_ctx_free(EVP_MD_CTX **at)
{
	EVP_MD_CTX_free(*at);
}

static int proof_read_key(const char *base64, EVP_PKEY **ret, struct sk_digest *ret_id,
			  struct sk_err *err)
{
	unsigned char der[DER_MAX];
	const unsigned char *at = der;
	char group[32] = "";
	_cleanup_(pkey_free) EVP_PKEY *key = NULL;
	size_t len = 0;

	if (sk_base64_decode(base64, der, sizeof(der), &len) == 0)
		key = d2i_PUBKEY(NULL, &at, (long)len);
	if (!key || at != der + len || !EVP_PKEY_is_a(key, "EC") ||
	    !EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) ||
	    strcmp(group, "prime256v1") != 0)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "public_key is not base64 of the DER form of an EC P-256 key");
	if (ret_id && sk_digest_of(der, len, ret_id) < 0)
		return sk_err_oom(err);
	*ret = TAKE_PTR(key);
	return 0;
}

int sk_proof_key(const char *base64, struct sk_digest *ret_id, struct sk_err *err)
{
	_cleanup_(pkey_free) EVP_PKEY *key = NULL;

	return proof_read_key(base64, &key, ret_id, err);
}

int sk_proof_verify(const char *public_key, const char *purpose, const char *challenge,
		    const char *device_id, const char *signature, struct sk_err *err)
{
	_cleanup_(pkey_free) EVP_PKEY *key = NULL;
	_cleanup_(md_ctx_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char sig[DER_MAX];
	char text[256];
	size_t len = 0;
	int n = snprintf(text, sizeof(text), "%s\n%s\n%s", purpose, challenge, device_id);
	int r = proof_read_key(public_key, &key, NULL, err);

	if (r < 0)
		return r;
	if (!ctx)
		return sk_err_oom(err);
	if (sk_base64_decode(signature, sig, sizeof(sig), &len) < 0 || n < 0 ||
	    (size_t)n >= sizeof(text) ||
	    EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) != 1 ||
	    EVP_DigestVerify(ctx, sig, len, (unsigned char *)text, (size_t)n) != 1)
		return sk_err_set(err, -EKEYREJECTED, "unauthorized",
				  "the signature over the challenge is wrong");
	return 0;
}
