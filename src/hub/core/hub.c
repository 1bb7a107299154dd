/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/core/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "hub/core/database.h"
#include "hub/core/sweep.h"
#include "hub/db/audit.h"
#include "hub/db/images.h"
#include "hub/db/jobs.h"
#include "hub/db/orgs.h"
#include "hub/db/releases.h"
#include "io/json.h"

#define FLUSH_EVERY_S 30
#define REFUSALS_MAX  8192 /* some four megabytes at most */

static void wake_one(struct sk_hub *hub, struct sk_conn *c, int64_t device)
{
	struct sk_err err = SK_ERR_INIT;
	_cleanup_json_ json_t *job = NULL;

	if (c->jobs->next(c, device, NULL, &job, &err) < 0)
		sk_warning("no job could be read for a waiting device: %s", err.text);
	else if (job)
		(void)sk_waiters_end(hub->waiters, device, SK_POLL_JOB, job);
}

void sk_hub_wake(struct sk_hub *hub, int64_t deployment, int64_t device)
{
	_cleanup_free_ struct sk_waiting *list = NULL;
	struct sk_err err = SK_ERR_INIT;
	struct sk_conn *c;
	size_t n;

	sk_waiters_touch(hub->waiters);
	n = sk_waiters_list(hub->waiters,
			    &(struct sk_waiting){ .deployment = deployment, .device = device },
			    &list);
	if (n == 0 || sk_db_read(hub->db, &c, &err) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		wake_one(hub, c, list[i].device);
}

void sk_hub_wake_crls(struct sk_hub *hub, int64_t org)
{
	_cleanup_free_ struct sk_waiting *list = NULL;
	size_t n;

	sk_waiters_touch(hub->waiters);
	n = sk_waiters_list(hub->waiters, &(struct sk_waiting){ .org = org }, &list);
	for (size_t i = 0; i < n; i++)
		(void)sk_waiters_end(hub->waiters, list[i].device, SK_POLL_CRLS, NULL);
}

static int remove_blob(struct sk_blobs *b, int64_t org, const char *hex, struct sk_err *err)
{
	struct sk_blob_key key = { .org = org };

	if (sk_digest_parse(hex, &key.digest) < 0)
		return 0;
	return sk_blob_remove(b, &key, err);
}

static int prune_rows(struct sk_hub *hub, int64_t org, json_t **ret, struct sk_err *err)
{
	struct sk_conn *c;
	int r = sk_db_begin(hub->db, &c, err);

	if (r < 0)
		return r;
	r = c->images->prune(c, org, ret, err);
	return sk_db_end(c, r, err);
}

static int remove_unnamed(struct sk_hub *hub, struct sk_conn *c, int64_t org, const json_t *rows,
			  const char *file, struct sk_err *err)
{
	struct sk_image_row again;
	const json_t *row;
	size_t i;
	int r = 0;

	json_array_foreach (rows, i, row) {
		const char *digest = json_string_value(json_object_get(row, "digest"));

		if (r == 0 && c->images->find(c, org, digest, &again, err) == 0)
			r = remove_blob(hub->images, org, digest, err);
	}
	if (r == 0 && c->releases->has_file(c, org, file, err) == 0)
		r = remove_blob(hub->files, org, file, err);
	return r;
}

/*
 * The rows go first, in a transaction of their own: a crash in between leaves files without rows,
 * which the next start removes, and never rows without files. The files go in a second one, so
 * that no release can start to name one of them meanwhile.
 */
int sk_hub_collect(struct sk_hub *hub, int64_t org, const char *file, struct sk_err *err)
{
	_cleanup_json_ json_t *rows = NULL;
	struct sk_conn *c;
	int r = prune_rows(hub, org, &rows, err);

	if (r < 0)
		return r;
	r = sk_db_begin(hub->db, &c, err);
	if (r < 0)
		return r;
	r = remove_unnamed(hub, c, org, rows, file, err);
	sk_db_rollback(c);
	return r;
}

/* The row of an image says whether its file is whole; after a crash it may be wrong either way. */
static int reconcile_image(struct sk_hub *hub, struct sk_conn *c, const json_t *row,
			   struct sk_err *err)
{
	const char *digest = json_string_value(json_object_get(row, "digest"));
	bool listed = json_is_true(json_object_get(row, "complete")), have = false;
	struct sk_blob_key key = { .org = json_integer_value(json_object_get(row, "org")) };
	uint64_t offset;

	if (sk_digest_parse(digest, &key.digest) < 0)
		return 0;
	if (sk_blob_stat(hub->images, &key, &have, &offset, err) < 0)
		return -EIO;
	if (have == listed)
		return 0;
	if (listed)
		sk_warning("image %s is gone from the disk: it must be uploaded again", digest);
	return c->images->set_complete(c, key.org, digest, have, err);
}

struct orphan {
	struct sk_hub *hub;
	struct sk_conn *c;
	struct sk_blobs *blobs;
	bool images;
};

static int remove_orphan(const struct sk_blob_entry *e, void *arg)
{
	const struct orphan *o = arg;
	const char *hex = SK_DIGEST_STR(&e->key.digest);
	struct sk_err err = SK_ERR_INIT;
	struct sk_image_row row;
	int r = o->images ? o->c->images->find(o->c, e->key.org, hex, &row, &err)
			  : o->c->releases->has_file(o->c, e->key.org, hex, &err);

	if (r != 0)
		return 0;
	return sk_blob_remove(o->blobs, &e->key, &err);
}

static int stop_at_first(const struct sk_blob_entry *e, void *arg)
{
	*(bool *)arg = true;
	return -ECANCELED;
}

/*
 * Files that nothing names are removed below. An empty database names none: more likely it was lost
 * than that all of them are left over.
 */
static int check_not_lost(struct sk_hub *hub, struct sk_conn *c, struct sk_err *err)
{
	bool files = false;
	int r = c->orgs->any(c, err);

	if (r != 0)
		return SK_MIN(r, 0);
	(void)sk_blob_each(hub->images, stop_at_first, &files, NULL);
	(void)sk_blob_each(hub->files, stop_at_first, &files, NULL);
	if (files)
		return sk_err_set(err, -EBADMSG, "damaged",
				  "%s/hub.db has no organisation, but images and releases are "
				  "there: put back a backup of it, or move these folders away",
				  hub->config.data);
	return 0;
}

static int reconcile(struct sk_hub *hub, struct sk_err *err)
{
	_cleanup_json_ json_t *rows = NULL;
	struct sk_conn *c;
	json_t *row;
	size_t i;
	int r = sk_db_begin(hub->db, &c, err);

	if (r < 0)
		return r;
	r = check_not_lost(hub, c, err);
	if (r == 0)
		r = c->images->list_all(c, &rows, err);
	json_array_foreach (rows, i, row) {
		if (r >= 0)
			r = reconcile_image(hub, c, row, err);
	}
	if (r >= 0)
		r = sk_blob_each(hub->images, remove_orphan,
				 &(struct orphan){ hub, c, hub->images, true }, err);
	if (r >= 0)
		r = sk_blob_each(hub->files, remove_orphan,
				 &(struct orphan){ hub, c, hub->files, false }, err);
	return sk_db_end(c, r, err);
}

static int open_stores(struct sk_hub *hub, struct sk_err *err)
{
	const char *data = hub->config.data;
	_cleanup_free_ char *images = sk_asprintf("%s/images", data);
	_cleanup_free_ char *files = sk_asprintf("%s/releases", data);
	int r;

	if (!images || !files)
		return sk_err_oom(err);
	r = sk_hub_open_db(&hub->config, &hub->db, err);
	if (r < 0)
		return r;
	r = sk_blobs_dir_new(images, &hub->images, err);
	if (r < 0)
		return r;
	return sk_blobs_dir_new(files, &hub->files, err);
}

int sk_hub_new(const struct sk_hub_config *config, struct sk_hub **ret, struct sk_err *err)
{
	_cleanup_(sk_hub_freep) struct sk_hub *hub = calloc(1, sizeof(*hub));
	int r;

	if (!hub)
		return sk_err_oom(err);
	hub->config = *config;
	(void)pthread_mutex_init(&hub->tick_lock, NULL);
	(void)pthread_cond_init(&hub->tick_cond, NULL);
	hub->waiters = sk_waiters_new();
	hub->seen = sk_seen_new();
	hub->logins = sk_limiter_new(20000, 15 * 60 * 1000);
	hub->refusals = sk_refusals_new(REFUSALS_MAX);
	hub->challenges = sk_challenges_new();
	if (!hub->waiters || !hub->seen || !hub->logins || !hub->refusals || !hub->challenges)
		return sk_err_oom(err);
	r = open_stores(hub, err);
	if (r < 0)
		return r;
	r = reconcile(hub, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(hub);
	return 0;
}

static void flush(struct sk_hub *hub)
{
	struct sk_err err = SK_ERR_INIT;

	if (sk_seen_flush(hub->seen, hub->db, &err) < 0)
		sk_warning("cannot write when devices were seen: %s", err.text);
}

static void flush_refusals(struct sk_hub *hub, uint64_t now_ms)
{
	struct sk_err err = SK_ERR_INIT;

	if (sk_refusals_flush(hub->refusals, hub->db, now_ms, &err) < 0)
		sk_warning("cannot write how often something was refused: %s", err.text);
}

static int write_refusal(struct sk_hub *hub, const struct sk_audit *what)
{
	struct sk_err ignored = SK_ERR_INIT;
	struct sk_conn *c;
	int r = sk_db_begin(hub->db, &c, &ignored);

	if (r < 0)
		return r;
	r = c->audit->add(c, what, &ignored);
	return sk_db_end(c, r, &ignored);
}

void sk_hub_refused(struct sk_hub *hub, const struct sk_audit *what)
{
	struct sk_audit line = *what;

	if (sk_refusals_hit(hub->refusals, &line, sk_mono_ms()) && write_refusal(hub, &line) < 0)
		sk_refusals_missed(hub->refusals, &line);
}

void sk_hub_free(struct sk_hub *hub)
{
	if (hub->has_ticker) {
		(void)pthread_mutex_lock(&hub->tick_lock);
		hub->stopping = true;
		(void)pthread_cond_signal(&hub->tick_cond);
		(void)pthread_mutex_unlock(&hub->tick_lock);
		(void)pthread_join(hub->ticker, NULL);
		flush(hub);
		flush_refusals(hub, UINT64_MAX);
	}
	sk_waiters_freep(&hub->waiters);
	sk_seen_freep(&hub->seen);
	sk_limiter_freep(&hub->logins);
	sk_refusals_freep(&hub->refusals);
	sk_challenges_freep(&hub->challenges);
	sk_blobs_freep(&hub->images);
	sk_blobs_freep(&hub->files);
	sk_db_closep(&hub->db);
	(void)pthread_mutex_destroy(&hub->tick_lock);
	(void)pthread_cond_destroy(&hub->tick_cond);
	free(hub);
}

static bool tick_wait(struct sk_hub *hub)
{
	struct timespec until;
	bool go_on;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	(void)pthread_mutex_lock(&hub->tick_lock);
	if (!hub->stopping)
		(void)pthread_cond_timedwait(&hub->tick_cond, &hub->tick_lock, &until);
	go_on = !hub->stopping;
	(void)pthread_mutex_unlock(&hub->tick_lock);
	return go_on;
}

static void *tick(void *arg)
{
	struct sk_hub *hub = arg;
	struct sk_sweep sweep = { 0 };

	for (unsigned n = 1; tick_wait(hub); n++) {
		sk_waiters_expire(hub->waiters, sk_mono_ms());
		if (n % FLUSH_EVERY_S == 0)
			flush(hub);
		flush_refusals(hub, sk_mono_ms());
		sk_sweep_step(&sweep, &hub->config, hub->db, sk_wall_s());
	}
	return NULL;
}

int sk_hub_start(struct sk_hub *hub, struct sk_err *err)
{
	if (pthread_create(&hub->ticker, NULL, tick, hub) != 0)
		return sk_err_set(err, -EAGAIN, "internal", "cannot start a thread");
	hub->has_ticker = true;
	return 0;
}
