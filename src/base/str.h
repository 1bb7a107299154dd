/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

#define SK_NAME_MAX 63

static inline bool sk_streq(const char *a, const char *b)
{
	return __builtin_strcmp(a, b) == 0;
}

bool sk_str_starts(const char *s, const char *prefix);
bool sk_str_ends(const char *s, const char *suffix);

/** sk_asprintf() - formatted copy owned by the caller; NULL without memory. */
char *sk_asprintf(const char *fmt, ...) SK_PRINTF(1, 2);

/**
 * sk_name_ok() - may @s name an app, a project, a key, an image file?
 * First a letter or digit, then letters, digits, '.', '_', '-'; 1 to SK_NAME_MAX bytes. So it is
 * never a path, an option, hidden, empty, "." or "..".
 */
bool sk_name_ok(const char *s);

/** sk_hex_digit() - the value of a hexadecimal digit in either case; -1 when it is none */
int sk_hex_digit(char c);

/** Whole-string parsers: 0, -EINVAL (not such a value) or -ERANGE. No sign, no blanks. */
int sk_parse_u64(const char *s, uint64_t *ret);
int sk_parse_u32(const char *s, uint32_t *ret);
/** "4096", "64K", "64M", "2G", "1T", powers of 1024; optional "B" or "iB". */
int sk_parse_size(const char *s, uint64_t *ret_bytes);
/** "250ms", "10s", "5m", "2h", "1d" and sums of them ("1m30s"); a bare number is seconds. */
int sk_parse_duration(const char *s, uint64_t *ret_ms);

/** Inverse of the parsers, shortest exact or one-decimal form for people; at least 32 bytes. */
const char *sk_format_size(char buf[static 32], uint64_t bytes);
const char *sk_format_duration(char buf[static 32], uint64_t ms);

/* String vectors: NULL-terminated arrays that own their strings. NULL is the empty vector. */

size_t sk_strv_len(char *const *v);
void sk_strv_free(char **v);
SK_DEFINE_CLEANUP(char *, sk_strv_free);
/** sk_strv_add() - append a copy of @s. Return: 0 or -ENOMEM, *v unchanged. */
int sk_strv_add(char ***v, const char *s);
int sk_strv_addf(char ***v, const char *fmt, ...) SK_PRINTF(2, 3);
bool sk_strv_has(char *const *v, const char *s);
char **sk_strv_copy(char *const *v);
bool sk_strv_equal(char *const *a, char *const *b);
/** sk_strv_split() - parts of @s between @sep, empty parts left out. */
int sk_strv_split(const char *s, char sep, char ***ret);
char *sk_strv_join(char *const *v, const char *sep);

#define _cleanup_strv_	       _cleanup_(sk_strv_freep)
#define SK_STRV_FOREACH(it, v) for (char *const *it = (v); it && *it; it++)
