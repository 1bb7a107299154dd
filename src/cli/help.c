/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/help.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

void sk_help_print_path(const struct sk_cmd *const *path, size_t depth, const char *sep, FILE *out)
{
	for (size_t i = 0; i <= depth; i++)
		(void)fprintf(out, "%s%s", i ? sep : "", path[i]->name);
}

int sk_help_opt_label(const struct sk_opt *o, char *buf, size_t size)
{
	char letter[8] = "    ";

	if (o->letter)
		(void)snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	return snprintf(buf, size, "%s--%s%s%s", letter, o->name, o->arg ? " " : "",
			o->arg ? o->arg : "");
}

static void print_opts(const struct sk_opt *o, FILE *out)
{
	char label[128];

	for (; o && o->name; o++) {
		(void)sk_help_opt_label(o, label, sizeof(label));
		(void)fprintf(out, "  %-28s %s\n", label, o->help);
	}
}

static void print_subs(const struct sk_cmd *cmd, FILE *out)
{
	(void)fprintf(out, "\nCommands:\n");
	for (const struct sk_cmd *const *s = cmd->sub; *s; s++)
		if (!(*s)->hidden)
			(void)fprintf(out, "  %-16s %s\n", (*s)->name, (*s)->summary);
}

static void print_examples(const struct sk_cmd *cmd, FILE *out)
{
	(void)fprintf(out, "\nExamples:\n");
	for (const char *const *e = cmd->examples; *e; e++) {
		int len = (int)strcspn(*e, "\t");

		(void)fprintf(out, "  %.*s\n", len, *e);
		if ((*e)[len] && (*e)[len + 1])
			(void)fprintf(out, "      %s\n", *e + len + 1);
	}
}

void sk_help_print(const struct sk_cmd *const *path, size_t depth, FILE *out)
{
	const struct sk_cmd *cmd = path[depth];

	(void)fprintf(out, "Usage: ");
	sk_help_print_path(path, depth, " ", out);
	(void)fprintf(out, "%s%s%s\n\n%s\n", cmd->sub ? " COMMAND" : " [OPTIONS]",
		      cmd->args ? " " : "", cmd->args ? cmd->args : "", cmd->summary);
	if (cmd->about)
		(void)fprintf(out, "\n%s\n", cmd->about);
	if (cmd->sub)
		print_subs(cmd, out);
	(void)fprintf(out, "\nOptions:\n");
	print_opts(cmd->opts, out);
	print_opts(sk_cli_common_opts, out);
	if (cmd->examples)
		print_examples(cmd, out);
}

void sk_help_walk(const struct sk_cmd **path, size_t depth,
		  void (*each)(const struct sk_cmd *const *path, size_t depth))
{
	each(path, depth);
	for (const struct sk_cmd *const *s = path[depth]->sub; s && *s; s++) {
		if ((*s)->hidden)
			continue;
		path[depth + 1] = *s;
		sk_help_walk(path, depth + 1, each);
	}
}

/* One "case" arm: command words joined by blanks -> what may follow. */
static void complete_one(const struct sk_cmd *const *path, size_t depth)
{
	const struct sk_cmd *cmd = path[depth];

	(void)printf("\t\"");
	sk_help_print_path(path, depth, " ", stdout);
	(void)printf("\") words=\"");
	for (const struct sk_cmd *const *s = cmd->sub; s && *s; s++)
		if (!(*s)->hidden)
			(void)printf("%s ", (*s)->name);
	for (const struct sk_opt *o = cmd->opts; o && o->name; o++)
		(void)printf("--%s ", o->name);
	(void)printf("--help --json\" ;;\n");
}

static int run_completion(struct sk_cli *cli, struct sk_err *err)
{
	const struct sk_cmd *path[8] = { sk_cli_root(cli) };

	if (!sk_streq(sk_cli_arg(cli, 0), "bash"))
		return sk_err_set(err, -EINVAL, "usage", "completion exists for bash only");
	(void)printf(
		"# bash completion for skerry, printed by: skerry completion bash\n"
		"_skerry()\n{\n"
		"\tlocal cur=${COMP_WORDS[COMP_CWORD]} at=skerry words=\"\" i w\n"
		"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
		"\t\tw=${COMP_WORDS[i]}\n"
		"\t\t[[ $w == -* ]] && continue\n"
		"\t\t_skerry_words \"$at\" && [[ \" $words \" == *\" $w \"* ]] && at+=\" $w\"\n"
		"\tdone\n"
		"\t_skerry_words \"$at\"\n"
		"\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
		"\t[[ ${#COMPREPLY[@]} -eq 0 || $cur == */* ]] && COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
		"\treturn 0\n}\n"
		"_skerry_words()\n{\n\tcase \"$1\" in\n");
	sk_help_walk(path, 0, complete_one);
	(void)printf("\t*) words=\"\" ;;\n\tesac\n\treturn 0\n}\n"
		     "complete -o filenames -F _skerry skerry\n");
	return 0;
}

const struct sk_cmd sk_cmd_completion = {
	.name = "completion",
	.summary = "print shell completion",
	.args = "bash",
	.min_args = 1,
	.max_args = 1,
	.run = run_completion,
};

static int run_version(struct sk_cli *cli, struct sk_err *err)
{
	if (sk_cli_json(cli))
		sk_cli_print_json(json_pack("{s:s}", "version", SK_VERSION));
	else
		(void)printf("skerry %s\n", SK_VERSION);
	return 0;
}

const struct sk_cmd sk_cmd_version = {
	.name = "version",
	.summary = "print the version",
	.run = run_version,
};
