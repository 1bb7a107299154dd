/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/macros.h"

/**
 * struct sk_buf - bytes that grow up to a bound
 * @data: always NUL-terminated one past @len once anything was added; may be NULL before
 * @max:  most bytes it may hold; adding more fails with -EMSGSIZE and changes nothing
 */
struct sk_buf {
	char *data;
	size_t len;
	size_t cap;
	size_t max;
};

#define SK_BUF(max_bytes) ((struct sk_buf){ .max = (max_bytes) })

void sk_buf_done(struct sk_buf *b);

/** Each returns 0, -EMSGSIZE (over the bound) or -ENOMEM; a failure changes nothing. */
int sk_buf_add(struct sk_buf *b, const void *data, size_t len);
int sk_buf_adds(struct sk_buf *b, const char *s);
int sk_buf_addf(struct sk_buf *b, const char *fmt, ...) SK_PRINTF(2, 3);

/** sk_buf_reserve() - room for @len more bytes at data + len. */
int sk_buf_reserve(struct sk_buf *b, size_t len);

/** sk_buf_drop() - forget the first @len bytes. */
void sk_buf_drop(struct sk_buf *b, size_t len);

/** sk_buf_take() - the NUL-terminated bytes, owned by the caller now; NULL without memory. */
char *sk_buf_take(struct sk_buf *b, size_t *ret_len);

#define _cleanup_buf_ _cleanup_(sk_buf_done)
