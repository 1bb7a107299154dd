/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <libfdt.h>
#include <string.h>

#include "base/str.h"
#include "model/manifest_read.h"

#define STRINGS_MAX	1024
#define ENV_MAX		512
#define SECOND_MS	1000u
#define HOUR_MS		(3600u * SECOND_MS)
#define DAY_MS		(24u * HOUR_MS)
#define HEALTH_INTERVAL (10u * SECOND_MS)
#define HEALTH_TIMEOUT	(5u * SECOND_MS)
#define HEALTH_RETRIES	3
#define ENV_NODE	"environment"
#define HEALTH_NODE	"health-check"

static bool part_of_user_ok(const char *s, size_t len)
{
	if (len == 0 || len > 32 || s[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isascii((unsigned char)s[i]) ||
		    (!isalnum((unsigned char)s[i]) && !strchr("._-", s[i])))
			return false;
	return true;
}

static bool user_ok(const char *s)
{
	size_t len = strcspn(s, ":");

	return part_of_user_ok(s, len) &&
	       (!s[len] || part_of_user_ok(s + len + 1, strlen(s + len + 1)));
}

static bool run_env_name_ok(const char *s)
{
	if (!isascii((unsigned char)s[0]) || (!isalpha((unsigned char)s[0]) && s[0] != '_'))
		return false;
	for (; *s; s++)
		if (!isascii((unsigned char)*s) ||
		    (!isalnum((unsigned char)*s) && !strchr("_.-", *s)))
			return false;
	return true;
}

static bool root_or_path_ok(const char *s)
{
	return sk_streq(s, "/") || sk_abs_path_ok(s);
}

static bool http_path_ok(const char *s)
{
	if (s[0] != '/' || strlen(s) > 1024)
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

static void read_command(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w,
			 void *field)
{
	if (p->len > 0 && p->data[0] == '\0') {
		sk_rd_wrong(r, p->node, p->name, "the program's name is empty");
		sk_rd_hint(r, "write %s", w->example);
		return;
	}
	sk_rd_strv(r, p, w, field);
}

static void read_signal(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w,
			void *field)
{
	const char *s = sk_prop_string(r, p, w);

	if (s && sk_signal_parse(s, field) < 0)
		sk_rd_bad_value(r, p, w);
}

static const struct sk_word run_words[] = {
	{ "command", read_command, offsetof(struct sk_run, command), .max = STRINGS_MAX,
	  .example = "command = \"/usr/sbin/nginx\", \"-g\", \"daemon off;\";" },
	{ "arguments", sk_rd_strv, offsetof(struct sk_run, arguments), .max = STRINGS_MAX,
	  .example = "arguments = \"--port\", \"8080\";" },
	{ "user", sk_rd_string, offsetof(struct sk_run, user), .ok = user_ok,
	  .expect = "a user, or user:group", .example = "user = \"1000:1000\";" },
	{ "working-dir", sk_rd_string, offsetof(struct sk_run, working_dir), .ok = root_or_path_ok,
	  .expect = "an absolute path without \"..\", \"//\" or a slash at its end",
	  .example = "working-dir = \"/srv\";" },
	{ "stop-signal", read_signal, offsetof(struct sk_run, stop_signal),
	  .expect = "the name of a signal", .example = "stop-signal = \"SIGTERM\";" },
	{ "stop-grace", sk_rd_duration, offsetof(struct sk_run, stop_grace_ms), .min = 100,
	  .max = HOUR_MS, .example = "stop-grace = \"10s\"; or stop-signal = \"SIGKILL\";" },
};

/* The health check's port is 16 bits wide in the struct. */
static void read_port(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w,
		      void *field)
{
	uint32_t v = 0;

	sk_rd_u32(r, p, w, &v);
	*(uint16_t *)field = (uint16_t)v;
}

static const struct sk_word health_words[] = {
	{ "disable", sk_rd_bool, offsetof(struct sk_health, disabled), .example = "disable;" },
	{ "command", read_command, offsetof(struct sk_health, command), .max = STRINGS_MAX,
	  .example = "command = \"/usr/bin/curl\", \"-f\", \"http://127.0.0.1/\";" },
	{ "http", sk_rd_string, offsetof(struct sk_health, http_path), .ok = http_path_ok,
	  .expect = "the path of a URL", .example = "http = \"/health\"; port = <80>;" },
	{ "port", read_port, offsetof(struct sk_health, port), .min = 1, .max = 65535,
	  .example = "port = <8080>;" },
	{ "interval", sk_rd_duration, offsetof(struct sk_health, interval_ms), .min = 100,
	  .max = DAY_MS, .example = "interval = \"10s\";" },
	{ "timeout", sk_rd_duration, offsetof(struct sk_health, timeout_ms), .min = 100,
	  .max = DAY_MS, .example = "timeout = \"5s\";" },
	{ "start-period", sk_rd_duration, offsetof(struct sk_health, start_period_ms),
	  .max = DAY_MS, .example = "start-period = \"30s\";" },
	{ "retries", sk_rd_u32, offsetof(struct sk_health, retries), .min = 1, .max = 1000,
	  .example = "retries = <3>;" },
};

static void check_health(struct sk_reader *r, int node, struct sk_health *h)
{
	if (h->disabled && (h->command || h->http_path || h->port)) {
		sk_rd_wrong(r, node, "disable", "a check stands beside it");
		sk_rd_hint(r, "leave out one of the two");
	} else if (h->command && (h->http_path || h->port)) {
		sk_rd_wrong(r, node, "command", "a second way to check stands beside it");
		sk_rd_hint(r, "choose one of command, http with port, or port alone");
	} else if (h->http_path && !h->port) {
		sk_rd_wrong(r, node, "http", "the port is missing");
		sk_rd_hint(r, "write port = <80>; beside it");
	} else if (!h->disabled && !h->command && !h->port) {
		sk_rd_wrong(r, node, NULL, "does not say what to check");
		sk_rd_hint(r, "write command = \"...\"; or http = \"/\"; port = <80>; or "
			      "port = <80>; or disable;");
	}
	if (h->command)
		h->kind = SK_HEALTH_COMMAND;
	else if (h->http_path)
		h->kind = SK_HEALTH_HTTP;
	else if (h->port)
		h->kind = SK_HEALTH_TCP;
}

static void read_health(struct sk_reader *r, int node, void *to)
{
	struct sk_health *h = &((struct sk_run *)to)->health;
	const struct sk_words set = { health_words, ARRAY_SIZE(health_words), h };
	size_t wrong = r->wrong;

	h->interval_ms = HEALTH_INTERVAL;
	h->timeout_ms = HEALTH_TIMEOUT;
	h->retries = HEALTH_RETRIES;
	sk_rd_props(r, node, &set, 1);
	sk_rd_no_nodes(r, node);
	if (r->wrong == wrong)
		check_health(r, node, h);
}

static const struct sk_word env_word = { .example = "NAME = \"value\"; under environment" };

static void read_variable(struct sk_reader *r, const struct sk_prop *p, void *to)
{
	struct sk_run *run = to;
	const char *value = sk_prop_string(r, p, &env_word);
	struct sk_env *e = &run->env[run->n_env];

	if (!value)
		return;
	e->name = sk_rd_strdup(r, p->name);
	e->value = sk_rd_strdup(r, value);
	run->n_env++;
}

static void read_environment(struct sk_reader *r, int node, void *to)
{
	struct sk_run *run = to;

	run->env = sk_rd_calloc(r, sk_count_props(r->fdt, node) + 1, sizeof(*run->env));
	if (run->env)
		sk_rd_free_props(r, node, ENV_MAX, "variable", run_env_name_ok, read_variable, run);
	sk_rd_no_nodes(r, node);
}

const struct sk_sub sk_run_subs[SK_RUN_SUBS] = {
	{ ENV_NODE, read_environment },
	{ HEALTH_NODE, read_health },
};

struct sk_words sk_run_words(struct sk_run *run)
{
	return (struct sk_words){ run_words, ARRAY_SIZE(run_words), run };
}

int sk_run_parse(const void *fdt, int node, struct sk_run *ret, struct sk_diags *diags,
		 struct sk_err *err)
{
	_cleanup_(sk_run_done) struct sk_run run = { 0 };
	const struct sk_words set = sk_run_words(&run);
	struct sk_reader r;
	int code;

	sk_reader_init(&r, fdt, diags);
	sk_rd_props(&r, node, &set, 1);
	sk_rd_nodes(&r, node, sk_run_subs, SK_RUN_SUBS, &run);
	code = sk_reader_end(&r, err);
	if (code < 0)
		return code;
	*ret = run;
	run = (struct sk_run){ 0 };
	return 0;
}

static void env_free(struct sk_env *env, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(env[i].name);
		free(env[i].value);
	}
	free(env);
}

static void health_done(struct sk_health *h)
{
	sk_strv_free(h->command);
	free(h->http_path);
	*h = (struct sk_health){ 0 };
}

void sk_run_done(struct sk_run *run)
{
	sk_strv_free(run->command);
	sk_strv_free(run->arguments);
	env_free(run->env, run->n_env);
	free(run->user);
	free(run->working_dir);
	health_done(&run->health);
	*run = (struct sk_run){ 0 };
}
