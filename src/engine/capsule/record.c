/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A capsule's record, twice: <run_dir>/records/<id>.json is written at each change (memory, no
 * fsync) and is the truth while the machine is up; <state_dir>/<id>/record.json follows within
 * moments, fsynced by a child, and is the truth after a boot.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/capsule/app.h"
#include "engine/capsule/capsule.h"
#include "io/json.h"

#define RECORD_MAX    (4u << 20)
#define SAVE_SOON_MS  20
#define SAVE_RETRY_MS 30000 /* after a failure: the disk may be full for a while */

static int put_all(json_t *o, const struct sk_capsule *c)
{
	if (json_object_set_new(o, "app", sk_app_to_json(&c->app)) < 0 ||
	    json_object_set_new(o, "labels", sk_json_strv(c->labels)) < 0)
		return -1;
	return 0;
}

static json_t *to_json(const struct sk_capsule *c)
{
	_cleanup_json_ json_t *o = NULL;

	o = json_pack("{si ss ss sI sb sb sb si si sb si sb sI sI sI sI sI sI sI ss}", "format", 1,
		      "image", SK_DIGEST_STR(&c->image.digest), "image_name", c->image.name,
		      "generation", (json_int_t)c->generation, "tty", (int)c->tty, "open_stdin",
		      (int)c->open_stdin, "auto_remove", (int)c->auto_remove, "slot", (int)c->slot,
		      "goal", (int)c->goal, "then_run", (int)c->then_run, "exit_code", c->exit_code,
		      "oom_killed", (int)c->oom_killed, "restarts", (json_int_t)c->restarts,
		      "created_s", (json_int_t)c->created_s, "started_s", (json_int_t)c->started_s,
		      "finished_s", (json_int_t)c->finished_s, "started_mono_ms",
		      (json_int_t)c->started_mono_ms, "backoff_count", (json_int_t)c->backoff.count,
		      "backoff_doublings", (json_int_t)c->backoff.doublings, "state",
		      sk_cap_state_name(c->state));
	return o && put_all(o, c) == 0 ? TAKE_PTR(o) : NULL;
}

static int run_path(const struct sk_engine *e, const char *id, const char *suffix,
		    char buf[static PATH_MAX])
{
	return snprintf(buf, PATH_MAX, "%s/records/%s.json%s", e->run_dir, id, suffix) < PATH_MAX
		       ? 0
		       : -ENAMETOOLONG;
}

/* Renamed into place, so that a kill at any moment leaves the old or the new one. */
static int write_run(const struct sk_capsule *c, const char *text)
{
	char path[PATH_MAX], tmp[PATH_MAX];
	_cleanup_close_ int fd = -1;
	int r;

	if (run_path(c->e, c->id, "", path) < 0 || run_path(c->e, c->id, ".new", tmp) < 0)
		return -ENAMETOOLONG;
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : sk_fd_write(fd, text, strlen(text));
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	return r;
}

/* Into a folder that is there, see make_folders(). */
static int write_disk(const struct sk_capsule *c, const char *text)
{
	char path[PATH_MAX];
	int r = -ENAMETOOLONG;

	if (snprintf(path, sizeof(path), "%s/record.json", c->disk_dir) < PATH_MAX)
		r = sk_file_write(AT_FDCWD, path, text, strlen(text), 0600);
	return r == 0 ? sk_dir_sync(AT_FDCWD, c->e->state_dir) : r;
}

static bool needs_saving(const struct sk_capsule *c)
{
	return c->dirty && !c->forgotten && c->state != SK_CAP_DESTROYING &&
	       c->state != SK_CAP_GONE;
}

/*
 * The folders are made here and not by the saving child: a child that is killed ends some time later, and could make
 * the folder of a capsule again that was removed meanwhile. A failure shows when the record is written.
 */
static void make_folders(const struct sk_engine *e)
{
	for (size_t i = 0; i < e->n; i++)
		if (needs_saving(e->v[i]))
			(void)sk_mkdir_p(AT_FDCWD, e->v[i]->disk_dir, 0700);
}

static int save_dirty(struct sk_engine *e)
{
	int bad = 0;

	for (size_t i = 0; i < e->n; i++) {
		_cleanup_json_ json_t *o = needs_saving(e->v[i]) ? to_json(e->v[i]) : NULL;
		_cleanup_free_ char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

		if (needs_saving(e->v[i]) && (!text || write_disk(e->v[i], text) < 0))
			bad = 1;
	}
	return bad;
}

/* In a forked child, on its copy of the engine. */
static int save_task(void *arg)
{
	return save_dirty(arg);
}

static void save_in(struct sk_engine *e, uint64_t ms);

static void mark_all_dirty(struct sk_engine *e)
{
	for (size_t i = 0; i < e->n; i++)
		e->v[i]->dirty = true;
}

static bool any_needs_saving(const struct sk_engine *e)
{
	for (size_t i = 0; i < e->n; i++)
		if (needs_saving(e->v[i]))
			return true;
	return false;
}

static void on_saved(void *arg, int status, const char *out, const char *err_tail)
{
	struct sk_engine *e = arg;
	/* Since the child had its copy; a change does not wait for the time of a retry. */
	bool changed = any_needs_saving(e);

	sk_child_free(TAKE_PTR(e->saver));
	if (status != 0) {
		sk_warning("capsule records could not be written to %s", e->state_dir);
		mark_all_dirty(e);
	}
	if (changed)
		save_in(e, SAVE_SOON_MS);
	else if (status != 0)
		save_in(e, SAVE_RETRY_MS);
}

static int on_save_due(sd_event_source *s, uint64_t usec, void *arg)
{
	struct sk_engine *e = arg;
	const struct sk_task task = { .run = save_task, .arg = e };

	e->save_timer = sd_event_source_disable_unref(e->save_timer);
	if (e->saver)
		return 0; /* its end looks again */
	make_folders(e);
	if (sk_child_task(e->event, &task, on_saved, e, &e->saver, NULL) < 0) {
		if (sk_record_flush(e) < 0)
			save_in(e, SAVE_RETRY_MS);
		return 0;
	}
	/* The child has its copy: what changes from here on is for the next one. */
	for (size_t i = 0; i < e->n; i++)
		e->v[i]->dirty = false;
	return 0;
}

static void save_in(struct sk_engine *e, uint64_t ms)
{
	/* A change does not wait for the time of a retry; other than that, the first one counts. */
	if (e->save_timer && !(e->save_is_retry && ms < SAVE_RETRY_MS))
		return;
	e->save_timer = sd_event_source_disable_unref(e->save_timer);
	e->save_is_retry = ms == SAVE_RETRY_MS;
	if (sd_event_add_time_relative(e->event, &e->save_timer, CLOCK_MONOTONIC, ms * 1000, 0,
				       on_save_due, e) < 0)
		(void)sk_record_flush(e);
}

void sk_record_save(struct sk_capsule *c)
{
	_cleanup_json_ json_t *o = to_json(c);
	_cleanup_free_ char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	int r = text ? write_run(c, text) : -ENOMEM;

	if (r < 0)
		sk_warning("%s: its record could not be written: %s", c->app.name, strerror(-r));
	c->dirty = true;
	save_in(c->e, SAVE_SOON_MS);
}

int sk_record_flush(struct sk_engine *e)
{
	make_folders(e);
	if (save_dirty(e) != 0) {
		sk_warning("capsule records could not be written to %s", e->state_dir);
		return -EIO;
	}
	for (size_t i = 0; i < e->n; i++)
		e->v[i]->dirty = false;
	return 0;
}

void sk_record_close(struct sk_engine *e)
{
	pid_t pid = e->saver ? sk_child_pid(e->saver) : 0;
	siginfo_t si;

	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		(void)waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT);
		mark_all_dirty(e);
	}
	sk_child_free(TAKE_PTR(e->saver));
	(void)sk_record_flush(e);
}

/* Its folder gets the name <id>.gone. 0 or -errno */
static int drop_record(struct sk_capsule *c)
{
	_cleanup_free_ char *gone = sk_asprintf("%s.gone", c->disk_dir);
	char path[PATH_MAX];
	int r = gone ? run_path(c->e, c->id, "", path) : -ENOMEM;

	/* A saving child that still writes would find the folder gone, and report a failure that is none. */
	if (c->e->saver) {
		sk_child_free(TAKE_PTR(c->e->saver));
		mark_all_dirty(c->e);
		save_in(c->e, SAVE_SOON_MS);
	}
	/* The record in memory says "to be removed"; it goes last. */
	if (r == 0 && rename(c->disk_dir, gone) < 0 && errno != ENOENT)
		r = -errno;
	if (r == 0 && unlink(path) < 0 && errno != ENOENT)
		r = -errno;
	return r;
}

struct numbers {
	uint64_t generation, slot, goal, exit_code, restarts, created, started, finished, mono,
		count, doublings;
};

static int get_numbers(const json_t *o, struct numbers *n, struct sk_err *err)
{
	const struct {
		const char *key;
		uint64_t *at, max;
	} all[] = {
		{ "generation", &n->generation, INT64_MAX },
		{ "slot", &n->slot, SK_CAPSULES_MAX - 1 },
		{ "goal", &n->goal, SK_CAP_N_GOALS - 1 },
		{ "exit_code", &n->exit_code, INT_MAX },
		{ "restarts", &n->restarts, UINT32_MAX },
		{ "created_s", &n->created, INT64_MAX },
		{ "started_s", &n->started, INT64_MAX },
		{ "finished_s", &n->finished, INT64_MAX },
		{ "started_mono_ms", &n->mono, INT64_MAX },
		{ "backoff_count", &n->count, UINT32_MAX },
		{ "backoff_doublings", &n->doublings, UINT32_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		int r = sk_json_get_u64(o, all[i].key, all[i].at, err);

		if (r == 0 && *all[i].at > all[i].max)
			r = sk_err_set(err, -ERANGE, "bad-value", "\"%s\" is out of range",
				       all[i].key);
		if (r < 0)
			return r;
	}
	return 0;
}

static void set_numbers(struct sk_capsule *c, const struct numbers *n)
{
	c->generation = n->generation;
	c->slot = (unsigned)n->slot;
	c->goal = (enum sk_cap_goal)n->goal;
	c->exit_code = (int)n->exit_code;
	c->restarts = (uint32_t)n->restarts;
	c->created_s = (int64_t)n->created;
	c->started_s = (int64_t)n->started;
	c->finished_s = (int64_t)n->finished;
	c->started_mono_ms = n->mono;
	c->backoff.count = (uint32_t)n->count;
	c->backoff.doublings = (uint32_t)n->doublings;
}

static int get_flags(const json_t *o, struct sk_capsule *c, struct sk_err *err)
{
	int r = sk_json_get_bool(o, "tty", &c->tty, err);

	r = r ?: sk_json_get_bool(o, "open_stdin", &c->open_stdin, err);
	r = r ?: sk_json_get_bool(o, "auto_remove", &c->auto_remove, err);
	r = r ?: sk_json_get_bool(o, "then_run", &c->then_run, err);
	return r ?: sk_json_get_bool(o, "oom_killed", &c->oom_killed, err);
}

static int from_json(const json_t *o, struct sk_capsule *c, struct sk_err *err)
{
	struct numbers n = { 0 };
	const char *name = NULL, *state = NULL;
	int r;

	r = get_numbers(o, &n, err);
	r = r ?: get_flags(o, c, err);
	r = r ?: sk_json_get_str(o, "image_name", &name, err);
	r = r ?: sk_json_get_str(o, "state", &state, err);
	r = r ?: sk_json_need_digest(o, "image", &c->image.digest, err);
	r = r ?: sk_json_get_strv(o, "labels", 4096, &c->labels, err);
	r = r ?: sk_app_from_json(json_object_get(o, "app"), &c->app, err);
	if (r < 0)
		return r;
	set_numbers(c, &n);
	c->was_failed = state && sk_streq(state, sk_cap_state_name(SK_CAP_FAILED));
	c->image.name = strdup(name ? name : "");
	c->image.pinned = true;
	c->app.image = &c->image;
	/* A stop that the kill broke off goes on with the capsule's own time. */
	c->grace_ms = sk_capsule_own_grace(c);
	return c->image.name ? 0 : sk_err_oom(err);
}

static int load_file(const char *path, struct sk_capsule *c, struct sk_err *err)
{
	_cleanup_json_ json_t *o = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = sk_file_read(AT_FDCWD, path, RECORD_MAX, &text, &len);

	if (r < 0)
		return sk_err_set(err, r, r == -ENOENT ? "not-found" : "io", "cannot read %s: %s",
				  path, strerror(-r));
	r = sk_json_parse(text, len, &o, err);
	return r < 0 ? r : from_json(o, c, err);
}

int sk_record_load(struct sk_engine *e, const char *id, struct sk_capsule **ret,
		   bool *ret_same_boot, struct sk_err *err)
{
	struct sk_capsule *c = calloc(1, sizeof(*c));
	char run[PATH_MAX], disk[PATH_MAX];
	int r;

	if (!c)
		return sk_err_oom(err);
	c->e = e;
	(void)snprintf(c->id, sizeof(c->id), "%s", id);
	(void)snprintf(disk, sizeof(disk), "%s/%s/record.json", e->state_dir, id);
	r = run_path(e, id, "", run);
	r = r < 0 ? r : load_file(run, c, err);
	*ret_same_boot = r == 0;
	if (r < 0) {
		sk_app_done(&c->app);
		sk_strv_free(TAKE_PTR(c->labels));
		r = load_file(disk, c, err);
	}
	if (r < 0) {
		sk_capsule_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void sk_record_observe(struct sk_capsule *c, const struct sk_capsule_change *change)
{
	int r;

	if (change->what == SK_CHANGE_MOVED && c->state != SK_CAP_DESTROYING &&
	    c->state != SK_CAP_GONE)
		sk_record_save(c);
	if (change->what != SK_CHANGE_REMOVED)
		return;
	r = drop_record(c);
	if (r < 0)
		sk_warning("%s: record: %s", c->app.name, strerror(-r));
}
