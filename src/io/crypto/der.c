/* SPDX-License-Identifier: Apache-2.0 */
#include "io/crypto/der.h"

#include <errno.h>
#include <stdbool.h>

#define DEPTH_MAX	32
#define TAG_CLASS	0xc0
#define TAG_CONSTRUCTED 0x20
#define TAG_NUMBER	0x1f

/* Lengths: one byte below 128, else 0x81 to 0x84 and that many bytes, as few as will do. */
static int take_length(struct sk_der *in, size_t *ret)
{
	size_t n, value = 0;
	uint8_t first;

	if (in->len == 0)
		return -EBADMSG;
	first = *in->at;
	in->at++;
	in->len--;
	if (first < 0x80) {
		*ret = first;
		return 0;
	}
	n = first & 0x7f;
	if (n == 0 || n > 4 || n > in->len || in->at[0] == 0)
		return -EBADMSG;
	for (size_t i = 0; i < n; i++)
		value = value << 8 | in->at[i];
	if (value < 0x80)
		return -EBADMSG;
	in->at += n;
	in->len -= n;
	*ret = value;
	return 0;
}

int sk_der_next(struct sk_der *in, uint8_t *ret_tag, struct sk_der *ret_body)
{
	struct sk_der at = *in;
	size_t len;

	if (at.len == 0)
		return -EBADMSG;
	*ret_tag = *at.at;
	at.at++;
	at.len--;
	if ((*ret_tag & TAG_NUMBER) == TAG_NUMBER || *ret_tag == 0)
		return -EBADMSG;
	if (take_length(&at, &len) < 0 || len > at.len)
		return -EBADMSG;
	*ret_body = (struct sk_der){ at.at, len };
	in->at = at.at + len;
	in->len = at.len - len;
	return 0;
}

int sk_der_expect(struct sk_der *in, uint8_t tag, struct sk_der *ret_body)
{
	struct sk_der at = *in;
	uint8_t found;
	int r = sk_der_next(&at, &found, ret_body);

	if (r < 0)
		return r;
	if (found != tag)
		return -EBADMSG;
	*in = at;
	return 0;
}

/* Of the universal types only SEQUENCE and SET are made of others; strings in pieces are BER. */
static bool form_ok(uint8_t tag)
{
	bool constructed = tag & TAG_CONSTRUCTED;

	if (tag & TAG_CLASS)
		return true;
	return constructed == ((tag & TAG_NUMBER) == 0x10 || (tag & TAG_NUMBER) == 0x11);
}

int sk_der_check(const void *der, size_t len)
{
	/* What is left to read on each level; the lowest holds the one value itself. */
	struct sk_der level[DEPTH_MAX + 1] = { { der, len } };
	size_t depth = 0;
	bool seen = false;

	for (;;) {
		struct sk_der body;
		uint8_t tag;

		while (level[depth].len == 0 && depth > 0)
			depth--;
		if (depth == 0 && seen)
			return level[0].len == 0 ? 0 : -EBADMSG;
		if (sk_der_next(&level[depth], &tag, &body) < 0 || !form_ok(tag))
			return -EBADMSG;
		seen = true;
		if (!(tag & TAG_CONSTRUCTED))
			continue;
		if (depth == DEPTH_MAX)
			return -EBADMSG;
		level[++depth] = body;
	}
}
