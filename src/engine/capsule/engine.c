/* SPDX-License-Identifier: Apache-2.0 */

/* Making and ending the engine, and who subscribes to what its capsules emit. */
#include "engine/capsule/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/str.h"
#include "engine/capsule/capsule.h"

#define LOG_MAX_DEFAULT (UINT64_C(1) << 20)

/* In this order: the list first, so that what is gone is saved no more; health last, of what is left running. */
static const sk_capsule_observer observers[] = {
	sk_list_observe, sk_record_observe, sk_log_observe, sk_supervise_observe,
	sk_halt_observe, sk_health_observe, NULL,
};

void sk_engine_free(struct sk_engine *e)
{
	if (!e)
		return;
	sk_record_close(e);
	sk_halt_done(e);
	sk_supervise_done(e);
	sk_recover_done(e);
	sk_events_done(e);
	for (size_t i = 0; i < e->n; i++)
		sk_capsule_free(e->v[i]);
	free(e->v);
	sk_runtimes_close(&e->kinds);
	sd_event_source_disable_unref(e->save_timer);
	sd_event_source_disable_unref(e->log_timer);
	free(e->run_dir);
	free(e->state_dir);
	free(e->volume_dir);
	free(e->log_dir);
	sd_event_unref(e->event);
	free(e);
}

void sk_engine_limits(const struct sk_engine *e, enum sk_kind kind, struct sk_runtime_limits *ret)
{
	*ret = (struct sk_runtime_limits){ 0 };
	for (size_t i = 0; i < e->kinds.n; i++) {
		const struct sk_runtime *rt = &e->kinds.v[i];

		if (rt->ops->kind == kind && rt->ops->limits)
			rt->ops->limits(rt, ret);
	}
}

/* Capsules' processes reach their mounts through these folders, as strangers to the host. */
static int check_reachable(const char *path, struct sk_err *err)
{
	_cleanup_free_ char *p = strdup(path);
	struct stat st;

	if (!p)
		return sk_err_oom(err);
	for (char *slash = p + strlen(p); slash && slash != p; slash = strrchr(p, '/')) {
		*slash = '\0';
		if (stat(p, &st) == 0 && !(st.st_mode & S_IXOTH))
			return sk_err_set(err, -EACCES, "bad-value",
					  "capsules cannot pass through %s: it needs mode o+x", p);
	}
	return 0;
}

static int engine_make_dir(const char *path, mode_t mode, char **ret_real, struct sk_err *err)
{
	int r = sk_mkdir_p(AT_FDCWD, path, mode);

	if (r < 0)
		return sk_err_set(err, r, "io", "cannot make %s: %s", path, strerror(-r));
	/* Mount points are known by their real names. */
	*ret_real = realpath(path, NULL);
	if (!*ret_real)
		return sk_err_set(err, -errno, "io", "cannot resolve %s: %s", path,
				  strerror(errno));
	if (strpbrk(*ret_real, ":,\\"))
		return sk_err_set(err, -EINVAL, "bad-value",
				  "%s: a folder of the engine has no ':', ',' or '\\' in its name",
				  path);
	return 0;
}

static int make_sub(const char *dir, const char *name, mode_t mode, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_asprintf("%s/%s", dir, name);

	if (!path)
		return sk_err_oom(err);
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return sk_err_set(err, -errno, "io", "cannot make %s: %s", path, strerror(errno));
	return chmod(path, mode) < 0 ? -errno : 0;
}

static int make_dirs(struct sk_engine *e, const struct sk_engine_config *config, struct sk_err *err)
{
	int r = engine_make_dir(config->run_dir, 0711, &e->run_dir, err);

	r = r ?: engine_make_dir(config->state_dir, 0711, &e->state_dir, err);
	r = r ?: engine_make_dir(config->volume_dir, 0700, &e->volume_dir, err);
	r = r ?: engine_make_dir(config->log_dir, 0750, &e->log_dir, err);
	/* An earlier version may have left it open. */
	if (r == 0 && chmod(e->volume_dir, 0700) < 0)
		r = sk_err_set(err, -errno, "io", "cannot close %s: %s", e->volume_dir,
			       strerror(errno));
	r = r ?: make_sub(e->run_dir, "records", 0700, err);
	for (const struct sk_runtime_kind *k = config->kinds; r == 0 && k->ops; k++)
		r = make_sub(e->run_dir, k->ops->folder, 0711, err);
	return r ?: check_reachable(e->run_dir, err);
}

static int open_kinds(struct sk_engine *e, const struct sk_engine_config *config,
		      struct sk_err *err)
{
	e->log_max_bytes = config->log_max_bytes ? config->log_max_bytes : LOG_MAX_DEFAULT;
	e->env = (struct sk_runtime_env){
		.event = e->event,
		.store = e->store,
		.run_dir = e->run_dir,
		.volume_dir = e->volume_dir,
		.log_dir = e->log_dir,
		.uid_base = config->uid_base,
		.log_max_bytes = e->log_max_bytes,
		.limits_best_effort = config->limits_best_effort,
	};
	return sk_runtimes_open(&e->kinds, &e->env, config->kinds, err);
}

static int start_engine(struct sk_engine *e, const struct sk_engine_config *config,
			struct sk_err *err)
{
	int r;

	if (config->uid_base < 65536 ||
	    config->uid_base > UINT32_MAX - SK_ENGINE_UIDS_MAX - SK_CAPSULE_UIDS)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "uid-base %u leaves no room for the capsules' users",
				  config->uid_base);
	r = sk_events_init(e, err);
	r = r ?: make_dirs(e, config, err);
	r = r ?: open_kinds(e, config, err);
	r = r ?: sk_engine_recover(e, err);
	return r ?: sk_log_rotate_start(e);
}

int sk_engine_new(sd_event *event, struct sk_store *store, const struct sk_engine_config *config,
		  struct sk_engine **ret, struct sk_err *err)
{
	_cleanup_(sk_engine_freep) struct sk_engine *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return sk_err_oom(err);
	e->event = sd_event_ref(event);
	e->store = store;
	e->observers = observers;
	r = start_engine(e, config, err);
	if (r == 0)
		*ret = TAKE_PTR(e);
	return r;
}
