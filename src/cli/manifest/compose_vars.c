/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/manifest/compose_vars.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"

#define FILE_MAX  (1u << 20)
#define DEPTH_MAX 8 /* ${A:-${B:-...}} */
#define NAME_LEN  128

bool sk_vars_name_ok(const char *s, size_t len)
{
	for (size_t k = 0; k < len; k++)
		if (!isascii((unsigned char)s[k]) ||
		    (!isalpha((unsigned char)s[k]) && s[k] != '_' &&
		     (k == 0 || (!isdigit((unsigned char)s[k]) && !strchr(".-", s[k])))))
			return false;
	return len > 0 && len < NAME_LEN;
}

struct expansion {
	const struct sk_map *vars;
	struct sk_buf out;
	char *why;
	unsigned depth;
};

static int vars_expand(struct expansion *x, const char *s, size_t len);

static int refuse(struct expansion *x, const char *why, const char *name, size_t len)
{
	(void)snprintf(x->why, SK_VARS_WHY, "%s%.*s", why, (int)SK_MIN(len, (size_t)80), name);
	return -EINVAL;
}

/* Between the braces: NAME, or NAME, an operator, and words that may hold variables themselves. */
static int expand_braced(struct expansion *x, const char *s, size_t len)
{
	char name[NAME_LEN];
	size_t n = 0;
	const char *value;
	bool colon, unset;

	while (n < len && (isalnum((unsigned char)s[n]) || s[n] == '_'))
		n++;
	if (!sk_vars_name_ok(s, n))
		return refuse(x, "no variable is called ", s, len);
	(void)snprintf(name, sizeof(name), "%.*s", (int)n, s);
	value = x->vars ? sk_map_get(x->vars, name) : NULL;
	colon = n < len && s[n] == ':';
	unset = !value || (colon && !*value);
	s += n + colon;
	len -= n + colon;
	if (len == 0 && !colon)
		return value ? sk_buf_adds(&x->out, value)
			     : refuse(x, "there is no value for variable ", name, n);
	if (len > 0 && *s == '-')
		return unset ? vars_expand(x, s + 1, len - 1) : sk_buf_adds(&x->out, value);
	if (len > 0 && *s == '+')
		return unset ? 0 : vars_expand(x, s + 1, len - 1);
	if (len > 0 && *s == '?')
		return unset ? refuse(x, "", s + 1, len - 1) : sk_buf_adds(&x->out, value);
	return refuse(x, "only :- :+ and :? can follow the name of variable ", name, n);
}

/* The length of what the braces at @s hold, those within counted; @len when they do not close. */
static size_t braced_len(const char *s, size_t len)
{
	size_t open = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == '{')
			open++;
		if (s[i] == '}' && open-- == 0)
			return i;
	}
	return len;
}

/* After a '$': takes what belongs to it. */
static int expand_one(struct expansion *x, const char *s, size_t len, size_t *ret_used)
{
	size_t n = 0;

	if (len > 0 && *s == '$') {
		*ret_used = 1;
		return sk_buf_add(&x->out, "$", 1);
	}
	if (len > 0 && *s == '{') {
		n = braced_len(s + 1, len - 1);
		if (n == len - 1)
			return refuse(x, "a brace is left open after $", "", 0);
		*ret_used = n + 2;
		return expand_braced(x, s + 1, n);
	}
	while (n < len && (isalnum((unsigned char)s[n]) || s[n] == '_'))
		n++;
	*ret_used = n;
	return n > 0 ? expand_braced(x, s, n)
		     : refuse(x, "$ stands alone; for the sign itself write $$", "", 0);
}

/* NOLINTNEXTLINE(misc-no-recursion): at most DEPTH_MAX deep */
static int vars_expand(struct expansion *x, const char *s, size_t len)
{
	int r = 0;

	if (++x->depth > DEPTH_MAX)
		return refuse(x, "variables stand too deep in one another", "", 0);
	for (size_t i = 0; r == 0 && i < len;) {
		const char *dollar = memchr(s + i, '$', len - i);
		size_t plain = dollar ? (size_t)(dollar - s) - i : len - i, used = 0;

		r = sk_buf_add(&x->out, s + i, plain);
		i += plain;
		if (r == 0 && dollar) {
			r = expand_one(x, s + i + 1, len - i - 1, &used);
			i += 1 + used;
		}
	}
	x->depth--;
	return r;
}

int sk_vars_expand(const struct sk_map *vars, const char *s, char **ret, char why[SK_VARS_WHY])
{
	struct expansion x = { .vars = vars, .out = SK_BUF(SK_VARS_VALUE_MAX), .why = why };
	int r;

	if (!strchr(s, '$')) {
		*ret = strdup(s);
		return *ret ? 0 : -ENOMEM;
	}
	r = vars_expand(&x, s, strlen(s));
	if (r == -EMSGSIZE)
		r = refuse(&x, "it expands to more than 32 KiB", "", 0);
	if (r == 0) {
		*ret = x.out.data ? sk_buf_take(&x.out, NULL) : strdup("");
		r = *ret ? 0 : -ENOMEM;
	}
	sk_buf_done(&x.out);
	return r;
}

/* A file of variables while it is read. */
struct reading {
	const char *path;
	unsigned line;
	struct sk_map *vars;
	struct sk_mistakes *mistakes;
};

/* The line is not quoted in the message: it may hold a secret. */
static int vars_wrong(const struct reading *rd, const char *hint, const char *text)
{
	return sk_mistake(rd->mistakes, rd->path, rd->line, NULL, hint, "%s", text);
}

/* Cuts a quoted value out in place; nothing but a comment may follow it. */
static int unquote(const struct reading *rd, char *s)
{
	static const char from[] = "nrt", into[] = "\n\r\t";
	char quote = *s, *to = s;

	for (s++; *s && *s != quote; s++) {
		const char *escape = NULL;

		if (quote == '"' && *s == '\\' && s[1]) {
			s++;
			escape = strchr(from, *s);
		}
		*to++ = escape ? into[escape - from] : *s;
	}
	if (!*s)
		return vars_wrong(rd, "a value ends on its line", "a quote is left open");
	s += 1 + strspn(s + 1, " \t");
	*to = '\0';
	return *s && *s != '#' ? vars_wrong(rd, NULL, "something follows the closing quote") : 0;
}

static void cut_plain(char *s)
{
	char *end = s;

	for (char *p = s; *p && (*p != '#' || (p > s && !isblank((unsigned char)p[-1]))); p++)
		if (!isspace((unsigned char)*p))
			end = p + 1;
	*end = '\0';
}

static int vars_set(const struct reading *rd, const char *name, char *value)
{
	sk_map_del(rd->vars, name);
	return sk_map_add(rd->vars, name, value);
}

static int read_value(const struct reading *rd, const char *name, char *s)
{
	char why[SK_VARS_WHY], *value = NULL;
	bool literal = *s == '\'';
	int r = 0;

	if (literal || *s == '"')
		r = unquote(rd, s);
	else
		cut_plain(s);
	if (r < 0)
		return r;
	if (literal)
		r = (value = strdup(s)) ? 0 : -ENOMEM;
	else
		r = sk_vars_expand(rd->vars, s, &value, why);
	if (r == -EINVAL)
		return vars_wrong(rd, "write $$ for a dollar sign, or the value in single quotes",
				  why);
	if (r == 0)
		r = vars_set(rd, name, value);
	if (r < 0)
		free(value);
	return r;
}

static int vars_read_line(struct reading *rd, char *s)
{
	size_t n;

	s += strspn(s, " \t\r");
	if (!*s || *s == '#')
		return 0;
	if (sk_str_starts(s, "export "))
		s += strlen("export ") + strspn(s + strlen("export "), " ");
	n = strcspn(s, "= \t\r");
	if (!sk_vars_name_ok(s, n) || s[n + strspn(s + n, " \t")] != '=')
		return vars_wrong(rd, "a name, an equals sign and the value itself",
				  "write NAME=value");
	s[n + strspn(s + n, " \t")] = ' ';
	s[n++] = '\0';
	return read_value(rd, s, s + n + strspn(s + n, " \t"));
}

static int read_lines(struct reading *rd, char *text)
{
	int r = 0;

	for (char *line = text, *next; r == 0 && line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		rd->line++;
		r = vars_read_line(rd, line);
	}
	return r;
}

int sk_vars_read(const char *path, const struct sk_place *named_at, struct sk_mistakes *mistakes,
		 struct sk_map **ret)
{
	_cleanup_(sk_map_freep) struct sk_map *vars = sk_map_new(free);
	struct reading rd = { .path = path, .vars = vars, .mistakes = mistakes };
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = vars ? sk_file_read(AT_FDCWD, path, FILE_MAX, &text, &len) : -ENOMEM;

	if (r == -ENOMEM)
		return r;
	if (r < 0 && (named_at || r != -ENOENT))
		return sk_mistake(mistakes, named_at ? named_at->file : path,
				  named_at ? named_at->line : 0, named_at ? named_at->where : NULL,
				  NULL, "cannot read \"%s\": %s", path,
				  r == -EINVAL ? "it is not a regular file" : strerror(-r));
	if (text && memchr(text, '\0', len))
		return vars_wrong(&rd, NULL, "it holds a zero byte");
	r = text ? read_lines(&rd, text) : 0;
	if (r == 0)
		*ret = TAKE_PTR(vars);
	return r;
}
