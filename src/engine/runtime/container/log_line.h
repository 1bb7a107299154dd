/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "engine/runtime/log.h"

/**
 * sk_log_line_parse() - one line of conmon's format: "<RFC 3339 time> stdout|stderr F|P <text>"
 * @line, @len: with its newline; @ret->text points into it
 * F is a whole line, and its text keeps the newline; P is a part of one, and has none.
 * Return: 0 or -EBADMSG
 */
int sk_log_line_parse(const char *line, size_t len, struct sk_log_line *ret);
