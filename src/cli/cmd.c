/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/buf.h"
#include "base/str.h"
#include "base/text.h"
#include "cli/help.h"

#define COMMAND_DEPTH_MAX 4
#define COLUMNS_MAX	  16
/* Of the bar of progress: its signs, and what stands around it: " [] 100 %  1023.9 MiB of 1023.9 MiB". */
#define BAR_MAX	 30
#define BAR_MIN	 5
#define BAR_TEXT 40

struct given {
	const struct sk_opt *opt;
	const char *value;
};

struct sk_cli {
	const struct sk_cmd *path[COMMAND_DEPTH_MAX + 1]; /* root, group, command */
	size_t depth;
	char **args;
	int n_args;
	struct given *given;
	size_t n_given;
	char **all; /* last answer of sk_cli_opt_all() */
	bool json, help;
	int progress_shown;
};

const struct sk_opt sk_cli_common_opts[] = {
	{ "help", 'h', NULL, "show this help" },
	{ "json", 0, NULL, "print the result as JSON" },
	{ 0 },
};

static const struct sk_cmd *current(const struct sk_cli *cli)
{
	return cli->path[cli->depth];
}

static const struct sk_opt *opt_by_name(const struct sk_opt *o, const char *name, size_t len)
{
	for (; o && o->name; o++)
		if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static const struct sk_opt *opt_by_letter(const struct sk_opt *o, char letter)
{
	for (; o && o->name; o++)
		if (o->letter == letter)
			return o;
	return NULL;
}

static int give(struct sk_cli *cli, const struct sk_opt *opt, const char *value, struct sk_err *err)
{
	struct given *grown;

	if (sk_streq(opt->name, "help"))
		cli->help = true;
	if (sk_streq(opt->name, "json"))
		cli->json = true;
	grown = reallocarray(cli->given, cli->n_given + 1, sizeof(*grown));
	if (!grown)
		return sk_err_oom(err);
	cli->given = grown;
	cli->given[cli->n_given++] = (struct given){ opt, value ? value : "" };
	return 0;
}

/* "--name", "--name=value", "--name value". Moves *argv past what it used. */
static int parse_long(struct sk_cli *cli, char ***argv, struct sk_err *err)
{
	const char *name = *(*argv)++ + 2;
	size_t len = strcspn(name, "=");
	const char *value = name[len] ? name + len + 1 : NULL;
	const struct sk_opt *opt = opt_by_name(current(cli)->opts, name, len);

	if (!opt)
		opt = opt_by_name(sk_cli_common_opts, name, len);
	if (!opt)
		return sk_err_set(err, -EINVAL, "usage", "%s: no option --%.*s; see --help",
				  current(cli)->name, (int)len, name);
	if (!opt->arg && value)
		return sk_err_set(err, -EINVAL, "usage", "option --%s takes no value", opt->name);
	if (opt->arg && !value) {
		value = **argv;
		if (!value)
			return sk_err_set(err, -EINVAL, "usage", "option --%s needs a value: %s",
					  opt->name, opt->arg);
		(*argv)++;
	}
	return give(cli, opt, value, err);
}

/* "-a", "-ab", "-ovalue", "-o value" */
static int parse_short(struct sk_cli *cli, char ***argv, struct sk_err *err)
{
	const char *at = *(*argv)++ + 1;
	int r;

	for (; *at; at++) {
		const struct sk_opt *opt = opt_by_letter(current(cli)->opts, *at);
		const char *value = NULL;

		if (!opt)
			opt = opt_by_letter(sk_cli_common_opts, *at);
		if (!opt)
			return sk_err_set(err, -EINVAL, "usage", "%s: no option -%c; see --help",
					  current(cli)->name, *at);
		if (opt->arg) {
			value = at[1] ? at + 1 : *(*argv);
			if (!value)
				return sk_err_set(err, -EINVAL, "usage",
						  "option -%c needs a value: %s", *at, opt->arg);
			if (!at[1])
				(*argv)++;
		}
		r = give(cli, opt, value, err);
		if (r < 0 || opt->arg)
			return r;
	}
	return 0;
}

static const struct sk_cmd *sub_by_name(const struct sk_cmd *group, const char *name)
{
	for (const struct sk_cmd *const *s = group->sub; s && *s; s++)
		if (sk_streq((*s)->name, name))
			return *s;
	return NULL;
}

/* The first words name the command; afterwards words are its arguments. */
static int parse_word(struct sk_cli *cli, char *word, struct sk_err *err)
{
	const struct sk_cmd *cmd = current(cli);

	if (cmd->sub) {
		const struct sk_cmd *sub = sub_by_name(cmd, word);

		if (!sub)
			return sk_err_set(err, -EINVAL, "usage",
					  "%s has no command \"%s\"; see --help", cmd->name, word);
		cli->path[++cli->depth] = sub;
		return 0;
	}
	cli->args[cli->n_args++] = word;
	return 0;
}

static int parse_line(struct sk_cli *cli, char **argv, struct sk_err *err)
{
	bool words_only = false;
	int r = 0;

	while (r == 0 && *argv) {
		if (!words_only && sk_streq(*argv, "--")) {
			words_only = true;
			argv++;
		} else if (!words_only && sk_str_starts(*argv, "--")) {
			r = parse_long(cli, &argv, err);
		} else if (!words_only && (*argv)[0] == '-' && (*argv)[1]) {
			r = parse_short(cli, &argv, err);
		} else {
			r = parse_word(cli, *argv++, err);
		}
	}
	return r;
}

static int check_args(const struct sk_cli *cli, struct sk_err *err)
{
	const struct sk_cmd *cmd = current(cli);

	if (cli->n_args < cmd->min_args)
		return sk_err_set(err, -EINVAL, "usage", "%s needs %s; see --help", cmd->name,
				  cmd->args ? cmd->args : "an argument");
	if (cmd->max_args >= 0 && cli->n_args > cmd->max_args)
		return sk_err_set(err, -EINVAL, "usage", "%s: unexpected argument \"%s\"",
				  cmd->name, cli->args[cmd->max_args]);
	return 0;
}

int sk_cli_argc(const struct sk_cli *cli)
{
	return cli->n_args;
}

const char *sk_cli_arg(const struct sk_cli *cli, int i)
{
	return i < cli->n_args ? cli->args[i] : NULL;
}

char *const *sk_cli_args(const struct sk_cli *cli)
{
	return cli->args;
}

const char *sk_cli_opt(const struct sk_cli *cli, const char *name)
{
	for (size_t i = cli->n_given; i > 0; i--)
		if (sk_streq(cli->given[i - 1].opt->name, name))
			return cli->given[i - 1].value;
	return NULL;
}

char *const *sk_cli_opt_all(struct sk_cli *cli, const char *name)
{
	sk_strv_free(cli->all);
	cli->all = NULL;
	for (size_t i = 0; i < cli->n_given; i++)
		if (sk_streq(cli->given[i].opt->name, name))
			(void)sk_strv_add(&cli->all, cli->given[i].value);
	return cli->all;
}

bool sk_cli_flag(const struct sk_cli *cli, const char *name)
{
	return sk_cli_opt(cli, name) != NULL;
}

bool sk_cli_json(const struct sk_cli *cli)
{
	return cli->json;
}

bool sk_cli_tty(const struct sk_cli *cli)
{
	const char *term = getenv("TERM");

	return !cli->json && isatty(STDERR_FILENO) && (!term || !sk_streq(term, "dumb"));
}

const struct sk_cmd *sk_cli_root(const struct sk_cli *cli)
{
	return cli->path[0];
}

void sk_cli_print_json(json_t *steals)
{
	/* On a terminal no character that it may obey: jansson leaves 0x80 to 0x9f as they are. */
	size_t ascii = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;

	if (json_dumpf(steals, stdout, JSON_INDENT(2) | ascii) == 0)
		(void)putchar('\n');
	json_decref(steals);
}

void sk_say(const struct sk_cli *cli, const char *fmt, ...)
{
	_cleanup_free_ char *line = NULL;
	va_list ap;

	if (sk_cli_json(cli))
		return;
	va_start(ap, fmt);
	if (vasprintf(&line, fmt, ap) < 0)
		line = NULL;
	va_end(ap);
	sk_text_clean(line, "");
	(void)fprintf(stderr, "%s\n", line ? line : "out of memory");
}

/* Columns on the screen, not bytes: continuation bytes of UTF-8 take none. */
static int width_of(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xC0) != 0x80;
	return n;
}

/* A line that is as wide as the terminal would begin a new one each time it is drawn. */
static int bar_width(const char *what)
{
	struct winsize size = { 0 };
	int columns = BAR_MAX + BAR_TEXT + width_of(what);

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		columns = size.ws_col;
	return SK_MIN(SK_MAX(columns - BAR_TEXT - width_of(what), 0), BAR_MAX);
}

static void draw_bar(const char *what, int percent, uint64_t now, uint64_t total)
{
	int width = bar_width(what), filled = percent * width / 100;
	char a[32], b[32];

	if (width < BAR_MIN)
		(void)fprintf(stderr, "\r\033[K%3d %%", percent);
	else
		(void)fprintf(stderr, "\r\033[K%s [%.*s%*s] %3d %%  %s of %s", what, filled,
			      "##############################", width - filled, "", percent,
			      sk_format_size(a, now), sk_format_size(b, total));
}

void sk_cli_progress(struct sk_cli *cli, const char *what, uint64_t now, uint64_t total)
{
	int percent = total ? (int)((double)now * 100 / (double)total) : 0;

	if (cli->json)
		return;
	if (sk_cli_tty(cli)) {
		draw_bar(what, percent, now, total);
		cli->progress_shown = 1;
	} else if (percent / 10 > cli->progress_shown / 10) {
		(void)fprintf(stderr, "%s: %d %%\n", what, percent);
		cli->progress_shown = percent;
	}
}

void sk_cli_progress_end(struct sk_cli *cli)
{
	if (cli->progress_shown && sk_cli_tty(cli))
		(void)fprintf(stderr, "\n");
	cli->progress_shown = 0;
}

struct sk_table {
	size_t columns;
	char **cells; /* headings first */
};

struct sk_table *sk_table_new(const char *const *headings)
{
	struct sk_table *t = calloc(1, sizeof(*t));

	for (; t && headings[t->columns] && t->columns < COLUMNS_MAX; t->columns++)
		(void)sk_strv_add(&t->cells, headings[t->columns]);
	return t;
}

int sk_table_row(struct sk_table *t, ...)
{
	va_list ap;
	int r = 0;

	if (!t)
		return -ENOMEM;
	va_start(ap, t);
	for (size_t i = 0; r == 0 && i < t->columns; i++) {
		const char *cell = va_arg(ap, const char *);

		r = sk_strv_add(&t->cells, cell ? cell : "");
		if (r == 0)
			sk_text_clean(t->cells[sk_strv_len(t->cells) - 1], "");
	}
	va_end(ap);
	return r;
}

void sk_table_print(struct sk_table *t)
{
	int width[COLUMNS_MAX] = { 0 };
	size_t n;

	if (!t)
		return;
	n = sk_strv_len(t->cells);
	for (size_t i = 0; i < n; i++)
		width[i % t->columns] = SK_MAX(width[i % t->columns], width_of(t->cells[i]));
	for (size_t i = 0; i < n; i++) {
		size_t col = i % t->columns;
		bool last = col + 1 == t->columns;

		(void)printf("%s%*s", t->cells[i],
			     last ? 0 : width[col] - width_of(t->cells[i]) + 2, "");
		if (last)
			(void)putchar('\n');
	}
	sk_strv_free(t->cells);
	free(t);
}

static int report(const struct sk_cli *cli, struct sk_err *err)
{
	/* Names of files, devices and people stand in it. */
	sk_text_clean(err->text, "");
	if (cli->json)
		sk_cli_print_json(
			json_pack("{s:s, s:s}", "error", err->slug, "message", err->text));
	else
		(void)fprintf(stderr, "skerry: %s\n", err->text);
	return sk_err_exit_code(err->slug);
}

/* What was printed must have arrived: a program may be reading it, or a full disk. */
static int end_output(struct sk_err *err)
{
	int code = 0;

	if (fflush(stdout) != 0)
		code = errno;
	else if (!ferror(stdout))
		return 0;
	return sk_err_set(err, -EIO, code == ENOSPC ? "no-space" : "io",
			  "cannot write to standard output%s%s", code ? ": " : "",
			  code ? strerror(code) : "");
}

static int dispatch(struct sk_cli *cli, struct sk_err *err)
{
	const struct sk_cmd *cmd = current(cli);
	int r;

	if (cli->help) {
		sk_help_print(cli->path, cli->depth, stdout);
		return 0;
	}
	if (cmd->sub) {
		sk_help_print(cli->path, cli->depth, stderr);
		return sk_err_set(err, -EINVAL, "usage", "%s needs a command", cmd->name);
	}
	r = check_args(cli, err);
	return r < 0 ? r : cmd->run(cli, err);
}

int sk_cli_main(const struct sk_cmd *root, int argc, char **argv)
{
	struct sk_cli cli = { .path = { root } };
	struct sk_err err = SK_ERR_INIT;
	int r, code = 0;

	cli.args = calloc((size_t)argc + 1, sizeof(char *));
	if (!cli.args)
		return 1;
	r = parse_line(&cli, argv + 1, &err);
	if (r == 0)
		r = dispatch(&cli, &err);
	sk_cli_progress_end(&cli);
	if (r >= 0 && end_output(&err) < 0) {
		r = -EIO;
		cli.json = false; /* nobody would see it there */
	}
	code = r < 0 ? report(&cli, &err) : r;
	sk_strv_free(cli.all);
	free(cli.given);
	free(cli.args);
	return code;
}
