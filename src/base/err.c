/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/*
 * Exit codes: 1 failure, 2 wrong usage, 3 not found, 4 refused (trust or permission),
 * 5 conflict with the present state, 6 no space or over a limit, 7 peer unreachable,
 * 8 input that is malformed.
 * Kept sorted by slug. docs/reference/errors.md explains each.
 */
static const struct {
	const char *slug;
	short http;
	short exit;
} slugs[] = {
	/* clang-format off */
	{ "already-exists",      409, 5 },
	{ "bad-archive",         400, 8 },
	{ "bad-image",           400, 8 },
	{ "bad-manifest",        400, 8 },
	{ "bad-name",            400, 8 },
	{ "bad-release",         400, 8 },
	{ "bad-request",         400, 8 },
	{ "bad-state",           409, 5 },
	{ "bad-value",           400, 8 },
	{ "child-failed",        500, 1 },
	{ "damaged",             500, 1 },
	{ "digest-mismatch",     400, 8 },
	{ "downgrade",           403, 4 },
	{ "expired",             403, 4 },
	{ "forbidden",           403, 4 },
	{ "in-use",              409, 5 },
	{ "internal",            500, 1 },
	{ "io",                  500, 1 },
	{ "no-space",            507, 6 },
	{ "not-found",           404, 3 },
	{ "not-supported",       501, 1 },
	{ "out-of-memory",       500, 1 },
	{ "revoked",             403, 4 },
	{ "timeout",             504, 7 },
	{ "too-large",           413, 6 },
	{ "too-many",            429, 6 },
	{ "unauthorized",        401, 4 },
	{ "unreachable",         502, 7 },
	{ "untrusted",           403, 4 },
	{ "usage",               400, 2 },
	{ "wrong-device",        403, 4 },
	/* clang-format on */
};

static int slug_index(const char *slug)
{
	for (size_t i = 0; i < ARRAY_SIZE(slugs); i++)
		if (strcmp(slugs[i].slug, slug) == 0)
			return (int)i;
	return -1;
}

void sk_err_fill(struct sk_err *err, int code, const char *slug, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return;
	err->code = code;
	if (slug_index(slug) < 0)
		slug = "internal";
	(void)snprintf(err->slug, sizeof(err->slug), "%s", slug);
	va_start(ap, fmt);
	(void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	/* It may quote anything, and may be cut: JSON would not take it. */
	sk_utf8_repair(err->text);
}

int sk_err_prefix(struct sk_err *err, const char *fmt, ...)
{
	char old[SK_ERR_TEXT_MAX];
	va_list ap;
	int n;

	if (!err)
		return 0;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(err->text))
		(void)snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s", old);
	sk_utf8_repair(err->text);
	return err->code;
}

int sk_err_is(const struct sk_err *err, const char *slug)
{
	return strcmp(err->slug, slug) == 0;
}

int sk_err_http_status(const char *slug)
{
	int i = slug_index(slug);

	return i < 0 ? 500 : slugs[i].http;
}

int sk_err_exit_code(const char *slug)
{
	int i = slug_index(slug);

	return i < 0 ? 1 : slugs[i].exit;
}

int sk_err_slug_known(const char *slug)
{
	return slug_index(slug) >= 0;
}
