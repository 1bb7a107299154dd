/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <stddef.h>

#include "base/macros.h"

#define SK_ERR_SLUG_MAX 48
#define SK_ERR_TEXT_MAX 1024

/**
 * struct sk_err - a failure as it crosses a boundary (HTTP, command line, another process)
 * @code: negative errno
 * @slug: stable name for programs, one of the table in err.c, e.g. "digest-mismatch"
 * @text: a sentence for a person: what failed, on what, what to do
 */
struct sk_err {
	int code;
	char slug[SK_ERR_SLUG_MAX];
	char text[SK_ERR_TEXT_MAX];
};

#define SK_ERR_INIT ((struct sk_err){ 0 })

/**
 * sk_err_set() - fill an error and return its code
 * @err:  may be NULL: the code is still returned
 * @code: negative errno
 * @slug: must stand in the slug table; an unknown one is replaced by "internal"
 * @fmt:  printf format of the sentence; cut at SK_ERR_TEXT_MAX
 *
 * Return: @code, so that callers write `return sk_err_set(...)`.
 */
#define sk_err_set(err, code, slug, ...)                            \
	({                                                          \
		int _err_code = (code);                             \
		sk_err_fill((err), _err_code, (slug), __VA_ARGS__); \
		_err_code;                                          \
	})

/** What sk_err_set() calls; that one is a macro so that analysers see that it returns @code. */
void sk_err_fill(struct sk_err *err, int code, const char *slug, const char *fmt, ...)
	SK_PRINTF(4, 5);

/** sk_err_prefix() - put "<prefix>: " before the sentence; returns err->code. */
int sk_err_prefix(struct sk_err *err, const char *fmt, ...) SK_PRINTF(2, 3);

/** sk_err_oom() - the one way to report -ENOMEM; returns -ENOMEM. */
static inline int sk_err_oom(struct sk_err *err)
{
	return sk_err_set(err, -ENOMEM, "out-of-memory", "out of memory");
}

/** sk_err_is() - does @err carry @slug? */
int sk_err_is(const struct sk_err *err, const char *slug);

/** sk_err_http_status() - HTTP status for a slug; 500 for an unknown one. */
int sk_err_http_status(const char *slug);

/** sk_err_exit_code() - process exit code for a slug; 1 for an unknown one. */
int sk_err_exit_code(const char *slug);

/** sk_err_slug_known() - is @slug in the table? */
int sk_err_slug_known(const char *slug);
