/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

#define SK_DIGEST_SIZE 32
#define SK_DIGEST_HEX  64

/**
 * struct sk_digest - a SHA-256: the name of every immutable file in Skerry
 *
 * Beside base64.c this is the one place of the base layer that uses a library other than libc
 * (OpenSSL's libcrypto, for the hash itself).
 */
struct sk_digest {
	uint8_t bytes[SK_DIGEST_SIZE];
};

/** sk_digest_parse() - 64 hex digits, lower case, optionally after "sha256:". 0 or -EINVAL. */
int sk_digest_parse(const char *s, struct sk_digest *ret);

/** sk_digest_hex() - 64 lower-case hex digits into @buf; returns @buf. */
const char *sk_digest_hex(const struct sk_digest *d, char buf[static SK_DIGEST_HEX + 1]);

/** SK_DIGEST_STR() - hex for one expression, e.g. an error sentence. */
#define SK_DIGEST_STR(d) sk_digest_hex((d), (char[SK_DIGEST_HEX + 1]){ 0 })

bool sk_digest_equal(const struct sk_digest *a, const struct sk_digest *b);
int sk_digest_cmp(const struct sk_digest *a, const struct sk_digest *b);
bool sk_digest_is_zero(const struct sk_digest *d);

/** Incremental hashing. _new returns NULL without memory. */
struct sk_hasher;
struct sk_hasher *sk_hasher_new(void);
void sk_hasher_free(struct sk_hasher *h);
SK_DEFINE_CLEANUP(struct sk_hasher, sk_hasher_free);
int sk_hasher_add(struct sk_hasher *h, const void *data, size_t len);
/** sk_hasher_end() - result so far is final; the hasher starts anew afterwards. */
int sk_hasher_end(struct sk_hasher *h, struct sk_digest *ret);

/** sk_digest_of() - hash of a buffer. 0 or -ENOMEM. */
int sk_digest_of(const void *data, size_t len, struct sk_digest *ret);

/**
 * sk_digest_of_fd() - hash @len bytes of a file from @offset on, or to its end with UINT64_MAX
 * Reads with pread(): the file position stays.
 * Return: 0, -EIO and other errnos of pread(), -ENODATA when the file ends before @len.
 */
int sk_digest_of_fd(int fd, uint64_t offset, uint64_t len, struct sk_digest *ret);
