/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cli/capsule/capsule.h"

static int bad_option(struct sk_err *err, const char *opt, const char *value, const char *expect)
{
	return sk_err_set(err, -EINVAL, "bad-value", "--%s %s: %s", opt, value, expect);
}

static int replace_str(char **at, const char *s, struct sk_err *err)
{
	char *copy;

	if (!s)
		return 0;
	copy = strdup(s);
	if (!copy)
		return sk_err_oom(err);
	free(*at);
	*at = copy;
	return 0;
}

static int replace_strv(char ***at, char *const *v, struct sk_err *err)
{
	char **copy = sk_strv_copy(v);

	if (!copy && v)
		return sk_err_oom(err);
	sk_strv_free(*at);
	*at = copy;
	return 0;
}

/* As with Docker's --entrypoint: another program does not get the old one's arguments. */
static int command_opts(struct sk_cli *cli, struct sk_run *run, struct sk_err *err)
{
	const char *command = sk_cli_opt(cli, "command");
	char *const words[] = { (char *)(uintptr_t)command, NULL };
	char *const *args;
	int r = 0;

	if (command) {
		if (!*command)
			return bad_option(err, "command", "\"\"", "the program's name is empty");
		r = replace_strv(&run->command, words, err);
	}
	args = sk_cli_opt_all(cli, "arg");
	return r == 0 && (command || args) ? replace_strv(&run->arguments, args, err) : r;
}

static int set_env(struct sk_run *run, const char *entry, struct sk_err *err)
{
	_cleanup_free_ char *name = strndup(entry, strcspn(entry, "="));
	struct sk_env *grown;

	if (!name)
		return sk_err_oom(err);
	if (!*name || !strchr(entry, '='))
		return bad_option(err, "env", entry, "write NAME=value");
	for (size_t i = 0; i < run->n_env; i++)
		if (sk_streq(run->env[i].name, name))
			return replace_str(&run->env[i].value, strchr(entry, '=') + 1, err);
	grown = reallocarray(run->env, run->n_env + 1, sizeof(*grown));
	if (!grown)
		return sk_err_oom(err);
	run->env = grown;
	grown[run->n_env] = (struct sk_env){ NULL, strdup(strchr(entry, '=') + 1) };
	if (!grown[run->n_env].value)
		return sk_err_oom(err);
	grown[run->n_env++].name = TAKE_PTR(name);
	return 0;
}

static int word_opts(struct sk_cli *cli, struct sk_run *run, struct sk_err *err)
{
	const char *stop = sk_cli_opt(cli, "stop-signal"), *grace = sk_cli_opt(cli, "stop-grace");
	int r;

	r = replace_str(&run->user, sk_cli_opt(cli, "user"), err);
	if (r == 0)
		r = replace_str(&run->working_dir, sk_cli_opt(cli, "workdir"), err);
	if (r == 0 && stop && sk_signal_parse(stop, &run->stop_signal) < 0)
		r = bad_option(err, "stop-signal", stop, "write a signal's name, e.g. SIGQUIT");
	if (r == 0 && grace && sk_parse_duration(grace, &run->stop_grace_ms) < 0)
		r = bad_option(err, "stop-grace", grace, "write a duration, e.g. 10s");
	return r;
}

/* "8080" or "8080/path" */
static int health_http(struct sk_health *h, const char *value, struct sk_err *err)
{
	_cleanup_free_ char *port = strndup(value, strcspn(value, "/"));
	const char *path = strchr(value, '/');
	uint32_t n;

	if (!port)
		return sk_err_oom(err);
	if (sk_parse_u32(port, &n) < 0 || n == 0 || n > UINT16_MAX)
		return bad_option(err, "health-http", value,
				  "write a port and a path, e.g. 8080/health");
	h->kind = SK_HEALTH_HTTP;
	h->port = (uint16_t)n;
	return replace_str(&h->http_path, path ? path : "/", err);
}

static int health_tcp(struct sk_health *h, const char *value, struct sk_err *err)
{
	uint32_t n;

	if (sk_parse_u32(value, &n) < 0 || n == 0 || n > UINT16_MAX)
		return bad_option(err, "health-tcp", value, "write a port");
	h->kind = SK_HEALTH_TCP;
	h->port = (uint16_t)n;
	return 0;
}

static int health_command(struct sk_cli *cli, struct sk_health *h, const char *command,
			  struct sk_err *err)
{
	h->kind = SK_HEALTH_COMMAND;
	if (sk_strv_add(&h->command, command) < 0)
		return sk_err_oom(err);
	SK_STRV_FOREACH (a, sk_cli_opt_all(cli, "health-arg"))
		if (sk_strv_add(&h->command, *a) < 0)
			return sk_err_oom(err);
	return 0;
}

static int health_kind(struct sk_cli *cli, struct sk_health *h, struct sk_err *err)
{
	const char *command = sk_cli_opt(cli, "health-command");
	const char *http = sk_cli_opt(cli, "health-http"), *tcp = sk_cli_opt(cli, "health-tcp");
	bool none = sk_cli_flag(cli, "no-health");
	int given = (command != NULL) + (http != NULL) + (tcp != NULL) + none;

	if (given > 1)
		return sk_err_set(err, -EINVAL, "usage",
				  "choose one of --health-command, --health-http, --health-tcp and "
				  "--no-health");
	if (given == 0)
		return 0;
	sk_strv_free(h->command);
	free(h->http_path);
	*h = (struct sk_health){ .disabled = none };
	if (command)
		return health_command(cli, h, command, err);
	if (http)
		return health_http(h, http, err);
	return tcp ? health_tcp(h, tcp, err) : 0;
}

static int health_opts(struct sk_cli *cli, struct sk_health *h, struct sk_err *err)
{
	const struct {
		const char *opt;
		uint64_t *to;
	} times[] = { { "health-interval", &h->interval_ms },
		      { "health-timeout", &h->timeout_ms },
		      { "health-start-period", &h->start_period_ms } };
	const char *retries = sk_cli_opt(cli, "health-retries");
	int r = health_kind(cli, h, err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(times); i++) {
		const char *value = sk_cli_opt(cli, times[i].opt);

		if (value && sk_parse_duration(value, times[i].to) < 0)
			r = bad_option(err, times[i].opt, value, "write a duration, e.g. 10s");
	}
	if (r == 0 && retries && sk_parse_u32(retries, &h->retries) < 0)
		r = bad_option(err, "health-retries", retries, "write a number");
	return r;
}

int sk_capsule_run_opts(struct sk_cli *cli, struct sk_run *run, struct sk_err *err)
{
	int r = command_opts(cli, run, err);

	SK_STRV_FOREACH (e, r == 0 ? sk_cli_opt_all(cli, "env") : NULL) {
		r = set_env(run, *e, err);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = word_opts(cli, run, err);
	return r == 0 ? health_opts(cli, &run->health, err) : r;
}
