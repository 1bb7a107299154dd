/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "model/manifest_read.h"

#include <libfdt.h>

#define MIB		  (1ull << 20)
#define TIB		  (1ull << 40)
#define CPU_MILLIS_MIN	  10u
#define CPU_MILLIS_MAX	  1024000u
#define PIDS_DEFAULT	  512u
#define PIDS_MAX	  4194304u
#define DEVICES_MAX	  64
#define VOLUMES_MAX	  64
#define PATH_LEN_MAX	  255
#define RESTART_WINDOW_MS 600000u
#define BACKOFF_MIN_MS	  1000u
#define BACKOFF_MAX_MS	  60000u
#define DAY_MS		  86400000u

static const char *const kinds[] = { "container", "vm", NULL };
static const char *const restarts[] = { "no", "on-failure", "always", NULL };
static const char *const networks[] = { "none", "host", NULL };

/* "0.5", "2", "1.25": thousandths, at most three decimals. */
static int parse_cpus(const char *s, uint64_t *ret)
{
	uint64_t v = 0, unit = 1000;
	bool point = false;
	size_t digits = 0;

	for (; *s; s++) {
		if (*s == '.' && !point && digits > 0) {
			point = true;
			continue;
		}
		if (!isdigit((unsigned char)*s) || ++digits > 8 || (point && unit < 10))
			return -1;
		v = v * 10 + (uint64_t)(*s - '0');
		if (point)
			unit /= 10;
	}
	if (digits == 0 || (point && unit == 1000))
		return -1;
	*ret = v * unit;
	return 0;
}

static void read_cpus(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w,
		      void *field)
{
	const char *s = sk_prop_string(r, p, w);
	uint64_t v;

	if (!s)
		return;
	if (parse_cpus(s, &v) < 0 || v < CPU_MILLIS_MIN || v > CPU_MILLIS_MAX)
		sk_rd_bad_value(r, p, w);
	else
		*(uint64_t *)field = v;
}

/* A place inside the capsule that may be covered by something of the device's. */
static bool target_ok(const char *s)
{
	static const char *const kept[] = { "/proc", "/sys" };

	if (!sk_abs_path_ok(s) || strlen(s) > PATH_LEN_MAX || strchr(s, ':'))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		size_t len = strlen(kept[i]);

		if (strncmp(s, kept[i], len) == 0 && (s[len] == '/' || s[len] == '\0'))
			return false;
	}
	return true;
}

static bool mode_ok(const char *s)
{
	static const char *const modes[] = { "r", "w", "rw", "m", "rm", "wm", "rwm" };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		if (sk_streq(s, modes[i]))
			return true;
	return false;
}

/* "/dev/a", "/dev/a:/dev/b", "/dev/a:r", "/dev/a:/dev/b:rw"; 0 or -1. */
static int split_device(char *s, char **path, char **target, char **mode)
{
	char *rest = strchr(s, ':');

	*path = *target = s;
	*mode = NULL;
	if (rest)
		*rest++ = '\0';
	if (rest && rest[0] == '/') {
		*target = rest;
		rest = strchr(rest, ':');
		if (rest)
			*rest++ = '\0';
	}
	if (rest)
		*mode = rest;
	return sk_str_starts(*path, "/dev/") && target_ok(*path) && target_ok(*target) &&
			       (!*mode || mode_ok(*mode))
		       ? 0
		       : -1;
}

static void add_device(struct sk_reader *r, const char *text, struct sk_app *app,
		       const struct sk_prop *p, const struct sk_word *w)
{
	_cleanup_free_ char *copy = sk_rd_strdup(r, text);
	struct sk_device_grant *d = &app->devices[app->n_devices];
	char *path, *target, *mode;

	if (!copy)
		return;
	if (split_device(copy, &path, &target, &mode) < 0) {
		sk_rd_wrong(r, p->node, p->name, "\"%.64s\" is not %s", text, w->expect);
		sk_rd_hint(r, "write %s", w->example);
		return;
	}
	for (size_t i = 0; i < app->n_devices; i++) {
		if (sk_streq(app->devices[i].target, target)) {
			sk_rd_wrong(r, p->node, p->name, "\"%.64s\" is given twice", target);
			return;
		}
	}
	d->path = sk_rd_strdup(r, path);
	d->target = sk_rd_strdup(r, target);
	memcpy(d->mode, mode ? mode : "rw", strlen(mode ? mode : "rw") + 1);
	app->n_devices++;
}

static void read_devices(struct sk_reader *r, const struct sk_prop *p, const struct sk_word *w,
			 void *field)
{
	struct sk_app *app = sk_container_of(field, struct sk_app, devices);
	_cleanup_strv_ char **v = NULL;

	sk_rd_strv(r, p, w, &v);
	if (!v)
		return;
	app->devices = sk_rd_calloc(r, sk_strv_len(v), sizeof(*app->devices));
	if (!app->devices)
		return;
	SK_STRV_FOREACH (s, v)
		add_device(r, *s, app, p, w);
}

static const struct sk_word app_words[] = {
	{ "image", sk_rd_image, offsetof(struct sk_app, image), .expect = "a file name",
	  .example = "image = \"nginx.itb\";", .required = true },
	{ "kind", sk_rd_enum, offsetof(struct sk_app, kind), .choices = kinds,
	  .expect = "\"container\" or \"vm\"", .example = "kind = \"container\";" },
	{ "devices", read_devices, offsetof(struct sk_app, devices), .max = DEVICES_MAX,
	  .expect = "a device: /dev/..., then :/path/inside and :rw if need be",
	  .example = "devices = \"/dev/i2c-1\", \"/dev/ttyS0:/dev/gps:r\";" },
	{ "memory-limit", sk_rd_size, offsetof(struct sk_app, memory_bytes), .min = MIB, .max = TIB,
	  .example = "memory-limit = \"64M\";" },
	{ "cpu-limit", read_cpus, offsetof(struct sk_app, cpu_millis),
	  .expect = "a number of CPUs from 0.01 to 1024, with up to three decimals",
	  .example = "cpu-limit = \"0.5\";" },
	{ "pids-limit", sk_rd_u32, offsetof(struct sk_app, pids), .min = 1, .max = PIDS_MAX,
	  .example = "pids-limit = <512>;" },
	{ "restart", sk_rd_enum, offsetof(struct sk_app, restart), .choices = restarts,
	  .expect = "\"no\", \"on-failure\" or \"always\"", .example = "restart = \"always\";" },
	{ "restart-max", sk_rd_u32, offsetof(struct sk_app, restart_max), .min = 1, .max = 10000,
	  .example = "restart-max = <5>;" },
	{ "restart-window", sk_rd_duration, offsetof(struct sk_app, restart_window_ms), .min = 1000,
	  .max = 30ull * DAY_MS, .example = "restart-window = \"10m\";" },
	{ "backoff-min", sk_rd_duration, offsetof(struct sk_app, backoff_min_ms), .min = 10,
	  .max = DAY_MS, .example = "backoff-min = \"1s\";" },
	{ "backoff-max", sk_rd_duration, offsetof(struct sk_app, backoff_max_ms), .min = 10,
	  .max = DAY_MS, .example = "backoff-max = \"1m\";" },
	{ "network", sk_rd_enum, offsetof(struct sk_app, network), .choices = networks,
	  .expect = "\"none\" or \"host\"", .example = "network = \"none\";" },
	{ "writable-root", sk_rd_bool, offsetof(struct sk_app, writable_root),
	  .example = "writable-root;" },
	{ "keep-logs", sk_rd_bool, offsetof(struct sk_app, keep_logs), .example = "keep-logs;" },
	{ "msg_servers", sk_rd_strv, offsetof(struct sk_app, msg_servers),
	  .max = SK_MANIFEST_APPS_MAX, .example = "msg_servers = \"main\";" },
	{ "aux_device_setup_script", sk_rd_string, offsetof(struct sk_app, device_setup),
	  .ok = sk_abs_path_ok, .expect = "an absolute path inside the image",
	  .example = "aux_device_setup_script = \"/usr/lib/app/setup\";" },
};

static const struct sk_word volume_word = { .max = 2, .example = "data = \"/var/lib/data\";" };

static void read_volume(struct sk_reader *r, const struct sk_prop *p, void *to)
{
	struct sk_app *app = to;
	struct sk_volume *vol = &app->volumes[app->n_volumes];
	_cleanup_strv_ char **v = NULL;

	sk_rd_strv(r, p, &volume_word, &v);
	if (!v)
		return;
	if (!target_ok(v[0])) {
		sk_rd_wrong(r, p->node, p->name, "\"%.64s\" is not a place inside the capsule",
			    v[0]);
		sk_rd_hint(r, "write %.63s = \"/var/lib/data\"; not \"/\", /proc or /sys", p->name);
		return;
	}
	if (v[1] && !sk_streq(v[1], "read-only")) {
		sk_rd_wrong(r, p->node, p->name, "\"%.64s\" is not \"read-only\"", v[1]);
		sk_rd_hint(r, "write %.63s = \"%.64s\", \"read-only\"; or the path alone", p->name,
			   v[0]);
		return;
	}
	for (size_t i = 0; i < app->n_volumes; i++) {
		if (sk_streq(app->volumes[i].target, v[0])) {
			sk_rd_wrong(r, p->node, p->name, "\"%.64s\" is taken by \"%s\"", v[0],
				    app->volumes[i].name);
			return;
		}
	}
	vol->name = sk_rd_strdup(r, p->name);
	vol->target = sk_rd_strdup(r, v[0]);
	vol->read_only = v[1] != NULL;
	app->n_volumes++;
}

static void read_volumes(struct sk_reader *r, int node, void *to)
{
	struct sk_app *app = to;

	app->volumes = sk_rd_calloc(r, sk_count_props(r->fdt, node) + 1, sizeof(*app->volumes));
	if (app->volumes)
		sk_rd_free_props(r, node, VOLUMES_MAX, "volume", sk_name_ok, read_volume, app);
	sk_rd_no_nodes(r, node);
}

static void read_run_sub(struct sk_reader *r, int node, void *to)
{
	const char *name = fdt_get_name(r->fdt, node, NULL);
	struct sk_app *app = to;

	for (size_t i = 0; i < SK_RUN_SUBS; i++)
		if (sk_streq(sk_run_subs[i].name, name))
			sk_run_subs[i].read(r, node, &app->run);
}

static void check_restart(struct sk_reader *r, int node, const struct sk_app *app)
{
	if (app->backoff_min_ms > app->backoff_max_ms) {
		sk_rd_wrong(r, node, "backoff-min", "is longer than backoff-max");
		sk_rd_hint(r, "write both: backoff-min = \"1s\"; backoff-max = \"1m\";");
	}
	if (app->restart == SK_RESTART_NO && app->restart_max) {
		sk_rd_wrong(r, node, "restart-max", "has no meaning beside restart = \"no\"");
		sk_rd_hint(r, "write restart = \"on-failure\"; or leave restart-max out");
	}
}

static void read_app(struct sk_reader *r, int node, struct sk_app *app)
{
	const struct sk_sub subs[] = {
		{ "volumes", read_volumes },
		{ sk_run_subs[0].name, read_run_sub },
		{ sk_run_subs[1].name, read_run_sub },
	};
	const struct sk_words sets[] = {
		{ app_words, ARRAY_SIZE(app_words), app },
		sk_run_words(&app->run),
	};

	app->name = sk_rd_strdup(r, fdt_get_name(r->fdt, node, NULL));
	app->pids = PIDS_DEFAULT;
	app->restart = SK_RESTART_ALWAYS;
	app->restart_window_ms = RESTART_WINDOW_MS;
	app->backoff_min_ms = BACKOFF_MIN_MS;
	app->backoff_max_ms = BACKOFF_MAX_MS;
	sk_rd_props(r, node, sets, ARRAY_SIZE(sets));
	sk_rd_nodes(r, node, subs, ARRAY_SIZE(subs), app);
	sk_rd_known(r, node, "msg_servers", app->msg_servers, &sk_mr(r)->servers, "message server");
	check_restart(r, node, app);
}

void sk_rd_apps(struct sk_reader *r, int node)
{
	const struct sk_children *c = &sk_mr(r)->apps;
	struct sk_manifest *m = sk_mr(r)->m;

	if (node < 0)
		return;
	sk_rd_no_props(r, node);
	m->apps = sk_rd_calloc(r, c->n + 1, sizeof(*m->apps));
	for (; !r->oom && m->n_apps < c->n; m->n_apps++)
		read_app(r, c->nodes[m->n_apps], &m->apps[m->n_apps]);
}

void sk_manifest_app_done(struct sk_app *a)
{
	free(a->name);
	sk_run_done(&a->run);
	for (size_t i = 0; i < a->n_devices; i++) {
		free(a->devices[i].path);
		free(a->devices[i].target);
	}
	for (size_t i = 0; i < a->n_volumes; i++) {
		free(a->volumes[i].name);
		free(a->volumes[i].target);
	}
	free(a->devices);
	free(a->volumes);
	sk_strv_free(a->msg_servers);
	free(a->device_setup);
}
