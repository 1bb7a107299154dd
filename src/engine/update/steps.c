/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "engine/update/labels.h"
#include "engine/update/private.h"

/*
 * What the states PREPARING, STOPPING and STARTING do; an operation of the engine that takes time comes
 * back here when it is done. STOPPING goes through u->extra one by one. The others go through u->want, in
 * start order and side by side, but an app is started only after those that it depends on. On the way to
 * a new generation the first failure ends it, once what is under way has ended; on the way back everything
 * that can be done is done.
 */

/* A device with many apps would only get slower by starting all of them at the same moment. */
#define BUSY_MAX 8

static struct sk_capsule *find(struct sk_update *u, const char *id)
{
	return id[0] ? sk_engine_find(u->engine, id, NULL) : NULL;
}

static bool is_live(const struct sk_capsule *c)
{
	struct sk_capsule_view v;

	sk_capsule_view(c, &v);
	return v.state == SK_CAPSULE_RUNNING || v.state == SK_CAPSULE_STARTING ||
	       v.state == SK_CAPSULE_STOPPING || v.state == SK_CAPSULE_BACKOFF;
}

static bool is_running(const struct sk_capsule *c)
{
	struct sk_capsule_view v;

	sk_capsule_view(c, &v);
	return v.state == SK_CAPSULE_RUNNING || v.state == SK_CAPSULE_STARTING;
}

void sk_update_blame(struct sk_update *u, const char *what, const char *name,
		     const struct sk_err *why)
{
	sk_warning("cannot %s capsule %s: %s", what, name, why->text);
	u->failing = true;
	/* On the way back the reason is why it went back, and that is known already. */
	if (!sk_upd_is_back(u->state) || !u->reason[0])
		(void)snprintf(u->reason, sizeof(u->reason), "cannot %s capsule %s: %.300s", what,
			       name, why->text);
}

static bool give_up(const struct sk_update *u)
{
	return u->failing && !sk_upd_is_back(u->state);
}

static int make_labels(struct sk_update *u, const struct sk_want *w, char ***ret)
{
	const struct sk_manifest *m = u->target->manifest;
	_cleanup_strv_ char **v = NULL;

	if (sk_strv_addf(&v, SK_LABEL_FINGERPRINT "%s", SK_DIGEST_STR(&w->fingerprint)) < 0 ||
	    sk_strv_addf(&v, SK_LABEL_ORDER "%zu", (size_t)(w - u->want)) < 0 ||
	    sk_strv_addf(&v, SK_LABEL_PROJECT "%s", m->project) < 0 ||
	    sk_strv_addf(&v, SK_LABEL_VERSION "%s", m->version) < 0 ||
	    sk_strv_addf(&v, SK_LABEL_RELEASE "%s", SK_DIGEST_STR(&u->target->id)) < 0)
		return -ENOMEM;
	*ret = TAKE_PTR(v);
	return 0;
}

static int create(struct sk_update *u, struct sk_want *w, struct sk_capsule **ret,
		  struct sk_err *err)
{
	_cleanup_strv_ char **labels = NULL;
	struct sk_app app = *w->app;
	struct sk_capsule_spec spec = {
		.app = &app,
		.image = w->app->image->digest,
		.image_name = w->app->image->name,
		.generation = u->target_generation,
	};
	struct sk_capsule_view v;
	int r = sk_update_run_config(u, w->app, &app.run, err);

	if (r < 0)
		return r;
	r = make_labels(u, w, &labels) < 0 ? sk_err_oom(err) : 0;
	spec.labels = labels;
	if (r == 0)
		r = sk_engine_create(u->engine, &spec, ret, err);
	sk_run_done(&app.run);
	if (r < 0)
		return r;
	sk_capsule_view(*ret, &v);
	(void)snprintf(w->id, sizeof(w->id), "%s", v.id);
	return 0;
}

static void on_want_done(void *arg, const struct sk_err *why);
static void on_stopped(void *arg, const struct sk_err *why);

/* Return: 1 when an operation was started that comes back here, 0 when there was nothing to do */
static int started(struct sk_update *u, const char *what, const char *name, int r,
		   const struct sk_err *err)
{
	if (r >= 0)
		return 1;
	sk_update_blame(u, what, name, err);
	return 0;
}

/* Made ready beside the old one, which still runs. An engine that has room for one of a name only
 * says so; then it is made once the old one is gone. */
static int prepare_one(struct sk_update *u, struct sk_want *w)
{
	struct sk_err err = SK_ERR_INIT;
	struct sk_capsule *c;
	int r;

	if (find(u, w->id))
		return 0;
	r = create(u, w, &c, &err);
	if (r == -EEXIST)
		return 0;
	if (r < 0) {
		sk_update_blame(u, "create", w->app->name, &err);
		return 0;
	}
	return started(u, "prepare", w->app->name, sk_capsule_prepare(c, on_want_done, w, &err),
		       &err);
}

static int stop_one(struct sk_update *u, const char *id)
{
	struct sk_capsule *c = find(u, id);
	struct sk_err err = SK_ERR_INIT;

	if (!c || !is_live(c))
		return 0;
	return started(u, "stop", id, sk_capsule_end(c, on_stopped, u, &err), &err);
}

/* The old capsule of the same name, where both could not be there at once. */
static struct sk_capsule *in_the_way(struct sk_update *u, const char *name)
{
	SK_STRV_FOREACH (id, u->extra) {
		struct sk_capsule *c = find(u, *id);
		struct sk_capsule_view v;

		if (!c)
			continue;
		sk_capsule_view(c, &v);
		if (sk_streq(v.app->name, name))
			return c;
	}
	return NULL;
}

static int start_one(struct sk_update *u, struct sk_want *w)
{
	struct sk_capsule *c = find(u, w->id), *old;
	struct sk_err err = SK_ERR_INIT;
	int r;

	if (c && is_running(c))
		return 0;
	if (!c) {
		r = create(u, w, &c, &err);
		old = r == -EEXIST ? in_the_way(u, w->app->name) : NULL;
		if (old) {
			w->again = true;
			return started(u, "remove", w->app->name,
				       sk_capsule_remove(old, true, on_want_done, w, &err), &err);
		}
		if (r < 0) {
			sk_update_blame(u, "create", w->app->name, &err);
			return 0;
		}
	}
	return started(u, "start", w->app->name, sk_capsule_start(c, on_want_done, w, &err), &err);
}

static struct sk_want *want_of(struct sk_update *u, const char *name)
{
	for (size_t i = 0; i < u->n_want; i++)
		if (sk_streq(u->want[i].app->name, name))
			return &u->want[i];
	return NULL;
}

/* Those that depend on it have one less to wait for. */
static void through(struct sk_update *u, struct sk_want *w)
{
	const struct sk_manifest *m = u->target->manifest;

	w->step = SK_WANT_THROUGH;
	for (size_t row = 0; row < m->n_supervision; row++) {
		if (!sk_streq(m->supervision[row].app, w->app->name))
			continue;
		SK_STRV_FOREACH (name, m->supervision[row].dependants) {
			struct sk_want *d = want_of(u, *name);

			if (d)
				d->waits--;
		}
	}
}

/* In start order, so that one pass comes by everything that may begin. */
static void work_on_wants(struct sk_update *u, bool preparing)
{
	for (size_t i = 0; i < u->n_want && u->busy < BUSY_MAX && !give_up(u); i++) {
		struct sk_want *w = &u->want[i];

		if (w->step != SK_WANT_TODO || (!preparing && w->waits > 0))
			continue;
		if ((preparing ? prepare_one(u, w) : start_one(u, w)) == 0) {
			through(u, w);
			continue;
		}
		w->step = SK_WANT_BUSY;
		u->busy++;
	}
}

/* Return: 1 when an operation is under way, 0 when the state is done */
static int work(struct sk_update *u)
{
	size_t n = sk_strv_len(u->extra);

	if (u->state != SK_UPD_STOPPING && u->state != SK_UPD_BACK_STOPPING) {
		work_on_wants(u, u->state == SK_UPD_PREPARING || u->state == SK_UPD_BACK_PREPARING);
		return u->busy > 0;
	}
	while (u->pos < n && !give_up(u))
		if (stop_one(u, u->extra[u->pos++]) > 0)
			return 1;
	return 0;
}

void sk_update_step_first(struct sk_update *u)
{
	u->pos = 0;
	u->busy = 0;
	for (size_t i = 0; i < u->n_want; i++) {
		u->want[i].step = SK_WANT_TODO;
		u->want[i].waits = u->want[i].n_deps;
		u->want[i].again = false;
	}
}

void sk_update_step(struct sk_update *u)
{
	if (u->halted)
		return;
	if (u->removing > 0) {
		u->queued = true;
		return;
	}
	if (work(u) > 0)
		return;
	sk_update_feed(u, u->failing ? SK_UPD_EV_FAILED : SK_UPD_EV_DONE);
}

static void on_stopped(void *arg, const struct sk_err *why)
{
	struct sk_update *u = arg;

	if (why)
		sk_update_blame(u, "stop", u->extra[u->pos - 1], why);
	sk_update_step(u);
}

static void on_want_done(void *arg, const struct sk_err *why)
{
	struct sk_want *w = arg;
	struct sk_update *u = w->u;
	bool preparing = u->state == SK_UPD_PREPARING || u->state == SK_UPD_BACK_PREPARING;

	if (why)
		sk_update_blame(u, preparing ? "prepare" : "start", w->app->name, why);
	if (w->again && !why)
		w->step = SK_WANT_TODO;
	else
		through(u, w);
	w->again = false;
	u->busy--;
	sk_update_step(u);
}

static void on_removed(void *arg, const struct sk_err *why)
{
	struct sk_update *u = arg;

	if (why)
		sk_warning("cannot remove an old capsule: %s", why->text);
	if (--u->removing == 0 && u->queued) {
		u->queued = false;
		sk_update_step(u);
	}
}

void sk_update_remove_extra(struct sk_update *u)
{
	SK_STRV_FOREACH (id, u->extra) {
		struct sk_capsule *c = find(u, *id);
		struct sk_err err = SK_ERR_INIT;

		if (!c)
			continue;
		if (sk_capsule_remove(c, true, on_removed, u, &err) < 0)
			sk_warning("cannot remove an old capsule: %s", err.text);
		else
			u->removing++;
	}
}
