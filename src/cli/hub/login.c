/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/hub/credentials.h"
#include "cli/hub/session.h"
#include "io/json.h"

#define CA_MAX (256 * 1024)

static int read_ca(const char *file, char **ret, struct sk_err *err)
{
	size_t len;
	int r = file ? sk_file_read(AT_FDCWD, file, CA_MAX, ret, &len) : 0;

	return r < 0 ? sk_err_set(err, r, "io", "cannot read %s: %s", file, strerror(-r)) : 0;
}

static int need_opt(struct sk_cli *cli, const char *name, const char **ret, struct sk_err *err)
{
	*ret = sk_cli_opt(cli, name);
	return *ret ? 0 : sk_err_set(err, -EINVAL, "usage", "login needs --%s", name);
}

static int print_login(struct sk_cli *cli, json_t *answer, const char *url, const char *user)
{
	bool temporary = json_is_true(json_object_get(answer, "password_temporary"));
	json_t *said = json_pack("{s:s, s:s, s:b}", "hub", url, "user", user, "password_temporary",
				 (int)temporary);

	sk_hub_said(cli, said, "logged in to %s as %s%s", url, user,
		    temporary ? "; set your own password now: skerry hub user password" : "");
	return 0;
}

static int run_login(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(sk_http_client_freep) struct sk_http_client *c = NULL;
	const char *url = sk_cli_arg(cli, 0), *ca = sk_cli_opt(cli, "ca"), *org, *user;
	_cleanup_free_ char *pem = NULL;
	_cleanup_secret_ char *password = NULL;
	_cleanup_json_ json_t *answer = NULL;
	const char *token;
	int r = need_opt(cli, "org", &org, err);

	if (r == 0)
		r = need_opt(cli, "user", &user, err);
	if (r == 0 && !sk_str_starts(url, "https://"))
		r = sk_err_set(err, -EINVAL, "usage", "\"%s\": the hub's address is https://...",
			       url);
	if (r == 0)
		r = read_ca(ca, &pem, err);
	if (r == 0)
		r = sk_hub_password(sk_cli_opt(cli, "password-file"), "SKERRY_PASSWORD",
				    "Password: ", &password, err);
	if (r == 0)
		r = sk_http_client_new(
			&(struct sk_http_client_config){ .base_url = url, .ca_file = ca }, &c, err);
	if (r == 0)
		r = sk_hub_call(c, "POST", "/api/v1/login",
				json_pack("{s:s, s:s, s:s}", "organisation", org, "user", user,
					  "password", password),
				&answer, err);
	if (r == 0)
		r = sk_json_need_str(answer, "token", 256, &token, err);
	if (r == 0)
		r = sk_credentials_save(url, token, pem, err);
	return r < 0 ? r : print_login(cli, answer, url, user);
}

static const struct sk_opt login_opts[] = {
	{ "org", 'o', "NAME", "your organisation" },
	{ "user", 'u', "NAME", "your name there" },
	{ "password-file", 0, "FILE",
	  "read the password from a file (else SKERRY_PASSWORD, or asked)" },
	{ "ca", 0, "FILE", "authority of the hub's certificate; kept for later commands" },
	{ 0 },
};

static const char *const login_examples[] = {
	"skerry hub login https://hub.example:8443 --org acme --user alice --ca ca.pem\tasks for the "
	"password",
	NULL,
};

const struct sk_cmd sk_hub_cmd_login = {
	.name = "login",
	.summary = "log in to a hub, for the commands to come",
	.args = "URL",
	.min_args = 1,
	.max_args = 1,
	.about = "Keeps a token that is good for twelve hours in ~/.config/skerry/hub.json, which "
		 "only you can read. Programs use a token of their own (skerry hub token create) "
		 "in SKERRY_TOKEN, and SKERRY_HUB for the address.",
	.examples = login_examples,
	.opts = login_opts,
	.run = run_login,
};

static int run_logout(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(sk_http_client_freep) struct sk_http_client *c = NULL;
	struct sk_err ignored = SK_ERR_INIT;
	int r;

	/* The hub may be out of reach, or the token expired: forget it here all the same. */
	if (sk_hub_open(cli, &c, &ignored) == 0)
		(void)sk_hub_call(c, "POST", "/api/v1/logout", NULL, NULL, &ignored);
	r = sk_credentials_forget(err);
	if (r == 0)
		sk_hub_said(cli, NULL, "logged out");
	return r;
}

static const struct sk_opt logout_opts[] = { SK_HUB_OPTS, { 0 } };

const struct sk_cmd sk_hub_cmd_logout = {
	.name = "logout",
	.summary = "end the session and forget its token",
	.opts = logout_opts,
	.run = run_logout,
};
