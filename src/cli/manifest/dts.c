/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/manifest/source.h"
#include "io/sys/child.h"

/*
 * dtc itself compiles; what it says is put into FILE:LINE form. Its checks are made for hardware:
 * the one that would forbid a variable called "name" is off.
 */
#define DTC_CPU_S      10
#define DTC_MEMORY     (1ull << 30)
#define DTC_MESSAGES   (256u << 10)
#define DTC_OUTPUT_MAX (64u << 20)
#define FATAL	       "FATAL ERROR: "
#define UNREADABLE     "FATAL ERROR: Unable to parse input tree"
#define LEXICAL	       "Lexical error: "
#define ERROR	       "Error: "

struct dtc_line {
	char *file;
	unsigned line;
	char *text;
};

/* "FILE:LINE.COLUMN-…: text" or "FILE:LINE.COLUMN-… text"; file names may hold anything. */
static bool split_place(char *s, struct dtc_line *ret)
{
	for (char *at = strchr(s, ':'); at; at = strchr(at + 1, ':')) {
		char *end;
		unsigned long line;

		if (!isdigit((unsigned char)at[1]))
			continue;
		line = strtoul(at + 1, &end, 10);
		if (*end != '.' || line > UINT_MAX)
			continue;
		end += strspn(end, ".-0123456789");
		end += strspn(end, ": ");
		*at = '\0';
		*ret = (struct dtc_line){ s, (unsigned)line, end };
		return true;
	}
	return false;
}

/* Messages of dtc that need an explanation. */
static const struct {
	const char *says;
	const char *hint;
} hints[] = {
	{ "syntax error",
	  "is a ';' missing at the end of the line before, or a quote or brace left open?" },
	{ "Properties must precede subnodes", "move this line above the nodes beside it" },
	{ "memory exhausted", "the manifest has more nodes or properties than dtc can take" },
};

static const char *hint_for(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
		if (strstr(text, hints[i].says))
			return hints[i].hint;
	return NULL;
}

/* "ERROR (check): PATH:PROPERTY: text": cut up in place; false for another shape. */
static bool split_check(char *s, char **path, char **prop, char **text)
{
	char *at = strstr(s, "): /");

	if (!sk_str_starts(s, "ERROR (") || !at)
		return false;
	*path = at + 3;
	at = strstr(*path, ": ");
	if (!at)
		return false;
	*at = '\0';
	*text = at + 2;
	*prop = strchr(*path, ':');
	if (*prop)
		*(*prop)++ = '\0';
	return true;
}

/* A mistake that dtc's own checks found: of a Compose file, the place is in that file. */
static void take_check(struct sk_source *s, const struct dtc_line *l, const char *path,
		       const char *prop, const char *text)
{
	const struct sk_place *at = s->dts ? sk_places_find(s->places, path, prop) : NULL;
	_cleanup_free_ char *where =
		sk_asprintf("%s%s%s", path, prop ? ": " : "", prop ? prop : "");

	if (at)
		(void)sk_mistake(&s->mistakes, at->file, at->line, at->where ? at->where : where,
				 NULL, "%s", text);
	else
		(void)sk_mistake(&s->mistakes, s->dts ? s->path : l->file, s->dts ? 0 : l->line,
				 where, NULL, "%s", text);
}

/*
 * From 1.8 on, dtc tells of a letter that it does not expect twice: "Lexical error: PLACE Unexpected …"
 * and then, as the versions before, "Error: PLACE syntax error", for which there is a hint.
 */
static bool told_again(const char *line, const char *next)
{
	size_t len;

	if (!next || !sk_str_starts(line, LEXICAL) || !sk_str_starts(next, ERROR) ||
	    !sk_str_ends(next, " syntax error"))
		return false;
	line += strlen(LEXICAL);
	next += strlen(ERROR);
	len = strlen(next) - strlen("syntax error");
	return strncmp(line, next, len) == 0;
}

/* One line of dtc's messages. Lines that only announce earlier errors are skipped. */
static void take_message(struct sk_source *s, char *line)
{
	char *path, *prop, *text;
	struct dtc_line l;

	if (sk_str_starts(line, UNREADABLE) || sk_str_starts(line, "ERROR: Input tree has errors"))
		return;
	if (sk_str_starts(line, ERROR))
		line += strlen(ERROR);
	else if (sk_str_starts(line, LEXICAL))
		line += strlen(LEXICAL);
	if (sk_str_starts(line, FATAL))
		(void)sk_mistake(&s->mistakes, s->path, 0, NULL, NULL, "%s", line + strlen(FATAL));
	else if (!split_place(line, &l))
		(void)sk_mistake(&s->mistakes, s->path, 0, NULL, NULL, "%s", line);
	else if (split_check(l.text, &path, &prop, &text))
		take_check(s, &l, path, prop, text);
	else
		(void)sk_mistake(&s->mistakes, l.file, l.line, NULL, hint_for(l.text), "%s",
				 l.text);
}

static int take_messages(struct sk_source *s, int fd, const struct sk_err *why, struct sk_err *err)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_strv_ char **lines = NULL;
	size_t len;

	if (lseek(fd, 0, SEEK_SET) < 0 || sk_fd_read(fd, DTC_MESSAGES, &text, &len) < 0 ||
	    sk_strv_split(text, '\n', &lines) < 0)
		return sk_err_oom(err);
	SK_STRV_FOREACH (line, lines)
		if (!told_again(line[0], line[1]))
			take_message(s, *line);
	if (s->mistakes.n == 0)
		(void)sk_mistake(&s->mistakes, s->path, 0, NULL,
				 strstr(why->text, "killed") ? "it is too large to compile" : NULL,
				 "%s", why->text);
	return sk_err_set(err, -EINVAL, "bad-manifest", "dtc cannot compile %s", s->path);
}

static int no_dtc(int r, struct sk_err *err)
{
	return sk_err_set(err, r, "child-failed",
			  "cannot run dtc, which compiles manifests: install the Debian package "
			  "device-tree-compiler");
}

static int run_dtc(const char *const *argv, int in, int messages, char **ret, size_t *ret_len,
		   struct sk_err *err)
{
	const struct sk_child_spec spec = {
		.argv = argv,
		.stdin_fd = in,
		.stdout_fd = -1,
		.stderr_fd = messages,
		.kill_with_parent = true,
		.limit_cpu_s = DTC_CPU_S,
		.limit_as_bytes = DTC_MEMORY,
	};

	return sk_child_run(&spec, DTC_OUTPUT_MAX, ret, ret_len, err);
}

int sk_dts_compile(struct sk_source *s, int fd, struct sk_err *err)
{
	const char *const argv[] = { "dtc", "-q",
				     "-I",  "dts",
				     "-O",  "dtb",
				     "-E",  "no-name_properties",
				     "--",  fd < 0 ? s->path : "-",
				     NULL };
	_cleanup_close_ int messages = memfd_create("dtc", MFD_CLOEXEC);
	struct sk_err why = SK_ERR_INIT;
	char *dtb = NULL;
	int r;

	if (messages < 0)
		return sk_err_set(err, -errno, "io", "cannot make a file in memory: %m");
	r = run_dtc(argv, fd, messages, &dtb, &s->len, &why);
	if (r == 0) {
		s->dtb = dtb;
		return 0;
	}
	if (r == -ENOENT)
		return no_dtc(r, err);
	return take_messages(s, messages, &why, err);
}

/* One step through dtc's annotated source: the nodes that are open. */
struct walk {
	struct sk_places *places;
	const char *folder; /* dtc writes names relative to the first file's folder */
	int folder_len;
	char path[4096];
	size_t len;
};

/* "… /\* a.dts:3, b.dts:9 *\/": cuts the comment off and gives the first place in it. */
static bool cut_comment(char *line, char **file, unsigned *ret_line)
{
	char *at = NULL, *colon;

	for (char *p = strstr(line, "/* "); p; p = strstr(p + 1, "/* "))
		at = p;
	if (!at)
		return false;
	*at = '\0';
	at += 3;
	at[strcspn(at, ",")] = '\0';
	colon = strrchr(at, ':');
	if (!colon)
		return false;
	*colon = '\0';
	*file = at;
	*ret_line = (unsigned)strtoul(colon + 1, NULL, 10);
	return true;
}

/* The name in "label: name {" or "name = …;", NUL-terminated in place. */
static char *cut_name(char *s)
{
	for (;;) {
		size_t len = strcspn(s, " ;");
		bool label = len > 0 && s[len - 1] == ':' && s[len] == ' ';

		if (!label) {
			s[len] = '\0';
			return s;
		}
		s += len + 1;
	}
}

static int enter(struct walk *w, const char *name)
{
	int n = snprintf(w->path + w->len, sizeof(w->path) - w->len, "%s%s", w->len > 1 ? "/" : "",
			 name);

	if (n < 0 || (size_t)n >= sizeof(w->path) - w->len)
		return -ENAMETOOLONG;
	w->len += (size_t)n;
	return 0;
}

static void leave(struct walk *w)
{
	char *slash = strrchr(w->path, '/');

	if (!slash)
		return;
	w->len = (size_t)(slash - w->path) + (slash == w->path && w->len > 1);
	w->path[w->len] = '\0';
}

static int walk_add_place(struct walk *w, const char *prop, const char *file, unsigned line)
{
	_cleanup_free_ char *full = NULL;

	full = sk_asprintf("%.*s%s", file[0] == '/' ? 0 : w->folder_len, w->folder, file);
	if (!full)
		return -ENOMEM;
	return sk_places_add(w->places, w->path, prop, full, line, NULL);
}

static int take_line(struct walk *w, char *line)
{
	char *file = NULL;
	unsigned number = 0;
	bool placed = cut_comment(line, &file, &number);
	size_t len;
	int r;

	line += strspn(line, " \t");
	len = strlen(line);
	while (len > 0 && line[len - 1] == ' ')
		line[--len] = '\0';
	if (sk_streq(line, "};")) {
		leave(w);
		return 0;
	}
	if (len == 0 || !placed)
		return 0;
	if (line[len - 1] != '{')
		return walk_add_place(w, cut_name(line), file, number);
	r = enter(w, cut_name(line));
	return r < 0 ? r : walk_add_place(w, NULL, file, number);
}

int sk_dts_places(const char *path, struct sk_places **ret, struct sk_err *err)
{
	const char *const argv[] = { "dtc", "-qq", "-I",
				     "dts", "-O",  "dts",
				     "-T",  "-E",  "no-name_properties",
				     "--",  path,  NULL };
	_cleanup_(sk_places_freep) struct sk_places *places = sk_places_new();
	const char *slash = strrchr(path, '/');
	struct walk w = { .places = places,
			  .folder = path,
			  .folder_len = slash ? (int)(slash - path) + 1 : 0 };
	_cleanup_free_ char *text = NULL;
	char *next = NULL;
	size_t len;
	int r;

	if (!places)
		return sk_err_oom(err);
	r = run_dtc(argv, -1, -1, &text, &len, err);
	if (r < 0)
		return r;
	for (char *line = strtok_r(text, "\n", &next); line; line = strtok_r(NULL, "\n", &next)) {
		r = take_line(&w, line);
		if (r < 0)
			return sk_err_set(err, r, "bad-manifest", "%s: a node's path is too long",
					  path);
	}
	*ret = TAKE_PTR(places);
	return 0;
}
