/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdio.h>

#include "cli/cmd.h"

/* Everything that is printed from the command tables: help, completion, man pages. */

extern const struct sk_opt sk_cli_common_opts[];

/** @path: root, groups, command; @depth: index of the last. */
void sk_help_print(const struct sk_cmd *const *path, size_t depth, FILE *out);

/* For the manual: the words of a path, an option's left column, every visible command below one. */
void sk_help_print_path(const struct sk_cmd *const *path, size_t depth, const char *sep, FILE *out);
int sk_help_opt_label(const struct sk_opt *o, char *buf, size_t size);
void sk_help_walk(const struct sk_cmd **path, size_t depth,
		  void (*each)(const struct sk_cmd *const *path, size_t depth));

extern const struct sk_cmd sk_cmd_completion;
extern const struct sk_cmd sk_cmd_man;
extern const struct sk_cmd sk_cmd_version;
