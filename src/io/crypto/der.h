/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * A first look at DER before a library parses it: everything definite, minimal and complete, so
 * that OpenSSL (which accepts BER) never sees another reading of the same bytes.
 */
#define SK_DER_OID	    0x06
#define SK_DER_OCTET_STRING 0x04
#define SK_DER_INTEGER	    0x02
#define SK_DER_SEQUENCE	    0x30
#define SK_DER_SET	    0x31
#define SK_DER_CONTEXT(n)   (0xa0 | (n)) /* constructed, context-specific */

/** struct sk_der - bytes not yet read; borrowed */
struct sk_der {
	const uint8_t *at;
	size_t len;
};

/**
 * sk_der_check() - is this exactly one well-formed value, nothing after it?
 * Refuses indefinite and overlong lengths, constructed strings, high tag numbers and nesting
 * beyond 32.
 * Return: 0 or -EBADMSG
 */
int sk_der_check(const void *der, size_t len);

/** sk_der_next() - take one value off @in. Return: 0 or -EBADMSG (malformed, or none left) */
int sk_der_next(struct sk_der *in, uint8_t *ret_tag, struct sk_der *ret_body);

/** sk_der_expect() - the same, and the tag must be @tag. */
int sk_der_expect(struct sk_der *in, uint8_t tag, struct sk_der *ret_body);
