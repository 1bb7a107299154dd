/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define CAPSULES_MAX 64

struct sk_capsule {
	char id[SK_DIGEST_HEX + 1];
	struct sk_app app;
	char *name;
	struct sk_digest image;
	uint64_t generation;
	char **labels;
	enum sk_capsule_state state;
	enum sk_health_state health;
	int exit_code;
	bool used;
};

struct pending {
	struct pending *next;
	sd_event_source *source;
	struct sk_capsule *c;
	enum sk_capsule_state to;
	sk_engine_done done;
	void *arg;
	bool fails;
};

struct sk_engine {
	sd_event *event;
	sk_engine_event_fn fn;
	void *fn_arg;
	struct pending *pending;
};

struct sk_buf fake_trace;
const char *fake_fail_start, *fake_sick, *fake_dies;
bool fake_unique_names;
unsigned fake_double_runs;

static struct sk_capsule capsules[CAPSULES_MAX];
static unsigned next_id;
static struct sk_engine *the_engine;

void fake_forget(struct sk_capsule *c)
{
	free(c->name);
	sk_strv_free(c->labels);
	*c = (struct sk_capsule){ 0 };
}

void fake_reset(void)
{
	for (size_t i = 0; i < CAPSULES_MAX; i++)
		if (capsules[i].used)
			fake_forget(&capsules[i]);
	sk_buf_done(&fake_trace);
	fake_trace = SK_BUF(1 << 20);
	fake_fail_start = fake_sick = fake_dies = NULL;
	fake_unique_names = false;
	fake_double_runs = 0;
}

void fake_power_cut(void)
{
	for (size_t i = 0; i < CAPSULES_MAX; i++) {
		capsules[i].state = SK_CAPSULE_CREATED;
		capsules[i].health = SK_HEALTH_UNKNOWN;
	}
}

unsigned fake_running(const char *app, const char **ret_id)
{
	unsigned n = 0;

	for (size_t i = 0; i < CAPSULES_MAX; i++) {
		if (!capsules[i].used || capsules[i].state != SK_CAPSULE_RUNNING ||
		    !sk_streq(capsules[i].name, app))
			continue;
		if (ret_id)
			*ret_id = capsules[i].id;
		n++;
	}
	return n;
}

unsigned fake_count(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < CAPSULES_MAX; i++)
		n += capsules[i].used;
	return n;
}

/* What was under way when the daemon ended went one way or the other; by turns both happen. */
static void recover(struct sk_capsule *c, unsigned turn)
{
	if (c->state == SK_CAPSULE_STARTING) {
		c->state = turn % 2 ? SK_CAPSULE_RUNNING : SK_CAPSULE_PREPARED;
		if (fake_sick && sk_streq(fake_sick, c->name))
			c->health = SK_HEALTH_UNHEALTHY;
	} else if (c->state == SK_CAPSULE_STOPPING) {
		c->state = turn % 2 ? SK_CAPSULE_EXITED : SK_CAPSULE_RUNNING;
	} else if (c->state == SK_CAPSULE_REMOVING) {
		fake_forget(c);
	}
	if (c->state == SK_CAPSULE_RUNNING && c->health != SK_HEALTH_UNHEALTHY)
		c->health = SK_HEALTH_HEALTHY;
}

int sk_engine_new(sd_event *event, struct sk_store *store, const struct sk_engine_config *config,
		  struct sk_engine **ret, struct sk_err *err)
{
	struct sk_engine *e = calloc(1, sizeof(*e));
	static unsigned turn;

	turn++;
	for (size_t i = 0; i < CAPSULES_MAX; i++)
		if (capsules[i].used)
			recover(&capsules[i], turn);
	e->event = event;
	the_engine = e;
	*ret = e;
	return 0;
}

static void drop(struct pending *p)
{
	struct pending **at = &the_engine->pending;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	(void)sd_event_source_disable_unref(p->source);
	free(p);
}

void sk_engine_free(struct sk_engine *e)
{
	while (e->pending)
		drop(e->pending);
	the_engine = NULL;
	free(e);
}

void fake_set_state(struct sk_capsule *c, enum sk_capsule_state state)
{
	c->state = state;
}

void fake_event(struct sk_capsule *c, const char *event)
{
	if (the_engine->fn)
		the_engine->fn(the_engine->fn_arg, c, event);
}

static void complete(struct pending *p)
{
	struct sk_capsule *c = p->c;

	c->state = p->to;
	if (p->to != SK_CAPSULE_RUNNING)
		return;
	if (fake_running(c->name, NULL) > 1)
		fake_double_runs++;
	c->health = SK_HEALTH_HEALTHY;
	if (fake_sick && sk_streq(fake_sick, c->name))
		c->health = SK_HEALTH_UNHEALTHY;
	if (fake_dies && sk_streq(fake_dies, c->name)) {
		c->state = SK_CAPSULE_FAILED;
		c->exit_code = 3;
	}
	fake_event(c, "start");
}

static int on_pending(sd_event_source *s, void *arg)
{
	struct pending *p = arg;
	sk_engine_done done = p->done;
	void *done_arg = p->arg;
	bool fails = p->fails;
	struct sk_err err = SK_ERR_INIT;

	if (p->to == SK_CAPSULE_REMOVING)
		fake_forget(p->c);
	else if (!fails)
		complete(p);
	drop(p);
	if (fails)
		(void)sk_err_set(&err, -ENOEXEC, "child-failed", "no such program");
	done(done_arg, fails ? &err : NULL);
	return 0;
}

static int later(struct sk_capsule *c, const char *what, enum sk_capsule_state now,
		 enum sk_capsule_state to, bool fails, sk_engine_done done, void *arg)
{
	struct pending *p = calloc(1, sizeof(*p));

	(void)sk_buf_addf(&fake_trace, "%s %s;", what, c->name);
	*p = (struct pending){ the_engine->pending, NULL, c, to, done, arg, fails };
	the_engine->pending = p;
	if (!fails)
		c->state = now;
	return sd_event_add_defer(the_engine->event, &p->source, on_pending, p);
}

int sk_engine_create(struct sk_engine *e, const struct sk_capsule_spec *spec,
		     struct sk_capsule **ret, struct sk_err *err)
{
	struct sk_capsule *c = NULL;

	for (size_t i = 0; i < CAPSULES_MAX; i++) {
		if (!capsules[i].used && !c)
			c = &capsules[i];
		if (capsules[i].used && fake_unique_names &&
		    sk_streq(capsules[i].name, spec->app->name))
			return sk_err_set(err, -EEXIST, "already-exists", "there is one");
	}
	*c = (struct sk_capsule){ .used = true,
				  .name = strdup(spec->app->name),
				  .image = spec->image,
				  .generation = spec->generation,
				  .labels = sk_strv_copy(spec->labels) };
	c->app.name = c->name;
	c->app.restart = spec->app->restart;
	c->app.run.health.kind = spec->app->run.health.kind;
	(void)snprintf(c->id, sizeof(c->id), "%064x", ++next_id);
	(void)sk_buf_addf(&fake_trace, "create %s;", c->name);
	*ret = c;
	return 0;
}

struct sk_capsule *sk_engine_find(struct sk_engine *e, const char *ref, struct sk_err *err)
{
	for (size_t i = 0; i < CAPSULES_MAX; i++)
		if (capsules[i].used && sk_streq(capsules[i].id, ref))
			return &capsules[i];
	return NULL;
}

struct sk_capsule *sk_engine_next(struct sk_engine *e, size_t *pos)
{
	while (*pos < CAPSULES_MAX) {
		struct sk_capsule *c = &capsules[(*pos)++];

		if (c->used)
			return c;
	}
	return NULL;
}

int sk_capsule_prepare(struct sk_capsule *c, sk_engine_done done, void *arg, struct sk_err *err)
{
	return later(c, "prepare", SK_CAPSULE_CREATED, SK_CAPSULE_PREPARED, false, done, arg);
}

int sk_capsule_start(struct sk_capsule *c, sk_engine_done done, void *arg, struct sk_err *err)
{
	bool fails = fake_fail_start && sk_streq(fake_fail_start, c->name);

	return later(c, "start", SK_CAPSULE_STARTING, SK_CAPSULE_RUNNING, fails, done, arg);
}

int sk_capsule_end(struct sk_capsule *c, sk_engine_done done, void *arg, struct sk_err *err)
{
	return later(c, "stop", SK_CAPSULE_STOPPING, SK_CAPSULE_EXITED, false, done, arg);
}

int sk_capsule_restart(struct sk_capsule *c, uint64_t grace_ms, sk_engine_done done, void *arg,
		       struct sk_err *err)
{
	return later(c, "restart", SK_CAPSULE_STARTING, SK_CAPSULE_RUNNING, false, done, arg);
}

int sk_capsule_remove(struct sk_capsule *c, bool force, sk_engine_done done, void *arg,
		      struct sk_err *err)
{
	return later(c, "remove", SK_CAPSULE_REMOVING, SK_CAPSULE_REMOVING, false, done, arg);
}

void sk_capsule_view(const struct sk_capsule *c, struct sk_capsule_view *ret)
{
	*ret = (struct sk_capsule_view){
		.id = c->id,
		.app = &c->app,
		.image = c->image,
		.generation = c->generation,
		.labels = c->labels,
		.state = c->state,
		.health = c->health,
		.health_output = c->health == SK_HEALTH_UNHEALTHY ? "HTTP\n500" : NULL,
		.exit_code = c->exit_code,
		.started_s = 1,
	};
}

int sk_engine_watch(struct sk_engine *e, sk_engine_event_fn fn, void *arg,
		    struct sk_engine_watch **ret)
{
	e->fn = fn;
	e->fn_arg = arg;
	*ret = (struct sk_engine_watch *)e;
	return 0;
}

void sk_engine_unwatch(struct sk_engine_watch *w)
{
	((struct sk_engine *)w)->fn = NULL;
}

int sk_engine_set_supervision(struct sk_engine *e, const struct sk_manifest *m)
{
	return 0;
}
