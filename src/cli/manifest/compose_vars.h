/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/map.h"
#include "cli/manifest/source.h"

/*
 * Variables of a Compose file and files of variables. They come from files beside the Compose file
 * alone, never from the builder's own environment: the same folder means the same everywhere.
 */
#define SK_VARS_WHY	  160
#define SK_VARS_VALUE_MAX (32u << 10)

/**
 * sk_vars_read() - lines NAME=value, as in .env
 * @named_at: file and line that name it, for a mistake when it cannot be read; NULL: it may be absent
 * @ret:  name -> char *, in the order of the file, empty when it is absent; owned by the caller
 * Return: 0; -EINVAL, see @mistakes; -ENOMEM
 */
int sk_vars_read(const char *path, const struct sk_place *named_at, struct sk_mistakes *mistakes,
		 struct sk_map **ret);

/**
 * sk_vars_expand() - $NAME, ${NAME}, ${NAME:-default}, ${NAME:+instead}, ${NAME:?why}, $$
 * @vars: may be NULL
 * @why:  filled with -EINVAL
 * Without the colon an empty value counts as one, as the Compose specification says.
 */
int sk_vars_expand(const struct sk_map *vars, const char *s, char **ret, char why[SK_VARS_WHY]);

/** Letters, digits, '_', '.' and '-', the first a letter or '_'. */
bool sk_vars_name_ok(const char *s, size_t len);
