/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/release/release.h"
#include "cli/release/common.h"

/* NAME.skr becomes NAME.skb beside it. */
static char *bundle_name(const char *release)
{
	size_t len = strlen(release);

	if (sk_str_ends(release, ".skr"))
		len -= 4;
	return sk_asprintf("%.*s.skb", (int)len, release);
}

static void print_export(const struct sk_cli *cli, const struct sk_release *rel, const char *file)
{
	struct stat st = { 0 };
	char size[32];

	(void)stat(file, &st);
	if (sk_cli_json(cli))
		sk_cli_print_json(json_pack("{s:s, s:s, s:I}", "bundle", file, "release",
					    SK_DIGEST_STR(&rel->id), "size_bytes",
					    (json_int_t)st.st_size));
	else
		(void)printf("%s  %s %s with %zu image%s, %s\n", file, rel->manifest->project,
			     rel->manifest->version, rel->manifest->n_images,
			     rel->manifest->n_images == 1 ? "" : "s",
			     sk_format_size(size, (uint64_t)st.st_size));
}

static int run_export(struct sk_cli *cli, struct sk_err *err)
{
	const char *file = sk_cli_arg(cli, 0), *given = sk_cli_opt(cli, "output");
	_cleanup_strv_ char **folders = sk_strv_copy(sk_cli_opt_all(cli, "images"));
	_cleanup_strv_ char **named = sk_strv_copy(sk_cli_opt_all(cli, "image"));
	_cleanup_free_ char *out = given ? strdup(given) : bundle_name(file);
	_cleanup_free_ char *beside = sk_path_folder(file);
	_cleanup_(sk_release_done) struct sk_release rel = { 0 };
	int r;

	if (!out || !beside || sk_strv_add(&folders, beside) < 0)
		return sk_err_oom(err);
	r = sk_release_open(file, &rel, err);
	if (r < 0)
		return r;
	r = sk_release_bundle(cli, &rel, out, folders, named, err);
	if (r < 0)
		return r;
	print_export(cli, &rel, out);
	return 0;
}

static const struct sk_opt opts[] = {
	{ "images", 0, "DIR", "folder with the image files; may be given more than once" },
	{ "image", 0, "NAME=FILE", "file of one image; may be given more than once" },
	{ "output", 'o', "FILE", "the bundle; the release's name with .skb without it" },
	{ 0 },
};
static const char *const examples[] = {
	"skerry release export station-1.2.0.skr --images out\tstation-1.2.0.skb",
	NULL,
};

const struct sk_cmd sk_cmd_release_export = {
	.name = "export",
	.summary = "put a release and its images into one file",
	.args = "RELEASE",
	.min_args = 1,
	.max_args = 1,
	.about =
		"For devices without a link: carry the bundle on a stick, then \"skerry release "
		"apply\" there. Image files are known by name or by digest; each must be the very one "
		"that the release names.",
	.examples = examples,
	.opts = opts,
	.run = run_export,
};
