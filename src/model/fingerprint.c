/* SPDX-License-Identifier: Apache-2.0 */
#include "model/fingerprint.h"

#include <errno.h>
#include <inttypes.h>

#include "base/buf.h"

#define TEXT_MAX (8u << 20) /* above anything that a manifest of SK_MANIFEST_SIZE_MAX can hold */

/* Length first: no two different lists of strings give the same text. */
static int add_str(struct sk_buf *b, const char *s)
{
	return s ? sk_buf_addf(b, "%zu:%s;", __builtin_strlen(s), s) : sk_buf_adds(b, "-;");
}

static int add_u64(struct sk_buf *b, uint64_t v)
{
	return sk_buf_addf(b, "%" PRIu64 ";", v);
}

static int add_strv(struct sk_buf *b, char *const *v)
{
	int r = 0;

	for (; r == 0 && v && *v; v++)
		r = add_str(b, *v);
	return r ?: sk_buf_adds(b, "|");
}

static int add_health(struct sk_buf *b, const struct sk_health *h)
{
	return add_u64(b, h->kind) ?: add_strv(b, h->command) ?: add_str(b, h->http_path) ?:
	       add_u64(b, h->port) ?: add_u64(b, h->interval_ms) ?: add_u64(b, h->timeout_ms) ?:
	       add_u64(b, h->start_period_ms) ?: add_u64(b, h->retries);
}

static int add_run(struct sk_buf *b, const struct sk_run *run)
{
	int r = add_strv(b, run->command) ?: add_strv(b, run->arguments);

	for (size_t i = 0; r == 0 && i < run->n_env; i++)
		r = add_str(b, run->env[i].name) ?: add_str(b, run->env[i].value);
	return r ?: sk_buf_adds(b, "|") ?: add_str(b, run->user) ?: add_str(b, run->working_dir) ?:
	       add_u64(b, (uint64_t)run->stop_signal) ?: add_u64(b, run->stop_grace_ms) ?:
	       add_health(b, &run->health);
}

static int add_grants(struct sk_buf *b, const struct sk_app *app)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < app->n_devices; i++)
		r = add_str(b, app->devices[i].path) ?: add_str(b, app->devices[i].target) ?:
		    add_str(b, app->devices[i].mode);
	r = r ?: sk_buf_adds(b, "|");
	for (size_t i = 0; r == 0 && i < app->n_volumes; i++)
		r = add_str(b, app->volumes[i].name) ?: add_str(b, app->volumes[i].target) ?:
		    add_u64(b, app->volumes[i].read_only);
	return r ?: sk_buf_adds(b, "|") ?: add_u64(b, app->network) ?:
	       add_u64(b, app->writable_root) ?: add_strv(b, app->msg_servers) ?:
	       add_str(b, app->device_setup);
}

static int add_limits(struct sk_buf *b, const struct sk_app *app)
{
	return add_u64(b, app->memory_bytes) ?: add_u64(b, app->cpu_millis) ?:
	       add_u64(b, app->pids) ?: add_u64(b, app->restart) ?: add_u64(b, app->restart_max) ?:
	       add_u64(b, app->restart_window_ms) ?: add_u64(b, app->backoff_min_ms) ?:
	       add_u64(b, app->backoff_max_ms) ?: add_u64(b, app->keep_logs);
}

int sk_app_fingerprint(const struct sk_app *app, struct sk_digest *ret)
{
	_cleanup_buf_ struct sk_buf b = SK_BUF(TEXT_MAX);
	int r;

	r = sk_buf_adds(&b, "skerry-app-1\n") ?: add_str(&b, app->name) ?: add_u64(&b, app->kind);
	r = r ?: sk_buf_add(&b, app->image->digest.bytes, sizeof(app->image->digest.bytes));
	r = r ?: add_run(&b, &app->run) ?: add_grants(&b, app) ?: add_limits(&b, app);
	return r ?: sk_digest_of(b.data, b.len, ret);
}
