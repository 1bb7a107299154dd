/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/manifest/manifest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/manifest/graph.h"
#include "cli/manifest/show.h"
#include "cli/manifest/source.h"
#include "cli/output.h"

#define _cleanup_source_ _cleanup_(sk_source_done)

static int first_mistake(const struct sk_source *s, struct sk_err *err)
{
	_cleanup_free_ char *text = sk_mistake_str(&s->mistakes.v[0]);

	if (!text)
		return sk_err_oom(err);
	if (s->mistakes.n == 1)
		return sk_err_set(err, -EINVAL, "bad-manifest", "%s", text);
	return sk_err_set(err, -EINVAL, "bad-manifest",
			  "%s (and %zu more: skerry manifest check %s)", text, s->mistakes.n - 1,
			  s->path);
}

int sk_manifest_load_file(const char *path, void **ret_dtb, size_t *ret_len,
			  struct sk_manifest **ret, struct sk_err *err)
{
	_cleanup_source_ struct sk_source s = { 0 };
	int r = sk_source_load(path, &s, ret, err);

	if (r < 0)
		return s.mistakes.n > 0 ? first_mistake(&s, err) : r;
	*ret_dtb = TAKE_PTR(s.dtb);
	*ret_len = s.len;
	return 0;
}

static json_t *mistake_json(const struct sk_mistake *m)
{
	return json_pack("{s:s, s:i, s:s?, s:s, s:s?}", "file", m->file, "line", (int)m->line,
			 "where", m->where, "message", m->text, "hint", m->hint);
}

static int print_mistakes_json(const struct sk_source *s)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->mistakes.n; i++)
		(void)json_array_append_new(list, mistake_json(&s->mistakes.v[i]));
	sk_cli_print_json(json_pack("{s:b, s:s, s:s, s:o}", "ok", 0, "error", "bad-manifest",
				    "file", s->path, "mistakes", list));
	return sk_err_exit_code("bad-manifest");
}

/* All mistakes, a line each, what to write instead below it. */
static int print_mistakes(const struct sk_source *s, struct sk_err *err)
{
	for (size_t i = 0; i < s->mistakes.n; i++) {
		struct sk_mistake m = s->mistakes.v[i];
		_cleanup_free_ char *line = NULL;

		m.hint = NULL;
		line = sk_mistake_str(&m);
		(void)fprintf(stderr, "%s\n", line ? line : "out of memory");
		if (s->mistakes.v[i].hint)
			(void)fprintf(stderr, "    %s\n", s->mistakes.v[i].hint);
	}
	return sk_err_set(err, -EINVAL, "bad-manifest", "%s has %zu mistake%s", s->path,
			  s->mistakes.n,
			  s->mistakes.n == 1		    ? ""
			  : s->mistakes.n < SK_MISTAKES_MAX ? "s"
							    : "s or more");
}

/* Loads the file of the command's first argument; 1 when mistakes were printed as JSON. */
static int load(struct sk_cli *cli, struct sk_source *s, struct sk_manifest **m, struct sk_err *err)
{
	int r = sk_source_load(sk_cli_arg(cli, 0), s, m, err);

	if (r == 0 || s->mistakes.n == 0)
		return r;
	return sk_cli_json(cli) ? print_mistakes_json(s) : print_mistakes(s, err);
}

static int run_check(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = NULL;
	_cleanup_source_ struct sk_source s = { 0 };
	int r = load(cli, &s, &m, err);

	if (r != 0)
		return r;
	if (sk_cli_json(cli))
		sk_cli_print_json(json_pack("{s:b, s:s, s:s, s:s, s:i, s:[]}", "ok", 1, "file",
					    s.path, "project", m->project, "version", m->version,
					    "apps", (int)m->n_apps, "mistakes"));
	else
		(void)printf("%s: %s %s, %zu app%s, no mistake\n", s.path, m->project, m->version,
			     m->n_apps, m->n_apps == 1 ? "" : "s");
	return 0;
}

static int build_dts(const struct sk_source *s, const char *output, struct sk_err *err)
{
	if (!s->dts)
		return sk_err_set(err, -EINVAL, "usage",
				  "--dts shows what a Compose file becomes; %s is none", s->path);
	return sk_output_write(output ? output : "-", s->dts, strlen(s->dts), err);
}

/* "site/weather.dts" -> "weather.dtb" in the working folder */
static char *default_output(const char *path)
{
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	const char *dot = strrchr(name, '.');

	return sk_asprintf("%.*s.dtb", (int)(dot && dot > name ? dot - name : (long)strlen(name)),
			   name);
}

static int run_manifest_build(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = NULL;
	_cleanup_source_ struct sk_source s = { 0 };
	_cleanup_free_ char *own = default_output(sk_cli_arg(cli, 0));
	const char *output = sk_cli_opt(cli, "output");
	int r = load(cli, &s, &m, err);

	if (r != 0)
		return r;
	if (!own)
		return sk_err_oom(err);
	if (sk_cli_flag(cli, "dts"))
		return build_dts(&s, output, err);
	if (!output)
		output = own;
	if (sk_streq(output, s.path))
		return sk_err_set(err, -EINVAL, "usage", "the output would replace its source");
	r = sk_output_write(output, s.dtb, s.len, err);
	if (r < 0 || sk_streq(output, "-"))
		return r;
	if (sk_cli_json(cli))
		sk_cli_print_json(
			json_pack("{s:s, s:I}", "file", output, "size_bytes", (json_int_t)s.len));
	else
		(void)printf("%s: %zu bytes\n", output, s.len);
	return 0;
}

static int run_manifest_show(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = NULL;
	_cleanup_source_ struct sk_source s = { 0 };
	int r = load(cli, &s, &m, err);

	if (r != 0)
		return r;
	if (sk_cli_json(cli))
		sk_cli_print_json(sk_manifest_json(m));
	else
		sk_manifest_print(m);
	return 0;
}

static int run_manifest_graph(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = NULL;
	_cleanup_source_ struct sk_source s = { 0 };
	_cleanup_buf_ struct sk_buf out = SK_BUF(SK_GRAPH_MAX);
	const char *format = sk_cli_opt(cli, "format"), *output = sk_cli_opt(cli, "output");
	int r;

	if (!format)
		format = sk_cli_json(cli)			 ? "json"
			 : output && sk_str_ends(output, ".svg") ? "svg"
			 : output && sk_str_ends(output, ".dot") ? "dot"
								 : "text";
	r = load(cli, &s, &m, err);
	if (r != 0)
		return r;
	r = sk_graph_write(m, format, &out, err);
	return r < 0 ? r : sk_output_write(output ? output : "-", out.data, out.len, err);
}

static const char *const check_examples[] = {
	"skerry manifest check weather.dts\tall mistakes, each with file, line and what to write",
	"skerry manifest check compose.yaml\tthe same for a Compose file",
	NULL,
};

static const struct sk_cmd cmd_check = {
	.name = "check",
	.summary = "check a manifest and tell all its mistakes",
	.args = "FILE",
	.min_args = 1,
	.max_args = 1,
	.about =
		"FILE is manifest source (.dts), a Compose file (.yaml, .yml) or a compiled device "
		"tree (.dtb). Exit status 8 when there are mistakes.",
	.examples = check_examples,
	.run = run_check,
};

static const char *const build_examples[] = {
	"skerry manifest build weather.dts -o weather.dtb\tcompile and check",
	"skerry manifest build compose.yaml --dts\tshow the manifest that a Compose file becomes",
	NULL,
};

static const struct sk_opt build_opts[] = {
	{ "output", 'o', "FILE", "where to write; \"-\" for standard output (default: NAME.dtb)" },
	{ "dts", 0, NULL, "of a Compose file: write the generated source instead" },
	{ 0 },
};

static const struct sk_cmd cmd_build = {
	.name = "build",
	.summary = "compile a manifest to a device tree",
	.args = "FILE",
	.min_args = 1,
	.max_args = 1,
	.about = "Compiles with dtc and checks. A release is built from the same file with "
		 "\"skerry release build\", which also writes the images' digests in.",
	.examples = build_examples,
	.opts = build_opts,
	.run = run_manifest_build,
};

static const struct sk_cmd cmd_show = {
	.name = "show",
	.summary = "summarise a manifest",
	.args = "FILE",
	.min_args = 1,
	.max_args = 1,
	.about = "Release, images and apps in their start order, with limits and grants.",
	.run = run_manifest_show,
};

static const char *const graph_examples[] = {
	"skerry manifest graph weather.dts -o weather.svg\ta picture of apps and protocols",
	"skerry manifest graph weather.dts --format dot | dot -Tpng\tthe same as PNG",
	NULL,
};

static const struct sk_opt graph_opts[] = {
	{ "format", 'f', "FORMAT",
	  "text, dot, svg or json (default: by the output's name, or text)" },
	{ "output", 'o', "FILE", "where to write (default: standard output)" },
	{ 0 },
};

static const struct sk_cmd cmd_graph = {
	.name = "graph",
	.summary = "show apps, their images, supervision and protocols as a graph",
	.args = "FILE",
	.min_args = 1,
	.max_args = 1,
	.about = "A picture (svg) is laid out by Graphviz' dot, which the Debian package graphviz "
		 "brings; the other formats need nothing.",
	.examples = graph_examples,
	.opts = graph_opts,
	.run = run_manifest_graph,
};

static const struct sk_cmd *const subs[] = { &cmd_check, &cmd_build, &cmd_show, &cmd_graph, NULL };

const struct sk_cmd sk_cmd_manifest = {
	.name = "manifest",
	.summary = "check, build and inspect manifests",
	.about = "A manifest says what a device is: its release, apps, limits, supervision and "
		 "protocols. It is written as device-tree source or as a Compose file.",
	.sub = subs,
};
