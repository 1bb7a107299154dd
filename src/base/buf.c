/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sk_buf_done(struct sk_buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = b->cap = 0;
}

int sk_buf_reserve(struct sk_buf *b, size_t len)
{
	size_t cap, need;
	char *data;

	if (len > b->max || b->len > b->max - len)
		return -EMSGSIZE;
	need = b->len + len + 1;
	if (need <= b->cap)
		return 0;
	cap = SK_MAX(b->cap * 2, (size_t)64);
	cap = SK_MAX(SK_MIN(cap, b->max + 1), need);
	data = realloc(b->data, cap);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->cap = cap;
	b->data[b->len] = '\0';
	return 0;
}

int sk_buf_add(struct sk_buf *b, const void *data, size_t len)
{
	int r = sk_buf_reserve(b, len);

	if (r < 0)
		return r;
	if (len > 0)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
	return 0;
}

int sk_buf_adds(struct sk_buf *b, const char *s)
{
	return sk_buf_add(b, s, strlen(s));
}

int sk_buf_addf(struct sk_buf *b, const char *fmt, ...)
{
	va_list ap;
	int n, r;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;
	r = sk_buf_reserve(b, (size_t)n);
	if (r < 0)
		return r;
	va_start(ap, fmt);
	(void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
	return 0;
}

void sk_buf_drop(struct sk_buf *b, size_t len)
{
	len = SK_MIN(len, b->len);
	if (len == 0)
		return;
	memmove(b->data, b->data + len, b->len - len);
	b->len -= len;
	b->data[b->len] = '\0';
}

char *sk_buf_take(struct sk_buf *b, size_t *ret_len)
{
	if (sk_buf_reserve(b, 0) < 0)
		return NULL;
	if (ret_len)
		*ret_len = b->len;
	b->len = b->cap = 0;
	return TAKE_PTR(b->data);
}
