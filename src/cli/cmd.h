/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/*
 * The command tree. Each command is a constant; help, bash completion and man pages are printed
 * from the same tables, so they cannot disagree.
 */
struct sk_cli;

/**
 * struct sk_opt - an option
 * @letter: 0 when it has none
 * @arg:    NULL for a flag, else the value's name in help ("FILE", "NAME", "DIR": completion uses it)
 */
struct sk_opt {
	const char *name;
	char letter;
	const char *arg;
	const char *help;
};

/**
 * struct sk_cmd - a command or a group of commands
 * @args:     positional arguments as help shows them: "MANIFEST", "[IMAGE...]"
 * @min_args, @max_args: how many; max_args -1 for any number
 * @about:    a paragraph or two for --help and the man page
 * @examples: lines "command\twhat it does", NULL-terminated; may be NULL
 * @opts:     ended by a row with NULL name; may be NULL. --help and --json are everywhere.
 * @sub:      NULL-terminated; a group has @sub and no @run
 */
struct sk_cmd {
	const char *name;
	const char *summary;
	const char *args;
	int min_args, max_args;
	const char *about;
	const char *const *examples;
	const struct sk_opt *opts;
	const struct sk_cmd *const *sub;
	int (*run)(struct sk_cli *cli, struct sk_err *err);
	bool hidden;
};

/* Within run(): */
int sk_cli_argc(const struct sk_cli *cli);
const char *sk_cli_arg(const struct sk_cli *cli, int i); /* NULL beyond the last */
char *const *sk_cli_args(const struct sk_cli *cli);	 /* NULL-terminated */
const char *sk_cli_opt(const struct sk_cli *cli,
		       const char *name); /* last value, "" for a flag, NULL when absent */
char *const *sk_cli_opt_all(struct sk_cli *cli, const char *name);
bool sk_cli_flag(const struct sk_cli *cli, const char *name);
bool sk_cli_json(const struct sk_cli *cli); /* --json given */
const struct sk_cmd *sk_cli_root(const struct sk_cli *cli);
bool sk_cli_tty(const struct sk_cli *cli); /* standard error is a terminal: progress may be drawn */

/** Prints the value as JSON (--json) on standard output. Steals. */
void sk_cli_print_json(json_t *steals);

/** sk_say() - a line about what is being done, on standard error; nothing with --json. */
void sk_say(const struct sk_cli *cli, const char *fmt, ...) SK_PRINTF(2, 3);

/** Progress of long work on standard error: a bar on a terminal, a line per 10 % elsewhere, nothing with --json. */
void sk_cli_progress(struct sk_cli *cli, const char *what, uint64_t now, uint64_t total);
void sk_cli_progress_end(struct sk_cli *cli);

/** A table for people: columns as wide as their content; the last column is not padded. */
struct sk_table;
struct sk_table *sk_table_new(const char *const *headings); /* NULL-terminated */
int sk_table_row(struct sk_table *t, ...) SK_SENTINEL;	    /* const char * per column, then NULL */
void sk_table_print(struct sk_table *t);		    /* to standard output, and frees it */

/**
 * sk_cli_main() - parse, dispatch, report
 * Failures go to standard error as "skerry: <text>" ({"error", "message"} on standard output with
 * --json) and become the exit code of their slug.
 */
int sk_cli_main(const struct sk_cmd *root, int argc, char **argv);
