/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/hub/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "io/json.h"

#define FILE_MAX (64 * 1024)

void sk_credentials_done(struct sk_credentials *c)
{
	if (c->token)
		explicit_bzero(c->token, strlen(c->token));
	free(c->url);
	free(c->token);
	free(c->ca_file);
}

static char *folder(void)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (config && config[0] == '/')
		return sk_asprintf("%s/skerry", config);
	return sk_asprintf("%s/.config/skerry", home && *home ? home : "/root");
}

static char *file_in(const char *name)
{
	_cleanup_free_ char *dir = folder();

	return dir ? sk_asprintf("%s/%s", dir, name) : NULL;
}

static int copy_string(const json_t *j, const char *key, char **ret, struct sk_err *err)
{
	const char *s = NULL;
	int r = sk_json_get_str(j, key, &s, err);

	*ret = s ? strdup(s) : NULL;
	return r == 0 && s && !*ret ? sk_err_oom(err) : r;
}

int sk_credentials_load(struct sk_credentials *ret, struct sk_err *err)
{
	_cleanup_free_ char *path = file_in("hub.json"), *text = NULL;
	_cleanup_json_ json_t *j = NULL;
	size_t len;
	int r = path ? sk_file_read(AT_FDCWD, path, FILE_MAX, &text, &len) : -ENOMEM;

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot read %s: %s", path ? path : "hub.json",
				  strerror(-r));
	r = sk_json_parse(text, len, &j, err);
	if (r == 0)
		r = copy_string(j, "url", &ret->url, err);
	if (r == 0)
		r = copy_string(j, "token", &ret->token, err);
	if (r == 0)
		r = copy_string(j, "ca_file", &ret->ca_file, err);
	return r < 0 ? sk_err_prefix(err, "%s", path) : 0;
}

static int write_file(const char *name, const char *text, struct sk_err *err)
{
	_cleanup_free_ char *path = file_in(name);
	int r = path ? sk_file_write(AT_FDCWD, path, text, strlen(text), 0600) : -ENOMEM;

	return r < 0 ? sk_err_set(err, r, "io", "cannot write %s: %s", path ? path : name,
				  strerror(-r))
		     : 0;
}

int sk_credentials_save(const char *url, const char *token, const char *ca_pem, struct sk_err *err)
{
	_cleanup_free_ char *dir = folder(), *ca = file_in("hub-ca.pem"), *text = NULL;
	_cleanup_json_ json_t *j = NULL;
	int r = dir && ca ? sk_mkdir_p(AT_FDCWD, dir, 0700) : -ENOMEM;

	if (r < 0)
		return sk_err_set(err, r, "io", "cannot make %s: %s", dir ? dir : "?",
				  strerror(-r));
	j = json_pack("{s:s, s:s, s:s?}", "url", url, "token", token, "ca_file",
		      ca_pem ? ca : NULL);
	text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
	if (!text)
		return sk_err_oom(err);
	if (ca_pem)
		r = write_file("hub-ca.pem", ca_pem, err);
	if (r == 0)
		r = write_file("hub.json", text, err);
	explicit_bzero(text, strlen(text));
	return r;
}

int sk_credentials_forget(struct sk_err *err)
{
	_cleanup_free_ char *path = file_in("hub.json");

	if (!path)
		return sk_err_oom(err);
	if (unlink(path) < 0 && errno != ENOENT)
		return sk_err_set(err, -errno, "io", "cannot remove %s: %s", path, strerror(errno));
	return 0;
}
