/* SPDX-License-Identifier: Apache-2.0 */

/* Keys in a token: what the URI says, which way to the token there is, and why there is no key. */

#include "io/crypto/pkcs11.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"

#define PIN_MAX 256

void sk_pkcs11_free(struct sk_pkcs11 *p)
{
	if (p && p->way)
		p->way->close(p);
	free(p);
}
SK_DEFINE_CLEANUP(struct sk_pkcs11, sk_pkcs11_free);

/* Where "name=" begins in the URI; NULL: nowhere. */
static const char *find(const char *uri, const char *name)
{
	size_t len = strlen(name);
	const char *at = uri + strcspn(uri, ":");

	while (*at && !(strncmp(at + 1, name, len) == 0 && at[1 + len] == '='))
		at += 1 + strcspn(at + 1, ";?&");
	return *at ? at + 1 : NULL;
}

bool sk_pkcs11_attribute(const char *uri, const char *name, char *buf, size_t size)
{
	const char *at = find(uri, name);
	size_t n = 0;

	if (!at)
		return false;
	for (at += strlen(name) + 1; *at && !strchr(";?&", *at) && n + 1 < size; at++) {
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

char *sk_pkcs11_without(const char *uri, const char *name)
{
	const char *at = find(uri, name);
	size_t begin, len;

	if (!at)
		return strdup(uri);
	begin = (size_t)(at - uri);
	len = strcspn(at, ";?&");
	/* With one of the separators beside it; what begins the whole and the query stays. */
	if (at[len] == ';' || at[len] == '&') {
		len++;
	} else if (at[-1] != ':') {
		begin--;
		len++;
	}
	return sk_asprintf("%.*s%s", (int)begin, uri, uri + begin + len);
}

static int open_way(const char *uri, struct sk_pkcs11 *p, struct sk_err *err)
{
	static const struct sk_pkcs11_way *const ways[] = { &sk_pkcs11_provider,
							    &sk_pkcs11_engine };
	const char *module = getenv("PKCS11_MODULE_PATH");
	char buf[PATH_MAX];
	int r;

	if (sk_pkcs11_attribute(uri, "module-path", buf, sizeof(buf)))
		module = buf;
	if (module && module[0] == '/' && access(module, R_OK) < 0)
		return sk_err_set(err, -errno, "not-found", "cannot read PKCS#11 module %s: %s",
				  module, strerror(errno));
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		r = ways[i]->open(p, module, err);
		if (r == 0)
			p->way = ways[i];
		if (r != -ENOSYS)
			return r;
	}
	return sk_err_set(
		err, -ENOSYS, "not-supported",
		"keys in a PKCS#11 token need OpenSSL's pkcs11 provider (Debian package "
		"pkcs11-provider), or its engine (libengine-pkcs11-openssl on Debian 12): "
		"neither is installed");
}

/* From the URI, else from who asked for the key. Return: length, or -errno when there is none. */
static int find_pin(const char *uri, const struct sk_secret *secret, char *buf)
{
	char none[2];
	int n;

	if (sk_pkcs11_attribute(uri, "pin-value", buf, PIN_MAX + 1))
		return (int)strlen(buf);
	if (!secret || sk_pkcs11_attribute(uri, "pin-source", none, sizeof(none)))
		return -ENODATA;
	n = secret->get(secret->arg, "the token", buf, PIN_MAX);
	if (n >= 0)
		buf[n] = '\0';
	return n;
}

static int explain(int why, struct sk_err *err)
{
	static const char *const says[] = {
		[SK_PKCS11_NO_KEY] = "no private key in a token answers to this URI: is the token "
				     "there, is its name right, was its PIN given?",
		[SK_PKCS11_NO_TOKEN] = "no token answers to this URI: is it there, is its name "
				       "right, is it the right PKCS#11 module?",
		[SK_PKCS11_NOT_IN_TOKEN] = "the token has no private key that answers to this URI",
		[SK_PKCS11_WRONG_PIN] = "the token refuses the PIN; it may lock itself after a few "
					"wrong ones",
		[SK_PKCS11_LOCKED] = "the token's PIN is locked after too many wrong ones",
		[SK_PKCS11_WANTS_PIN] = "the token wants its PIN and none was given",
	};

	if (why != SK_PKCS11_NO_KEY || ERR_peek_error() == 0)
		return sk_err_set(err, -ENOENT, "not-found", "%s", says[why]);
	return sk_err_set(err, -ENOENT, "not-found", "%s (%s)", says[why], sk_ossl_why());
}

int sk_pkcs11_load(const char *uri, const struct sk_secret *secret, struct sk_key *key,
		   struct sk_err *err)
{
	_cleanup_free_ char *no_module = sk_pkcs11_without(uri, "module-path");
	_cleanup_free_ char *plain = no_module ? sk_pkcs11_without(no_module, "pin-value") : NULL;
	_cleanup_(sk_pkcs11_freep) struct sk_pkcs11 *p = calloc(1, sizeof(*p));
	char pin[PIN_MAX + 1] = "";
	int r;

	if (!plain || !p)
		return sk_err_oom(err);
	ERR_clear_error();
	r = open_way(uri, p, err);
	if (r < 0)
		return r;
	/* Some tokens want no PIN; the others say so themselves. */
	p->pin = find_pin(uri, secret, pin) < 0 ? NULL : pin;
	r = p->way->load(p, plain, &key->pkey);
	p->pin = NULL;
	explicit_bzero(pin, sizeof(pin));
	if (r > 0)
		r = explain(r, err);
	ERR_clear_error();
	if (r < 0)
		return r;
	key->token = TAKE_PTR(p);
	return 0;
}
