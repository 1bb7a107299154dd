/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Finding everything again: after the daemon was killed at any instruction, and after a boot.
 * Loaded records hold the goals, the kinds find out what is there, the state table decides what
 * follows. What belongs to no record is cleaned away.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/capsule/capsule.h"

#define LOST_EXIT_CODE 137 /* it ended while no daemon ran, and left no exit code */
#define RECORD_NEW     ".json.new"

static bool is_id(const char *name)
{
	struct sk_digest d;

	return strlen(name) == SK_CAPSULE_ID_LEN && sk_digest_parse(name, &d) == 0;
}

/* Names in @dir for which @ok says yes, with @suffix taken off. */
static int list_ids(const char *dir, const char *suffix, char ***ret)
{
	_cleanup_strv_ char **v = NULL;
	DIR *d = opendir(dir);
	struct dirent *e;
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (e = readdir(d))) {
		size_t len = strlen(e->d_name), cut = strlen(suffix);

		if (len <= cut || !sk_str_ends(e->d_name, suffix))
			continue;
		e->d_name[len - cut] = '\0';
		if (is_id(e->d_name))
			r = sk_strv_add(&v, e->d_name);
	}
	(void)closedir(d);
	if (r == 0)
		*ret = TAKE_PTR(v);
	return r;
}

/* After a boot the update machine starts the capsules of a generation; here only users' own are. */
static void after_boot(struct sk_capsule *c)
{
	bool was_to_run = c->goal == SK_CAP_GOAL_RUNNING || c->then_run;
	bool again = c->generation == 0 && was_to_run && c->app.restart != SK_RESTART_NO;

	if (c->goal != SK_CAP_GOAL_GONE)
		c->goal = again ? SK_CAP_GOAL_RUNNING : SK_CAP_GOAL_STOPPED;
	c->then_run = false;
	c->backoff = (struct sk_backoff){ 0 };
	c->started_mono_ms = 0;
	c->restarts = 0;
}

/* It ran when the earlier daemon ended, and does not now. */
static void ended_unseen(struct sk_capsule *c, int code)
{
	bool ran = c->started_s != 0 && c->finished_s == 0;

	c->exit_code = ran ? code : c->exit_code;
	c->state = ran ? SK_CAP_RUNNING : SK_CAP_CLEANING;
}

static void adopt(struct sk_capsule *c, bool same_boot)
{
	int code = LOST_EXIT_CODE;
	enum sk_runtime_found found = c->unit.kind->ops->recover(&c->unit, &code);

	if (!same_boot)
		after_boot(c);
	c->after = SK_CAP_EV_CLEANED;
	switch (found) {
	case SK_RUNTIME_PREPARED:
		c->state = SK_CAP_PREPARED;
		break;
	case SK_RUNTIME_RUNNING:
		c->state = SK_CAP_RUNNING;
		if (!c->started_s || c->finished_s)
			c->started_s = sk_wall_s();
		c->finished_s = 0;
		sk_info("%s: found running (pid %d)", c->app.name, (int)c->unit.pid);
		break;
	case SK_RUNTIME_ENDED:
	case SK_RUNTIME_LEFTOVERS:
		ended_unseen(c, code);
		break;
	case SK_RUNTIME_NOTHING:
		c->state = c->was_failed && c->goal == SK_CAP_GOAL_STOPPED ? SK_CAP_FAILED
			   : c->started_s				   ? SK_CAP_EXITED
									   : SK_CAP_NEW;
		if (c->started_s && !c->finished_s)
			c->finished_s = sk_wall_s();
		break;
	}
}

/*
 * A folder without a record: the daemon was killed as it made or removed the capsule. When it cannot be
 * removed it stays until the next start; nothing uses a folder by an id that no record has.
 */
static void remove_half(const struct sk_engine *e, const char *id)
{
	_cleanup_free_ char *path = sk_asprintf("%s/%s", e->state_dir, id);
	int r = path ? sk_rm_rf(AT_FDCWD, path) : -ENOMEM;

	if (r < 0)
		sk_warning("what is left of capsule %.12s cannot be removed: %s", id, strerror(-r));
}

/* Takes @c. */
static int admit(struct sk_engine *e, struct sk_capsule *c, bool same_boot, struct sk_err *err)
{
	struct sk_err why;
	int r = sk_capsule_open(c, &why);

	if (r == 0 && sk_engine_add(e, c) == 0) {
		adopt(c, same_boot);
		return 0;
	}
	if (r == -ENOTSUP)
		sk_error("capsule %s is left out: %s", c->app.name, why.text);
	sk_capsule_free(c);
	return r == -ENOTSUP ? 0 : sk_err_oom(err);
}

static int load_one(struct sk_engine *e, const char *id, struct sk_err *err)
{
	struct sk_capsule *c = NULL;
	bool same_boot = false;
	struct sk_err why;
	int r = sk_record_load(e, id, &c, &same_boot, &why);

	if (r == -ENOMEM)
		return sk_err_oom(err);
	if (r == -ENOENT) {
		remove_half(e, id);
		return 0;
	}
	if (r < 0) {
		/* One damaged record must not keep all others from running. */
		sk_error("the record of capsule %.12s cannot be used: %s", id, why.text);
		return 0;
	}
	for (size_t i = 0; i < e->n; i++)
		if (e->v[i]->slot == c->slot) {
			sk_error("capsule %s: its slot is taken by %s; it is left out", c->app.name,
				 e->v[i]->app.name);
			sk_capsule_free(c);
			return 0;
		}
	return admit(e, c, same_boot, err);
}

static int by_age(const void *a, const void *b)
{
	const struct sk_capsule *x = *(struct sk_capsule *const *)a,
				*y = *(struct sk_capsule *const *)b;

	if (x->created_s != y->created_s)
		return x->created_s < y->created_s ? -1 : 1;
	return (int)x->slot - (int)y->slot;
}

static bool known(const struct sk_engine *e, const char *id)
{
	for (size_t i = 0; i < e->n; i++)
		if (sk_streq(e->v[i]->id, id))
			return true;
	return false;
}

/*
 * Folders and records in memory of capsules that have no record on disk: either one that was
 * made a moment before the kill, whose record in memory is whole, or what is left of a removed one.
 */
static int load_strays(struct sk_engine *e, struct sk_err *err)
{
	_cleanup_free_ char *dir = sk_asprintf("%s/records", e->run_dir);
	_cleanup_strv_ char **ids = NULL;
	int r = dir ? list_ids(dir, ".json", &ids) : -ENOMEM;

	SK_STRV_FOREACH (id, ids)
		if (r == 0 && !known(e, *id))
			r = load_one(e, *id, err);
	return r;
}

/** struct sk_leftover - a unit that stands in no record */
struct sk_leftover {
	struct sk_leftover *next;
	struct sk_engine *e;
	struct sk_runtime_unit unit;
	struct sk_app app;
	char id[SK_CAPSULE_ID_LEN + 1], name[16];
	char *dir;
};

static void leftover_free(struct sk_leftover *l)
{
	l->unit.kind->ops->done(&l->unit);
	free(l->dir);
	free(l);
}

static void on_leftover_result(void *arg, const struct sk_err *err)
{
}

static void on_leftover_died(void *arg, int exit_code, bool oom_killed)
{
}

static void on_leftover_cleaned(void *arg)
{
	struct sk_leftover *l = arg, **at = &l->e->leftovers;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	leftover_free(l);
}

void sk_recover_done(struct sk_engine *e)
{
	while (e->leftovers) {
		struct sk_leftover *l = e->leftovers;

		e->leftovers = l->next;
		leftover_free(l);
	}
}

static struct sk_leftover *leftover_new(struct sk_engine *e, const struct sk_runtime *kind,
					const char *id)
{
	static const struct sk_runtime_events events = { on_leftover_result, on_leftover_result,
							 on_leftover_died, on_leftover_cleaned };
	struct sk_leftover *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	(void)snprintf(l->id, sizeof(l->id), "%s", id);
	(void)snprintf(l->name, sizeof(l->name), "leftover");
	l->e = e;
	l->dir = sk_asprintf("%s/%s/%s", e->run_dir, kind->ops->folder, id);
	l->app.name = l->name;
	l->unit = (struct sk_runtime_unit){ .kind = kind,
					    .events = &events,
					    .arg = l,
					    .id = l->id,
					    .dir = l->dir,
					    .app = &l->app };
	if (l->dir && kind->ops->init(&l->unit) == 0)
		return l;
	free(l->dir);
	free(l);
	return NULL;
}

/* Kill it and give back what it holds. */
static int clean_leftover(struct sk_engine *e, const struct sk_runtime *kind, const char *id)
{
	struct sk_leftover *l = leftover_new(e, kind, id);

	if (!l)
		return -ENOMEM;
	l->next = e->leftovers;
	e->leftovers = l;
	sk_warning("capsule %.12s is in no record; what is left of it is removed", id);
	kind->ops->clean(&l->unit);
	return 0;
}

/* Records that were being written as the daemon was killed: whole or not, the old ones count. */
static int clean_half_records(struct sk_engine *e)
{
	_cleanup_free_ char *dir = sk_asprintf("%s/records", e->run_dir);
	_cleanup_strv_ char **ids = NULL;
	int r = dir ? list_ids(dir, RECORD_NEW, &ids) : -ENOMEM;

	SK_STRV_FOREACH (id, ids) {
		_cleanup_free_ char *path = sk_asprintf("%s/%s" RECORD_NEW, dir, *id);

		if (path)
			(void)unlink(path);
	}
	return r;
}

static int clean_leftovers(struct sk_engine *e, const struct sk_runtime *kind)
{
	_cleanup_free_ char *dir = sk_asprintf("%s/%s", e->run_dir, kind->ops->folder);
	_cleanup_strv_ char **ids = NULL;
	int r = dir ? list_ids(dir, "", &ids) : -ENOMEM;

	SK_STRV_FOREACH (id, ids)
		if (r == 0 && !known(e, *id))
			r = clean_leftover(e, kind, *id);
	return r;
}

static int remove_gone(const struct sk_engine *e)
{
	_cleanup_strv_ char **ids = NULL;
	int r = list_ids(e->state_dir, ".gone", &ids);

	SK_STRV_FOREACH (id, ids) {
		_cleanup_free_ char *path = sk_asprintf("%s/%s.gone", e->state_dir, *id);

		if (path)
			(void)sk_rm_rf(AT_FDCWD, path);
	}
	return r;
}

static void go_on_one(struct sk_capsule *c)
{
	if (c->state == SK_CAP_CLEANING) {
		c->unit.kind->ops->clean(&c->unit);
	} else if (c->state == SK_CAP_RUNNING && c->unit.pid == 0) {
		sk_capsule_ended(c, c->exit_code, false);
	} else {
		sk_capsule_advance(c);
		if (c->state == SK_CAP_RUNNING) {
			/* A health check that the earlier daemon had begun: its result has no reader. */
			if (c->unit.kind->ops->end_exec)
				c->unit.kind->ops->end_exec(&c->unit);
			sk_health_start(c);
		}
	}
}

/* Called once all capsules are found: the first event may already concern others. */
static int go_on(struct sk_engine *e)
{
	size_t n = e->n;
	_cleanup_free_ struct sk_capsule **v = calloc(n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	/* The list may grow shorter meanwhile, but nothing is freed before the loop runs. */
	for (size_t i = 0; i < n; i++)
		v[i] = e->v[i];
	for (size_t i = 0; i < n; i++)
		go_on_one(v[i]);
	return 0;
}

int sk_engine_recover(struct sk_engine *e, struct sk_err *err)
{
	_cleanup_strv_ char **ids = NULL;
	int r = list_ids(e->state_dir, "", &ids);

	SK_STRV_FOREACH (id, ids)
		if (r == 0)
			r = load_one(e, *id, err);
	r = r < 0 ? r : load_strays(e, err);
	r = r < 0 ? r : clean_half_records(e);
	for (size_t i = 0; r == 0 && i < e->kinds.n; i++)
		r = clean_leftovers(e, &e->kinds.v[i]);
	r = r < 0 ? r : remove_gone(e);
	if (r < 0)
		return sk_err_set(err, r, "io", "cannot read the capsules' records: %s",
				  strerror(-r));
	if (e->n > 1)
		qsort(e->v, e->n, sizeof(*e->v), by_age);
	sk_log_clear(e);
	sk_engine_sweep_images(e);
	return go_on(e) < 0 ? sk_err_oom(err) : 0;
}
