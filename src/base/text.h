/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Text that others wrote: JSON takes only UTF-8, and a terminal obeys what it is shown. */

/** sk_utf8_char() - bytes of the UTF-8 character at @s, at most @left; 0 when it is none. */
size_t sk_utf8_char(const char *s, size_t left);

/** sk_utf8_ok() - is all of it UTF-8? */
bool sk_utf8_ok(const char *s, size_t len);

/** sk_utf8_repair() - in place: '?' for each byte that is no UTF-8; a last character cut short goes. */
void sk_utf8_repair(char *s);

/**
 * sk_text_clean() - in place: fit to be shown and logged; @s may be NULL
 * Blanks for control characters (also those of 0x80 to 0x9f, which some terminals obey) but those in
 * @keep, and for what separates lines or turns the direction of writing; then as sk_utf8_repair().
 */
void sk_text_clean(char *s, const char *keep);
