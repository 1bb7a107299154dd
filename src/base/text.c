/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <stdint.h>
#include <string.h>

#include "base/macros.h"

/* The character at @s and its length; 0 when there is none (overlong and surrogates included). */
static size_t decode(const char *s, size_t left, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c = (unsigned char)s[0];
	size_t n = c < 0x80 ? 1 : c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;

	*ret = c;
	if (n <= 1 || n > left)
		return n == 1 ? 1 : 0;
	c &= 0x7f >> n;
	for (size_t i = 1; i < n; i++) {
		if ((unsigned char)s[i] >> 6 != 2)
			return 0;
		c = c << 6 | ((unsigned char)s[i] & 0x3f);
	}
	*ret = c;
	return c >= least[n] && c < 0x110000 && (c < 0xd800 || c > 0xdfff) ? n : 0;
}

size_t sk_utf8_char(const char *s, size_t left)
{
	uint32_t c;

	return left ? decode(s, left, &c) : 0;
}

bool sk_utf8_ok(const char *s, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = sk_utf8_char(s + i, len - i);
		if (n == 0)
			return false;
	}
	return true;
}

/* Begun, and right as far as it goes: what cutting a text leaves behind. */
static bool is_cut(const char *s, size_t left)
{
	unsigned char c = (unsigned char)s[0];
	size_t n = c >> 5 == 6 ? 2 : c >> 4 == 14 ? 3 : c >> 3 == 30 ? 4 : 0;

	for (size_t i = 1; i < left; i++)
		if ((unsigned char)s[i] >> 6 != 2)
			return false;
	return n > left;
}

void sk_utf8_repair(char *s)
{
	size_t left = strlen(s), n;

	for (; left > 0; s += n, left -= n) {
		n = sk_utf8_char(s, left);
		if (n > 0)
			continue;
		if (is_cut(s, left)) {
			*s = '\0';
			return;
		}
		*s = '?';
		n = 1;
	}
}

static bool shown(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	return c != 0x61c && c != 0x200e && c != 0x200f && !(c >= 0x2028 && c <= 0x202e) &&
	       !(c >= 0x2066 && c <= 0x2069);
}

void sk_text_clean(char *s, const char *keep)
{
	size_t left, n;
	uint32_t c;

	if (!s)
		return;
	sk_utf8_repair(s);
	for (left = strlen(s); left > 0; s += n, left -= n) {
		n = SK_MAX(decode(s, left, &c), (size_t)1);
		if (!shown(c) && !(c < 0x80 && strchr(keep, (int)c)))
			memset(s, ' ', n);
	}
}
