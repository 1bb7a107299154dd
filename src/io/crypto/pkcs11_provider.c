/* SPDX-License-Identifier: Apache-2.0 */

/* Keys in a token, through OpenSSL's PKCS#11 provider (Debian 13: pkcs11-provider). */

#include <errno.h>
#include <openssl/opensslv.h>
#include <string.h>

#include "io/crypto/pkcs11.h"

/* From 3.2 on a provider is told its module without a configuration file. */
#if OPENSSL_VERSION_PREREQ(3, 2)

#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/ui.h>

#include "base/str.h"

SK_DEFINE_CLEANUP(UI_METHOD, UI_destroy_method);
SK_DEFINE_CLEANUP(OSSL_LIB_CTX, OSSL_LIB_CTX_free);
SK_DEFINE_CLEANUP(OSSL_STORE_INFO, OSSL_STORE_INFO_free);

static void store_closep(OSSL_STORE_CTX **store)
{
	(void)OSSL_STORE_close(*store);
}

static int hand_pin(char *buf, int size, int rwflag, void *arg)
{
	struct sk_pkcs11 *p = arg;
	size_t len = p->pin ? strlen(p->pin) : 0;

	p->asked = true;
	if (len == 0 || len > (size_t)size)
		return -1;
	memcpy(buf, p->pin, len);
	return (int)len;
}

static int refuse(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

/* The provider takes a public key for a private one, where both have the name. */
static char *of_private_key(const char *uri)
{
	char type[2];
	size_t path = strcspn(uri, "?");

	if (sk_pkcs11_attribute(uri, "type", type, sizeof(type)))
		return strdup(uri);
	return sk_asprintf("%.*s%stype=private%s", (int)path, uri,
			   path > strlen("pkcs11:") ? ";" : "", uri + path);
}

static EVP_PKEY *find(struct sk_pkcs11 *p, const char *uri)
{
	_cleanup_(UI_destroy_methodp) UI_METHOD *ui = UI_UTIL_wrap_read_pem_callback(hand_pin, 0);
	_cleanup_(store_closep) OSSL_STORE_CTX *store = NULL;

	if (!ui)
		return NULL;
	/* By name, else a file that is called like the URI would be taken for the key. */
	store = OSSL_STORE_open_ex(uri, p->handle, "provider=pkcs11", ui, p, NULL, NULL, NULL);
	if (!store || !OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY))
		return NULL;
	while (!OSSL_STORE_eof(store) && !OSSL_STORE_error(store)) {
		_cleanup_(OSSL_STORE_INFO_freep) OSSL_STORE_INFO *info = OSSL_STORE_load(store);

		if (info)
			return OSSL_STORE_INFO_get1_PKEY(info);
	}
	return NULL;
}

/*
 * The provider does not say why: a token that asks again was not opened by the PIN. It is not
 * given the PIN again, since tokens lock themselves after a few wrong ones.
 */
static int why_not(struct sk_pkcs11 *p, const char *uri)
{
	bool asked = p->asked, had_pin = p->pin;
	_cleanup_free_ char *plain = sk_pkcs11_without(uri, "pin-source");
	EVP_PKEY *key;

	if (!plain)
		return SK_PKCS11_NO_KEY;
	p->asked = false;
	p->pin = NULL;
	(void)ERR_set_mark();
	key = find(p, plain);
	(void)ERR_pop_to_mark();
	EVP_PKEY_free(key);
	if (p->asked)
		return had_pin || strlen(plain) < strlen(uri) ? SK_PKCS11_WRONG_PIN
							      : SK_PKCS11_WANTS_PIN;
	if (asked)
		return SK_PKCS11_NOT_IN_TOKEN;
	return had_pin ? SK_PKCS11_NO_TOKEN : SK_PKCS11_NO_KEY;
}

static int load(struct sk_pkcs11 *p, const char *uri, EVP_PKEY **ret)
{
	_cleanup_(UI_destroy_methodp) UI_METHOD *mute = UI_UTIL_wrap_read_pem_callback(refuse, 0);
	_cleanup_free_ char *full = of_private_key(uri);
	const UI_METHOD *was = UI_get_default_method();
	int why = 0;

	if (!mute || !full)
		return SK_PKCS11_NO_KEY;
	/* Without a PIN the provider would ask at the terminal by itself. */
	UI_set_default_method(mute);
	*ret = find(p, full);
	if (!*ret)
		why = why_not(p, full);
	UI_set_default_method(was);
	return why;
}

static void close_provider(struct sk_pkcs11 *p)
{
	OSSL_LIB_CTX_free(p->handle);
}

/*
 * In a context of its own: a module that uses OpenSSL itself (SoftHSM) would otherwise be given the
 * provider's ciphers and hashes, which call the module, and wait for itself.
 */
static int open_provider(struct sk_pkcs11 *p, const char *module, struct sk_err *err)
{
	_cleanup_(OSSL_LIB_CTX_freep) OSSL_LIB_CTX *ctx = OSSL_LIB_CTX_new();
	char cache[] = "cache";
	OSSL_PARAM params[] = {
		/* A key that wants its PIN for each signature is given the one that loaded it. */
		OSSL_PARAM_construct_utf8_string("pkcs11-module-cache-pins", cache, 0),
		OSSL_PARAM_construct_end(),
		OSSL_PARAM_construct_end(),
	};

	if (!ctx)
		return sk_err_oom(err);
	if (module)
		params[1] = OSSL_PARAM_construct_utf8_string("pkcs11-module-path",
							     (char *)(uintptr_t)module, 0);
	if (!OSSL_PROVIDER_load(ctx, "default") ||
	    !OSSL_PROVIDER_try_load_ex(ctx, "pkcs11", params, 1))
		return -ENOSYS;
	p->handle = TAKE_PTR(ctx);
	return 0;
}

#else

static int open_provider(struct sk_pkcs11 *p, const char *module, struct sk_err *err)
{
	return -ENOSYS;
}

static int load(struct sk_pkcs11 *p, const char *uri, EVP_PKEY **ret)
{
	return SK_PKCS11_NO_KEY;
}

static void close_provider(struct sk_pkcs11 *p)
{
}

#endif

const struct sk_pkcs11_way sk_pkcs11_provider = { open_provider, load, close_provider };
