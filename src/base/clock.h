/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** Monotonic clock (CLOCK_BOOTTIME: goes on over suspend), from an unspecified start. */
uint64_t sk_mono_ms(void);
uint64_t sk_mono_us(void);

/** Wall clock, seconds since 1970-01-01T00:00:00Z. */
int64_t sk_wall_s(void);

/** "2026-11-22T04:05:06Z"; at least 32 bytes; returns @buf. */
const char *sk_time_format(char buf[static 32], int64_t unix_s);

/**
 * sk_time_parse() - RFC 3339 in UTC ("2027-01-31T00:00:00Z") or a date ("2027-01-31", its start)
 * Return: 0 or -EINVAL
 */
int sk_time_parse(const char *s, int64_t *ret_unix_s);
