/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "engine/docker/docker.h"
#include "io/json.h"

#define NS_PER_MS 1000000

const char *sk_docker_state(const struct sk_capsule_view *v)
{
	switch (v->state) {
	case SK_CAPSULE_CREATED:
	case SK_CAPSULE_PREPARED:
		return "created";
	case SK_CAPSULE_STARTING:
	case SK_CAPSULE_RUNNING:
	case SK_CAPSULE_STOPPING:
		return "running";
	case SK_CAPSULE_BACKOFF:
		return "restarting";
	case SK_CAPSULE_REMOVING:
		return "removing";
	case SK_CAPSULE_EXITED:
	case SK_CAPSULE_FAILED:
	default:
		return "exited";
	}
}

/* "Less than a second", "5 minutes", "About an hour": the words that people know from docker ps. */
static void human(char *buf, size_t size, int64_t s)
{
	static const struct {
		int64_t until_s, unit_s;
		const char *unit;
	} steps[] = {
		{ 60, 1, "seconds" },
		{ 3600, 60, "minutes" },
		{ 48 * 3600, 3600, "hours" },
		{ 14 * 86400, 86400, "days" },
		{ 60 * 86400, 7 * 86400, "weeks" },
		{ 730 * 86400, 30 * 86400, "months" },
		{ INT64_MAX, 365 * 86400, "years" },
	};
	size_t i = 0;

	if (s < 2) {
		(void)snprintf(buf, size, s < 1 ? "Less than a second" : "1 second");
		return;
	}
	if ((s >= 60 && s < 120) || (s >= 3600 && s < 7200)) {
		(void)snprintf(buf, size, s < 120 ? "About a minute" : "About an hour");
		return;
	}
	while (s >= steps[i].until_s)
		i++;
	(void)snprintf(buf, size, "%" PRId64 " %s", s / steps[i].unit_s, steps[i].unit);
}

static const char *health_word(enum sk_health_state h)
{
	switch (h) {
	case SK_HEALTH_STARTING:
		return "starting";
	case SK_HEALTH_HEALTHY:
		return "healthy";
	case SK_HEALTH_UNHEALTHY:
		return "unhealthy";
	case SK_HEALTH_UNKNOWN:
	default:
		return "none";
	}
}

const char *sk_docker_status_text(const struct sk_capsule_view *v, int64_t now_s,
				  char buf[static 96])
{
	const char *state = sk_docker_state(v);
	char ago[40];

	if (sk_streq(state, "running")) {
		human(ago, sizeof(ago), now_s - v->started_s);
		if (v->health == SK_HEALTH_UNKNOWN)
			(void)snprintf(buf, 96, "Up %s", ago);
		else
			(void)snprintf(buf, 96, "Up %s (%s%s)", ago,
				       v->health == SK_HEALTH_STARTING ? "health: " : "",
				       health_word(v->health));
		return buf;
	}
	human(ago, sizeof(ago), now_s - v->finished_s);
	if (sk_streq(state, "exited"))
		(void)snprintf(buf, 96, "Exited (%d) %s ago", v->exit_code, ago);
	else if (sk_streq(state, "restarting"))
		(void)snprintf(buf, 96, "Restarting (%d) %s ago", v->exit_code, ago);
	else
		(void)snprintf(buf, 96, "%s",
			       sk_streq(state, "created") ? "Created" : "Removal In Progress");
	return buf;
}

json_t *sk_docker_labels(char *const *labels)
{
	json_t *obj = json_object();

	SK_STRV_FOREACH (l, labels) {
		const char *eq = strchr(*l, '=');
		_cleanup_free_ char *key = strndup(*l, eq ? (size_t)(eq - *l) : strlen(*l));

		if (key)
			(void)json_object_set_new(obj, key, json_string(eq ? eq + 1 : ""));
	}
	return obj;
}

/* Command line of a capsule: its entry point and all arguments. */
static char **argv_of(const struct sk_run *run)
{
	_cleanup_strv_ char **v = sk_strv_copy(run->command);

	SK_STRV_FOREACH (a, run->arguments)
		if (sk_strv_add(&v, *a) < 0)
			return NULL;
	return TAKE_PTR(v);
}

static const char *network_mode(const struct sk_app *app)
{
	return app->network == SK_NETWORK_HOST ? "host" : "none";
}

static json_t *mounts(const struct sk_app *app)
{
	json_t *list = json_array();

	for (size_t i = 0; i < app->n_volumes; i++) {
		const struct sk_volume *vol = &app->volumes[i];

		(void)json_array_append_new(list,
					    json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s}",
						      "Type", "volume", "Name", vol->name, "Source",
						      "", "Destination", vol->target, "Driver",
						      "local", "Mode", vol->read_only ? "ro" : "z",
						      "RW", !vol->read_only, "Propagation", ""));
	}
	return list;
}

static json_t *networks(const struct sk_app *app)
{
	return json_pack("{s:{s:s, s:s, s:s, s:s, s:s, s:i}}", network_mode(app), "NetworkID", "",
			 "EndpointID", "", "Gateway", "", "IPAddress", "", "MacAddress", "",
			 "IPPrefixLen", 0);
}

json_t *sk_docker_summary(const struct sk_capsule_view *v)
{
	_cleanup_strv_ char **argv = argv_of(&v->app->run);
	_cleanup_free_ char *command = sk_strv_join(argv, " ");
	_cleanup_free_ char *name = sk_asprintf("/%s", v->app->name);
	_cleanup_free_ char *image_id = sk_asprintf("sha256:%s", SK_DIGEST_STR(&v->image));
	char status[96];

	return json_pack("{s:s, s:[s], s:s, s:s, s:s, s:I, s:[], s:o, s:s, s:s, s:{s:s}, s:{s:o}, "
			 "s:o}",
			 "Id", v->id, "Names", name ?: "", "Image", v->image_name ?: "", "ImageID",
			 image_id ?: "", "Command", command ?: "", "Created",
			 (json_int_t)v->created_s, "Ports", "Labels", sk_docker_labels(v->labels),
			 "State", sk_docker_state(v), "Status",
			 sk_docker_status_text(v, sk_wall_s(), status), "HostConfig", "NetworkMode",
			 network_mode(v->app), "NetworkSettings", "Networks", networks(v->app),
			 "Mounts", mounts(v->app));
}

static json_t *when(int64_t s)
{
	char buf[32];

	return json_string(s > 0 ? sk_time_format(buf, s) : "0001-01-01T00:00:00Z");
}

/* Docker keeps the last five checks; here the last one is known. */
static json_t *health_json(const struct sk_capsule_view *v)
{
	const struct sk_health_check *h = &v->health_check;
	json_t *log = json_array();

	if (h->end_s > 0)
		(void)json_array_append_new(log, json_pack("{s:o, s:o, s:i, s:s}", "Start",
							   when(h->start_s), "End", when(h->end_s),
							   "ExitCode", h->exit_code, "Output",
							   v->health_output ?: ""));
	return json_pack("{s:s, s:i, s:o}", "Status", health_word(v->health), "FailingStreak",
			 (int)h->failures, "Log", log);
}

static json_t *state_json(const struct sk_capsule_view *v)
{
	const char *state = sk_docker_state(v);
	bool restarting = sk_streq(state, "restarting");
	json_t *obj =
		json_pack("{s:s, s:b, s:b, s:b, s:b, s:b, s:i, s:i, s:s, s:o, s:o}", "Status",
			  /* What waits for its restart counts as running for Docker too. */
			  state, "Running", restarting || sk_streq(state, "running"), "Paused", 0,
			  "Restarting", restarting, "OOMKilled", v->oom_killed, "Dead", 0, "Pid",
			  (int)v->pid, "ExitCode", v->exit_code, "Error", v->error ?: "",
			  "StartedAt", when(v->started_s), "FinishedAt", when(v->finished_s));

	if (obj && v->health != SK_HEALTH_UNKNOWN)
		(void)json_object_set_new(obj, "Health", health_json(v));
	return obj;
}

static json_t *restart_policy(const struct sk_app *app)
{
	static const char *const names[] = { [SK_RESTART_NO] = "no",
					     [SK_RESTART_ON_FAILURE] = "on-failure",
					     [SK_RESTART_ALWAYS] = "always" };

	return json_pack(
		"{s:s, s:I}", "Name", names[app->restart], "MaximumRetryCount",
		(json_int_t)(app->restart == SK_RESTART_ON_FAILURE ? app->restart_max : 0));
}

static json_t *devices(const struct sk_app *app)
{
	json_t *list = json_array();

	for (size_t i = 0; i < app->n_devices; i++)
		(void)json_array_append_new(
			list,
			json_pack("{s:s, s:s, s:s}", "PathOnHost", app->devices[i].path,
				  "PathInContainer", app->devices[i].target ?: app->devices[i].path,
				  "CgroupPermissions", app->devices[i].mode));
	return list;
}

static json_t *host_config(const struct sk_capsule_view *v)
{
	const struct sk_app *a = v->app;

	return json_pack("{s:n, s:s, s:{}, s:o, s:b, s:n, s:[s], s:b, s:b, s:I, s:I, s:I, s:o, "
			 "s:{s:s, s:{}}}",
			 "Binds", "NetworkMode", network_mode(a), "PortBindings", "RestartPolicy",
			 restart_policy(a), "AutoRemove", v->auto_remove, "CapAdd", "CapDrop",
			 "ALL", "Privileged", 0, "ReadonlyRootfs", !a->writable_root, "Memory",
			 (json_int_t)a->memory_bytes, "NanoCpus",
			 (json_int_t)a->cpu_millis * NS_PER_MS, "PidsLimit", (json_int_t)a->pids,
			 "Devices", devices(a), "LogConfig", "Type", "json-file", "Config");
}

static json_t *env_list(const struct sk_run *run)
{
	json_t *list = json_array();

	for (size_t i = 0; i < run->n_env; i++) {
		_cleanup_free_ char *s = sk_asprintf("%s=%s", run->env[i].name, run->env[i].value);

		(void)json_array_append_new(list, json_string(s ?: ""));
	}
	return list;
}

static json_t *config_json(const struct sk_capsule_view *v)
{
	const struct sk_run *run = &v->app->run;
	char signal[16];

	return json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:b, s:b, s:o, s:o, s:o, s:s, s:n, "
			 "s:s, s:o, s:s}",
			 "Hostname", v->app->name, "Domainname", "", "User", run->user ?: "",
			 "AttachStdin", 0, "AttachStdout", 0, "AttachStderr", 0, "Tty", v->tty,
			 "OpenStdin", v->open_stdin, "StdinOnce", 0, "Env", env_list(run), "Cmd",
			 sk_json_strv(run->arguments), "Entrypoint", sk_json_strv(run->command),
			 "Image", v->image_name ?: "", "Volumes", "WorkingDir",
			 run->working_dir ?: "", "Labels", sk_docker_labels(v->labels),
			 "StopSignal", sk_signal_name(signal, run->stop_signal ?: 15));
}

/* Path and Args: the command line cut after its first word. */
static void set_path_and_args(json_t *obj, const struct sk_run *run)
{
	_cleanup_strv_ char **argv = argv_of(run);
	bool some = sk_strv_len(argv) > 0;

	(void)json_object_set_new(obj, "Path", json_string(some ? argv[0] : ""));
	(void)json_object_set_new(obj, "Args", sk_json_strv(some ? argv + 1 : NULL));
}

json_t *sk_docker_inspect(const struct sk_capsule_view *v)
{
	_cleanup_free_ char *name = sk_asprintf("/%s", v->app->name);
	_cleanup_free_ char *image_id = sk_asprintf("sha256:%s", SK_DIGEST_STR(&v->image));
	json_t *obj = json_pack(
		"{s:s, s:o, s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:n, s:o, "
		"s:{s:s, s:n}, s:o, s:o, s:{s:{}, s:o}}",
		"Id", v->id, "Created", when(v->created_s), "State", state_json(v), "Image",
		image_id ?: "", "ResolvConfPath", "", "HostnamePath", "", "HostsPath", "",
		"LogPath", v->log_path ?: "", "Name", name ?: "", "RestartCount",
		(json_int_t)v->restarts, "Driver", "skerry", "Platform", "linux", "MountLabel", "",
		"ProcessLabel", "", "AppArmorProfile", "", "ExecIDs", "HostConfig", host_config(v),
		"GraphDriver", "Name", "skerry", "Data", "Mounts", mounts(v->app), "Config",
		config_json(v), "NetworkSettings", "Ports", "Networks", networks(v->app));

	if (obj)
		set_path_and_args(obj, &v->app->run);
	return obj;
}
