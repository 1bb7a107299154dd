/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/str.h"

#define READ_CHUNK (256 * 1024)

int sk_digest_parse(const char *s, struct sk_digest *ret)
{
	struct sk_digest d;

	if (sk_str_starts(s, "sha256:"))
		s += strlen("sha256:");
	if (strspn(s, "0123456789abcdef") != SK_DIGEST_HEX || s[SK_DIGEST_HEX])
		return -EINVAL;
	for (size_t i = 0; i < SK_DIGEST_SIZE; i++)
		d.bytes[i] = (uint8_t)(sk_hex_digit(s[2 * i]) << 4 | sk_hex_digit(s[2 * i + 1]));
	*ret = d;
	return 0;
}

const char *sk_digest_hex(const struct sk_digest *d, char buf[static SK_DIGEST_HEX + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < SK_DIGEST_SIZE; i++) {
		buf[2 * i] = digits[d->bytes[i] >> 4];
		buf[2 * i + 1] = digits[d->bytes[i] & 15];
	}
	buf[SK_DIGEST_HEX] = '\0';
	return buf;
}

bool sk_digest_equal(const struct sk_digest *a, const struct sk_digest *b)
{
	return sk_digest_cmp(a, b) == 0;
}

int sk_digest_cmp(const struct sk_digest *a, const struct sk_digest *b)
{
	return memcmp(a->bytes, b->bytes, SK_DIGEST_SIZE);
}

bool sk_digest_is_zero(const struct sk_digest *d)
{
	static const struct sk_digest zero;

	return sk_digest_equal(d, &zero);
}

struct sk_hasher {
	EVP_MD_CTX *ctx;
};

struct sk_hasher *sk_hasher_new(void)
{
	_cleanup_(sk_hasher_freep) struct sk_hasher *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx || EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) != 1)
		return NULL;
	return TAKE_PTR(h);
}

void sk_hasher_free(struct sk_hasher *h)
{
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

int sk_hasher_add(struct sk_hasher *h, const void *data, size_t len)
{
	return EVP_DigestUpdate(h->ctx, data, len) == 1 ? 0 : -ENOMEM;
}

int sk_hasher_end(struct sk_hasher *h, struct sk_digest *ret)
{
	if (EVP_DigestFinal_ex(h->ctx, ret->bytes, NULL) != 1)
		return -ENOMEM;
	return EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
}

int sk_digest_of(const void *data, size_t len, struct sk_digest *ret)
{
	return EVP_Digest(data, len, ret->bytes, NULL, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
}

int sk_digest_of_fd(int fd, uint64_t offset, uint64_t len, struct sk_digest *ret)
{
	_cleanup_(sk_hasher_freep) struct sk_hasher *h = sk_hasher_new();
	_cleanup_free_ char *chunk = malloc(READ_CHUNK);
	bool to_end = len == UINT64_MAX;

	if (!h || !chunk)
		return -ENOMEM;
	while (len > 0) {
		ssize_t n = pread(fd, chunk, SK_MIN(len, (uint64_t)READ_CHUNK), (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0 && to_end)
			break;
		if (n == 0)
			return -ENODATA;
		if (sk_hasher_add(h, chunk, (size_t)n) < 0)
			return -ENOMEM;
		offset += (uint64_t)n;
		if (!to_end)
			len -= (uint64_t)n;
	}
	return sk_hasher_end(h, ret);
}
