/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/capsule/capsule.h"

/*
 * Which mirror this machine uses, from both forms of sources.list(5): one line per source in
 * *.list, paragraphs of fields in *.sources. Only what names the machine's own release counts:
 * other vendors' repositories use suites of their own.
 */
#define SOURCES_SIZE_MAX (1u << 20)

struct mirrors {
	const char *codename;
	char *main, *main_key;	       /* of CODENAME */
	char *security, *security_key; /* of CODENAME-security */
};

static void mirrors_done(struct mirrors *m)
{
	free(m->main);
	free(m->main_key);
	free(m->security);
	free(m->security_key);
}

/* The first one of each kind counts, as it does for apt. Keys inline in the file are not paths. */
static int take_source(struct mirrors *m, const char *uri, const char *suite, const char *key)
{
	size_t n = strlen(m->codename);
	bool security = strncmp(suite, m->codename, n) == 0 && sk_streq(suite + n, "-security");
	char **to = security ? &m->security : &m->main;
	char **to_key = security ? &m->security_key : &m->main_key;

	if ((!security && !sk_streq(suite, m->codename)) || *to)
		return 0;
	*to = strdup(uri);
	if (key && key[0] == '/')
		*to_key = strdup(key);
	return *to && (*to_key || !key || key[0] != '/') ? 0 : -ENOMEM;
}

/* "deb [arch=amd64 signed-by=/k.gpg] http://… suite main" */
static int apt_read_line(struct mirrors *m, char *line)
{
	char *open = strchr(line, '['), *close = open ? strchr(open, ']') : NULL, *key = NULL;
	char *at = NULL, *word, *uri, *suite;

	if (close) {
		*open = *close = '\0';
		key = strstr(open + 1, "signed-by=");
	}
	if (key) {
		key += strlen("signed-by=");
		key[strcspn(key, " \t")] = '\0';
	}
	word = strtok_r(line, " \t", &at);
	if (!word || !sk_streq(word, "deb"))
		return 0;
	uri = strtok_r(close ? close + 1 : NULL, " \t", &at);
	suite = uri ? strtok_r(NULL, " \t", &at) : NULL;
	return suite ? take_source(m, uri, suite, key) : 0;
}

static int apt_read_list(struct mirrors *m, char *text)
{
	char *at = NULL;
	int r = 0;

	for (char *line = strtok_r(text, "\n", &at); r == 0 && line;
	     line = strtok_r(NULL, "\n", &at))
		r = apt_read_line(m, line);
	return r;
}

/* The fields of a paragraph that matter, borrowed from the text. */
struct paragraph {
	char *types, *uris, *suites, *key;
	bool disabled;
};

static int end_paragraph(struct mirrors *m, struct paragraph *p)
{
	char *at = NULL, *uri = p->uris ? strtok_r(p->uris, " \t", &at) : NULL;
	_cleanup_strv_ char **suites = NULL;
	int r = 0;

	if (uri && p->suites && p->types && !p->disabled && strstr(p->types, "deb"))
		r = sk_strv_split(p->suites, ' ', &suites);
	for (char **s = suites; r == 0 && s && *s; s++)
		r = take_source(m, uri, *s, p->key);
	*p = (struct paragraph){ 0 };
	return r;
}

static void read_field(struct paragraph *p, char *line)
{
	char *colon = strchr(line, ':'), *value;

	if (!colon)
		return;
	*colon = '\0';
	value = colon + 1 + strspn(colon + 1, " \t");
	if (strcasecmp(line, "Types") == 0)
		p->types = value;
	else if (strcasecmp(line, "URIs") == 0)
		p->uris = value;
	else if (strcasecmp(line, "Suites") == 0)
		p->suites = value;
	else if (strcasecmp(line, "Signed-By") == 0)
		p->key = value;
	else if (strcasecmp(line, "Enabled") == 0)
		p->disabled = strcasecmp(value, "no") == 0;
}

static int read_paragraphs(struct mirrors *m, char *text)
{
	struct paragraph p = { 0 };
	int r = 0;

	for (char *line = text, *end; r == 0 && line; line = end) {
		end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		if (line[strspn(line, " \t")] == '\0')
			r = end_paragraph(m, &p);
		else if (line[0] != '#')
			read_field(&p, line);
	}
	return r == 0 ? end_paragraph(m, &p) : r;
}

static int read_sources(struct mirrors *m, const char *path)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = sk_file_read(AT_FDCWD, path, SOURCES_SIZE_MAX, &text, &len);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	return sk_str_ends(path, ".sources") ? read_paragraphs(m, text) : apt_read_list(m, text);
}

static int is_sources(const struct dirent *e)
{
	return sk_str_ends(e->d_name, ".list") || sk_str_ends(e->d_name, ".sources");
}

static int read_folder(struct mirrors *m, const char *dir)
{
	struct dirent **names = NULL;
	int n = scandir(dir, &names, is_sources, alphasort), r = 0;

	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *path = sk_asprintf("%s/%s", dir, names[i]->d_name);

		if (r == 0)
			r = path ? read_sources(m, path) : -ENOMEM;
		free(names[i]);
	}
	free(names);
	return r;
}

static int add_line(char ***lines, const char *uri, const char *key, const char *suite,
		    const char *more)
{
	return sk_strv_addf(lines, "deb %s%s%s%s %s%s main", key ? "[signed-by=" : "",
			    key ? key : "", key ? "] " : "", uri, suite, more);
}

int sk_apt_sources(const char *etc_apt, const char *codename, const char *suite, char ***ret,
		   struct sk_err *err)
{
	_cleanup_(mirrors_done) struct mirrors m = { .codename = codename };
	_cleanup_free_ char *file = sk_asprintf("%s/sources.list", etc_apt);
	_cleanup_free_ char *dir = sk_asprintf("%s/sources.list.d", etc_apt);
	_cleanup_strv_ char **lines = NULL;
	int r = file && dir ? read_sources(&m, file) : -ENOMEM;

	if (r == 0)
		r = read_folder(&m, dir);
	if (r < 0)
		return sk_err_set(err, r, "io", "%s: %s", etc_apt, strerror(-r));
	if (!m.main)
		return sk_err_set(
			err, -ENOENT, "not-found",
			"%s names no Debian mirror for this machine: give one with --mirror",
			etc_apt);
	r = add_line(&lines, m.main, m.main_key, suite, "");
	if (r == 0)
		r = add_line(&lines, m.main, m.main_key, suite, "-updates");
	if (r == 0 && m.security)
		r = add_line(&lines, m.security, m.security_key, suite, "-security");
	if (r < 0)
		return sk_err_oom(err);
	*ret = TAKE_PTR(lines);
	return 0;
}
