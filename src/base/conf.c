/* SPDX-License-Identifier: Apache-2.0 */
#include "base/conf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"

static char *strip(char *s)
{
	size_t len;

	while (isspace((unsigned char)*s))
		s++;
	len = strlen(s);
	while (len > 0 && isspace((unsigned char)s[len - 1]))
		s[--len] = '\0';
	return s;
}

static int parse_line(char *line, sk_conf_set set, void *arg, struct sk_err *err)
{
	char *eq, *key = strip(line);

	if (*key == '\0' || *key == '#')
		return 0;
	eq = strchr(key, '=');
	if (!eq)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "\"%.80s\" is no setting: write KEY = VALUE", key);
	*eq = '\0';
	return set(arg, strip(key), strip(eq + 1), err);
}

int sk_conf_parse(const char *name, const char *text, sk_conf_set set, void *arg,
		  struct sk_err *err)
{
	_cleanup_free_ char *copy = strdup(text);
	char *at = copy, *line;
	int n = 0, r = 0;

	if (!copy)
		return sk_err_oom(err);
	while (r == 0 && (line = strsep(&at, "\n"))) {
		n++;
		r = parse_line(line, set, arg, err);
	}
	if (r < 0)
		(void)sk_err_prefix(err, "%s:%d", name, n);
	return r;
}

int sk_conf_read(const char *path, sk_conf_set set, void *arg, struct sk_err *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = sk_file_read(AT_FDCWD, path, SK_CONF_FILE_MAX, &text, &len);

	if (r == -ENOENT)
		return sk_err_set(err, r, "not-found", "there is no %s", path);
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot read %s: %s", path, strerror(-r));
	if (strlen(text) != len)
		return sk_err_set(err, -EINVAL, "bad-value", "%s is not a text file", path);
	return sk_conf_parse(path, text, set, arg, err);
}
