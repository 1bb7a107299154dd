/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/**
 * sk_program_find() - where a program is
 * @name: with a "/" a path; else looked for in PATH, then in the folder @more (NULL: nowhere else)
 * Return: its path, owned by the caller, or NULL when there is none that may be run
 */
char *sk_program_find(const char *name, const char *more);
