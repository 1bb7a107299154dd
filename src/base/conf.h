/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"

#define SK_CONF_FILE_MAX (64u << 10)

/** Called per setting, in file order; @value has no blanks around it. */
typedef int (*sk_conf_set)(void *arg, const char *key, const char *value, struct sk_err *err);

/**
 * sk_conf_parse() - "key = value" lines; '#' at the start of a line makes a comment
 * @name: of the file, for errors
 * Return: 0, or "bad-value" with file and line; what @set returns ends it
 */
int sk_conf_parse(const char *name, const char *text, sk_conf_set set, void *arg,
		  struct sk_err *err);

/** sk_conf_read() - the same from a file. -ENOENT ("not-found") when there is none. */
int sk_conf_read(const char *path, sk_conf_set set, void *arg, struct sk_err *err);
