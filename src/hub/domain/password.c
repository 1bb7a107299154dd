/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/domain/password.h"

#include <crypt.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* libcrypt's own default cost for yescrypt; about 30 ms and 16 MiB for one. */
#define METHOD "$y$"

/* A hash that no password has: what a login of an unknown user is measured against. */
static const char nobody[] = "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$"
			     "X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7";

int sk_password_hash(const char *password, char ret[static SK_PASSWORD_HASH_MAX],
		     struct sk_err *err)
{
	size_t len = strlen(password);
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *data;
	const char *hash;

	if (len < SK_PASSWORD_MIN || len > SK_PASSWORD_MAX)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "a password has %d to %d bytes; this one has %zu",
				  SK_PASSWORD_MIN, SK_PASSWORD_MAX, len);
	if (!crypt_gensalt_rn(METHOD, 0, NULL, 0, salt, sizeof(salt)))
		return sk_err_set(err, -errno, "internal", "no salt for a password: %s",
				  strerror(errno));
	data = calloc(1, sizeof(*data));
	if (!data)
		return sk_err_oom(err);
	hash = crypt_r(password, salt, data);
	if (hash && hash[0] == '*')
		hash = NULL;
	if (hash)
		(void)snprintf(ret, SK_PASSWORD_HASH_MAX, "%s", hash);
	explicit_bzero(data, sizeof(*data));
	free(data);
	return hash ? 0 : sk_err_set(err, -EIO, "internal", "cannot hash a password");
}

static bool equal(const char *a, const char *b)
{
	size_t n = strlen(b);
	unsigned diff = strlen(a) != n;

	for (size_t i = 0; !diff && i < n; i++)
		diff |= (unsigned char)(a[i] ^ b[i]);
	return diff == 0;
}

bool sk_password_check(const char *password, const char *hash)
{
	struct crypt_data *data = calloc(1, sizeof(*data));
	const char *got;
	bool ok;

	if (!data)
		return false;
	got = crypt_r(password, hash ? hash : nobody, data);
	ok = hash && got && got[0] != '*' && equal(got, hash);
	explicit_bzero(data, sizeof(*data));
	free(data);
	return ok;
}
