/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "cli/hub/session.h"
#include "io/crypto/crl_info.h"
#include "io/json.h"

/* Revocation lists at the hub. */

static const struct sk_hub_column list_columns[] = {
	{ "ROOT", "issuer", SK_HUB_TEXT },     { "ID", "id", SK_HUB_SHORT },
	{ "NUMBER", "number", SK_HUB_TEXT },   { "REVOKED", "entries", SK_HUB_TEXT },
	{ "ISSUED", "issued_s", SK_HUB_TIME }, { "BY", "created_by", SK_HUB_TEXT },
	{ "DEVICES", "devices", SK_HUB_TEXT }, { 0 },
};

static int run_crl_list(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	json_t *list = NULL;
	int r = sk_hub_open(cli, &c, err);

	if (r < 0)
		return r;
	r = sk_hub_list(c, "/api/v1/crls", "crls", NULL, &list, err);
	if (r < 0)
		return r;
	sk_hub_print_list(cli, list, list_columns);
	return 0;
}

static int crl_send_file(struct sk_http_client *c, const char *file, json_t **ret,
			 struct sk_err *err)
{
	_cleanup_free_ char *bytes = NULL;
	_cleanup_http_call_ struct sk_http_call call =
		SK_HTTP_CALL(.method = "POST", .path = "/api/v1/crls",
			     .content_type = "application/octet-stream");
	int r = sk_file_read(AT_FDCWD, file, SK_CRL_INFO_SIZE_MAX, &bytes, &call.len);

	if (r < 0)
		return sk_err_set(err, r,
				  r == -ENOENT	? "not-found"
				  : r == -EFBIG ? "too-large"
						: "io",
				  "cannot read %s: %s", file, strerror(-r));
	call.data = bytes;
	r = sk_http_call(c, &call, err);
	return r < 0 ? r : sk_json_parse(call.answer.data, call.answer.len, ret, err);
}

static int run_crl_upload(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_json_ json_t *answer = NULL;
	int r = sk_hub_open(cli, &c, err);

	if (r == 0)
		r = crl_send_file(c, sk_cli_arg(cli, 0), &answer, err);
	if (r < 0)
		return r;
	sk_hub_print_list(cli, json_incref(json_object_get(answer, "crls")), list_columns);
	return 0;
}

/* The id of the list that the first argument names, by its root's name or the beginning of the id. */
static int find(struct sk_cli *cli, struct sk_http_client *c, char **ret, struct sk_err *err)
{
	_cleanup_json_ json_t *list = NULL;
	const char *arg = sk_cli_arg(cli, 0);
	json_t *crl;
	size_t i, n = 0;
	int r = sk_hub_list(c, "/api/v1/crls", "crls", NULL, &list, err);

	if (r < 0)
		return r;
	json_array_foreach (list, i, crl) {
		const char *id = json_string_value(json_object_get(crl, "id"));
		const char *name = json_string_value(json_object_get(crl, "issuer"));

		if (!id || !name || !(sk_streq(name, arg) || sk_str_starts(id, arg)))
			continue;
		free(*ret);
		*ret = strdup(id);
		n++;
	}
	if (n > 1)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "several lists are called \"%s\": use the id", arg);
	if (n == 0)
		return sk_err_set(err, -ENOENT, "not-found",
				  "the hub has no revocation list \"%s\"", arg);
	return *ret ? 0 : sk_err_oom(err);
}

static int on_crl(struct sk_cli *cli, const char *method, json_t **ret, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_free_ char *id = NULL, *path = NULL;
	int r = sk_hub_open(cli, &c, err);

	if (r == 0)
		r = find(cli, c, &id, err);
	if (r < 0)
		return r;
	path = sk_hub_path("crls/{}", id);
	return sk_hub_call(c, method, path, NULL, ret, err);
}

static const struct sk_hub_column show_columns[] = {
	{ "root", "issuer", SK_HUB_TEXT },	  { "id", "id", SK_HUB_TEXT },
	{ "number", "number", SK_HUB_TEXT },	  { "revoked", "entries", SK_HUB_TEXT },
	{ "issued", "issued_s", SK_HUB_TIME },	  { "next due", "due_s", SK_HUB_TIME },
	{ "sha-256", "digest", SK_HUB_TEXT },	  { "size", "size_bytes", SK_HUB_SIZE },
	{ "uploaded", "created_s", SK_HUB_TIME }, { "by", "created_by", SK_HUB_TEXT },
	{ "devices", "devices", SK_HUB_TEXT },	  { 0 },
};

static int run_crl_show(struct sk_cli *cli, struct sk_err *err)
{
	json_t *crl = NULL;
	int r = on_crl(cli, "GET", &crl, err);

	if (r == 0)
		sk_hub_print_one(cli, crl, show_columns);
	return r;
}

static int run_crl_delete(struct sk_cli *cli, struct sk_err *err)
{
	int r = on_crl(cli, "DELETE", NULL, err);

	if (r == 0)
		sk_hub_said(cli, NULL, "deleted the list of %s; devices keep what they have",
			    sk_cli_arg(cli, 0));
	return r;
}

static const struct sk_opt plain_opts[] = { SK_HUB_OPTS, { 0 } };
static const char *const upload_examples[] = {
	"skerry hub crl upload keys/crl.pem\tafter skerry key revoke", NULL
};

#define ON(n, s, f)                                                                        \
	{                                                                                  \
		.name = (n), .summary = (s), .args = "ROOT", .min_args = 1, .max_args = 1, \
		.opts = plain_opts, .run = (f)                                             \
	}

static const struct sk_cmd cmd_upload = {
	.name = "upload",
	.summary = "bring a revocation list to the hub, and so to every device",
	.args = "CRL.PEM",
	.min_args = 1,
	.max_args = 1,
	.about = "PEM (one list, or one of each of several roots) or DER. Connected devices get it "
		 "at once, others when they come back. A device takes a list only when one of its "
		 "own roots signed it and its number is higher than that of the list it has.",
	.examples = upload_examples,
	.opts = plain_opts,
	.run = run_crl_upload,
};
static const struct sk_cmd cmd_list = {
	.name = "list",
	.summary = "revocation lists at the hub, and how many devices have each",
	.opts = plain_opts,
	.run = run_crl_list,
};
static const struct sk_cmd cmd_show = ON("show", "one list (--json: with its PEM)", run_crl_show);
static const struct sk_cmd cmd_delete = ON("delete", "take a list off the hub", run_crl_delete);
static const struct sk_cmd *const cmds[] = { &cmd_upload, &cmd_list, &cmd_show, &cmd_delete, NULL };
const struct sk_cmd sk_hub_cmd_crl = {
	.name = "crl",
	.summary = "revocation lists: whose signature no longer counts",
	.about =
		"ROOT is the name of the root that signed the list, or enough of its id's beginning.",
	.sub = cmds,
};
