/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/help.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

/* The manual from the command tables: a man page, or the page docs/reference/cli.md. */

/* roff: a backslash and a leading dot or quote are special; a minus is an option's, not a hyphen. */
static void roff(const char *s)
{
	bool line_start = true;

	for (; *s; s++) {
		if (line_start && (*s == '.' || *s == '\''))
			(void)printf("\\&");
		if (*s == '\\')
			(void)printf("\\e");
		else if (*s == '-')
			(void)printf("\\-");
		else
			(void)putchar(*s);
		line_start = *s == '\n';
	}
}

static void man_opts(const struct sk_opt *o)
{
	char label[128];

	for (; o && o->name; o++) {
		(void)sk_help_opt_label(o, label, sizeof(label));
		(void)printf(".TP\n\\fB");
		roff(label + strspn(label, " "));
		(void)printf("\\fR\n");
		roff(o->help);
		(void)printf("\n");
	}
}

static void man_one(const struct sk_cmd *const *path, size_t depth)
{
	const struct sk_cmd *cmd = path[depth];

	if (depth == 0)
		return;
	(void)printf(".SS \"");
	sk_help_print_path(path, depth, " ", stdout);
	(void)printf("%s%s\"\n", cmd->args ? " " : "", cmd->args ? cmd->args : "");
	roff(cmd->summary);
	(void)printf("\n");
	if (cmd->about) {
		(void)printf(".PP\n");
		roff(cmd->about);
		(void)printf("\n");
	}
	man_opts(cmd->opts);
}

static void markdown_opts(const struct sk_opt *o)
{
	char label[128];

	if (!o || !o->name)
		return;
	(void)printf("\n| option | meaning |\n|---|---|\n");
	for (; o->name; o++) {
		(void)sk_help_opt_label(o, label, sizeof(label));
		(void)printf("| `%s` | %s |\n", label + strspn(label, " "), o->help);
	}
}

static void markdown_one(const struct sk_cmd *const *path, size_t depth)
{
	const struct sk_cmd *cmd = path[depth];

	if (depth == 0)
		return;
	(void)printf("\n%s `", depth == 1 ? "##" : "###");
	sk_help_print_path(path, depth, " ", stdout);
	(void)printf("%s%s`\n\n%c%s.\n", cmd->args ? " " : "", cmd->args ? cmd->args : "",
		     toupper((unsigned char)cmd->summary[0]), cmd->summary + 1);
	if (cmd->about)
		(void)printf("\n%s\n", cmd->about);
	markdown_opts(cmd->opts);
	for (const char *const *e = cmd->examples; e && *e; e++) {
		int len = (int)strcspn(*e, "\t");

		(void)printf("%s    %.*s\n", e == cmd->examples ? "\n" : "", len, *e);
	}
}

static void print_markdown(const struct sk_cmd **path)
{
	(void)printf(
		"# The command line\n\nPrinted from the command tables by `skerry man --markdown`; a "
		"test keeps it current.\n\nEvery command takes `--help`, and `--json` for programs. Exit "
		"status: 0 success, 1 failure, 2 wrong usage, 3 not found, 4 refused, 5 conflict with the "
		"present state, 6 no space or over a limit, 7 peer unreachable, 8 malformed input.\n");
	sk_help_walk(path, 0, markdown_one);
}

static int run_man(struct sk_cli *cli, struct sk_err *err)
{
	const struct sk_cmd *path[8] = { sk_cli_root(cli) };

	if (sk_cli_flag(cli, "markdown")) {
		print_markdown(path);
		return 0;
	}
	(void)printf(".TH SKERRY 1 \"\" \"skerry " SK_VERSION "\" \"Skerry\"\n"
		     ".SH NAME\nskerry \\- ");
	roff(path[0]->summary);
	(void)printf(
		"\n.SH SYNOPSIS\n.B skerry\n.I COMMAND\n[\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]\n"
		".SH DESCRIPTION\n");
	roff(path[0]->about);
	(void)printf("\n.SH OPTIONS\nEvery command takes these:\n");
	man_opts(sk_cli_common_opts);
	(void)printf(".SH COMMANDS\n");
	sk_help_walk(path, 0, man_one);
	(void)printf(
		".SH EXIT STATUS\n0 success, 1 failure, 2 wrong usage, 3 not found, 4 refused, "
		"5 conflict with the present state, 6 no space or over a limit, 7 peer "
		"unreachable, 8 malformed input.\n");
	return 0;
}

static const struct sk_opt man_options[] = {
	{ "markdown", 0, NULL, "as docs/reference/cli.md" },
	{ 0 },
};

const struct sk_cmd sk_cmd_man = {
	.name = "man",
	.summary = "print the manual page (roff)",
	.opts = man_options,
	.hidden = true,
	.run = run_man,
};
