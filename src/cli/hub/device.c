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

#define ANSWER_WAIT_S 60

static const struct sk_opt plain_opts[] = { SK_HUB_OPTS, { 0 } };

static const struct sk_hub_column list_columns[] = {
	{ "DEVICE", "id", SK_HUB_SHORT },
	{ "NAME", "name", SK_HUB_TEXT },
	{ "STATUS", "status", SK_HUB_TEXT },
	{ "PROJECT", "project", SK_HUB_TEXT },
	{ "DEPLOYMENT", "deployment", SK_HUB_TEXT },
	{ "RELEASE", "version", SK_HUB_TEXT },
	{ "UPDATE", "update_step", SK_HUB_TEXT },
	{ "SEEN", "last_seen_s", SK_HUB_AGO },
	{ "CONNECTED", "connected", SK_HUB_YESNO },
	{ "CRLS", "crls_current", SK_HUB_YESNO },
	{ 0 },
};

static int add_filter(char **path, const char *key, const char *value)
{
	_cleanup_free_ char *encoded = value ? sk_hub_path("{}", value) : NULL;
	char *longer;

	if (!value || !*path)
		return 0;
	/* sk_hub_path() puts "/api/v1/" in front: the encoded value stands behind it. */
	longer = encoded ? sk_asprintf("%s%c%s=%s", *path, strchr(*path, '?') ? '&' : '?', key,
				       encoded + strlen("/api/v1/"))
			 : NULL;
	free(*path);
	*path = longer;
	return longer ? 0 : -ENOMEM;
}

static int run_hub_device_list(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_free_ char *path = sk_hub_path("devices"), *project = NULL, *name = NULL;
	const char *place = sk_cli_opt(cli, "deployment");
	json_t *list = NULL;
	int r = 0;

	if (place)
		r = sk_hub_place(place, "DEPLOYMENT", &project, &name, err);
	if (r < 0)
		return r;
	(void)add_filter(&path, "status", sk_cli_opt(cli, "status"));
	(void)add_filter(&path, "project", project ? project : sk_cli_opt(cli, "project"));
	(void)add_filter(&path, "deployment", name);
	r = sk_hub_open(cli, &c, err);
	if (r < 0)
		return r;
	r = sk_hub_list(c, path, "devices", "after", &list, err);
	if (r < 0)
		return r;
	sk_hub_print_list(cli, list, list_columns);
	return 0;
}

/* One request on the device that the first argument names. */
static int on_device(struct sk_cli *cli, const char *method, const char *rest, json_t *body,
		     json_t **ret, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_free_ char *id = NULL, *path = NULL, *full = NULL;
	_cleanup_json_ json_t *own = body;
	int r = sk_hub_open(cli, &c, err);

	if (r == 0)
		r = sk_hub_find_device(c, sk_cli_arg(cli, 0), &id, err);
	if (r < 0)
		return r;
	path = sk_hub_path("devices/{}", id);
	full = path ? sk_asprintf("%s%s", path, rest) : NULL;
	return sk_hub_call(c, method, full, TAKE_PTR(own), ret, err);
}

static const struct sk_hub_column show_columns[] = {
	{ "device", "id", SK_HUB_TEXT },
	{ "name", "name", SK_HUB_TEXT },
	{ "status", "status", SK_HUB_TEXT },
	{ "project", "project", SK_HUB_TEXT },
	{ "deployment", "deployment", SK_HUB_TEXT },
	{ "type", "compatible", SK_HUB_TEXT },
	{ "release", "version", SK_HUB_TEXT },
	{ "update", "update_step", SK_HUB_TEXT },
	{ "enrolled", "enrolled_s", SK_HUB_TIME },
	{ "from", "peer", SK_HUB_TEXT },
	{ "seen", "last_seen_s", SK_HUB_AGO },
	{ "connected", "connected", SK_HUB_YESNO },
	{ 0 },
};

static const struct sk_hub_column crl_columns[] = {
	{ "REVOCATION LIST OF", "issuer", SK_HUB_TEXT },
	{ "NUMBER", "number", SK_HUB_TEXT },
	{ "REFUSED", "refused", SK_HUB_TEXT },
	{ 0 },
};

static int run_hub_device_show(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_json_ json_t *crls = NULL;
	json_t *d = NULL;
	int r = on_device(cli, "GET", "", NULL, &d, err);

	if (r < 0)
		return r;
	crls = json_incref(json_object_get(d, "crls"));
	sk_hub_print_one(cli, d, show_columns);
	if (!sk_cli_json(cli) && json_array_size(crls) > 0) {
		(void)printf("\n");
		sk_hub_print_list(cli, json_incref(crls), crl_columns);
	}
	return 0;
}

static int place(struct sk_cli *cli, const char *verb, const char *done, struct sk_err *err)
{
	_cleanup_free_ char *project = NULL, *name = NULL;
	json_t *d = NULL;
	int r = sk_hub_place(sk_cli_arg(cli, 1), "DEPLOYMENT", &project, &name, err);

	if (r < 0)
		return r;
	r = on_device(cli, "POST", verb,
		      json_pack("{s:s, s:s}", "project", project, "deployment", name), &d, err);
	if (r < 0)
		return r;
	sk_hub_said(cli, d, "%s %s %s", sk_cli_arg(cli, 0), done, sk_cli_arg(cli, 1));
	return 0;
}

static int run_accept(struct sk_cli *cli, struct sk_err *err)
{
	return place(cli, "/accept", "is accepted into", err);
}

static int run_move(struct sk_cli *cli, struct sk_err *err)
{
	return place(cli, "/move", "now belongs to", err);
}

static int run_reject(struct sk_cli *cli, struct sk_err *err)
{
	json_t *d = NULL;
	int r = on_device(cli, "POST", "/reject", NULL, &d, err);

	if (r == 0)
		sk_hub_said(cli, d, "%s is rejected", sk_cli_arg(cli, 0));
	return r;
}

static int run_block(struct sk_cli *cli, struct sk_err *err)
{
	json_t *d = NULL;
	int r = on_device(cli, "POST", "/block", NULL, &d, err);

	if (r == 0)
		sk_hub_said(cli, d, "%s is blocked: its session has ended", sk_cli_arg(cli, 0));
	return r;
}

static int run_rename(struct sk_cli *cli, struct sk_err *err)
{
	json_t *d = NULL;
	int r = on_device(cli, "PATCH", "", json_pack("{s:s}", "name", sk_cli_arg(cli, 1)), &d,
			  err);

	if (r == 0)
		sk_hub_said(cli, d, "%s is now %s", sk_cli_arg(cli, 0), sk_cli_arg(cli, 1));
	return r;
}

static int run_hub_device_delete(struct sk_cli *cli, struct sk_err *err)
{
	int r = on_device(cli, "DELETE", "", NULL, NULL, err);

	if (r == 0)
		sk_hub_said(cli, NULL, "deleted %s; it may enrol anew", sk_cli_arg(cli, 0));
	return r;
}

/* The release to go to: its id in the device's project. NULL: the deployment's own. */
static int upgrade_body(struct sk_cli *cli, json_t **ret, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_json_ json_t *d = NULL;
	_cleanup_free_ char *id = NULL;
	const char *version = sk_cli_arg(cli, 1), *project;
	int r;

	*ret = json_object();
	if (!version)
		return 0;
	r = on_device(cli, "GET", "", NULL, &d, err);
	if (r < 0)
		return r;
	r = sk_json_need_str(d, "project", 256, &project, err);
	if (r < 0)
		return r;
	r = sk_hub_open(cli, &c, err);
	if (r < 0)
		return r;
	r = sk_hub_find_release(c, project, version, &id, err);
	if (r < 0)
		return r;
	(void)json_object_set_new(*ret, "release", json_string(id));
	return 0;
}

static int watch_job(struct sk_cli *cli, const json_t *job, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_free_ char *path =
		sk_hub_path("jobs/{}", json_string_value(json_object_get(job, "id")));
	int r = sk_hub_open(cli, &c, err);

	return r < 0 ? r : sk_hub_follow(cli, c, path, err);
}

static int run_upgrade(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_json_ json_t *job = NULL, *body = NULL;
	int r = upgrade_body(cli, &body, err);

	if (r == 0)
		r = on_device(cli, "POST", "/upgrade", TAKE_PTR(body), &job, err);
	if (r < 0)
		return r;
	if (sk_cli_flag(cli, "wait"))
		return watch_job(cli, job, err);
	sk_hub_said(cli, json_incref(job), "job %s: %s to release %s",
		    json_string_value(json_object_get(job, "id")), sk_cli_arg(cli, 0),
		    json_string_value(json_object_get(job, "version")));
	return 0;
}

/* Asks the device and waits until its answer is here. */
static int device_ask(struct sk_cli *cli, const char *rest, json_t *body, char **ret_job,
		      struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_json_ json_t *job = NULL;
	_cleanup_free_ char *path = NULL;
	int r = on_device(cli, "POST", rest, body, &job, err);

	if (r == 0)
		r = sk_hub_open(cli, &c, err);
	if (r < 0)
		return r;
	*ret_job = strdup(json_string_value(json_object_get(job, "id")));
	path = *ret_job ? sk_hub_path("jobs/{}", *ret_job) : NULL;
	for (int i = 0; i < ANSWER_WAIT_S * 2; i++) {
		_cleanup_json_ json_t *now = NULL;
		const char *step;

		r = sk_hub_call(c, "GET", path, NULL, &now, err);
		if (r < 0)
			return r;
		step = json_string_value(json_object_get(now, "step"));
		if (step && sk_streq(step, "done"))
			return 0;
		if (step && sk_streq(step, "failed"))
			return sk_err_set(err, -EIO, "child-failed", "the device says: %s",
					  json_string_value(json_object_get(now, "reason")));
		(void)nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL);
	}
	return sk_err_set(err, -ETIMEDOUT, "timeout",
			  "no answer yet: the device sends it when it is connected");
}

static int run_inventory(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_free_ char *job = NULL;
	json_t *answer = NULL;
	int r = 0;

	if (sk_cli_flag(cli, "ask"))
		r = device_ask(cli, "/inventory", NULL, &job, err);
	if (r == 0)
		r = on_device(cli, "GET", "/inventory", NULL, &answer, err);
	if (r == 0)
		sk_cli_print_json(answer);
	return r;
}

/* Oldest first. A capsule may write anything: nothing of it commands the terminal. */
static void print_logs(const json_t *logs)
{
	for (size_t i = json_array_size(logs); i > 0; i--) {
		const char *s =
			json_string_value(json_object_get(json_array_get(logs, i - 1), "text"));
		_cleanup_free_ char *copy = s ? strdup(s) : NULL;

		if (copy) {
			sk_text_clean(copy, "\n\t");
			(void)fputs(copy, stdout);
		}
	}
}

static int ask_logs(struct sk_cli *cli, char **ret_job, struct sk_err *err)
{
	const char *capsule = sk_cli_arg(cli, 1), *tail = sk_cli_opt(cli, "tail");
	uint64_t n = 200;

	if (!capsule)
		return sk_err_set(err, -EINVAL, "usage", "--ask needs the name of a capsule");
	if (tail && sk_parse_u64(tail, &n) < 0)
		return sk_err_set(err, -EINVAL, "usage", "--tail \"%s\" is no number", tail);
	return device_ask(cli, "/logs",
			  json_pack("{s:s, s:I}", "capsule", capsule, "tail", (json_int_t)n),
			  ret_job, err);
}

static int run_hub_device_logs(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_free_ char *job = NULL, *id = NULL, *path = NULL;
	_cleanup_json_ json_t *logs = NULL;
	int r = sk_cli_flag(cli, "ask") ? ask_logs(cli, &job, err) : 0;

	if (r < 0)
		return r;
	r = sk_hub_open(cli, &c, err);
	if (r < 0)
		return r;
	r = sk_hub_find_device(c, sk_cli_arg(cli, 0), &id, err);
	if (r < 0)
		return r;
	path = sk_hub_path("devices/{}/logs", id);
	(void)add_filter(&path, "capsule", sk_cli_arg(cli, 1));
	(void)add_filter(&path, "job", job);
	r = sk_hub_list(c, path, "logs", "before", &logs, err);
	if (r < 0)
		return r;
	if (sk_cli_json(cli))
		sk_cli_print_json(TAKE_PTR(logs));
	else
		print_logs(logs);
	return 0;
}

static const struct sk_hub_column job_columns[] = {
	{ "JOB", "id", SK_HUB_TEXT },
	{ "DEVICE", "device_name", SK_HUB_TEXT },
	{ "KIND", "kind", SK_HUB_TEXT },
	{ "RELEASE", "version", SK_HUB_TEXT },
	{ "STEP", "step", SK_HUB_TEXT },
	{ "MOVED", "bytes_done", SK_HUB_SIZE },
	{ "CHANGED", "updated_s", SK_HUB_AGO },
	{ "REASON", "reason", SK_HUB_TEXT },
	{ 0 },
};

static int run_jobs(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_free_ char *id = NULL, *path = NULL;
	const char *device = sk_cli_opt(cli, "device");
	json_t *list = NULL;
	int r = sk_hub_open(cli, &c, err);

	if (r == 0 && device)
		r = sk_hub_find_device(c, device, &id, err);
	if (r < 0)
		return r;
	path = id ? sk_hub_path("devices/{}/jobs", id) : sk_hub_path("jobs");
	(void)add_filter(&path, "step", sk_cli_opt(cli, "step"));
	r = sk_hub_list(c, path, "jobs", "before", &list, err);
	if (r == 0)
		sk_hub_print_list(cli, list, job_columns);
	return r;
}

static const struct sk_hub_column job_show_columns[] = {
	{ "job", "id", SK_HUB_TEXT },		{ "kind", "kind", SK_HUB_TEXT },
	{ "device", "device", SK_HUB_TEXT },	{ "name", "device_name", SK_HUB_TEXT },
	{ "release", "version", SK_HUB_TEXT },	{ "step", "step", SK_HUB_TEXT },
	{ "moved", "bytes_done", SK_HUB_SIZE }, { "of", "bytes_total", SK_HUB_SIZE },
	{ "reason", "reason", SK_HUB_TEXT },	{ "made", "created_s", SK_HUB_TIME },
	{ "by", "created_by", SK_HUB_TEXT },	{ 0 },
};
static const struct sk_hub_column history_columns[] = {
	{ "WHEN", "at_s", SK_HUB_TIME },
	{ "STEP", "step", SK_HUB_TEXT },
	{ "MOVED", "bytes_done", SK_HUB_SIZE },
	{ "REASON", "reason", SK_HUB_TEXT },
	{ 0 },
};

static int on_job(struct sk_cli *cli, const char *method, const char *template, json_t **ret,
		  struct sk_err *err)
{
	_cleanup_client_ struct sk_http_client *c = NULL;
	_cleanup_free_ char *path = sk_hub_path(template, sk_cli_arg(cli, 0));
	int r = sk_hub_open(cli, &c, err);

	return r < 0 ? r : sk_hub_call(c, method, path, NULL, ret, err);
}

static int run_job_show(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_json_ json_t *job = NULL;
	int r = on_job(cli, "GET", "jobs/{}", &job, err);

	if (r < 0)
		return r;
	sk_hub_print_one(cli, json_incref(job), job_show_columns);
	if (!sk_cli_json(cli)) {
		(void)printf("\n");
		sk_hub_print_list(cli, json_incref(json_object_get(job, "history")),
				  history_columns);
	}
	return 0;
}

static int run_job_abort(struct sk_cli *cli, struct sk_err *err)
{
	json_t *job = NULL;
	int r = on_job(cli, "POST", "jobs/{}/abort", &job, err);

	if (r == 0)
		sk_hub_said(cli, job, "job %s is aborted", sk_cli_arg(cli, 0));
	return r;
}

static const struct sk_opt list_opts[] = {
	{ "status", 's', "STATUS", "only pending, accepted, rejected or blocked ones" },
	{ "project", 'p', "NAME", "only those of a project" },
	{ "deployment", 'd', "PROJECT/NAME", "only those of a deployment" },
	SK_HUB_OPTS,
	{ 0 },
};
static const struct sk_opt wait_opts[] = {
	{ "wait", 'w', NULL, "show the progress until it has ended" },
	SK_HUB_OPTS,
	{ 0 },
};
static const struct sk_opt ask_opts[] = {
	{ "ask", 0, NULL, "ask the device for it now, and wait for its answer" },
	SK_HUB_OPTS,
	{ 0 },
};
static const struct sk_opt logs_opts[] = {
	{ "ask", 0, NULL, "ask the device for it now, and wait for its answer" },
	{ "tail", 'n', "LINES", "how many of the last lines to ask for (default 200)" },
	SK_HUB_OPTS,
	{ 0 },
};
static const struct sk_opt jobs_opts[] = {
	{ "device", 'd', "DEVICE", "only those of a device" },
	{ "step", 0, "STEP", "only waiting, downloading, failed, ... ones" },
	SK_HUB_OPTS,
	{ 0 },
};

#define CMD(n, s, a, min, max, o, f)                                                            \
	{                                                                                       \
		.name = (n), .summary = (s), .args = (a), .min_args = (min), .max_args = (max), \
		.opts = (o), .run = (f)                                                         \
	}

static const struct sk_cmd cmd_list = CMD("list", "devices: status, release, when seen", NULL, 0, 0,
					  list_opts, run_hub_device_list);
static const struct sk_cmd cmd_show =
	CMD("show", "everything about one device", "DEVICE", 1, 1, plain_opts, run_hub_device_show);
static const struct sk_cmd cmd_accept =
	CMD("accept", "let a waiting device in", "DEVICE PROJECT/DEPLOYMENT", 2, 2, plain_opts,
	    run_accept);
static const struct sk_cmd cmd_move = CMD("move", "put a device into another deployment",
					  "DEVICE PROJECT/DEPLOYMENT", 2, 2, plain_opts, run_move);
static const struct sk_cmd cmd_reject =
	CMD("reject", "turn a waiting device away", "DEVICE", 1, 1, plain_opts, run_reject);
static const struct sk_cmd cmd_block =
	CMD("block", "shut a device out at once", "DEVICE", 1, 1, plain_opts, run_block);
static const struct sk_cmd cmd_rename =
	CMD("rename", "give a device another name", "DEVICE NAME", 2, 2, plain_opts, run_rename);
static const struct sk_cmd cmd_delete =
	CMD("delete", "forget a device", "DEVICE", 1, 1, plain_opts, run_hub_device_delete);
static const struct sk_cmd cmd_upgrade =
	CMD("upgrade", "bring one device to a release (its deployment's, or another)",
	    "DEVICE [VERSION]", 1, 2, wait_opts, run_upgrade);
static const struct sk_cmd cmd_inventory = CMD("inventory", "what a device says of itself (JSON)",
					       "DEVICE", 1, 1, ask_opts, run_inventory);
static const struct sk_cmd cmd_logs = CMD("logs", "output of a device's capsules",
					  "DEVICE [CAPSULE]", 1, 2, logs_opts, run_hub_device_logs);
static const struct sk_cmd *const device_cmds[] = {
	&cmd_list,   &cmd_show,	  &cmd_accept,	&cmd_reject,	&cmd_block, &cmd_move,
	&cmd_rename, &cmd_delete, &cmd_upgrade, &cmd_inventory, &cmd_logs,  NULL,
};
const struct sk_cmd sk_hub_cmd_device = {
	.name = "device",
	.summary = "devices of the fleet",
	.about = "DEVICE is a name, an id, or enough of an id's beginning.",
	.sub = device_cmds,
};

const struct sk_cmd sk_hub_cmd_logs = CMD("logs", "output of a device's capsules",
					  "DEVICE [CAPSULE]", 1, 2, logs_opts, run_hub_device_logs);

static const struct sk_cmd job_list =
	CMD("list", "jobs, the newest first", NULL, 0, 0, jobs_opts, run_jobs);
static const struct sk_cmd job_show =
	CMD("show", "one job and its history", "JOB", 1, 1, plain_opts, run_job_show);
static const struct sk_cmd job_abort =
	CMD("abort", "take a job back", "JOB", 1, 1, plain_opts, run_job_abort);
static const struct sk_cmd *const job_cmds[] = { &job_list, &job_show, &job_abort, NULL };
const struct sk_cmd sk_hub_cmd_job = {
	.name = "job",
	.summary = "jobs: what devices were asked to do, and how it went",
	.sub = job_cmds,
};
