/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/** sk_base64_encode() - with padding and without line breaks, owned by the caller; NULL without memory. */
char *sk_base64_encode(const void *data, size_t len);

/**
 * sk_base64_decode() - strict: nothing before, between or after the letters, and the padding whole
 * @max: room in @out; for what the padding stands for too: a multiple of 3
 * Return: 0 or -EINVAL (not base64, empty, or more than fits)
 */
int sk_base64_decode(const char *text, void *out, size_t max, size_t *ret_len);
