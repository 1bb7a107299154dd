/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "base/text.h"
#include "cli/hub/session.h"
#include "cli/hub/follow.h"
#include "io/json.h"

/* Projects and deployments. */

static const struct sk_opt plain_opts[] = { SK_HUB_OPTS, { 0 } };

static const struct sk_hub_column project_columns[] = {
	{ "PROJECT", "name", SK_HUB_TEXT },	 { "DEPLOYMENTS", "deployments", SK_HUB_TEXT },
	{ "RELEASES", "releases", SK_HUB_TEXT }, { "DEVICES", "devices", SK_HUB_TEXT },
	{ "SINCE", "created_s", SK_HUB_TIME },	 { 0 },
};

static int run_project_list(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	json_t *list = NULL;
	int r = sk_hub_open(cli, &c, err);

	if (r < 0)
		return r;
	r = sk_hub_list(c, "/api/v1/projects", "projects", "after", &list, err);
	if (r < 0)
		return r;
	sk_hub_print_list(cli, list, project_columns);
	return 0;
}

static int run_project_create(struct sk_cli *cli, struct sk_err *err)
{
	json_t *answer = NULL;
	int r = sk_hub_request(cli, "POST", "/api/v1/projects",
			       json_pack("{s:s}", "name", sk_cli_arg(cli, 0)), &answer, err);

	if (r < 0)
		return r;
	sk_hub_said(cli, answer, "project %s", sk_cli_arg(cli, 0));
	return 0;
}

static int run_project_delete(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_hub_path("projects/{}", sk_cli_arg(cli, 0));
	int r = sk_hub_request(cli, "DELETE", path, NULL, NULL, err);

	if (r < 0)
		return r;
	sk_hub_said(cli, NULL, "deleted project %s", sk_cli_arg(cli, 0));
	return 0;
}

static const struct sk_cmd project_list = { .name = "list",
					    .summary = "projects of your organisation",
					    .opts = plain_opts,
					    .run = run_project_list };
static const struct sk_cmd project_create = { .name = "create",
					      .summary = "make a project",
					      .args = "NAME",
					      .min_args = 1,
					      .max_args = 1,
					      .opts = plain_opts,
					      .run = run_project_create };
static const struct sk_cmd project_delete = { .name = "delete",
					      .summary = "delete an empty project",
					      .args = "NAME",
					      .min_args = 1,
					      .max_args = 1,
					      .opts = plain_opts,
					      .run = run_project_delete };
static const struct sk_cmd *const project_cmds[] = { &project_list, &project_create,
						     &project_delete, NULL };
const struct sk_cmd sk_hub_cmd_project = {
	.name = "project",
	.summary = "projects: what belongs together",
	.sub = project_cmds,
};

static const struct sk_hub_column deployment_columns[] = {
	{ "PROJECT", "project", SK_HUB_TEXT }, { "DEPLOYMENT", "name", SK_HUB_TEXT },
	{ "RELEASE", "version", SK_HUB_TEXT }, { "SINCE", "attached_s", SK_HUB_AGO },
	{ "DEVICES", "devices", SK_HUB_TEXT }, { 0 },
};

static int run_deployment_list(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_free_ char *path =
		sk_cli_argc(cli) ? sk_hub_path("projects/{}/deployments", sk_cli_arg(cli, 0))
				 : sk_hub_path("deployments");
	json_t *list = NULL;
	int r = sk_hub_open(cli, &c, err);

	if (r < 0)
		return r;
	r = sk_hub_list(c, path, "deployments", "after", &list, err);
	if (r < 0)
		return r;
	sk_hub_print_list(cli, list, deployment_columns);
	return 0;
}

static int run_create(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_free_ char *project = NULL, *name = NULL, *path = NULL;
	json_t *answer = NULL;
	int r = sk_hub_place(sk_cli_arg(cli, 0), "DEPLOYMENT", &project, &name, err);

	if (r == 0)
		r = sk_hub_open(cli, &c, err);
	if (r < 0)
		return r;
	path = sk_hub_path("projects/{}/deployments", project);
	r = sk_hub_call(c, "POST", path, json_pack("{s:s}", "name", name), &answer, err);
	if (r == 0)
		sk_hub_said(cli, answer, "deployment %s/%s", project, name);
	return r;
}

/* One request on the deployment that the first argument names: most commands are that. */
static int on_deployment(struct sk_cli *cli, const char *method, const char *rest, json_t *body,
			 json_t **ret, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_free_ char *project = NULL, *name = NULL, *path = NULL, *full = NULL;
	_cleanup_json_ json_t *own = body;
	int r = sk_hub_place(sk_cli_arg(cli, 0), "DEPLOYMENT", &project, &name, err);

	if (r == 0)
		r = sk_hub_open(cli, &c, err);
	if (r < 0)
		return r;
	path = sk_hub_path("projects/{}/deployments/{}", project, name);
	full = path ? sk_asprintf("%s%s", path, rest) : NULL;
	return sk_hub_call(c, method, full, TAKE_PTR(own), ret, err);
}

static void print_progress(const json_t *d)
{
	const json_t *progress = json_object_get(d, "progress");
	void *at = json_object_iter((json_t *)(uintptr_t)progress);

	(void)printf("%-14s", "progress");
	if (!at)
		(void)printf(" -");
	for (; at; at = json_object_iter_next((json_t *)(uintptr_t)progress, at)) {
		_cleanup_free_ char *step = strdup(json_object_iter_key(at));

		if (step)
			sk_text_clean(step, "");
		(void)printf(" %s %lld", step ? step : "?",
			     (long long)json_integer_value(json_object_iter_value(at)));
	}
	(void)printf("\n");
}

static const struct sk_hub_column show_columns[] = {
	{ "project", "project", SK_HUB_TEXT },
	{ "deployment", "name", SK_HUB_TEXT },
	{ "release", "version", SK_HUB_TEXT },
	{ "release id", "release", SK_HUB_TEXT },
	{ "attached", "attached_s", SK_HUB_AGO },
	{ "devices", "devices", SK_HUB_TEXT },
	{ 0 },
};

static int run_deployment_show(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_json_ json_t *d = NULL;
	int r = on_deployment(cli, "GET", "", NULL, &d, err);

	if (r < 0)
		return r;
	sk_hub_print_one(cli, json_incref(d), show_columns);
	if (!sk_cli_json(cli))
		print_progress(d);
	return 0;
}

static int run_deployment_delete(struct sk_cli *cli, struct sk_err *err)
{
	int r = on_deployment(cli, "DELETE", "", NULL, NULL, err);

	if (r == 0)
		sk_hub_said(cli, NULL, "deleted deployment %s", sk_cli_arg(cli, 0));
	return r;
}

/* "VERSION" alone means the deployment's own project. */
static int find_release(struct sk_http_client *c, const char *project, const char *arg,
			char **ret_id, struct sk_err *err)
{
	_cleanup_free_ char *other = NULL, *version = NULL;
	int r;

	if (!strchr(arg, '/'))
		return sk_hub_find_release(c, project, arg, ret_id, err);
	r = sk_hub_place(arg, "VERSION", &other, &version, err);
	if (r == 0 && !sk_streq(other, project))
		return sk_err_set(err, -EINVAL, "bad-value",
				  "release %s is of another project than the deployment", arg);
	return r < 0 ? r : sk_hub_find_release(c, project, version, ret_id, err);
}

static int run_attach(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_free_ char *project = NULL, *name = NULL, *path = NULL, *id = NULL, *jobs = NULL;
	json_t *answer = NULL;
	long long n;
	int r = sk_hub_place(sk_cli_arg(cli, 0), "DEPLOYMENT", &project, &name, err);

	if (r < 0)
		return r;
	r = sk_hub_open(cli, &c, err);
	if (r < 0)
		return r;
	r = find_release(c, project, sk_cli_arg(cli, 1), &id, err);
	if (r < 0)
		return r;
	path = sk_hub_path("projects/{}/deployments/{}/attach", project, name);
	r = sk_hub_call(
		c, "POST", path,
		json_pack("{s:s, s:b}", "release", id, "again", (int)sk_cli_flag(cli, "again")),
		&answer, err);
	if (r < 0)
		return r;
	n = (long long)json_integer_value(json_object_get(answer, "jobs"));
	if (!sk_cli_flag(cli, "wait")) {
		sk_hub_said(cli, answer, "attached %s to %s/%s: %lld devices to upgrade",
			    sk_cli_arg(cli, 1), project, name, n);
		return 0;
	}
	json_decref(answer);
	jobs = sk_hub_path("projects/{}/deployments/{}/jobs", project, name);
	return sk_hub_follow(cli, c, jobs, err);
}

static int run_abort(struct sk_cli *cli, struct sk_err *err)
{
	json_t *answer = NULL;
	int r = on_deployment(cli, "POST", "/abort", NULL, &answer, err);

	if (r == 0)
		sk_hub_said(cli, answer, "the roll-out to %s is aborted: %lld jobs taken back",
			    sk_cli_arg(cli, 0),
			    (long long)json_integer_value(json_object_get(answer, "jobs")));
	return r;
}

static int run_token(struct sk_cli *cli, struct sk_err *err)
{
	const char *name = sk_cli_opt(cli, "name"), *expires = sk_cli_opt(cli, "expires");
	const char *uses = sk_cli_opt(cli, "uses");
	uint64_t ms = 7ull * 86400 * 1000, uses_max = 0;
	json_t *answer = NULL;

	if (expires && sk_parse_duration(expires, &ms) < 0)
		return sk_err_set(err, -EINVAL, "usage", "--expires \"%s\": 12h, 90d, ...",
				  expires);
	if (uses && sk_parse_u64(uses, &uses_max) < 0)
		return sk_err_set(err, -EINVAL, "usage", "--uses \"%s\" is no number", uses);
	if (on_deployment(cli, "POST", "/enrolment-tokens",
			  json_pack("{s:s, s:I, s:I}", "name", name ? name : "cli", "expires_in_s",
				    (json_int_t)(ms / 1000), "uses_max", (json_int_t)uses_max),
			  &answer, err) < 0)
		return err->code;
	sk_hub_said(cli, answer, "%s", json_string_value(json_object_get(answer, "token")));
	return 0;
}

static const struct sk_hub_column enrolment_columns[] = {
	{ "ID", "id", SK_HUB_TEXT },
	{ "NAME", "name", SK_HUB_TEXT },
	{ "UNTIL", "expires_s", SK_HUB_TIME },
	{ "USED", "uses", SK_HUB_TEXT },
	{ "AT MOST", "uses_max", SK_HUB_TEXT },
	{ "REVOKED", "revoked", SK_HUB_YESNO },
	{ 0 },
};

static int run_tokens(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_free_ char *project = NULL, *name = NULL, *path = NULL;
	json_t *list = NULL;
	int r = sk_hub_place(sk_cli_arg(cli, 0), "DEPLOYMENT", &project, &name, err);

	if (r == 0)
		r = sk_hub_open(cli, &c, err);
	if (r < 0)
		return r;
	path = sk_hub_path("projects/{}/deployments/{}/enrolment-tokens", project, name);
	r = sk_hub_list(c, path, "enrolment_tokens", "after", &list, err);
	if (r == 0)
		sk_hub_print_list(cli, list, enrolment_columns);
	return r;
}

static int run_enrolment_revoke(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_free_ char *rest = sk_asprintf("/enrolment-tokens/%s", sk_cli_arg(cli, 1));
	int r;

	if (!rest)
		return sk_err_oom(err);
	if (!sk_name_ok(sk_cli_arg(cli, 1)))
		return sk_err_set(err, -EINVAL, "usage", "\"%s\" is no token's id",
				  sk_cli_arg(cli, 1));
	r = on_deployment(cli, "DELETE", rest, NULL, NULL, err);
	if (r == 0)
		sk_hub_said(cli, NULL, "revoked %s", sk_cli_arg(cli, 1));
	return r;
}

static const struct sk_opt attach_opts[] = {
	{ "wait", 'w', NULL, "show the progress of each device until all have ended" },
	{ "again", 0, NULL, "also to devices that run the release already" },
	SK_HUB_OPTS,
	{ 0 },
};
static const struct sk_opt token_opts[] = {
	{ "name", 0, "NAME", "what to call it in lists" },
	{ "expires", 0, "TIME", "how long devices can use it: 12h, 7d (default), at most 3650d" },
	{ "uses", 0, "COUNT", "how many devices at most; default: no bound" },
	SK_HUB_OPTS,
	{ 0 },
};
static const char *const attach_examples[] = {
	"skerry hub deployment attach station/field 1.4.0 --wait\tupgrade, and watch it", NULL
};

#define ON(n, s, f)                                                                       \
	{                                                                                 \
		.name = (n), .summary = (s), .args = "PROJECT/DEPLOYMENT", .min_args = 1, \
		.max_args = 1, .opts = plain_opts, .run = (f)                             \
	}

static const struct sk_cmd cmd_list = { .name = "list",
					.summary = "deployments, and the release of each",
					.args = "[PROJECT]",
					.max_args = 1,
					.opts = plain_opts,
					.run = run_deployment_list };
static const struct sk_cmd cmd_create = ON("create", "make a deployment", run_create);
static const struct sk_cmd cmd_show = ON("show", "its release and progress", run_deployment_show);
static const struct sk_cmd cmd_delete =
	ON("delete", "delete one without devices", run_deployment_delete);
static const struct sk_cmd cmd_abort =
	ON("abort", "take the release back from devices that have not finished", run_abort);
static const struct sk_cmd cmd_tokens = ON("tokens", "its enrolment tokens", run_tokens);
static const struct sk_cmd cmd_attach = {
	.name = "attach",
	.summary = "roll a release out to all its devices",
	.args = "PROJECT/DEPLOYMENT VERSION",
	.min_args = 2,
	.max_args = 2,
	.about =
		"Devices that are connected start at once, others when they come back, and devices "
		"that join later get it too. With --wait the exit status is 0 only if every device "
		"succeeded.",
	.examples = attach_examples,
	.opts = attach_opts,
	.run = run_attach,
};
static const struct sk_cmd cmd_token = {
	.name = "token",
	.summary = "make an enrolment token; it is shown once",
	.args = "PROJECT/DEPLOYMENT",
	.min_args = 1,
	.max_args = 1,
	.about = "A device that enrols with the token is accepted into the deployment by itself.",
	.opts = token_opts,
	.run = run_token,
};
static const struct sk_cmd cmd_revoke = { .name = "revoke-token",
					  .summary = "end an enrolment token",
					  .args = "PROJECT/DEPLOYMENT ID",
					  .min_args = 2,
					  .max_args = 2,
					  .opts = plain_opts,
					  .run = run_enrolment_revoke };

static const struct sk_cmd *const deployment_cmds[] = {
	&cmd_list,  &cmd_create, &cmd_show,   &cmd_delete, &cmd_attach,
	&cmd_abort, &cmd_token,	 &cmd_tokens, &cmd_revoke, NULL,
};
const struct sk_cmd sk_hub_cmd_deployment = {
	.name = "deployment",
	.summary = "deployments: devices that run the same release",
	.sub = deployment_cmds,
};
