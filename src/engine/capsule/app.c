/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/capsule/app.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "io/json.h"

#define LIST_MAX 4096

/* Optional string: absent when NULL, so that "not given" and "empty" stay apart. */
static int put_str(json_t *o, const char *key, const char *s)
{
	return s ? json_object_set_new(o, key, json_string(s)) : 0;
}

static int put_strv(json_t *o, const char *key, char *const *v)
{
	return v ? json_object_set_new(o, key, sk_json_strv(v)) : 0;
}

static int put_u64(json_t *o, const char *key, uint64_t v)
{
	return v ? json_object_set_new(o, key, json_integer((json_int_t)v)) : 0;
}

static int put_bool(json_t *o, const char *key, bool v)
{
	return v ? json_object_set_new(o, key, json_true()) : 0;
}

static json_t *health_to_json(const struct sk_health *h)
{
	_cleanup_json_ json_t *o = json_object();

	if (!o || put_u64(o, "kind", (uint64_t)h->kind) < 0 ||
	    put_strv(o, "command", h->command) < 0 || put_str(o, "path", h->http_path) < 0 ||
	    put_u64(o, "port", h->port) < 0 || put_u64(o, "interval_ms", h->interval_ms) < 0 ||
	    put_u64(o, "timeout_ms", h->timeout_ms) < 0 ||
	    put_u64(o, "start_period_ms", h->start_period_ms) < 0 ||
	    put_u64(o, "retries", h->retries) < 0)
		return NULL;
	return TAKE_PTR(o);
}

static json_t *env_to_json(const struct sk_run *run)
{
	_cleanup_json_ json_t *list = json_array();

	for (size_t i = 0; list && i < run->n_env; i++)
		if (json_array_append_new(
			    list, json_pack("[ss]", run->env[i].name, run->env[i].value)) < 0)
			return NULL;
	return TAKE_PTR(list);
}

static json_t *devices_to_json(const struct sk_app *app)
{
	_cleanup_json_ json_t *list = json_array();

	for (size_t i = 0; list && i < app->n_devices; i++) {
		const struct sk_device_grant *d = &app->devices[i];

		if (json_array_append_new(list, json_pack("{ss ss ss}", "path", d->path, "target",
							  d->target, "mode", d->mode)) < 0)
			return NULL;
	}
	return TAKE_PTR(list);
}

static json_t *volumes_to_json(const struct sk_app *app)
{
	_cleanup_json_ json_t *list = json_array();

	for (size_t i = 0; list && i < app->n_volumes; i++) {
		const struct sk_volume *v = &app->volumes[i];

		if (json_array_append_new(list,
					  json_pack("{ss ss sb}", "name", v->name, "target",
						    v->target, "read_only", (int)v->read_only)) < 0)
			return NULL;
	}
	return TAKE_PTR(list);
}

static int put_run(json_t *o, const struct sk_run *run)
{
	if (put_strv(o, "command", run->command) < 0 ||
	    put_strv(o, "arguments", run->arguments) < 0 ||
	    json_object_set_new(o, "env", env_to_json(run)) < 0 ||
	    put_str(o, "user", run->user) < 0 || put_str(o, "working_dir", run->working_dir) < 0 ||
	    put_u64(o, "stop_signal", (uint64_t)run->stop_signal) < 0 ||
	    put_u64(o, "stop_grace_ms", run->stop_grace_ms) < 0)
		return -1;
	return json_object_set_new(o, "health", health_to_json(&run->health));
}

static int put_limits(json_t *o, const struct sk_app *app)
{
	if (put_u64(o, "memory_bytes", app->memory_bytes) < 0 ||
	    put_u64(o, "cpu_millis", app->cpu_millis) < 0 || put_u64(o, "pids", app->pids) < 0 ||
	    put_u64(o, "restart", (uint64_t)app->restart) < 0 ||
	    put_u64(o, "restart_max", app->restart_max) < 0 ||
	    put_u64(o, "restart_window_ms", app->restart_window_ms) < 0 ||
	    put_u64(o, "backoff_min_ms", app->backoff_min_ms) < 0)
		return -1;
	return put_u64(o, "backoff_max_ms", app->backoff_max_ms);
}

static int put_grants(json_t *o, const struct sk_app *app)
{
	if (json_object_set_new(o, "devices", devices_to_json(app)) < 0 ||
	    json_object_set_new(o, "volumes", volumes_to_json(app)) < 0 ||
	    put_u64(o, "network", (uint64_t)app->network) < 0 ||
	    put_bool(o, "writable_root", app->writable_root) < 0 ||
	    put_bool(o, "keep_logs", app->keep_logs) < 0 ||
	    put_strv(o, "msg_servers", app->msg_servers) < 0)
		return -1;
	return put_str(o, "device_setup", app->device_setup);
}

json_t *sk_app_to_json(const struct sk_app *app)
{
	_cleanup_json_ json_t *o = json_object();

	if (!o || put_str(o, "name", app->name) < 0 ||
	    put_u64(o, "kind", (uint64_t)app->kind) < 0 || put_run(o, &app->run) < 0 ||
	    put_limits(o, app) < 0 || put_grants(o, app) < 0)
		return NULL;
	return TAKE_PTR(o);
}

/* Reading: the first failure stays in @r, and every later read does nothing then. */
struct reader {
	const json_t *obj;
	struct sk_err *err;
	int r;
};

static void get_str(struct reader *rd, const char *key, char **ret)
{
	const char *s = NULL;

	if (rd->r == 0)
		rd->r = sk_json_get_str(rd->obj, key, &s, rd->err);
	if (rd->r == 0 && s && !(*ret = strdup(s)))
		rd->r = sk_err_oom(rd->err);
}

static void get_strv(struct reader *rd, const char *key, char ***ret)
{
	const json_t *list = json_object_get(rd->obj, key), *item;
	size_t i;

	if (rd->r < 0 || !list)
		return;
	if (!json_is_array(list) || json_array_size(list) > LIST_MAX) {
		rd->r = sk_err_set(rd->err, -EINVAL, "bad-value", "\"%s\" is no list", key);
		return;
	}
	json_array_foreach (list, i, item) {
		if (!json_is_string(item))
			rd->r = sk_err_set(rd->err, -EINVAL, "bad-value", "\"%s\" is no strings",
					   key);
		else if (sk_strv_add(ret, json_string_value(item)) < 0)
			rd->r = sk_err_oom(rd->err);
		if (rd->r < 0)
			return;
	}
}

static uint64_t get_u64(struct reader *rd, const char *key, uint64_t max)
{
	uint64_t v = 0;

	if (rd->r == 0)
		rd->r = sk_json_get_u64(rd->obj, key, &v, rd->err);
	if (rd->r == 0 && v > max)
		rd->r = sk_err_set(rd->err, -ERANGE, "bad-value", "\"%s\" is out of range", key);
	return rd->r == 0 ? v : 0;
}

static bool get_bool(struct reader *rd, const char *key)
{
	bool v = false;

	if (rd->r == 0)
		rd->r = sk_json_get_bool(rd->obj, key, &v, rd->err);
	return v;
}

/* An array of objects of which @size bytes each are allocated. */
static void *get_list(struct reader *rd, const char *key, size_t size, size_t *ret_n)
{
	const json_t *list = json_object_get(rd->obj, key);
	size_t n = json_array_size(list);
	void *v;

	if (rd->r < 0 || n == 0)
		return NULL;
	if (n > LIST_MAX) {
		rd->r = sk_err_set(rd->err, -EINVAL, "bad-value", "\"%s\" is too long", key);
		return NULL;
	}
	v = calloc(n, size);
	if (!v)
		rd->r = sk_err_oom(rd->err);
	else
		*ret_n = n;
	return v;
}

static void get_env(struct reader *rd, struct sk_run *run)
{
	const json_t *list = json_object_get(rd->obj, "env");

	run->env = get_list(rd, "env", sizeof(*run->env), &run->n_env);
	for (size_t i = 0; rd->r == 0 && i < run->n_env; i++) {
		const json_t *pair = json_array_get(list, i);
		const char *name = json_string_value(json_array_get(pair, 0));
		const char *value = json_string_value(json_array_get(pair, 1));

		if (!name || !value) {
			rd->r = sk_err_set(rd->err, -EINVAL, "bad-value", "\"env\" has no pairs");
			return;
		}
		run->env[i].name = strdup(name);
		run->env[i].value = strdup(value);
		if (!run->env[i].name || !run->env[i].value)
			rd->r = sk_err_oom(rd->err);
	}
}

static void get_health(struct reader *outer, struct sk_health *h)
{
	struct reader rd = { json_object_get(outer->obj, "health"), outer->err, outer->r };

	if (!rd.obj)
		return;
	h->kind = (enum sk_health_kind)get_u64(&rd, "kind", SK_HEALTH_TCP);
	get_strv(&rd, "command", &h->command);
	get_str(&rd, "path", &h->http_path);
	h->port = (uint16_t)get_u64(&rd, "port", UINT16_MAX);
	h->interval_ms = get_u64(&rd, "interval_ms", INT64_MAX);
	h->timeout_ms = get_u64(&rd, "timeout_ms", INT64_MAX);
	h->start_period_ms = get_u64(&rd, "start_period_ms", INT64_MAX);
	h->retries = (uint32_t)get_u64(&rd, "retries", UINT32_MAX);
	outer->r = rd.r;
}

static void get_run(struct reader *rd, struct sk_run *run)
{
	get_strv(rd, "command", &run->command);
	get_strv(rd, "arguments", &run->arguments);
	get_env(rd, run);
	get_str(rd, "user", &run->user);
	get_str(rd, "working_dir", &run->working_dir);
	run->stop_signal = (int)get_u64(rd, "stop_signal", 64);
	run->stop_grace_ms = get_u64(rd, "stop_grace_ms", INT64_MAX);
	get_health(rd, &run->health);
}

static void get_devices(struct reader *rd, struct sk_app *app)
{
	const json_t *list = json_object_get(rd->obj, "devices");

	app->devices = get_list(rd, "devices", sizeof(*app->devices), &app->n_devices);
	for (size_t i = 0; rd->r == 0 && i < app->n_devices; i++) {
		struct reader item = { json_array_get(list, i), rd->err, 0 };
		struct sk_device_grant *d = &app->devices[i];
		const char *mode = NULL;

		get_str(&item, "path", &d->path);
		get_str(&item, "target", &d->target);
		if (item.r == 0)
			item.r = sk_json_need_str(item.obj, "mode", sizeof(d->mode) - 1, &mode,
						  rd->err);
		if (item.r == 0 && (!d->path || !d->target))
			item.r = sk_err_set(rd->err, -EINVAL, "bad-value", "a device has no path");
		if (item.r == 0)
			memcpy(d->mode, mode, strlen(mode) + 1);
		rd->r = item.r;
	}
}

static void get_volumes(struct reader *rd, struct sk_app *app)
{
	const json_t *list = json_object_get(rd->obj, "volumes");

	app->volumes = get_list(rd, "volumes", sizeof(*app->volumes), &app->n_volumes);
	for (size_t i = 0; rd->r == 0 && i < app->n_volumes; i++) {
		struct reader item = { json_array_get(list, i), rd->err, 0 };
		struct sk_volume *v = &app->volumes[i];

		get_str(&item, "name", &v->name);
		get_str(&item, "target", &v->target);
		v->read_only = get_bool(&item, "read_only");
		if (item.r == 0 && (!v->name || !v->target))
			item.r = sk_err_set(rd->err, -EINVAL, "bad-value", "a volume has no name");
		rd->r = item.r;
	}
}

static void get_limits(struct reader *rd, struct sk_app *app)
{
	app->memory_bytes = get_u64(rd, "memory_bytes", INT64_MAX);
	app->cpu_millis = get_u64(rd, "cpu_millis", INT64_MAX);
	app->pids = (uint32_t)get_u64(rd, "pids", UINT32_MAX);
	app->restart = (enum sk_restart)get_u64(rd, "restart", SK_RESTART_ALWAYS);
	app->restart_max = (uint32_t)get_u64(rd, "restart_max", UINT32_MAX);
	app->restart_window_ms = get_u64(rd, "restart_window_ms", INT64_MAX);
	app->backoff_min_ms = get_u64(rd, "backoff_min_ms", INT64_MAX);
	app->backoff_max_ms = get_u64(rd, "backoff_max_ms", INT64_MAX);
}

int sk_app_from_json(const json_t *obj, struct sk_app *ret, struct sk_err *err)
{
	struct reader rd = { obj, err, 0 };
	struct sk_app app = { 0 };

	get_str(&rd, "name", &app.name);
	if (rd.r == 0 && (!app.name || !sk_name_ok(app.name)))
		rd.r = sk_err_set(err, -EINVAL, "bad-name", "a capsule has no proper name");
	app.kind = (enum sk_kind)get_u64(&rd, "kind", SK_KIND_VM);
	get_run(&rd, &app.run);
	get_limits(&rd, &app);
	get_devices(&rd, &app);
	get_volumes(&rd, &app);
	app.network = (enum sk_network)get_u64(&rd, "network", SK_NETWORK_HOST);
	app.writable_root = get_bool(&rd, "writable_root");
	app.keep_logs = get_bool(&rd, "keep_logs");
	get_strv(&rd, "msg_servers", &app.msg_servers);
	get_str(&rd, "device_setup", &app.device_setup);
	if (rd.r < 0) {
		sk_app_done(&app);
		return rd.r;
	}
	*ret = app;
	return 0;
}

void sk_app_done(struct sk_app *app)
{
	free(app->name);
	sk_run_done(&app->run);
	for (size_t i = 0; i < app->n_devices; i++) {
		free(app->devices[i].path);
		free(app->devices[i].target);
	}
	free(app->devices);
	for (size_t i = 0; i < app->n_volumes; i++) {
		free(app->volumes[i].name);
		free(app->volumes[i].target);
	}
	free(app->volumes);
	sk_strv_free(app->msg_servers);
	free(app->device_setup);
	*app = (struct sk_app){ 0 };
}
