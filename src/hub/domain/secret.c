/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/domain/secret.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

int sk_random(void *buf, size_t len, struct sk_err *err)
{
	/* Up to 256 bytes come whole or not at all. */
	if (getrandom(buf, len, 0) != (ssize_t)len)
		return sk_err_set(err, -EIO, "internal", "no random numbers: %s", strerror(errno));
	return 0;
}

int sk_secret_new(const char *prefix, char ret[static SK_SECRET_MAX], struct sk_digest *ret_hash,
		  struct sk_err *err)
{
	struct sk_digest random;
	int r = sk_random(random.bytes, sizeof(random.bytes), err);

	if (r < 0)
		return r;
	(void)snprintf(ret, SK_SECRET_MAX, "%s%s", prefix, SK_DIGEST_STR(&random));
	r = sk_secret_hash(ret, ret_hash);
	return r < 0 ? sk_err_oom(err) : 0;
}

int sk_secret_hash(const char *secret, struct sk_digest *ret)
{
	size_t len = strlen(secret);

	if (len >= SK_SECRET_MAX)
		return -EINVAL;
	return sk_digest_of(secret, len, ret);
}

int sk_secret_password(char ret[static 32], struct sk_err *err)
{
	static const char letters[] = "abcdefghjkmnpqrstuvwxyzACDEFHJKLMNPQRTUVWXY34679";
	uint8_t random[64];
	size_t n = 0;
	int r = sk_random(random, sizeof(random), err);

	if (r < 0)
		return r;
	/* Bytes beyond a multiple of the letters would favour the first ones. */
	for (size_t i = 0; i < sizeof(random) && n < 20; i++)
		if (random[i] < 256 / (sizeof(letters) - 1) * (sizeof(letters) - 1))
			ret[n++] = letters[random[i] % (sizeof(letters) - 1)];
	ret[n] = '\0';
	return 0;
}
