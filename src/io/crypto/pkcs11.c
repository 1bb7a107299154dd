/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Keys in a token, through libp11's engine (Debian: libengine-pkcs11-openssl). Engines are
 * deprecated in OpenSSL 3, but Debian 12 has no PKCS#11 provider; all of it is in this file.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "io/crypto/pkcs11.h"

#include <errno.h>
#include <limits.h>
#include <openssl/engine.h>
#include <openssl/ui.h>
#include <string.h>

#include "base/str.h"

#define PIN_MAX 256

void sk_pkcs11_close(void *engine)
{
	if (!engine)
		return;
	(void)ENGINE_finish(engine);
	(void)ENGINE_free(engine);
}

bool sk_pkcs11_attribute(const char *uri, const char *name, char *buf, size_t size)
{
	size_t name_len = strlen(name), n = 0;
	const char *at = uri + strcspn(uri, ":");

	while (*at && !(strncmp(at + 1, name, name_len) == 0 && at[1 + name_len] == '='))
		at += 1 + strcspn(at + 1, ";?&");
	if (!*at)
		return false;
	for (at += 2 + name_len; *at && !strchr(";?&", *at) && n + 1 < size; at++) {
		if (*at == '%' && sk_hex_digit(at[1]) >= 0 && sk_hex_digit(at[2]) >= 0) {
			buf[n++] = (char)(sk_hex_digit(at[1]) * 16 + sk_hex_digit(at[2]));
			at += 2;
		} else {
			buf[n++] = *at;
		}
	}
	buf[n] = '\0';
	return true;
}

static int give_pin(ENGINE *e, const char *uri, const struct sk_secret *secret, struct sk_err *err)
{
	char pin[PIN_MAX + 1];
	int n, ok;

	if (!secret || sk_pkcs11_attribute(uri, "pin-value", pin, sizeof(pin)) ||
	    sk_pkcs11_attribute(uri, "pin-source", pin, sizeof(pin)))
		return 0;
	n = secret->get(secret->arg, "the token", pin, PIN_MAX);
	if (n < 0)
		return 0; /* some tokens want none; the others say so themselves */
	pin[n] = '\0';
	ok = ENGINE_ctrl_cmd_string(e, "PIN", pin, 0);
	explicit_bzero(pin, sizeof(pin));
	return ok ? 0 : sk_err_set(err, -EIO, "io", "cannot hand the PIN to the token");
}

static int open_engine(const char *uri, ENGINE **ret, struct sk_err *err)
{
	char module[PATH_MAX];
	ENGINE *e;

	ENGINE_load_dynamic();
	e = ENGINE_by_id("pkcs11");
	if (!e)
		return sk_err_set(err, -ENOSYS, "not-supported",
				  "keys in a PKCS#11 token need OpenSSL's pkcs11 engine; install "
				  "libengine-pkcs11-openssl");
	/* It would print to standard error by itself. */
	(void)ENGINE_ctrl_cmd_string(e, "QUIET", NULL, 0);
	if (sk_pkcs11_attribute(uri, "module-path", module, sizeof(module)) &&
	    !ENGINE_ctrl_cmd_string(e, "MODULE_PATH", module, 0)) {
		(void)ENGINE_free(e);
		return sk_err_set(err, -EINVAL, "bad-value", "PKCS#11 module %s is not usable",
				  module);
	}
	if (!ENGINE_init(e)) {
		(void)ENGINE_free(e);
		return sk_err_set(err, -EIO, "io", "cannot start the PKCS#11 module: %s",
				  sk_ossl_why());
	}
	*ret = e;
	return 0;
}

/* The engine knows no module-path and refuses what it does not know; it was told already. */
char *sk_pkcs11_without_module(const char *uri)
{
	char *copy = strdup(uri), *at = copy ? strstr(copy, "module-path=") : NULL;
	size_t len;

	while (at && (at == copy || !strchr(":;?&", at[-1])))
		at = strstr(at + 1, "module-path=");
	if (!at)
		return copy;
	len = strcspn(at, ";?&");
	if (at[len])
		memmove(at, at + len + 1, strlen(at + len + 1) + 1);
	else
		at[-1] = '\0';
	return copy;
}

int sk_pkcs11_load(const char *uri, const struct sk_secret *secret, struct sk_key *key,
		   struct sk_err *err)
{
	_cleanup_free_ char *plain = sk_pkcs11_without_module(uri);
	ENGINE *e;
	int r;

	if (!plain)
		return sk_err_oom(err);
	ERR_clear_error();
	r = open_engine(uri, &e, err);
	if (r < 0)
		return r;
	key->engine = e;
	r = give_pin(e, uri, secret, err);
	if (r < 0)
		return r;
	/* The null method: a library asks nobody for anything by itself. */
	key->pkey = ENGINE_load_private_key(e, plain, (UI_METHOD *)UI_null(), NULL);
	if (!key->pkey)
		return sk_err_set(
			err, -ENOENT, "not-found",
			"no usable private key in a token for this URI (%s); is the token "
			"there, is the PIN right?",
			sk_ossl_why());
	return 0;
}
