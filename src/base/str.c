/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"

bool sk_str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool sk_str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

char *sk_asprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : s;
}

bool sk_name_ok(const char *s)
{
	size_t n = 0;

	if (!isascii((unsigned char)s[0]) || !isalnum((unsigned char)s[0]))
		return false;
	for (; s[n]; n++) {
		if (n >= SK_NAME_MAX)
			return false;
		if (!isascii((unsigned char)s[n]))
			return false;
		if (!isalnum((unsigned char)s[n]) && !strchr("._-", s[n]))
			return false;
	}
	return true;
}

int sk_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Reads digits at *s and moves past them. */
static int parse_digits(const char **s, uint64_t *ret)
{
	uint64_t v = 0;

	if (!isdigit((unsigned char)**s))
		return -EINVAL;
	for (; isdigit((unsigned char)**s); (*s)++) {
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(**s - '0'), &v))
			return -ERANGE;
	}
	*ret = v;
	return 0;
}

int sk_parse_u64(const char *s, uint64_t *ret)
{
	uint64_t v;
	int r = parse_digits(&s, &v);

	if (r < 0)
		return r;
	if (*s)
		return -EINVAL;
	*ret = v;
	return 0;
}

int sk_parse_u32(const char *s, uint32_t *ret)
{
	uint64_t v;
	int r = sk_parse_u64(s, &v);

	if (r < 0)
		return r;
	if (v > UINT32_MAX)
		return -ERANGE;
	*ret = (uint32_t)v;
	return 0;
}

int sk_parse_size(const char *s, uint64_t *ret_bytes)
{
	static const char units[] = "KMGT";
	const char *unit;
	uint64_t v;
	int r = parse_digits(&s, &v);

	if (r < 0)
		return r;
	if (*s && (unit = strchr(units, toupper((unsigned char)*s)))) {
		unsigned shift = 10 * (unsigned)(unit - units + 1);

		if (v > UINT64_MAX >> shift)
			return -ERANGE;
		v <<= shift;
		s++;
		if (*s == 'i')
			s++;
	}
	if (*s == 'B' || *s == 'b')
		s++;
	if (*s)
		return -EINVAL;
	*ret_bytes = v;
	return 0;
}

static const struct {
	const char *name;
	uint64_t ms;
} duration_units[] = {
	/* "ms" before "m": the longest name wins */
	{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 },
};

static int parse_duration_part(const char **s, uint64_t *ret_ms)
{
	uint64_t v;
	int r = parse_digits(s, &v);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(duration_units); i++) {
		if (!sk_str_starts(*s, duration_units[i].name))
			continue;
		*s += strlen(duration_units[i].name);
		return __builtin_mul_overflow(v, duration_units[i].ms, ret_ms) ? -ERANGE : 0;
	}
	return -EINVAL;
}

int sk_parse_duration(const char *s, uint64_t *ret_ms)
{
	uint64_t total = 0, part;
	int r = sk_parse_u64(s, &part);

	if (r == 0) {
		if (__builtin_mul_overflow(part, 1000, ret_ms))
			return -ERANGE;
		return 0;
	}
	if (r == -ERANGE)
		return r;
	do {
		r = parse_duration_part(&s, &part);
		if (r < 0)
			return r;
		if (__builtin_add_overflow(total, part, &total))
			return -ERANGE;
	} while (*s);
	*ret_ms = total;
	return 0;
}

const char *sk_format_size(char buf[static 32], uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double v = (double)bytes;
	size_t u = 0;

	while (v >= 1024 && u + 1 < ARRAY_SIZE(units)) {
		v /= 1024;
		u++;
	}
	(void)snprintf(buf, 32, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
	return buf;
}

const char *sk_format_duration(char buf[static 32], uint64_t ms)
{
	size_t u = ARRAY_SIZE(duration_units) - 1;

	while (u > 0 && (ms < duration_units[u].ms || ms % duration_units[u].ms != 0))
		u--;
	(void)snprintf(buf, 32, "%" PRIu64 "%s", ms / duration_units[u].ms, duration_units[u].name);
	return buf;
}

size_t sk_strv_len(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

void sk_strv_free(char **v)
{
	SK_STRV_FOREACH (s, v)
		free(*s);
	free(v);
}

/* Appends @s itself, and owns it even on failure. */
static int strv_add_owned(char ***v, char *s)
{
	size_t n = sk_strv_len(*v);
	char **grown;

	if (!s)
		return -ENOMEM;
	grown = reallocarray(*v, n + 2, sizeof(char *));
	if (!grown) {
		free(s);
		return -ENOMEM;
	}
	grown[n] = s;
	grown[n + 1] = NULL;
	*v = grown;
	return 0;
}

int sk_strv_add(char ***v, const char *s)
{
	return strv_add_owned(v, strdup(s));
}

int sk_strv_addf(char ***v, const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return strv_add_owned(v, n < 0 ? NULL : s);
}

bool sk_strv_has(char *const *v, const char *s)
{
	SK_STRV_FOREACH (it, v)
		if (sk_streq(*it, s))
			return true;
	return false;
}

char **sk_strv_copy(char *const *v)
{
	size_t n = sk_strv_len(v);
	char **copy = calloc(n + 1, sizeof(char *));

	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = strdup(v[i]);
		if (!copy[i]) {
			sk_strv_free(copy);
			return NULL;
		}
	}
	return copy;
}

bool sk_strv_equal(char *const *a, char *const *b)
{
	size_t n = sk_strv_len(a);

	if (n != sk_strv_len(b))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!sk_streq(a[i], b[i]))
			return false;
	return true;
}

int sk_strv_split(const char *s, char sep, char ***ret)
{
	_cleanup_strv_ char **v = NULL;

	while (*s) {
		const char *end = strchrnul(s, sep);
		int r = 0;

		if (end > s)
			r = strv_add_owned(&v, strndup(s, (size_t)(end - s)));
		if (r < 0)
			return r;
		s = *end ? end + 1 : end;
	}
	*ret = TAKE_PTR(v);
	return 0;
}

char *sk_strv_join(char *const *v, const char *sep)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(SIZE_MAX / 2);

	SK_STRV_FOREACH (s, v) {
		if (s != v && sk_buf_adds(&b, sep) < 0)
			return NULL;
		if (sk_buf_adds(&b, *s) < 0)
			return NULL;
	}
	return sk_buf_take(&b, NULL);
}
