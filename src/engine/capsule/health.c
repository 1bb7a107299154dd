/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/text.h"
#include "engine/capsule/capsule.h"
#include "engine/capsule/probe.h"

#define INTERVAL_MS   30000
#define TIMEOUT_MS    30000
#define RETRIES	      3
#define PROBE_OUT_MAX 4096
#define FIRST_MS      1000 /* between checks until it is healthy for the first time, at most */

/**
 * struct sk_health_run - checks of one run of a capsule
 */
struct sk_health_run {
	struct sk_capsule *c;
	sd_event_source *timer;
	struct sk_child *child;
	struct sk_probe probe;
	uint64_t since_ms;
};

static uint64_t interval_ms(const struct sk_health *h)
{
	return h->interval_ms ? h->interval_ms : INTERVAL_MS;
}

static uint64_t timeout_ms(const struct sk_health *h)
{
	return h->timeout_ms ? h->timeout_ms : TIMEOUT_MS;
}

static void stop_checks(struct sk_capsule *c)
{
	struct sk_health_run *h = c->health_run;

	if (!h)
		return;
	sd_event_source_disable_unref(h->timer);
	sk_child_free(h->child);
	free(h);
	c->health_run = NULL;
}

static void check(struct sk_health_run *h);

static int on_due(sd_event_source *s, uint64_t usec, void *arg)
{
	struct sk_health_run *h = arg;

	h->timer = sd_event_source_disable_unref(h->timer);
	check(h);
	return 0;
}

static void check_in(struct sk_health_run *h, uint64_t ms)
{
	if (sd_event_add_time_relative(h->c->e->event, &h->timer, CLOCK_BOOTTIME, ms * 1000, 0,
				       on_due, h) < 0)
		sk_error("%s: no timer: its health is not checked any more", h->c->app.name);
}

static void check_again(struct sk_health_run *h)
{
	uint64_t ms = interval_ms(&h->c->app.run.health);

	check_in(h, h->c->health == SK_HEALTH_STARTING ? SK_MIN(ms, FIRST_MS) : ms);
}

/* Output of a hostile program. */
static void keep_text(struct sk_capsule *c, const char *text)
{
	size_t n;

	(void)snprintf(c->health_text, sizeof(c->health_text), "%s", text);
	sk_text_clean(c->health_text, "");
	n = strlen(c->health_text);
	while (n > 0 && c->health_text[n - 1] == ' ')
		n--;
	c->health_text[n] = '\0';
}

static void set_health(struct sk_capsule *c, enum sk_health_state s, const char *event)
{
	if (c->health == s)
		return;
	c->health = s;
	sk_engine_emit(c, event);
	sk_info("%s: %s", c->app.name, event);
}

/* Return: true when it was killed for it, and this run is over */
static bool count_failure(struct sk_health_run *h)
{
	struct sk_capsule *c = h->c;
	const struct sk_health *conf = &c->app.run.health;
	bool starting = c->health == SK_HEALTH_STARTING &&
			sk_mono_ms() - h->since_ms < conf->start_period_ms;

	if (starting || ++c->health_check.failures < (conf->retries ? conf->retries : RETRIES))
		return false;
	set_health(c, SK_HEALTH_UNHEALTHY, "health_status: unhealthy");
	if (c->generation == 0 || c->app.restart == SK_RESTART_NO)
		return false;
	/* A release's app with a restart policy is killed; the policy starts it again. */
	sk_warning("%s is unhealthy and is restarted: %s", c->app.name, c->health_text);
	stop_checks(c);
	sk_capsule_kill_unhealthy(c);
	return true;
}

static void on_checked(void *arg, int status, const char *out, const char *err_tail)
{
	struct sk_health_run *h = arg;
	struct sk_capsule *c = h->c;

	sk_child_free(TAKE_PTR(h->child));
	c->health_check.end_s = sk_wall_s();
	c->health_check.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	if (WIFSIGNALED(status)) {
		if (c->unit.kind->ops->end_exec)
			c->unit.kind->ops->end_exec(&c->unit);
		keep_text(c, "the check did not end in time");
	} else {
		keep_text(c, *out ? out : err_tail);
	}
	if (status == 0) {
		c->health_check.failures = 0;
		set_health(c, SK_HEALTH_HEALTHY, "health_status: healthy");
	} else if (count_failure(h)) {
		return;
	}
	check_again(h);
}

static int begin_check(struct sk_health_run *h, struct sk_err *err)
{
	struct sk_capsule *c = h->c;
	const struct sk_health *conf = &c->app.run.health;
	const struct sk_runtime_ops *ops = c->unit.kind->ops;
	const struct sk_task task = {
		.run = sk_probe_run,
		.arg = &h->probe,
		.caps = ops->dial_caps,
		.out_max = PROBE_OUT_MAX,
	};

	if (conf->kind == SK_HEALTH_COMMAND && !ops->exec)
		return sk_runtime_unsupported(&c->unit, "run a command in it", err);
	if (conf->kind == SK_HEALTH_COMMAND)
		return ops->exec(&c->unit, conf->command, timeout_ms(conf), on_checked, h,
				 &h->child, err);
	if (!ops->dial)
		return sk_runtime_unsupported(&c->unit, "connect to it", err);
	h->probe = (struct sk_probe){
		.kind = conf->kind,
		.port = conf->port,
		.http_path = conf->http_path,
		.timeout_ms = timeout_ms(conf),
		.unit = &c->unit,
	};
	return sk_child_task(c->e->event, &task, on_checked, h, &h->child, err);
}

static void check(struct sk_health_run *h)
{
	struct sk_err err;

	h->c->health_check.start_s = sk_wall_s();
	if (begin_check(h, &err) == 0)
		return;
	sk_warning("%s: its health cannot be checked: %s", h->c->app.name, err.text);
	check_again(h);
}

void sk_health_start(struct sk_capsule *c)
{
	const struct sk_health *conf = &c->app.run.health;
	struct sk_health_run *h;

	stop_checks(c);
	c->health_text[0] = '\0';
	c->health_check = (struct sk_health_check){ 0 };
	c->health = SK_HEALTH_UNKNOWN;
	if (conf->kind == SK_HEALTH_NONE)
		return;
	h = calloc(1, sizeof(*h));
	if (!h) {
		sk_error("out of memory: the health of %s is not checked", c->app.name);
		return;
	}
	h->c = c;
	h->since_ms = sk_mono_ms();
	c->health = SK_HEALTH_STARTING;
	c->health_run = h;
	check_in(h, SK_MIN(interval_ms(conf), FIRST_MS));
}

void sk_health_observe(struct sk_capsule *c, const struct sk_capsule_change *change)
{
	bool up = c->state == SK_CAP_RUNNING || c->state == SK_CAP_STOPPING;

	if (change->what == SK_CHANGE_FREED || !up)
		stop_checks(c);
	else if (c->state == SK_CAP_RUNNING && change->from != SK_CAP_RUNNING)
		sk_health_start(c);
}
