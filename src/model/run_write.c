/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "model/manifest.h"

/* libfdt's sequential writer has only a few ways to fail. */
static int from_fdt(int r)
{
	if (r == -FDT_ERR_NOSPACE)
		return -ENOSPC;
	return r < 0 ? -EINVAL : 0;
}

static int write_strv(void *fdt, const char *name, char *const *v)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(SK_MANIFEST_SIZE_MAX);
	int r;

	if (!v || !v[0])
		return 0;
	SK_STRV_FOREACH (s, v) {
		r = sk_buf_add(&b, *s, strlen(*s) + 1);
		if (r < 0)
			return r;
	}
	return from_fdt(fdt_property(fdt, name, b.data, (int)b.len));
}

static int write_string(void *fdt, const char *name, const char *s)
{
	return s ? from_fdt(fdt_property_string(fdt, name, s)) : 0;
}

static int write_duration(void *fdt, const char *name, uint64_t ms)
{
	char buf[32];

	return ms ? write_string(fdt, name, sk_format_duration(buf, ms)) : 0;
}

static int write_u32(void *fdt, const char *name, uint32_t v)
{
	return v ? from_fdt(fdt_property_u32(fdt, name, v)) : 0;
}

static int write_health_words(void *fdt, const struct sk_health *h)
{
	int r = h->disabled ? from_fdt(fdt_property(fdt, "disable", NULL, 0)) : 0;

	if (h->kind == SK_HEALTH_NONE)
		return r;
	if (r == 0)
		r = write_strv(fdt, "command", h->command);
	if (r == 0)
		r = write_string(fdt, "http", h->http_path);
	if (r == 0)
		r = write_u32(fdt, "port", h->port);
	if (r == 0)
		r = write_duration(fdt, "interval", h->interval_ms);
	if (r == 0)
		r = write_duration(fdt, "timeout", h->timeout_ms);
	if (r == 0)
		r = write_duration(fdt, "start-period", h->start_period_ms);
	return r == 0 ? write_u32(fdt, "retries", h->retries) : r;
}

static int write_health(void *fdt, const struct sk_health *h)
{
	int r;

	if (h->kind == SK_HEALTH_NONE && !h->disabled)
		return 0;
	r = from_fdt(fdt_begin_node(fdt, "health-check"));
	if (r == 0)
		r = write_health_words(fdt, h);
	return r == 0 ? from_fdt(fdt_end_node(fdt)) : r;
}

static int write_environment(void *fdt, const struct sk_run *run)
{
	int r;

	if (run->n_env == 0)
		return 0;
	r = from_fdt(fdt_begin_node(fdt, "environment"));
	for (size_t i = 0; r == 0 && i < run->n_env; i++)
		r = write_string(fdt, run->env[i].name, run->env[i].value);
	return r == 0 ? from_fdt(fdt_end_node(fdt)) : r;
}

int sk_run_write(void *fdt, const struct sk_run *run)
{
	char signal[16];
	int r = write_strv(fdt, "command", run->command);

	if (r == 0)
		r = write_strv(fdt, "arguments", run->arguments);
	if (r == 0)
		r = write_string(fdt, "user", run->user);
	if (r == 0)
		r = write_string(fdt, "working-dir", run->working_dir);
	if (r == 0 && run->stop_signal)
		r = write_string(fdt, "stop-signal", sk_signal_name(signal, run->stop_signal));
	if (r == 0)
		r = write_duration(fdt, "stop-grace", run->stop_grace_ms);
	if (r == 0)
		r = write_environment(fdt, run);
	return r == 0 ? write_health(fdt, &run->health) : r;
}

static int copy_string(const char *s, char **ret)
{
	if (!s)
		return 0;
	*ret = strdup(s);
	return *ret ? 0 : -ENOMEM;
}

static int copy_strv(char *const *v, char ***ret)
{
	if (!v)
		return 0;
	*ret = sk_strv_copy(v);
	return *ret ? 0 : -ENOMEM;
}

static int copy_health(const struct sk_health *from, struct sk_health *ret)
{
	int r;

	*ret = *from;
	ret->command = NULL;
	ret->http_path = NULL;
	r = copy_strv(from->command, &ret->command);
	return r == 0 ? copy_string(from->http_path, &ret->http_path) : r;
}

static struct sk_env *run_find_env(const struct sk_run *run, const char *name)
{
	for (size_t i = 0; i < run->n_env; i++)
		if (sk_streq(run->env[i].name, name))
			return &run->env[i];
	return NULL;
}

static int copy_env(struct sk_run *to, const struct sk_env *e)
{
	struct sk_env *at = &to->env[to->n_env];
	int r;

	to->n_env++;
	r = copy_string(e->name, &at->name);
	return r == 0 ? copy_string(e->value, &at->value) : r;
}

/* The image's variables in their places, with the app's values; then what only the app has. */
static int merge_env(const struct sk_run *image, const struct sk_run *app, struct sk_run *ret)
{
	int r = 0;

	if (image->n_env + app->n_env == 0)
		return 0;
	ret->env = calloc(image->n_env + app->n_env, sizeof(*ret->env));
	if (!ret->env)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < image->n_env; i++) {
		const struct sk_env *over = run_find_env(app, image->env[i].name);

		r = copy_env(ret, over ? over : &image->env[i]);
	}
	for (size_t i = 0; r == 0 && i < app->n_env; i++)
		if (!run_find_env(image, app->env[i].name))
			r = copy_env(ret, &app->env[i]);
	return r;
}

/* Fixed arguments belong to their command: an app's own command does not get the image's. */
static int merge_command(const struct sk_run *image, const struct sk_run *app, struct sk_run *ret)
{
	char *const *arguments = app->arguments;
	int r;

	if (!arguments && !app->command)
		arguments = image->arguments;
	r = copy_strv(app->command ? app->command : image->command, &ret->command);
	return r == 0 ? copy_strv(arguments, &ret->arguments) : r;
}

static int merge_health(const struct sk_health *image, const struct sk_health *app,
			struct sk_health *ret)
{
	bool given = app->kind != SK_HEALTH_NONE || app->disabled;

	return copy_health(given ? app : image, ret);
}

int sk_run_merge(const struct sk_run *image, const struct sk_run *app, struct sk_run *ret)
{
	_cleanup_(sk_run_done) struct sk_run run = { 0 };
	int r = merge_command(image, app, &run);

	if (r < 0)
		return r;
	r = merge_env(image, app, &run);
	if (r < 0)
		return r;
	r = copy_string(app->user ? app->user : image->user, &run.user);
	if (r < 0)
		return r;
	r = copy_string(app->working_dir ? app->working_dir : image->working_dir, &run.working_dir);
	if (r < 0)
		return r;
	r = merge_health(&image->health, &app->health, &run.health);
	if (r < 0)
		return r;
	run.stop_signal = app->stop_signal ? app->stop_signal : image->stop_signal;
	run.stop_grace_ms = app->stop_grace_ms ? app->stop_grace_ms : image->stop_grace_ms;
	*ret = run;
	run = (struct sk_run){ 0 };
	return 0;
}
