/* SPDX-License-Identifier: Apache-2.0 */

/* POST /containers/create: what the body asks for, checked, then a capsule of it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/file.h"
#include "base/str.h"
#include "engine/docker/docker.h"
#include "io/json.h"

#define STRINGS_MAX	   512
#define LABELS_MAX	   256
#define MOUNTS_MAX	   64
#define PIDS_DEFAULT	   512
#define NS_PER_MS	   1000000ull
#define NS_PER_MILLI	   1000000ull /* NanoCpus per thousandth of a CPU */
#define BACKOFF_MIN_MS	   1000
#define BACKOFF_MAX_MS	   60000
#define HEALTH_INTERVAL_MS 30000
#define HEALTH_TIMEOUT_MS  30000
#define HEALTH_RETRIES	   3

static int no(struct sk_err *err, const char *what)
{
	return sk_err_set(err, -EOPNOTSUPP, "not-supported", "%s is not supported by Skerry", what);
}

static int bad(struct sk_err *err, const char *what)
{
	return sk_err_set(err, -EINVAL, "bad-request", "%s", what);
}

/* What a client sends for "not given": null, false, 0, -1, "", and lists or objects of these. */
static bool is_neutral(const json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;

	json_array_foreach (v, i, item)
		if (!is_neutral(item))
			return false;
	json_object_foreach ((json_t *)v, key, item)
		return false;
	return !json_is_true(v) && !(json_is_string(v) && json_string_length(v) > 0) &&
	       !(json_is_integer(v) && json_integer_value(v) != 0 && json_integer_value(v) != -1) &&
	       !json_is_real(v);
}

/*
 * Every key that is not known to be handled, or harmless, must be neutral: what a user asked for is
 * done or refused by name, never dropped in silence.
 */
static int refuse_others(const json_t *obj, const char *const *handled, const char *prefix,
			 struct sk_err *err)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)obj, key, v) {
		const char *const *h = handled;

		while (*h && !sk_streq(*h, key))
			h++;
		if (!*h && !is_neutral(v))
			return sk_err_set(err, -EOPNOTSUPP, "not-supported",
					  "%s%.64s is not supported by Skerry", prefix, key);
	}
	return 0;
}

static int copy_str(const json_t *obj, const char *key, char **to, struct sk_err *err)
{
	const char *s;
	int r = sk_json_get_str(obj, key, &s, err);

	if (r < 0 || !s || !*s)
		return r;
	*to = strdup(s);
	return *to ? 0 : sk_err_oom(err);
}

/* --- the container's own part --- */

/* Cmd and Entrypoint may be one string too. */
static int get_words(const json_t *obj, const char *key, char ***ret, struct sk_err *err)
{
	const json_t *v = json_object_get(obj, key);

	if (json_is_string(v))
		return sk_strv_add(ret, json_string_value(v)) < 0 ? sk_err_oom(err) : 0;
	return sk_json_get_strv(obj, key, STRINGS_MAX, ret, err);
}

static int add_env(struct sk_run *run, const char *s, struct sk_err *err)
{
	const char *eq = strchr(s, '=');
	struct sk_env *env;

	/* "NAME" alone takes the variable away in Docker: the image's own would stay here. */
	if (!eq || eq == s)
		return bad(err, "Env: write each variable as NAME=value");
	env = reallocarray(run->env, run->n_env + 1, sizeof(*env));
	if (!env)
		return sk_err_oom(err);
	run->env = env;
	env += run->n_env;
	env->name = strndup(s, (size_t)(eq - s));
	env->value = strdup(eq + 1);
	run->n_env++;
	return env->name && env->value ? 0 : sk_err_oom(err);
}

static int parse_env(const json_t *body, struct sk_run *run, struct sk_err *err)
{
	_cleanup_strv_ char **list = NULL;
	int r = sk_json_get_strv(body, "Env", STRINGS_MAX, &list, err);

	SK_STRV_FOREACH (s, list)
		r = r ?: add_env(run, *s, err);
	return r;
}

static int parse_labels(const json_t *body, struct sk_create *c, struct sk_err *err)
{
	const json_t *obj = json_object_get(body, "Labels");
	const char *key;
	json_t *v;

	if (obj && !json_is_object(obj) && !json_is_null(obj))
		return bad(err, "Labels is an object");
	if (json_object_size(obj) > LABELS_MAX)
		return bad(err, "there are too many labels");
	json_object_foreach ((json_t *)obj, key, v) {
		if (!json_is_string(v) || strchr(key, '='))
			return bad(err, "a label is a name without = and a string");
		if (sk_str_starts(key, "io.skerry."))
			return bad(err, "labels that begin with io.skerry. are Skerry's own");
		if (sk_strv_addf(&c->labels, "%s=%s", key, json_string_value(v)) < 0)
			return sk_err_oom(err);
	}
	return 0;
}

static int parse_stop(const json_t *body, struct sk_run *run, struct sk_err *err)
{
	uint64_t timeout_s = 0;
	const char *name;
	int r = sk_json_get_str(body, "StopSignal", &name, err);

	if (r < 0)
		return r;
	if (name && *name && sk_signal_parse(name, &run->stop_signal) < 0)
		return bad(err, "StopSignal is no signal");
	r = sk_json_get_u64(body, "StopTimeout", &timeout_s, err);
	if (r < 0 || timeout_s > 86400)
		return bad(err, "StopTimeout is a number of seconds, at most 86400");
	run->stop_grace_ms = timeout_s * 1000;
	return 0;
}

static int ns_to_ms(const json_t *obj, const char *key, uint64_t *ms, struct sk_err *err)
{
	uint64_t ns = 0;
	int r = sk_json_get_u64(obj, key, &ns, err);

	if (r == 0 && ns > 0)
		*ms = SK_MAX(ns / NS_PER_MS, UINT64_C(1));
	return r;
}

/* ["CMD", ...], ["CMD-SHELL", "line"], ["NONE"]; absent or []: the image's. */
static int parse_health(const json_t *body, struct sk_run *run, struct sk_err *err)
{
	const json_t *obj = json_object_get(body, "Healthcheck");
	struct sk_health *h = &run->health;
	_cleanup_strv_ char **test = NULL;
	uint64_t retries = HEALTH_RETRIES;
	int r;

	if (!obj || json_is_null(obj))
		return 0;
	r = sk_json_get_strv(obj, "Test", STRINGS_MAX, &test, err);
	if (r < 0)
		return r;
	if (sk_strv_len(test) == 0)
		return is_neutral(obj) ? 0 : no(err, "Healthcheck without a Test");
	if (sk_streq(test[0], "NONE"))
		return no(err, "switching an image's health check off");
	if (sk_streq(test[0], "CMD-SHELL") && test[1] && !test[2])
		r = sk_strv_add(&h->command, "/bin/sh") ?: sk_strv_add(&h->command, "-c");
	else if (!sk_streq(test[0], "CMD") || !test[1])
		return bad(err, "Healthcheck.Test is [\"CMD\", ...] or [\"CMD-SHELL\", line]");
	SK_STRV_FOREACH (s, test + 1)
		r = r ?: sk_strv_add(&h->command, *s);
	if (r < 0)
		return sk_err_oom(err);
	h->kind = SK_HEALTH_COMMAND;
	h->interval_ms = HEALTH_INTERVAL_MS;
	h->timeout_ms = HEALTH_TIMEOUT_MS;
	r = ns_to_ms(obj, "Interval", &h->interval_ms, err);
	r = r ?: ns_to_ms(obj, "Timeout", &h->timeout_ms, err);
	r = r ?: ns_to_ms(obj, "StartPeriod", &h->start_period_ms, err);
	r = r ?: sk_json_get_u64(obj, "Retries", &retries, err);
	h->retries = retries == 0 ? HEALTH_RETRIES : (uint32_t)SK_MIN(retries, UINT64_C(1000));
	return r;
}

static int parse_terminal(const json_t *body, struct sk_err *err)
{
	bool tty = false, open_stdin = false;
	int r = sk_json_get_bool(body, "Tty", &tty, err);

	if (r == 0)
		r = sk_json_get_bool(body, "OpenStdin", &open_stdin, err);
	if (r < 0)
		return r;
	if (tty)
		return no(err, "Tty (-t)");
	return open_stdin ? no(err, "OpenStdin (-i)") : 0;
}

static int parse_own(const json_t *body, struct sk_create *c, struct sk_err *err)
{
	/* Attach* only say what the client will do next; ExposedPorts is a remark. */
	static const char *const handled[] = {
		"AttachStdin",
		"AttachStdout",
		"AttachStderr",
		"StdinOnce",
		"ExposedPorts",
		"Tty",
		"OpenStdin",
		"Env",
		"Cmd",
		"Entrypoint",
		"Image",
		"Labels",
		"User",
		"WorkingDir",
		"StopSignal",
		"StopTimeout",
		"Healthcheck",
		"HostConfig",
		"NetworkingConfig",
		NULL,
	};
	struct sk_run *run = &c->app.run;
	const char *image;
	int r = refuse_others(body, handled, "", err);

	if (r == 0)
		r = parse_terminal(body, err);
	if (r == 0)
		r = sk_json_need_str(body, "Image", 512, &image, err);
	if (r == 0) {
		c->image = strdup(image);
		r = c->image ? 0 : sk_err_oom(err);
	}
	r = r ?: get_words(body, "Entrypoint", &run->command, err);
	r = r ?: get_words(body, "Cmd", &run->arguments, err);
	r = r ?: parse_env(body, run, err);
	r = r ?: copy_str(body, "User", &run->user, err);
	r = r ?: copy_str(body, "WorkingDir", &run->working_dir, err);
	r = r ?: parse_labels(body, c, err);
	r = r ?: parse_stop(body, run, err);
	c->has_entrypoint = run->command != NULL;
	return r < 0 ? r : parse_health(body, run, err);
}

/* --- HostConfig --- */

static int parse_limits(const json_t *host, struct sk_app *app, struct sk_err *err)
{
	uint64_t nano = 0, swap = 0, pids = 0;
	int r = sk_json_get_u64(host, "Memory", &app->memory_bytes, err);

	if (r == 0)
		r = sk_json_get_u64(host, "NanoCpus", &nano, err);
	if (r < 0)
		return r;
	app->cpu_millis = (nano + NS_PER_MILLI - 1) / NS_PER_MILLI;
	if (json_integer_value(json_object_get(host, "MemorySwap")) > 0) {
		(void)sk_json_get_u64(host, "MemorySwap", &swap, NULL);
		if (swap != app->memory_bytes)
			return no(err, "MemorySwap other than Memory");
	}
	app->pids = PIDS_DEFAULT;
	if (json_integer_value(json_object_get(host, "PidsLimit")) > 0) {
		r = sk_json_get_u64(host, "PidsLimit", &pids, err);
		if (r < 0 || pids > 4194304)
			return bad(err, "PidsLimit is a number up to 4194304");
		app->pids = (uint32_t)pids;
	}
	return 0;
}

static int parse_restart(const json_t *host, struct sk_create *c, struct sk_err *err)
{
	const json_t *obj = json_object_get(host, "RestartPolicy");
	struct sk_app *app = &c->app;
	const char *name = NULL;
	uint64_t max = 0;
	int r = sk_json_get_str(obj, "Name", &name, err);

	if (r == 0)
		r = sk_json_get_u64(obj, "MaximumRetryCount", &max, err);
	if (r < 0)
		return r;
	app->backoff_min_ms = BACKOFF_MIN_MS;
	app->backoff_max_ms = BACKOFF_MAX_MS;
	if (!name || !*name || sk_streq(name, "no"))
		app->restart = SK_RESTART_NO;
	else if (sk_streq(name, "always") || sk_streq(name, "unless-stopped"))
		app->restart = SK_RESTART_ALWAYS;
	else if (sk_streq(name, "on-failure"))
		app->restart = SK_RESTART_ON_FAILURE;
	else
		return bad(err, "RestartPolicy is no, always, unless-stopped or on-failure");
	if (max > 0 && app->restart != SK_RESTART_ON_FAILURE)
		return bad(err, "MaximumRetryCount goes with on-failure only");
	app->restart_max = (uint32_t)SK_MIN(max, (uint64_t)UINT32_MAX);
	app->restart_window_ms = app->restart_max > 0 ? 86400000 : 0;
	if (c->auto_remove && app->restart != SK_RESTART_NO)
		return bad(err, "can't create 'AutoRemove' container with restart policy");
	return 0;
}

static int parse_network(const json_t *host, struct sk_create *c, struct sk_err *err)
{
	const json_t *ports = json_object_get(host, "PortBindings");
	const char *mode;
	int r = sk_json_get_str(host, "NetworkMode", &mode, err);

	if (r < 0)
		return r;
	if (json_object_size(ports) > 0)
		return no(err, "publishing ports (use --network host)");
	if (mode && sk_streq(mode, "host")) {
		c->app.network = SK_NETWORK_HOST;
		return 0;
	}
	c->app.network = SK_NETWORK_NONE;
	if (mode && sk_streq(mode, "none"))
		return 0;
	if (mode && *mode && !sk_streq(mode, "default") && !sk_streq(mode, "bridge"))
		return no(err, "a network other than none and host");
	if (sk_strv_add(&c->warnings, "The container gets no network: Skerry has no bridge. Use "
				      "--network none to say so, or --network host.") < 0)
		return sk_err_oom(err);
	return 0;
}

static int add_volume(struct sk_app *app, const char *name, const char *target, bool read_only,
		      struct sk_err *err)
{
	struct sk_volume *v;

	if (!name || *name == '/' || *name == '.')
		return no(err, "mounting a folder of the device (name a volume instead)");
	if (!sk_name_ok(name))
		return bad(err, "the volume's name must be letters, digits, '.', '_' and '-'");
	if (!target || *target != '/' || !sk_path_ok(target + 1))
		return bad(err, "a volume's target must be an absolute path without . and ..");
	if (app->n_volumes == MOUNTS_MAX)
		return bad(err, "there are too many volumes");
	v = reallocarray(app->volumes, app->n_volumes + 1, sizeof(*v));
	if (!v)
		return sk_err_oom(err);
	app->volumes = v;
	v += app->n_volumes++;
	*v = (struct sk_volume){ strdup(name), strdup(target), read_only };
	return v->name && v->target ? 0 : sk_err_oom(err);
}

/* "name:/target[:ro|rw|z|Z]" */
static int parse_bind(struct sk_app *app, const char *text, struct sk_err *err)
{
	_cleanup_strv_ char **v = NULL;
	bool read_only = false;

	if (sk_strv_split(text, ':', &v) < 0)
		return sk_err_oom(err);
	if (sk_strv_len(v) < 2 || sk_strv_len(v) > 3)
		return bad(err, "a volume is written name:/target[:ro]");
	if (v[2]) {
		read_only = sk_streq(v[2], "ro");
		if (!read_only && !sk_streq(v[2], "rw") && !sk_streq(v[2], "z"))
			return no(err, "a volume option other than ro and rw");
	}
	return add_volume(app, v[0], v[1], read_only, err);
}

static int parse_mount(struct sk_app *app, const json_t *m, struct sk_err *err)
{
	static const char *const handled[] = { "Type", "Source", "Target", "ReadOnly", NULL };
	const char *type = NULL, *source = NULL, *target = NULL;
	bool read_only = false;
	int r = sk_json_get_str(m, "Type", &type, err);

	r = r ?: sk_json_get_str(m, "Source", &source, err);
	r = r ?: sk_json_get_str(m, "Target", &target, err);
	r = r ?: sk_json_get_bool(m, "ReadOnly", &read_only, err);
	r = r ?: refuse_others(m, handled, "Mounts.", err);
	if (r < 0)
		return r;
	if (!type || !sk_streq(type, "volume"))
		return no(err, "a mount other than type=volume");
	return add_volume(app, source, target, read_only, err);
}

static int parse_volumes(const json_t *host, struct sk_app *app, struct sk_err *err)
{
	_cleanup_strv_ char **binds = NULL;
	json_t *m;
	size_t i;
	int r = sk_json_get_strv(host, "Binds", MOUNTS_MAX, &binds, err);

	SK_STRV_FOREACH (b, binds)
		r = r ?: parse_bind(app, *b, err);
	json_array_foreach (json_object_get(host, "Mounts"), i, m)
		r = r ?: parse_mount(app, m, err);
	return r;
}

static int add_device(struct sk_app *app, const json_t *dev, struct sk_err *err)
{
	const char *path = NULL, *inside = NULL, *mode = NULL;
	struct sk_device_grant *g;
	int r = sk_json_need_str(dev, "PathOnHost", 256, &path, err);

	r = r ?: sk_json_get_str(dev, "PathInContainer", &inside, err);
	r = r ?: sk_json_get_str(dev, "CgroupPermissions", &mode, err);
	if (r < 0)
		return r;
	mode = mode && *mode ? mode : "rwm";
	inside = inside && *inside ? inside : path;
	if (!sk_str_starts(path, "/dev/") || !sk_path_ok(path + 1) || *inside != '/' ||
	    !sk_path_ok(inside + 1))
		return bad(err, "a device is a path below /dev");
	if (strlen(mode) > 3 || strspn(mode, "rwm") != strlen(mode))
		return bad(err, "a device's permissions are of r, w and m");
	g = reallocarray(app->devices, app->n_devices + 1, sizeof(*g));
	if (!g)
		return sk_err_oom(err);
	app->devices = g;
	g += app->n_devices++;
	*g = (struct sk_device_grant){ .path = strdup(path), .target = strdup(inside) };
	(void)snprintf(g->mode, sizeof(g->mode), "%s", mode);
	return g->path && g->target ? 0 : sk_err_oom(err);
}

static int parse_devices(const json_t *host, struct sk_app *app, struct sk_err *err)
{
	const json_t *list = json_object_get(host, "Devices");
	json_t *dev;
	size_t i;
	int r = 0;

	if (json_array_size(list) > MOUNTS_MAX)
		return bad(err, "there are too many devices");
	json_array_foreach (list, i, dev)
		r = r ?: add_device(app, dev, err);
	return r;
}

/* Words whose default is what Skerry does anyway. */
static int check_modes(const json_t *host, struct sk_err *err)
{
	static const struct {
		const char *key, *value;
	} only[] = { { "IpcMode", "private" }, { "CgroupnsMode", "private" } };
	_cleanup_strv_ char **options = NULL;
	const char *type = NULL;
	const json_t *log = json_object_get(host, "LogConfig");
	int r = sk_json_get_strv(host, "SecurityOpt", STRINGS_MAX, &options, err);

	if (r < 0)
		return r;
	SK_STRV_FOREACH (o, options)
		if (!sk_streq(*o, "no-new-privileges") && !sk_streq(*o, "no-new-privileges:true") &&
		    !sk_streq(*o, "no-new-privileges=true"))
			return no(err, "a SecurityOpt other than no-new-privileges");
	/* An empty list means: hide nothing. */
	if (json_is_array(json_object_get(host, "MaskedPaths")) ||
	    json_is_array(json_object_get(host, "ReadonlyPaths")))
		return no(err, "a list of MaskedPaths or ReadonlyPaths");
	for (size_t i = 0; i < ARRAY_SIZE(only); i++) {
		const char *v = NULL;

		r = sk_json_get_str(host, only[i].key, &v, err);
		if (r < 0)
			return r;
		if (v && *v && !sk_streq(v, only[i].value))
			return no(err, only[i].key);
	}
	r = sk_json_get_str(log, "Type", &type, err);
	if (r < 0)
		return r;
	if (type && *type && !sk_streq(type, "json-file"))
		return no(err, "a log driver other than json-file");
	return json_object_size(json_object_get(log, "Config")) > 0 ? no(err, "a log option") : 0;
}

static int parse_host(const json_t *host, struct sk_create *c, struct sk_err *err)
{
	/* ConsoleSize is of no meaning without a terminal; all capabilities are dropped already. */
	static const char *const handled[] = {
		"Memory",      "MemorySwap", "NanoCpus",       "PidsLimit",    "RestartPolicy",
		"NetworkMode", "AutoRemove", "ReadonlyRootfs", "Binds",	       "Mounts",
		"Devices",     "CapDrop",    "ConsoleSize",    "PortBindings", "SecurityOpt",
		"IpcMode",     "LogConfig",  "CgroupnsMode",   NULL,
	};
	bool read_only = false;
	int r = refuse_others(host, handled, "HostConfig.", err);

	r = r ?: check_modes(host, err);
	r = r ?: sk_json_get_bool(host, "AutoRemove", &c->auto_remove, err);
	r = r ?: sk_json_get_bool(host, "ReadonlyRootfs", &read_only, err);
	c->app.writable_root = !read_only;
	r = r ?: parse_limits(host, &c->app, err);
	r = r ?: parse_restart(host, c, err);
	r = r ?: parse_network(host, c, err);
	r = r ?: parse_volumes(host, &c->app, err);
	return r ?: parse_devices(host, &c->app, err);
}

/* The CLI repeats the network mode here, with an empty description. */
static int check_endpoints(const json_t *body, struct sk_err *err)
{
	const json_t *all =
		json_object_get(json_object_get(body, "NetworkingConfig"), "EndpointsConfig");
	const char *name;
	json_t *v;

	json_object_foreach ((json_t *)all, name, v) {
		const char *key;
		json_t *item;

		if (!sk_streq(name, "default") && !sk_streq(name, "bridge") &&
		    !sk_streq(name, "none") && !sk_streq(name, "host"))
			return no(err, "a network other than none and host");
		json_object_foreach (v, key, item)
			if (!is_neutral(item))
				return no(err, "configuring a network");
	}
	return 0;
}

int sk_create_parse(const json_t *body, struct sk_create *ret, struct sk_err *err)
{
	_cleanup_(sk_create_done) struct sk_create c = { .app.kind = SK_KIND_CONTAINER };
	const json_t *host = json_object_get(body, "HostConfig");
	int r;

	if (!json_is_object(body) || (host && !json_is_object(host) && !json_is_null(host)))
		return bad(err, "a JSON object with an object HostConfig is expected");
	r = parse_own(body, &c, err);
	r = r ?: parse_host(host, &c, err);
	r = r ?: check_endpoints(body, err);
	if (r < 0)
		return r;
	*ret = c;
	c = (struct sk_create){ 0 };
	return 0;
}

void sk_create_done(struct sk_create *c)
{
	sk_run_done(&c->app.run);
	for (size_t i = 0; i < c->app.n_volumes; i++) {
		free(c->app.volumes[i].name);
		free(c->app.volumes[i].target);
	}
	for (size_t i = 0; i < c->app.n_devices; i++) {
		free(c->app.devices[i].path);
		free(c->app.devices[i].target);
	}
	free(c->app.volumes);
	free(c->app.devices);
	free(c->image);
	sk_strv_free(c->labels);
	sk_strv_free(c->warnings);
	*c = (struct sk_create){ 0 };
}

static int make_name(struct sk_engine *e, const char *asked, char buf[static SK_NAME_MAX + 1],
		     struct sk_err *err)
{
	uint32_t n;

	if (asked && *asked) {
		asked += *asked == '/';
		if (!sk_name_ok(asked))
			return sk_err_set(err, -EINVAL, "bad-request",
					  "Invalid container name (%.80s): letters, digits, '.', "
					  "'_' and '-', at most %d",
					  asked, SK_NAME_MAX);
		(void)snprintf(buf, SK_NAME_MAX + 1, "%s", asked);
		return 0;
	}
	do {
		if (getrandom(&n, sizeof(n), 0) != sizeof(n))
			return sk_err_set(err, -EIO, "io", "no random numbers");
		(void)snprintf(buf, SK_NAME_MAX + 1, "capsule-%08x", n);
	} while (sk_engine_find(e, buf, NULL));
	return 0;
}

/* Docker's rule: a new entry point does away with the image's arguments too. */
static int merge(const struct sk_image_info *info, struct sk_create *c, struct sk_run *ret,
		 struct sk_err *err)
{
	struct sk_run base = info->run;

	if (c->has_entrypoint)
		base.arguments = NULL;
	return sk_run_merge(&base, &c->app.run, ret) < 0 ? sk_err_oom(err) : 0;
}

static int reply_created(struct sk_http_req *req, struct sk_capsule *capsule,
			 const struct sk_create *c)
{
	json_t *warnings = sk_json_strv(c->warnings);
	struct sk_capsule_view v;

	sk_capsule_view(capsule, &v);
	return sk_http_reply_json(req, 201,
				  json_pack("{s:s, s:o}", "Id", v.id, "Warnings", warnings));
}

static int create(struct sk_http_req *req, struct sk_daemon *d, struct sk_create *c,
		  struct sk_err *err)
{
	_cleanup_(sk_image_info_freep) struct sk_image_info *info = NULL;
	char name[SK_NAME_MAX + 1];
	struct sk_app app = c->app;
	struct sk_capsule_spec spec = {
		.app = &app,
		.image_name = c->image,
		.labels = c->labels,
		.auto_remove = c->auto_remove,
	};
	struct sk_capsule *capsule;
	uint64_t size;
	int r = sk_docker_image_find(d, c->image, &spec.image, err);

	r = r ?: sk_docker_image_info(d, &spec.image, &info, &size, err);
	r = r ?: make_name(d->engine, sk_http_query(req, "name"), name, err);
	r = r ?: merge(info, c, &app.run, err);
	if (r < 0)
		return r;
	app.name = name;
	r = sk_engine_create(d->engine, &spec, &capsule, err);
	sk_run_done(&app.run);
	r = r ?: reply_created(req, capsule, c);
	if (r < 0)
		return r;
	/* Prepared while the client comes back for the start, whose answer has the error if this fails. */
	(void)sk_capsule_prepare(capsule, NULL, NULL, err);
	return 0;
}

int sk_docker_create(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	_cleanup_json_ json_t *body = NULL;
	_cleanup_(sk_create_done) struct sk_create c = { 0 };
	int r = sk_http_body_json(req, &body, err);

	r = r ?: sk_create_parse(body, &c, err);
	return r ?: create(req, arg, &c, err);
}
