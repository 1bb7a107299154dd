/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/hub/session.h"
#include "io/json.h"

/* Organisation, users, tokens, audit log. */

static const struct sk_opt plain_opts[] = { SK_HUB_OPTS, { 0 } };

static const struct sk_hub_column org_columns[] = {
	{ "organisation", "name", SK_HUB_TEXT },    { "since", "created_s", SK_HUB_TIME },
	{ "users", "users", SK_HUB_TEXT },	    { "projects", "projects", SK_HUB_TEXT },
	{ "devices", "devices", SK_HUB_TEXT },	    { "waiting", "devices_pending", SK_HUB_TEXT },
	{ "images", "storage_bytes", SK_HUB_SIZE }, { "bound", "quota_bytes", SK_HUB_SIZE },
	{ "authority", "ca", SK_HUB_YESNO },	    { 0 },
};

static int run_org_show(struct sk_cli *cli, struct sk_err *err)
{
	json_t *answer = NULL;
	int r = sk_hub_request(cli, "GET", "/api/v1/organisation", NULL, &answer, err);

	if (r < 0)
		return r;
	sk_hub_print_one(cli, answer, org_columns);
	return 0;
}

static int run_org_set_ca(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_free_ char *pem = NULL;
	const char *file = sk_cli_arg(cli, 0);
	size_t len;
	int r = sk_file_read(AT_FDCWD, file, 60 * 1024, &pem, &len);

	if (r < 0)
		return sk_err_set(err, r, "io", "cannot read %s: %s", file, strerror(-r));
	r = sk_hub_request(cli, "PUT", "/api/v1/organisation/ca", json_pack("{s:s}", "pem", pem),
			   NULL, err);
	if (r < 0)
		return r;
	sk_hub_said(cli, NULL, "uploads must now be signed under %s", file);
	return 0;
}

static int run_org_drop_ca(struct sk_cli *cli, struct sk_err *err)
{
	int r = sk_hub_request(cli, "DELETE", "/api/v1/organisation/ca", NULL, NULL, err);

	if (r < 0)
		return r;
	sk_hub_said(cli, NULL, "the hub no longer checks signatures; devices still do");
	return 0;
}

static const struct sk_cmd org_show = {
	.name = "show",
	.summary = "your organisation, and what it has",
	.opts = plain_opts,
	.run = run_org_show,
};
static const struct sk_cmd org_set_ca = {
	.name = "set-ca",
	.summary = "let the hub check who signed uploaded releases",
	.args = "CA.PEM",
	.min_args = 1,
	.max_args = 1,
	.about = "Devices check every release in any case. With the roots registered here, a wrong "
		 "signature is refused at the upload already.",
	.opts = plain_opts,
	.run = run_org_set_ca,
};
static const struct sk_cmd org_drop_ca = {
	.name = "drop-ca",
	.summary = "let the hub take uploads whoever signed them",
	.opts = plain_opts,
	.run = run_org_drop_ca,
};
static const struct sk_cmd *const org_cmds[] = { &org_show, &org_set_ca, &org_drop_ca, NULL };
const struct sk_cmd sk_hub_cmd_org = {
	.name = "org",
	.summary = "your organisation",
	.sub = org_cmds,
};

static const struct sk_hub_column user_columns[] = {
	{ "USER", "name", SK_HUB_TEXT },
	{ "ROLE", "role", SK_HUB_TEXT },
	{ "SINCE", "created_s", SK_HUB_TIME },
	{ "FIRST PASSWORD", "password_temporary", SK_HUB_YESNO },
	{ 0 },
};

static int run_user_list(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	json_t *list = NULL;
	int r = sk_hub_open(cli, &c, err);

	if (r < 0)
		return r;
	r = sk_hub_list(c, "/api/v1/users", "users", "after", &list, err);
	if (r < 0)
		return r;
	sk_hub_print_list(cli, list, user_columns);
	return 0;
}

static void print_user(struct sk_cli *cli, json_t *user)
{
	const char *made = json_string_value(json_object_get(user, "password"));
	const char *name = json_string_value(json_object_get(user, "name"));

	if (made)
		sk_hub_said(cli, user, "user %s; password for the first login: %s", name, made);
	else
		sk_hub_said(cli, user, "user %s", name);
}

static int run_user_create(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_secret_ char *password = NULL;
	const char *role = sk_cli_opt(cli, "role"), *file = sk_cli_opt(cli, "password-file");
	json_t *answer = NULL;
	int r = sk_hub_open(cli, &c, err);

	if (r == 0 && file)
		r = sk_hub_password(file, NULL, NULL, &password, err);
	if (r == 0)
		r = sk_hub_call(c, "POST", "/api/v1/users",
				json_pack("{s:s, s:s, s:s?}", "name", sk_cli_arg(cli, 0), "role",
					  role ? role : "user", "password", password),
				&answer, err);
	if (r == 0)
		print_user(cli, answer);
	return r;
}

static int run_user_role(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_hub_path("users/{}", sk_cli_arg(cli, 0));
	json_t *answer = NULL;
	int r = sk_hub_request(cli, "PATCH", path, json_pack("{s:s}", "role", sk_cli_arg(cli, 1)),
			       &answer, err);

	if (r < 0)
		return r;
	sk_hub_said(cli, answer, "%s is now %s", sk_cli_arg(cli, 0), sk_cli_arg(cli, 1));
	return 0;
}

static int run_user_reset(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_hub_path("users/{}", sk_cli_arg(cli, 0));
	json_t *answer = NULL;
	int r = sk_hub_request(cli, "PATCH", path, json_pack("{s:b}", "reset_password", 1), &answer,
			       err);

	if (r < 0)
		return r;
	print_user(cli, answer);
	return 0;
}

static int run_user_delete(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_hub_path("users/{}", sk_cli_arg(cli, 0));
	int r = sk_hub_request(cli, "DELETE", path, NULL, NULL, err);

	if (r < 0)
		return r;
	sk_hub_said(cli, NULL, "deleted %s", sk_cli_arg(cli, 0));
	return 0;
}

static int run_user_password(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_secret_ char *old = NULL, *new = NULL;
	int r = sk_hub_open(cli, &c, err);

	if (r < 0)
		return r;
	r = sk_hub_password(sk_cli_opt(cli, "old-file"), "SKERRY_PASSWORD", "Password now: ", &old,
			    err);
	if (r < 0)
		return r;
	r = sk_hub_password(sk_cli_opt(cli, "new-file"), "SKERRY_NEW_PASSWORD",
			    "New password: ", &new, err);
	if (r < 0)
		return r;
	r = sk_hub_call(c, "POST", "/api/v1/me/password",
			json_pack("{s:s, s:s}", "old", old, "new", new), NULL, err);
	if (r < 0)
		return r;
	sk_hub_said(cli, NULL, "the password is set; your other sessions have ended");
	return 0;
}

static const struct sk_opt user_create_opts[] = {
	{ "role", 0, "ROLE", "owner (may change everything) or user (may look); default user" },
	{ "password-file", 0, "FILE", "the first password, instead of one made by the hub" },
	SK_HUB_OPTS,
	{ 0 },
};
static const struct sk_opt user_password_opts[] = {
	{ "old-file", 0, "FILE", "password now (else SKERRY_PASSWORD, or asked)" },
	{ "new-file", 0, "FILE", "new password (else SKERRY_NEW_PASSWORD, or asked)" },
	SK_HUB_OPTS,
	{ 0 },
};
static const struct sk_cmd user_list = { .name = "list",
					 .summary = "users of your organisation",
					 .opts = plain_opts,
					 .run = run_user_list };
static const struct sk_cmd user_create = { .name = "create",
					   .summary = "make a user",
					   .args = "NAME",
					   .min_args = 1,
					   .max_args = 1,
					   .opts = user_create_opts,
					   .run = run_user_create };
static const struct sk_cmd user_role = { .name = "role",
					 .summary = "make a user owner, or user again",
					 .args = "NAME ROLE",
					 .min_args = 2,
					 .max_args = 2,
					 .opts = plain_opts,
					 .run = run_user_role };
static const struct sk_cmd user_reset = { .name = "reset",
					  .summary =
						  "a new first password; ends the user's sessions",
					  .args = "NAME",
					  .min_args = 1,
					  .max_args = 1,
					  .opts = plain_opts,
					  .run = run_user_reset };
static const struct sk_cmd user_delete = { .name = "delete",
					   .summary = "delete a user with all tokens",
					   .args = "NAME",
					   .min_args = 1,
					   .max_args = 1,
					   .opts = plain_opts,
					   .run = run_user_delete };
static const struct sk_cmd user_password = { .name = "password",
					     .summary = "set your own password",
					     .opts = user_password_opts,
					     .run = run_user_password };
static const struct sk_cmd *const user_cmds[] = { &user_list,  &user_create, &user_role,
						  &user_reset, &user_delete, &user_password,
						  NULL };
const struct sk_cmd sk_hub_cmd_user = {
	.name = "user",
	.summary = "users of your organisation",
	.sub = user_cmds,
};

static const struct sk_hub_column token_columns[] = {
	{ "ID", "id", SK_HUB_TEXT },
	{ "NAME", "name", SK_HUB_TEXT },
	{ "KIND", "kind", SK_HUB_TEXT },
	{ "USER", "user", SK_HUB_TEXT },
	{ "SINCE", "created_s", SK_HUB_TIME },
	{ "UNTIL", "expires_s", SK_HUB_TIME },
	{ 0 },
};

static int run_token_list(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	json_t *list = NULL;
	int r = sk_hub_open(cli, &c, err);

	if (r < 0)
		return r;
	r = sk_hub_list(c, "/api/v1/tokens", "tokens", "after", &list, err);
	if (r < 0)
		return r;
	sk_hub_print_list(cli, list, token_columns);
	return 0;
}

static int run_token_create(struct sk_cli *cli, struct sk_err *err)
{
	const char *expires = sk_cli_opt(cli, "expires");
	uint64_t ms = 90ull * 86400 * 1000;
	json_t *answer = NULL;
	int r = expires ? sk_parse_duration(expires, &ms) : 0;

	if (r < 0)
		return sk_err_set(err, r, "usage", "--expires \"%s\": 12h, 90d, ...", expires);
	r = sk_hub_request(cli, "POST", "/api/v1/tokens",
			   json_pack("{s:s, s:I}", "name", sk_cli_arg(cli, 0), "expires_in_s",
				     (json_int_t)(ms / 1000)),
			   &answer, err);
	if (r < 0)
		return r;
	sk_hub_said(cli, answer, "%s", json_string_value(json_object_get(answer, "token")));
	return 0;
}

static int run_token_revoke(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_hub_path("tokens/{}", sk_cli_arg(cli, 0));
	int r = sk_hub_request(cli, "DELETE", path, NULL, NULL, err);

	if (r < 0)
		return r;
	sk_hub_said(cli, NULL, "revoked %s", sk_cli_arg(cli, 0));
	return 0;
}

static const struct sk_opt token_create_opts[] = {
	{ "expires", 0, "TIME", "how long it is good: 12h, 90d (default), at most 730d" },
	SK_HUB_OPTS,
	{ 0 },
};
static const struct sk_cmd token_list = { .name = "list",
					  .summary = "tokens that are good now",
					  .opts = plain_opts,
					  .run = run_token_list };
static const struct sk_cmd token_create = {
	.name = "create",
	.summary = "make a token for a program; it is shown once",
	.args = "NAME",
	.min_args = 1,
	.max_args = 1,
	.about = "The token may do what you may. Programs put it into SKERRY_TOKEN.",
	.opts = token_create_opts,
	.run = run_token_create,
};
static const struct sk_cmd token_revoke = { .name = "revoke",
					    .summary = "end a token at once",
					    .args = "ID",
					    .min_args = 1,
					    .max_args = 1,
					    .opts = plain_opts,
					    .run = run_token_revoke };
static const struct sk_cmd *const token_cmds[] = { &token_list, &token_create, &token_revoke,
						   NULL };
const struct sk_cmd sk_hub_cmd_token = {
	.name = "token",
	.summary = "tokens for programs",
	.sub = token_cmds,
};

static const struct sk_hub_column audit_columns[] = {
	{ "WHEN", "at_s", SK_HUB_TIME },       { "WHO", "actor", SK_HUB_TEXT },
	{ "WHAT", "action", SK_HUB_TEXT },     { "ON", "object", SK_HUB_TEXT },
	{ "OUTCOME", "outcome", SK_HUB_TEXT }, { "TIMES", "times", SK_HUB_TEXT },
	{ "FROM", "peer", SK_HUB_TEXT },       { 0 },
};

#define AUDIT_MAX 100000 /* what a program may hold at once */

static int run_audit(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	const char *limit = sk_cli_opt(cli, "limit");
	_cleanup_free_ char *path = NULL;
	json_t *list = NULL;
	uint64_t max = 50;
	int r;

	if (limit && (sk_parse_u64(limit, &max) < 0 || max < 1 || max > AUDIT_MAX))
		return sk_err_set(err, -EINVAL, "usage", "--limit \"%s\": 1 to %d", limit,
				  AUDIT_MAX);
	path = sk_asprintf("/api/v1/audit?limit=%d", (int)SK_MIN(max, 500u));
	r = sk_hub_open(cli, &c, err);
	if (r < 0)
		return r;
	r = sk_hub_list_some(c, path, "audit", "before", max, &list, err);
	if (r < 0)
		return r;
	sk_hub_print_list(cli, list, audit_columns);
	return 0;
}

static const struct sk_opt audit_opts[] = {
	{ "limit", 'n', "COUNT", "how many of the newest (default 50, at most 100000)" },
	SK_HUB_OPTS,
	{ 0 },
};

const struct sk_cmd sk_hub_cmd_audit = {
	.name = "audit",
	.summary = "who did what, when, from where, and how it ended",
	.opts = audit_opts,
	.run = run_audit,
};
