/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>

#include "cli/cmd.h"

/* Everything that is printed from the command tables: help, completion, man pages. */

extern const struct sk_opt sk_cli_common_opts[];

/** @path: root, groups, command; @depth: index of the last. */
void sk_help_print(const struct sk_cmd *const *path, size_t depth, FILE *out);

extern const struct sk_cmd sk_cmd_completion;
extern const struct sk_cmd sk_cmd_man;
extern const struct sk_cmd sk_cmd_version;
