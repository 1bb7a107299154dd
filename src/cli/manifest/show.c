/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/manifest/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "cli/cmd.h"
#include "io/json.h"

#define CELL_MAX 4096

static const char *const kind_names[] = { "container", "vm" };
static const char *const restart_names[] = { "no", "on-failure", "always" };
static const char *const network_names[] = { "none", "host" };
static const char *const health_names[] = { "none", "command", "http", "tcp" };

static json_t *time_json(int64_t at_s)
{
	char buf[32];

	return at_s ? json_string(sk_time_format(buf, at_s)) : json_null();
}

static json_t *image_json(const struct sk_image_ref *i)
{
	return json_pack("{s:s, s:s?, s:o}", "name", i->name, "sha256",
			 i->pinned ? SK_DIGEST_STR(&i->digest) : NULL, "size_bytes",
			 i->pinned ? json_integer((json_int_t)i->size_bytes) : json_null());
}

static json_t *images_json(const struct sk_manifest *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->n_images; i++)
		(void)json_array_append_new(list, image_json(&m->images[i]));
	return list;
}

static json_t *app_health_json(const struct sk_health *h)
{
	json_t *o = json_pack("{s:s}", "kind", h->disabled ? "disabled" : health_names[h->kind]);

	if (h->kind == SK_HEALTH_NONE)
		return o;
	if (h->command)
		(void)json_object_set_new(o, "command", sk_json_strv(h->command));
	if (h->http_path)
		(void)json_object_set_new(o, "http", json_string(h->http_path));
	if (h->port)
		(void)json_object_set_new(o, "port", json_integer(h->port));
	(void)json_object_set_new(o, "interval_ms", json_integer((json_int_t)h->interval_ms));
	(void)json_object_set_new(o, "timeout_ms", json_integer((json_int_t)h->timeout_ms));
	(void)json_object_set_new(o, "start_period_ms",
				  json_integer((json_int_t)h->start_period_ms));
	(void)json_object_set_new(o, "retries", json_integer(h->retries));
	return o;
}

static json_t *app_run_json(const struct sk_run *run)
{
	json_t *env = json_object();
	char sig[16];

	for (size_t i = 0; i < run->n_env; i++)
		(void)json_object_set_new(env, run->env[i].name, json_string(run->env[i].value));
	return json_pack("{s:o, s:o, s:o, s:s?, s:s?, s:s?, s:I, s:o}", "command",
			 sk_json_strv(run->command), "arguments", sk_json_strv(run->arguments),
			 "environment", env, "user", run->user, "working_dir", run->working_dir,
			 "stop_signal",
			 run->stop_signal ? sk_signal_name(sig, run->stop_signal) : NULL,
			 "stop_grace_ms", (json_int_t)run->stop_grace_ms, "health",
			 app_health_json(&run->health));
}

static json_t *devices_json(const struct sk_app *a)
{
	json_t *list = json_array();

	for (size_t i = 0; i < a->n_devices; i++)
		(void)json_array_append_new(
			list, json_pack("{s:s, s:s, s:s}", "path", a->devices[i].path, "target",
					a->devices[i].target, "mode", a->devices[i].mode));
	return list;
}

static json_t *volumes_json(const struct sk_app *a)
{
	json_t *list = json_array();

	for (size_t i = 0; i < a->n_volumes; i++)
		(void)json_array_append_new(list,
					    json_pack("{s:s, s:s, s:b}", "name", a->volumes[i].name,
						      "target", a->volumes[i].target, "read_only",
						      (int)a->volumes[i].read_only));
	return list;
}

static json_t *restart_json(const struct sk_app *a)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I}", "policy", restart_names[a->restart], "max",
			 (json_int_t)a->restart_max, "window_ms", (json_int_t)a->restart_window_ms,
			 "backoff_min_ms", (json_int_t)a->backoff_min_ms, "backoff_max_ms",
			 (json_int_t)a->backoff_max_ms);
}

static json_t *app_json(const struct sk_app *a)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:s, s:b, s:b, s:o, "
			 "s:s?}",
			 "name", a->name, "kind", kind_names[a->kind], "image", a->image->name,
			 "run", app_run_json(&a->run), "devices", devices_json(a), "volumes",
			 volumes_json(a), "memory_bytes", (json_int_t)a->memory_bytes, "cpu_millis",
			 (json_int_t)a->cpu_millis, "pids", (json_int_t)a->pids, "restart",
			 restart_json(a), "network", network_names[a->network], "writable_root",
			 (int)a->writable_root, "keep_logs", (int)a->keep_logs, "msg_servers",
			 sk_json_strv(a->msg_servers), "device_setup", a->device_setup);
}

static json_t *apps_json(const struct sk_manifest *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->n_apps; i++)
		(void)json_array_append_new(list, app_json(&m->apps[i]));
	return list;
}

static json_t *supervision_json(const struct sk_manifest *m)
{
	json_t *o = json_object();

	for (size_t i = 0; i < m->n_supervision; i++)
		(void)json_object_set_new(o, m->supervision[i].app,
					  sk_json_strv(m->supervision[i].dependants));
	return o;
}

static json_t *msg_servers_json(const struct sk_manifest *m)
{
	json_t *o = json_object();

	for (size_t i = 0; i < m->n_msg_servers; i++) {
		const struct sk_msg_server *s = &m->msg_servers[i];
		json_t *rules = json_object();

		for (size_t j = 0; j < s->n_rules; j++)
			(void)json_object_set_new(rules, s->rules[j].protocol,
						  json_pack("{s:o, s:o}", "publish",
							    sk_json_strv(s->rules[j].publish),
							    "connect",
							    sk_json_strv(s->rules[j].connect)));
		(void)json_object_set_new(o, s->name, rules);
	}
	return o;
}

static json_t *keys_json(const struct sk_manifest *m)
{
	json_t *o = json_object();

	for (size_t i = 0; i < m->n_keys; i++)
		(void)json_object_set_new(o, m->keys[i].name,
					  json_pack("{s:o, s:o}", "apps",
						    sk_json_strv(m->keys[i].apps), "uses",
						    sk_json_strv(m->keys[i].uses)));
	return o;
}

static json_t *release_json(const struct sk_manifest *m)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:b, s:I, s:I, s:I}", "project", m->project,
			 "version", m->version, "compatible", sk_json_strv(m->compatible),
			 "created", time_json(m->created_s), "expires", time_json(m->expires_s),
			 "allow_downgrade", (int)m->allow_downgrade, "settle_ms",
			 (json_int_t)m->settle_ms, "health_timeout_ms",
			 (json_int_t)m->health_timeout_ms, "boots_max", (json_int_t)m->boots_max);
}

json_t *sk_manifest_json(const struct sk_manifest *m)
{
	return json_pack("{s:o, s:b, s:s?, s:o, s:o, s:o, s:o, s:o}", "release", release_json(m),
			 "persistent_boot", (int)m->persistent_boot, "system",
			 m->system ? m->system->name : NULL, "images", images_json(m), "apps",
			 apps_json(m), "supervision", supervision_json(m), "msg_servers",
			 msg_servers_json(m), "keys", keys_json(m));
}

static void print_list(const char *label, char *const *v)
{
	_cleanup_free_ char *all = v ? sk_strv_join(v, ", ") : NULL;

	if (all)
		(void)printf("%-12s %s\n", label, all);
}

static void print_release(const struct sk_manifest *m)
{
	char buf[32], settle[32];

	(void)printf("%-12s %s %s\n", "Release", m->project, m->version);
	print_list("For", m->compatible);
	if (m->created_s)
		(void)printf("%-12s %s\n", "Created", sk_time_format(buf, m->created_s));
	(void)printf("%-12s %s\n", "Expires",
		     m->expires_s ? sk_time_format(buf, m->expires_s) : "never");
	if (m->allow_downgrade)
		(void)printf("%-12s yes\n", "Downgrade");
	(void)printf("%-12s %s\n", "Lasts",
		     m->persistent_boot ? "yes (persistent-boot)" : "until the next reboot");
	(void)printf("%-12s all apps well for %s, within %s, %" PRIu32 " boots\n", "Good when",
		     sk_format_duration(settle, m->settle_ms),
		     sk_format_duration(buf, m->health_timeout_ms), m->boots_max);
	if (m->system)
		(void)printf("%-12s %s\n", "System", m->system->name);
}

static void print_manifest_images(const struct sk_manifest *m)
{
	static const char *const headings[] = { "IMAGE", "SIZE", "SHA-256", NULL };
	struct sk_table *t = sk_table_new(headings);
	char size[32], hex[SK_DIGEST_HEX + 1];

	for (size_t i = 0; i < m->n_images; i++) {
		const struct sk_image_ref *ref = &m->images[i];

		(void)sk_table_row(t, ref->name,
				   ref->pinned ? sk_format_size(size, ref->size_bytes) : "-",
				   ref->pinned ? sk_digest_hex(&ref->digest, hex) : "-", NULL);
	}
	(void)putchar('\n');
	sk_table_print(t);
}

/* "64.0 MiB, 0.5 CPU, 512 processes" */
static const char *limits_of(const struct sk_app *a, struct sk_buf *b)
{
	char size[32];

	b->len = 0;
	if (a->memory_bytes)
		(void)sk_buf_addf(b, "%s, ", sk_format_size(size, a->memory_bytes));
	if (a->cpu_millis)
		(void)sk_buf_addf(b, "%g CPU, ", (double)a->cpu_millis / 1000);
	(void)sk_buf_addf(b, "%" PRIu32 " processes", a->pids);
	return b->data ? b->data : "";
}

static const char *grants_of(const struct sk_app *a, struct sk_buf *b)
{
	b->len = 0;
	(void)sk_buf_addf(b, "network %s", network_names[a->network]);
	for (size_t i = 0; i < a->n_devices; i++)
		(void)sk_buf_addf(b, ", %s", a->devices[i].path);
	for (size_t i = 0; i < a->n_volumes; i++)
		(void)sk_buf_addf(b, ", %s -> %s%s", a->volumes[i].name, a->volumes[i].target,
				  a->volumes[i].read_only ? " (read-only)" : "");
	if (a->writable_root)
		(void)sk_buf_adds(b, ", writable root");
	return b->data ? b->data : "";
}

static void print_apps(const struct sk_manifest *m)
{
	static const char *const headings[] = { "APP",	  "IMAGE",  "RESTART", "HEALTH CHECK",
						"LIMITS", "GRANTS", NULL };
	_cleanup_buf_ struct sk_buf limits = SK_BUF(CELL_MAX), grants = SK_BUF(CELL_MAX);
	struct sk_table *t = sk_table_new(headings);

	for (size_t i = 0; i < m->n_apps; i++) {
		const struct sk_app *a = &m->apps[i];

		(void)sk_table_row(t, a->name, a->image->name, restart_names[a->restart],
				   a->run.health.disabled ? "disabled"
							  : health_names[a->run.health.kind],
				   limits_of(a, &limits), grants_of(a, &grants), NULL);
	}
	(void)printf("\nApps in start order:\n");
	sk_table_print(t);
}

static void print_links(const struct sk_manifest *m)
{
	for (size_t i = 0; i < m->n_supervision; i++) {
		_cleanup_free_ char *all = sk_strv_join(m->supervision[i].dependants, ", ");

		(void)printf("%sWhen %s fails, restart with it: %s\n", i ? "" : "\n",
			     m->supervision[i].app, all ? all : "");
	}
	for (size_t i = 0; i < m->n_keys; i++) {
		_cleanup_free_ char *apps = sk_strv_join(m->keys[i].apps, ", ");
		_cleanup_free_ char *uses = sk_strv_join(m->keys[i].uses, ", ");

		(void)printf("%sKey %s: %s may %s\n", i ? "" : "\n", m->keys[i].name,
			     apps ? apps : "", uses ? uses : "");
	}
}

void sk_manifest_print(const struct sk_manifest *m)
{
	print_release(m);
	print_manifest_images(m);
	print_apps(m);
	print_links(m);
}
