/* SPDX-License-Identifier: Apache-2.0 */
#include "model/version.h"

#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VERSION_MAX    63
#define NUMBERS_MAX    4
#define NUMBER_DIGITS  10
#define IDENT_SEPARATE "."

static bool is_ident(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '-';
}

static bool all_digits(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isdigit((unsigned char)s[i]))
			return false;
	return len > 0;
}

/* A number without leading zeros, at most ten digits; returns what follows it, or NULL. */
static const char *skip_number(const char *s)
{
	size_t len = strspn(s, "0123456789");

	if (len == 0 || len > NUMBER_DIGITS || (len > 1 && s[0] == '0'))
		return NULL;
	return s + len;
}

static bool prerelease_ok(const char *s)
{
	for (;;) {
		size_t len = strcspn(s, IDENT_SEPARATE);

		if (len == 0 || (all_digits(s, len) && skip_number(s) != s + len))
			return false;
		for (size_t i = 0; i < len; i++)
			if (!is_ident(s[i]))
				return false;
		if (!s[len])
			return true;
		s += len + 1;
	}
}

bool sk_version_ok(const char *s)
{
	if (strnlen(s, VERSION_MAX + 1) > VERSION_MAX)
		return false;
	for (size_t n = 0; n < NUMBERS_MAX; n++) {
		s = skip_number(s);
		if (!s)
			return false;
		if (*s != '.')
			break;
		s++;
	}
	if (*s == '-')
		return prerelease_ok(s + 1);
	return *s == '\0';
}

static uint64_t take_number(const char **s)
{
	uint64_t v = 0;

	for (; isdigit((unsigned char)**s); (*s)++)
		v = v * 10 + (uint64_t)(**s - '0');
	if (**s == '.')
		(*s)++;
	return v;
}

static int cmp_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int cmp_ident(const char *a, size_t a_len, const char *b, size_t b_len)
{
	bool a_num = all_digits(a, a_len), b_num = all_digits(b, b_len);
	size_t shorter = a_len < b_len ? a_len : b_len;
	int r;

	if (a_num != b_num)
		return a_num ? -1 : 1; /* numbers stand below words */
	if (a_num && a_len != b_len)
		return cmp_u64(a_len, b_len); /* no leading zeros: longer is more */
	r = memcmp(a, b, shorter);
	return r ? r : cmp_u64(a_len, b_len);
}

static int cmp_prerelease(const char *a, const char *b)
{
	while (*a && *b) {
		size_t a_len = strcspn(a, IDENT_SEPARATE), b_len = strcspn(b, IDENT_SEPARATE);
		int r = cmp_ident(a, a_len, b, b_len);

		if (r)
			return r;
		a += a_len + (a[a_len] == '.');
		b += b_len + (b[b_len] == '.');
	}
	return (*a != '\0') - (*b != '\0'); /* more parts: the later one */
}

int sk_version_cmp(const char *a, const char *b)
{
	for (size_t n = 0; n < NUMBERS_MAX; n++) {
		int r = cmp_u64(take_number(&a), take_number(&b));

		if (r)
			return r;
	}
	if (*a != *b && (!*a || !*b))
		return *a ? -1 : 1; /* a pre-release comes before its release */
	return *a ? cmp_prerelease(a + 1, b + 1) : 0;
}
