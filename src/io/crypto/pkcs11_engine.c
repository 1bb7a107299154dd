/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Keys in a token, through libp11's engine (Debian: libengine-pkcs11-openssl): the only way on
 * Debian 12. Engines are deprecated in OpenSSL 3 and gone in 4.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <errno.h>
#include <openssl/opensslconf.h>

#include "io/crypto/pkcs11.h"

#ifndef OPENSSL_NO_ENGINE

#include <openssl/engine.h>
#include <openssl/ui.h>

/* What a module answers (CKR_… of PKCS#11): the reasons in OpenSSL's queue that came from it. */
static const struct {
	int reason;
	enum sk_pkcs11_why why;
} answers[] = {
	{ 0xa0, SK_PKCS11_WRONG_PIN }, /* CKR_PIN_INCORRECT */
	{ 0xa1, SK_PKCS11_WRONG_PIN }, /* CKR_PIN_INVALID */
	{ 0xa2, SK_PKCS11_WRONG_PIN }, /* CKR_PIN_LEN_RANGE */
	{ 0xa4, SK_PKCS11_LOCKED },    /* CKR_PIN_LOCKED */
};

static int why_not(void)
{
	unsigned long e = ERR_peek_error();

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
		if (ERR_GET_LIB(e) >= ERR_LIB_USER && ERR_GET_REASON(e) == answers[i].reason)
			return answers[i].why;
	return SK_PKCS11_NO_KEY;
}

static int load(struct sk_pkcs11 *p, const char *uri, EVP_PKEY **ret)
{
	if (p->pin && !ENGINE_ctrl_cmd_string(p->handle, "PIN", p->pin, 0))
		return SK_PKCS11_NO_KEY;
	/* The null method: a library asks nobody for anything by itself. */
	*ret = ENGINE_load_private_key(p->handle, uri, (UI_METHOD *)UI_null(), NULL);
	return *ret ? 0 : why_not();
}

static void close_engine(struct sk_pkcs11 *p)
{
	(void)ENGINE_finish(p->handle);
	(void)ENGINE_free(p->handle);
}

static int start(ENGINE *e, const char *module, struct sk_err *err)
{
	/* It would print to standard error by itself. */
	(void)ENGINE_ctrl_cmd_string(e, "QUIET", NULL, 0);
	if (module && !ENGINE_ctrl_cmd_string(e, "MODULE_PATH", module, 0))
		return sk_err_set(err, -EINVAL, "bad-value", "PKCS#11 module %s is not usable",
				  module);
	if (!ENGINE_init(e))
		return sk_err_set(err, -EIO, "io", "cannot start the PKCS#11 module: %s",
				  sk_ossl_why());
	return 0;
}

static int open_engine(struct sk_pkcs11 *p, const char *module, struct sk_err *err)
{
	ENGINE *e;
	int r;

	ENGINE_load_dynamic();
	e = ENGINE_by_id("pkcs11");
	if (!e)
		return -ENOSYS;
	r = start(e, module, err);
	if (r < 0) {
		(void)ENGINE_free(e);
		return r;
	}
	p->handle = e;
	return 0;
}

#else

static int open_engine(struct sk_pkcs11 *p, const char *module, struct sk_err *err)
{
	return -ENOSYS;
}

static int load(struct sk_pkcs11 *p, const char *uri, EVP_PKEY **ret)
{
	return SK_PKCS11_NO_KEY;
}

static void close_engine(struct sk_pkcs11 *p)
{
}

#endif

const struct sk_pkcs11_way sk_pkcs11_engine = { open_engine, load, close_engine };
