/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/str.h"
#include "model/release.h"

/*
 * What differs between two releases. Whatever a field says about how a capsule runs, it is compared
 * here: a field left out would leave the old capsule running under the new release's name.
 */

static bool same_str(const char *a, const char *b)
{
	return a && b ? sk_streq(a, b) : a == b;
}

static bool same_image(const struct sk_image_ref *a, const struct sk_image_ref *b)
{
	if (!a || !b)
		return a == b;
	if (a->pinned && b->pinned)
		return sk_digest_equal(&a->digest, &b->digest);
	return a->pinned == b->pinned && same_str(a->name, b->name);
}

static bool same_env(const struct sk_run *a, const struct sk_run *b)
{
	if (a->n_env != b->n_env)
		return false;
	for (size_t i = 0; i < a->n_env; i++)
		if (!same_str(a->env[i].name, b->env[i].name) ||
		    !same_str(a->env[i].value, b->env[i].value))
			return false;
	return true;
}

static bool same_health(const struct sk_health *a, const struct sk_health *b)
{
	return a->kind == b->kind && sk_strv_equal(a->command, b->command) &&
	       same_str(a->http_path, b->http_path) && a->port == b->port &&
	       a->interval_ms == b->interval_ms && a->timeout_ms == b->timeout_ms &&
	       a->start_period_ms == b->start_period_ms && a->retries == b->retries;
}

static bool same_run(const struct sk_run *a, const struct sk_run *b)
{
	return sk_strv_equal(a->command, b->command) && sk_strv_equal(a->arguments, b->arguments) &&
	       same_env(a, b) && same_str(a->user, b->user) &&
	       same_str(a->working_dir, b->working_dir) && a->stop_signal == b->stop_signal &&
	       a->stop_grace_ms == b->stop_grace_ms && same_health(&a->health, &b->health);
}

static bool same_devices(const struct sk_app *a, const struct sk_app *b)
{
	if (a->n_devices != b->n_devices)
		return false;
	for (size_t i = 0; i < a->n_devices; i++)
		if (!same_str(a->devices[i].path, b->devices[i].path) ||
		    !same_str(a->devices[i].target, b->devices[i].target) ||
		    !sk_streq(a->devices[i].mode, b->devices[i].mode))
			return false;
	return true;
}

static bool same_volumes(const struct sk_app *a, const struct sk_app *b)
{
	if (a->n_volumes != b->n_volumes)
		return false;
	for (size_t i = 0; i < a->n_volumes; i++)
		if (!same_str(a->volumes[i].name, b->volumes[i].name) ||
		    !same_str(a->volumes[i].target, b->volumes[i].target) ||
		    a->volumes[i].read_only != b->volumes[i].read_only)
			return false;
	return true;
}

static bool same_limits(const struct sk_app *a, const struct sk_app *b)
{
	return a->memory_bytes == b->memory_bytes && a->cpu_millis == b->cpu_millis &&
	       a->pids == b->pids;
}

static bool same_restart(const struct sk_app *a, const struct sk_app *b)
{
	return a->restart == b->restart && a->restart_max == b->restart_max &&
	       a->restart_window_ms == b->restart_window_ms &&
	       a->backoff_min_ms == b->backoff_min_ms && a->backoff_max_ms == b->backoff_max_ms;
}

static bool same_app(const struct sk_app *a, const struct sk_app *b)
{
	return a->kind == b->kind && same_image(a->image, b->image) && same_run(&a->run, &b->run) &&
	       same_devices(a, b) && same_volumes(a, b) && same_limits(a, b) &&
	       same_restart(a, b) && a->network == b->network &&
	       a->writable_root == b->writable_root && a->keep_logs == b->keep_logs &&
	       sk_strv_equal(a->msg_servers, b->msg_servers) &&
	       same_str(a->device_setup, b->device_setup);
}

static const struct sk_app *app_of(const struct sk_manifest *m, const char *name)
{
	for (size_t i = 0; m && i < m->n_apps; i++)
		if (sk_streq(m->apps[i].name, name))
			return &m->apps[i];
	return NULL;
}

static void find_stops(const struct sk_manifest *from, const struct sk_manifest *to,
		       struct sk_changes *ret)
{
	for (size_t i = from ? from->n_apps : 0; i > 0; i--) {
		const struct sk_app *old = &from->apps[i - 1], *new = app_of(to, old->name);

		if (new &&same_app(old, new))
			continue;
		ret->stop[ret->n_stop++] = (struct sk_app_change){
			.change = new ? SK_CHANGE_REPLACE : SK_CHANGE_REMOVE,
			.from = old,
			.to = new,
		};
	}
}

static void find_starts(const struct sk_manifest *from, const struct sk_manifest *to,
			struct sk_changes *ret)
{
	for (size_t i = 0; to && i < to->n_apps; i++) {
		const struct sk_app *new = &to->apps[i], *old = app_of(from, new->name);
		struct sk_app_change row = { .from = old, .to = new };

		if (old && same_app(old, new)) {
			row.change = SK_CHANGE_SAME;
			ret->same[ret->n_same++] = row;
		} else {
			row.change = old ? SK_CHANGE_REPLACE : SK_CHANGE_ADD;
			ret->start[ret->n_start++] = row;
		}
	}
}

void sk_changes_done(struct sk_changes *c)
{
	free(c->stop);
	free(c->start);
	free(c->same);
	*c = (struct sk_changes){ 0 };
}

int sk_release_changes(const struct sk_manifest *from, const struct sk_manifest *to,
		       struct sk_changes *ret)
{
	struct sk_changes c = { 0 };
	size_t n_from = from ? from->n_apps : 0, n_to = to ? to->n_apps : 0;

	/* One more each: an empty list is a pointer too, never NULL for want of memory. */
	c.stop = calloc(n_from + 1, sizeof(*c.stop));
	c.start = calloc(n_to + 1, sizeof(*c.start));
	c.same = calloc(n_to + 1, sizeof(*c.same));
	if (!c.stop || !c.start || !c.same) {
		sk_changes_done(&c);
		return -ENOMEM;
	}
	find_stops(from, to, &c);
	find_starts(from, to, &c);
	*ret = c;
	return 0;
}
