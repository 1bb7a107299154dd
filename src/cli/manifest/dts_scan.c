/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/manifest/source.h"
#include "model/fdt_read.h"

/*
 * A look at the source before dtc has one. dtc opens whatever /include/ and /incbin/ name, a pipe that
 * nobody writes to or /dev/zero as well; /incbin/ would carry any file of this machine into a release; and
 * its time grows with the square of what stands in one node. So: included files are regular files, all
 * together no larger than one may be, nothing includes itself, /incbin/ is refused, and so
 * are numbers that no manifest has, each with the place where it happens.
 */
#define INCLUDE_DEPTH_MAX 16
#define ENTRIES_MAX	  4096 /* properties and nodes of one node */

/* One file that is being read; @above: the one that includes it. */
struct file {
	const struct file *above;
	const char *name;
	const char *at;
	unsigned line;
	unsigned depth;
};

struct scan {
	struct sk_source *s;
	size_t bytes_left;
	unsigned nodes;
	size_t depth;
	unsigned entries[SK_FDT_DEPTH_MAX + 2]; /* so far, of each node that is open */
	char last; /* what was read before, blanks and comments aside */
};

static int scan_wrong(struct scan *sc, const struct file *f, const char *hint, const char *text)
{
	return sk_mistake(&sc->s->mistakes, f->name, f->line, NULL, hint, "%s", text);
}

/* To the end of a comment, a string or one blank; false when none begins here. */
static bool skip_blank(struct file *f)
{
	const char *end;

	if (isspace((unsigned char)*f->at)) {
		f->line += *f->at++ == '\n';
		return true;
	}
	if (sk_str_starts(f->at, "//")) {
		f->at += strcspn(f->at, "\n");
		return true;
	}
	if (!sk_str_starts(f->at, "/*"))
		return false;
	end = strstr(f->at + 2, "*/");
	end = end ? end + 2 : f->at + strlen(f->at);
	for (; f->at < end; f->at++)
		f->line += *f->at == '\n';
	return true;
}

/* A string, or a character: <'"'>. dtc must not see more or less of it than this does. */
static int skip_quoted(struct scan *sc, struct file *f)
{
	const struct file start = *f;
	char quote = *f->at;

	for (f->at++; *f->at && *f->at != quote; f->at++) {
		if (*f->at == '\\' && f->at[1])
			f->at++;
		f->line += *f->at == '\n';
	}
	if (!*f->at)
		return scan_wrong(sc, &start, NULL, "a quote is left open");
	sc->last = *f->at++;
	return 0;
}

static int count_entry(struct scan *sc, const struct file *f)
{
	if (++sc->entries[sc->depth] > ENTRIES_MAX)
		return scan_wrong(sc, f, NULL, "more than 4096 properties and nodes in one node");
	return 0;
}

static int count(struct scan *sc, const struct file *f)
{
	char c = *f->at, before = sc->last;

	sc->last = c;
	if (c == '}' && sc->depth > 0)
		sc->depth--;
	if (c == ';' && before != '}')
		return count_entry(sc, f);
	if (c != '{' || before == '&') /* "&{/path}" */
		return 0;
	if (sc->depth + 1 >= ARRAY_SIZE(sc->entries))
		return scan_wrong(sc, f, NULL, "nodes are nested more than 16 deep");
	if (++sc->nodes > SK_FDT_NODES_MAX)
		return scan_wrong(sc, f, NULL, "the manifest has more than 16384 nodes");
	if (count_entry(sc, f) < 0)
		return -EINVAL;
	sc->entries[++sc->depth] = 0;
	return 0;
}

/* dtc knows no preprocessor; a name of a property may begin with '#' as well. */
static bool is_directive(const char *s)
{
	static const char *const words[] = { "include", "define", "undef", "if",   "ifdef",
					     "ifndef",	"else",	  "elif",  "endif" };
	const char *word = s + 1 + strspn(s + 1, " \t");
	size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyz");
	const char *after = word + n + strspn(word + n, " \t");

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i]) == n && strncmp(word, words[i], n) == 0)
			return !*after || !strchr("-=;", *after);
	return false;
}

static int scan_file(struct scan *sc, const struct file *above, const char *name);

/* The name in quotes after /include/, as dtc reads it: no escapes, from the folder of this file. */
static int included(struct scan *sc, struct file *f)
{
	_cleanup_free_ char *folder = NULL, *name = NULL;
	size_t len;

	f->at += strlen("/include/");
	while (skip_blank(f))
		;
	len = *f->at == '"' ? strcspn(f->at + 1, "\"\n") : 0;
	if (len == 0 || f->at[1 + len] != '"')
		return scan_wrong(sc, f, "write /include/ \"file.dtsi\"",
				  "/include/ needs a file name");
	folder = sk_path_folder(f->name);
	if (folder && f->at[1] == '/')
		name = strndup(f->at + 1, len);
	else if (folder && strchr(f->name, '/'))
		name = sk_asprintf("%s/%.*s", sk_streq(folder, "/") ? "" : folder, (int)len,
				   f->at + 1);
	else if (folder)
		name = strndup(f->at + 1, len);
	f->at += len + 2;
	return name ? scan_file(sc, f, name) : -ENOMEM;
}

/* One word or sign. */
static int scan_next(struct scan *sc, struct file *f) /* NOLINT(misc-no-recursion) */
{
	int r;

	if (skip_blank(f))
		return 0;
	if (*f->at == '"' || *f->at == '\'')
		return skip_quoted(sc, f);
	if (sk_str_starts(f->at, "/include/"))
		return included(sc, f);
	if (sk_str_starts(f->at, "/incbin/"))
		return scan_wrong(sc, f, "write the value itself; files belong into an image",
				  "/incbin/ is refused: it would put a file of this machine in");
	if (sk_str_starts(f->at, "/plugin/"))
		return scan_wrong(sc, f, "write &label { ... }; into the manifest itself",
				  "an overlay is no manifest");
	if (*f->at == '#' && is_directive(f->at))
		return scan_wrong(sc, f, "write /include/ \"file.dtsi\", and values themselves",
				  "there is no C preprocessor");
	r = count(sc, f);
	f->at++;
	return r;
}

/* @f: where it is asked for. */
static int read_source(struct scan *sc, const struct file *f, const char *name, char **ret)
{
	size_t len;
	int r = sk_file_read(AT_FDCWD, name, sc->bytes_left, ret, &len);

	if (r == -EFBIG)
		return scan_wrong(sc, f, NULL, "the manifest has more than 16 MiB of source");
	if (r < 0)
		return sk_mistake(&sc->s->mistakes, f->name, f->line, NULL, NULL,
				  "cannot include \"%s\": %s", name,
				  r == -EINVAL ? "it is not a regular file" : strerror(-r));
	sc->bytes_left -= len;
	if (memchr(*ret, '\0', len))
		return sk_mistake(&sc->s->mistakes, name, 0, NULL, NULL, "it holds a zero byte");
	return 0;
}

/* NOLINTNEXTLINE(misc-no-recursion): at most INCLUDE_DEPTH_MAX deep */
static int scan_file(struct scan *sc, const struct file *above, const char *name)
{
	struct file f = { above, name, NULL, 1, above ? above->depth + 1 : 0 };
	_cleanup_free_ char *text = NULL;
	int r;

	for (const struct file *up = above; up; up = up->above)
		if (sk_streq(up->name, name) || f.depth > INCLUDE_DEPTH_MAX)
			return sk_mistake(
				&sc->s->mistakes, above->name, above->line, NULL,
				"take one /include/ out",
				"\"%s\" includes itself, or is included more than %d deep", name,
				INCLUDE_DEPTH_MAX);
	r = read_source(sc, above ? above : &f, name, &text);
	f.at = text;
	while (r == 0 && *f.at)
		r = scan_next(sc, &f);
	return r;
}

int sk_dts_scan(struct sk_source *s, struct sk_err *err)
{
	struct scan sc = { .s = s, .bytes_left = SK_SOURCE_MAX };
	int r = scan_file(&sc, NULL, s->path);

	if (r == -ENOMEM)
		return sk_err_oom(err);
	return r < 0 ? sk_err_set(err, r, "bad-manifest", "%s is refused", s->path) : 0;
}
