/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

char *sk_base64_encode(const void *data, size_t len)
{
	char *text = len < INT_MAX / 2 ? malloc(4 * ((len + 2) / 3) + 1) : NULL;

	if (text)
		(void)EVP_EncodeBlock((unsigned char *)text, data, (int)len);
	return text;
}

int sk_base64_decode(const char *text, void *out, size_t max, size_t *ret_len)
{
	size_t len = strlen(text), letters = strspn(text, LETTERS);
	size_t padding = strspn(text + letters, "=");
	int n;

	if (len == 0 || len % 4 != 0 || len / 4 * 3 > max || len > INT_MAX ||
	    letters + padding != len || padding > 2)
		return -EINVAL;
	n = EVP_DecodeBlock(out, (const unsigned char *)text, (int)len);
	if (n < 0)
		return -EINVAL;
	*ret_len = (size_t)n - padding; /* EVP_DecodeBlock() counts it as data */
	return 0;
}
