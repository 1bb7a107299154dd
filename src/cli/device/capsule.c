/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/device/device.h"
#include "io/json.h"

/* `skerry capsule list|start|stop|restart|logs`: capsules on a device. */

#define LOG_TAIL_DEFAULT "200"

static int add_capsule(struct sk_table *t, const json_t *c)
{
	char restarts[32], generation[32];

	(void)snprintf(restarts, sizeof(restarts), "%" JSON_INTEGER_FORMAT,
		       json_integer_value(json_object_get(c, "restarts")));
	(void)snprintf(generation, sizeof(generation), "%" JSON_INTEGER_FORMAT,
		       json_integer_value(json_object_get(c, "generation")));
	return sk_table_row(t, sk_device_text(c, "name"), sk_device_text(c, "state"),
			    sk_device_text(c, "health"), restarts, generation,
			    sk_device_text(c, "image"), NULL);
}

static int run_device_list(struct sk_cli *cli, struct sk_err *err)
{
	static const char *const headings[] = { "NAME",	      "STATE", "HEALTH", "RESTARTS",
						"GENERATION", "IMAGE", NULL };

	return sk_device_list(cli, "/skerry/v1/capsules", headings, add_capsule, err);
}

const struct sk_cmd sk_cmd_capsule_list = {
	.name = "list",
	.summary = "list the capsules on this device",
	.opts = sk_device_opts,
	.run = run_device_list,
};

static int act(struct sk_cli *cli, const char *what, struct sk_err *err)
{
	const char *name = sk_cli_arg(cli, 0);
	_cleanup_free_ char *path = NULL;
	_cleanup_json_ json_t *answer = NULL;
	int r;

	/* It becomes part of a path. */
	if (!sk_name_ok(name))
		return sk_err_set(err, -EINVAL, "bad-name", "\"%s\" names no capsule", name);
	path = sk_asprintf("/skerry/v1/capsules/%s/%s", name, what);
	if (!path)
		return sk_err_oom(err);
	r = sk_device_request(cli, "POST", path, &answer, err);
	if (r == 0 && sk_cli_json(cli))
		sk_cli_print_json(answer ? TAKE_PTR(answer) : json_object());
	return r;
}

static int run_device_start(struct sk_cli *cli, struct sk_err *err)
{
	return act(cli, "start", err);
}

static int run_device_stop(struct sk_cli *cli, struct sk_err *err)
{
	return act(cli, "stop", err);
}

static int run_restart(struct sk_cli *cli, struct sk_err *err)
{
	return act(cli, "restart", err);
}

const struct sk_cmd sk_cmd_capsule_start = {
	.name = "start",
	.summary = "start a capsule on this device",
	.args = "NAME",
	.min_args = 1,
	.max_args = 1,
	.opts = sk_device_opts,
	.run = run_device_start,
};

const struct sk_cmd sk_cmd_capsule_stop = {
	.name = "stop",
	.summary = "stop a capsule on this device",
	.args = "NAME",
	.min_args = 1,
	.max_args = 1,
	.about =
		"Its stop signal first, SIGKILL after its grace time. It stays stopped until it is "
		"started again, or the next boot or release.",
	.opts = sk_device_opts,
	.run = run_device_stop,
};

const struct sk_cmd sk_cmd_capsule_restart = {
	.name = "restart",
	.summary = "restart a capsule on this device",
	.args = "NAME",
	.min_args = 1,
	.max_args = 1,
	.opts = sk_device_opts,
	.run = run_restart,
};

/* A capsule is not trusted: on a terminal its words may not move the cursor or set the title. */
static int print_log(void *arg, const void *data, size_t len)
{
	const bool *raw = arg;
	const char *s = data;

	for (size_t i = 0; i < len && !*raw; i++)
		if (putchar(iscntrl((unsigned char)s[i]) && s[i] != '\n' && s[i] != '\t'
				    ? '?'
				    : s[i]) < 0)
			return -EIO;
	return !*raw || fwrite(s, 1, len, stdout) == len ? 0 : -EIO;
}

static int run_device_logs(struct sk_cli *cli, struct sk_err *err)
{
	_cleanup_(sk_http_client_freep) struct sk_http_client *client = NULL;
	bool raw = !isatty(STDOUT_FILENO);
	const char *name = sk_cli_arg(cli, 0), *tail = sk_cli_opt(cli, "tail");
	_cleanup_free_ char *path = NULL;
	uint64_t n;
	int r;

	if (!sk_name_ok(name))
		return sk_err_set(err, -EINVAL, "bad-name", "\"%s\" names no capsule", name);
	if (tail && sk_parse_u64(tail, &n) < 0)
		return sk_err_set(err, -EINVAL, "usage", "--tail %s is not a number", tail);
	path = sk_asprintf("/skerry/v1/capsules/%s/logs?tail=%s", name, tail ?: LOG_TAIL_DEFAULT);
	if (!path)
		return sk_err_oom(err);
	r = sk_device_connect(cli, &client, err);
	if (r == 0) {
		_cleanup_http_call_ struct sk_http_call call =
			SK_HTTP_CALL(.method = "GET", .path = path, .write = print_log,
				     .arg = &raw);

		r = sk_http_call(client, &call, err);
	}
	return r;
}

static const struct sk_opt logs_opts[] = {
	{ "tail", 'n', "LINES", "last lines to show (default " LOG_TAIL_DEFAULT ")" },
	{ "socket", 0, "FILE", "skerryd's socket (or SKERRY_SOCKET)" },
	{ 0 },
};

const struct sk_cmd sk_cmd_capsule_logs = {
	.name = "logs",
	.summary = "show the last output of a capsule on this device",
	.args = "NAME",
	.min_args = 1,
	.max_args = 1,
	.about = "To follow it as it comes: docker -H unix:///run/skerry/skerry.sock logs -f NAME",
	.opts = logs_opts,
	.run = run_device_logs,
};
