/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/hub/session.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/hub/credentials.h"
#include "io/json.h"

static bool plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

static int add_encoded(struct sk_buf *b, const char *s)
{
	int r = 0;

	for (; r == 0 && *s; s++)
		r = plain(*s) ? sk_buf_add(b, s, 1)
			      : sk_buf_addf(b, "%%%02X", (unsigned)(unsigned char)*s);
	return r;
}

char *sk_hub_path(const char *template, ...)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(16 * 1024);
	va_list ap;
	int r = sk_buf_adds(&b, "/api/v1/");

	va_start(ap, template);
	for (const char *at = template; r == 0 && *at; at++) {
		if (at[0] == '{' && at[1] == '}') {
			r = add_encoded(&b, va_arg(ap, const char *));
			at++;
		} else {
			r = sk_buf_add(&b, at, 1);
		}
	}
	va_end(ap);
	return r < 0 ? NULL : sk_buf_take(&b, NULL);
}

int sk_hub_open(struct sk_cli *cli, struct sk_http_client **ret, struct sk_err *err)
{
	_cleanup_(sk_credentials_done) struct sk_credentials c = { 0 };
	const char *hub = sk_cli_opt(cli, "hub"), *ca = sk_cli_opt(cli, "ca");
	const char *token = getenv("SKERRY_TOKEN");
	bool same;
	int r = sk_credentials_load(&c, err);

	if (r < 0)
		return r;
	if (!hub)
		hub = getenv("SKERRY_HUB");
	if (!hub || !*hub)
		hub = c.url;
	if (!hub)
		return sk_err_set(err, -EACCES, "unauthorized",
				  "log in first: skerry hub login URL");
	/* The stored token goes to the hub that gave it, and to no other. */
	same = c.url && sk_streq(hub, c.url);
	if (!token || !*token)
		token = same ? c.token : NULL;
	if (!token)
		return sk_err_set(err, -EACCES, "unauthorized",
				  "no credentials for %s: skerry hub login, or set SKERRY_TOKEN",
				  hub);
	return sk_http_client_new(&(struct sk_http_client_config){ .base_url = hub,
								   .ca_file = ca     ? ca
									      : same ? c.ca_file
										     : NULL,
								   .bearer = token },
				  ret, err);
}

int sk_hub_call(struct sk_http_client *c, const char *method, const char *path, json_t *steals,
		json_t **ret, struct sk_err *err)
{
	_cleanup_json_ json_t *body = steals;

	if (!path)
		return sk_err_oom(err);
	return sk_http_call_json(c, method, path, body, ret, err);
}

int sk_hub_request(struct sk_cli *cli, const char *method, const char *path, json_t *steals,
		   json_t **ret, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_json_ json_t *body = steals;
	int r = sk_hub_open(cli, &c, err);

	return r < 0 ? r : sk_hub_call(c, method, path, TAKE_PTR(body), ret, err);
}

int sk_hub_list(struct sk_http_client *c, const char *path, const char *name, const char *cursor,
		json_t **ret, struct sk_err *err)
{
	return sk_hub_list_some(c, path, name, cursor, SIZE_MAX, ret, err);
}

int sk_hub_list_some(struct sk_http_client *c, const char *path, const char *name,
		     const char *cursor, size_t max, json_t **ret, struct sk_err *err)
{
	_cleanup_json_ json_t *all = json_array();
	json_int_t next = 0, last;

	do {
		_cleanup_json_ json_t *page = NULL;
		_cleanup_free_ char *at = NULL;
		int r;

		if (path && next > 0)
			at = sk_asprintf("%s%c%s=%lld", path, strchr(path, '?') ? '&' : '?', cursor,
					 (long long)next);
		r = sk_hub_call(c, "GET", next > 0 ? at : path, NULL, &page, err);
		if (r < 0)
			return r;
		if (json_array_extend(all, json_object_get(page, name)) < 0)
			return sk_err_set(err, -EPROTO, "bad-request",
					  "the hub's answer has no list \"%s\"", name);
		last = next;
		next = cursor ? json_integer_value(json_object_get(page, "next")) : 0;
		/* The cursor must go on: a hub whose pages lead in a circle would be followed until memory is full. */
		if (next > 0 && last > 0 &&
		    (sk_streq(cursor, "after") ? next <= last : next >= last))
			return sk_err_set(err, -EPROTO, "bad-request",
					  "the hub's list \"%s\" does not go on: %lld after %lld",
					  name, (long long)next, (long long)last);
	} while (next > 0 && json_array_size(all) < max);
	while (json_array_size(all) > max)
		(void)json_array_remove(all, json_array_size(all) - 1);
	*ret = TAKE_PTR(all);
	return 0;
}

int sk_hub_place(const char *arg, const char *what, char **ret_project, char **ret_name,
		 struct sk_err *err)
{
	const char *slash = strchr(arg, '/');

	if (!slash || slash == arg || !slash[1])
		return sk_err_set(err, -EINVAL, "usage", "\"%s\": write PROJECT/%s", arg, what);
	*ret_project = strndup(arg, (size_t)(slash - arg));
	*ret_name = strdup(slash + 1);
	return *ret_project && *ret_name ? 0 : sk_err_oom(err);
}

const char *sk_hub_str(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s ? s : "";
}

int sk_hub_find_release(struct sk_http_client *c, const char *project, const char *version,
			char **ret_id, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_hub_path("projects/{}/releases", project);
	_cleanup_json_ json_t *list = NULL;
	const char *found = NULL;
	json_t *rel;
	size_t i;
	int r = sk_hub_list(c, path, "releases", "before", &list, err);

	if (r < 0)
		return r;
	json_array_foreach (list, i, rel) {
		if (sk_streq(sk_hub_str(rel, "version"), version) ||
		    (strlen(version) >= 8 && sk_str_starts(sk_hub_str(rel, "id"), version)))
			found = sk_hub_str(rel, "id");
	}
	if (!found)
		return sk_err_set(err, -ENOENT, "not-found", "project %s has no release %s",
				  project, version);
	*ret_id = strdup(found);
	return *ret_id ? 0 : sk_err_oom(err);
}

int sk_hub_find_device(struct sk_http_client *c, const char *arg, char **ret_id, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_hub_path("devices?limit=2&name={}", arg);
	_cleanup_json_ json_t *answer = NULL;
	const json_t *list;
	int r = sk_hub_call(c, "GET", path, NULL, &answer, err);

	if (r < 0)
		return r;
	list = json_object_get(answer, "devices");
	if (json_array_size(list) == 0)
		return sk_err_set(err, -ENOENT, "not-found", "there is no device \"%s\"", arg);
	if (json_array_size(list) > 1)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "several devices are called \"%s\": use the id", arg);
	*ret_id = strdup(sk_hub_str(json_array_get(list, 0), "id"));
	return *ret_id ? 0 : sk_err_oom(err);
}

void sk_hub_wipe(char **at)
{
	if (*at)
		explicit_bzero(*at, strlen(*at));
	free(*at);
}

static int read_secret_line(int fd, char **ret, struct sk_err *err)
{
	char line[512];
	size_t n = 0;

	while (n < sizeof(line) - 1 && read(fd, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	*ret = strdup(line);
	explicit_bzero(line, sizeof(line));
	return *ret ? 0 : sk_err_oom(err);
}

static int ask(const char *prompt, char **ret, struct sk_err *err)
{
	_cleanup_close_ int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	struct termios old, quiet;
	int r;

	if (tty < 0 || tcgetattr(tty, &old) < 0)
		return sk_err_set(err, -ENOTTY, "usage",
				  "no terminal to ask for the password: use --password-file");
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	(void)sk_fd_write(tty, prompt, strlen(prompt));
	(void)tcsetattr(tty, TCSAFLUSH, &quiet);
	r = read_secret_line(tty, ret, err);
	(void)tcsetattr(tty, TCSAFLUSH, &old);
	(void)sk_fd_write(tty, "\n", 1);
	return r;
}

int sk_hub_password(const char *file, const char *env, const char *prompt, char **ret,
		    struct sk_err *err)
{
	const char *given = env ? getenv(env) : NULL;
	_cleanup_close_ int fd = -1;

	if (file) {
		fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (fd < 0)
			return sk_err_set(err, -errno, "io", "cannot read %s: %s", file,
					  strerror(errno));
		return read_secret_line(fd, ret, err);
	}
	if (!given)
		return ask(prompt, ret, err);
	*ret = strdup(given);
	return *ret ? 0 : sk_err_oom(err);
}
