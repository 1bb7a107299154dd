/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "engine/update/labels.h"
#include "engine/update/private.h"

/*
 * What the states PREPARING, STOPPING and STARTING do, one capsule at a time. Each works through
 * u->want or u->extra from u->pos on; an operation of the engine that takes time comes back here
 * when it is done. On the way to a new generation the first failure ends it; on the way back
 * everything that can be done is done.
 */

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

static void on_done(void *arg, const struct sk_err *why);

/* Return: 1 when an operation was started that ends in on_done(), 0 when there was nothing to do */
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
	return started(u, "prepare", w->app->name, sk_capsule_prepare(c, on_done, u, &err), &err);
}

static int stop_one(struct sk_update *u, const char *id)
{
	struct sk_capsule *c = find(u, id);
	struct sk_err err = SK_ERR_INIT;

	if (!c || !is_live(c))
		return 0;
	return started(u, "stop", id, sk_capsule_stop(c, UINT64_MAX, on_done, u, &err), &err);
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
			u->pos--; /* and once more when it is gone */
			return started(u, "remove", w->app->name,
				       sk_capsule_remove(old, true, on_done, u, &err), &err);
		}
		if (r < 0) {
			sk_update_blame(u, "create", w->app->name, &err);
			return 0;
		}
	}
	return started(u, "start", w->app->name, sk_capsule_start(c, on_done, u, &err), &err);
}

/* Return: 1 when an operation is under way, 0 when the state is done */
static int work(struct sk_update *u)
{
	bool stopping = u->state == SK_UPD_STOPPING || u->state == SK_UPD_BACK_STOPPING;
	bool preparing = u->state == SK_UPD_PREPARING || u->state == SK_UPD_BACK_PREPARING;
	size_t n = stopping ? sk_strv_len(u->extra) : u->n_want;

	while (u->pos < n && !give_up(u)) {
		size_t i = u->pos++;
		int r = stopping    ? stop_one(u, u->extra[i])
			: preparing ? prepare_one(u, &u->want[i])
				    : start_one(u, &u->want[i]);

		if (r > 0)
			return 1;
	}
	return 0;
}

void sk_update_step(struct sk_update *u)
{
	if (u->removing > 0) {
		u->queued = true;
		return;
	}
	if (work(u) > 0)
		return;
	u->pos = 0;
	sk_update_feed(u, u->failing ? SK_UPD_EV_FAILED : SK_UPD_EV_DONE);
}

/* The capsule that the state was at when the operation began. */
static const char *current_name(const struct sk_update *u)
{
	size_t i = u->pos > 0 ? u->pos - 1 : 0;

	if (u->state == SK_UPD_STOPPING || u->state == SK_UPD_BACK_STOPPING)
		return i < sk_strv_len(u->extra) ? u->extra[i] : "?";
	return i < u->n_want ? u->want[i].app->name : "?";
}

static void on_done(void *arg, const struct sk_err *why)
{
	struct sk_update *u = arg;
	const char *what = sk_upd_step_name(u->state);
	bool preparing = u->state == SK_UPD_PREPARING || u->state == SK_UPD_BACK_PREPARING;

	if (why)
		sk_update_blame(u,
				preparing		     ? "prepare"
				: sk_streq(what, "stopping") ? "stop"
							     : "start",
				current_name(u), why);
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
