/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/**
 * Versions: one to four numbers with dots, optionally "-" and a pre-release of dotted letters and
 * digits ("1.4.0-rc.2"), compared as semver.org 2.0 section 11 says; missing numbers are 0.
 * At most 63 bytes, each number at most 10 digits.
 */
bool sk_version_ok(const char *s);
/** <0, 0, >0; both must be ok. */
int sk_version_cmp(const char *a, const char *b);
