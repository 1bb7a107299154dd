/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/capsule/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/capsule/app.h"
#include "engine/capsule/capsule.h"
#include "engine/capsule/image_mount.h"
#include "engine/capsule/read_only.h"
#include "io/sys/program.h"

#define CAP_SYS_RESOURCE_BIT 24
#define LOG_MAX_DEFAULT	     (UINT64_C(1) << 20)

void sk_engine_free(struct sk_engine *e)
{
	struct sk_note *n;

	if (!e)
		return;
	sk_record_close(e);
	sk_halt_done(e);
	sk_supervise_done(e);
	sk_recover_done(e);
	while ((n = e->notes)) {
		e->notes = n->next;
		if (n->c->forgotten && !n->event && !n->waiter)
			sk_capsule_free(n->c);
		free(n->waiter);
		free(n);
	}
	for (size_t i = 0; i < e->n; i++)
		sk_capsule_free(e->v[i]);
	free(e->v);
	while (e->watches) {
		struct sk_engine_watch *w = e->watches;

		e->watches = w->next;
		free(w);
	}
	sd_event_source_disable_unref(e->notes_source);
	sd_event_source_disable_unref(e->save_timer);
	sd_event_source_disable_unref(e->log_timer);
	free(e->run_dir);
	free(e->state_dir);
	free(e->volume_dir);
	free(e->log_dir);
	free(e->crun);
	free(e->conmon);
	sd_event_unref(e->event);
	free(e);
}

/* Telling: nothing is called back from inside a change, all of it from the loop, in order. */

static void tell_watches(struct sk_engine *e, struct sk_capsule *c, const char *event)
{
	for (struct sk_engine_watch *w = e->watches; w; w = w->next)
		if (!w->gone)
			w->fn(w->arg, c, event);
}

static void drop_gone_watches(struct sk_engine *e)
{
	struct sk_engine_watch **at = &e->watches;

	while (*at) {
		struct sk_engine_watch *w = *at;

		if (!w->gone) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		free(w);
	}
}

static int on_notes(sd_event_source *s, void *arg)
{
	struct sk_engine *e = arg;
	struct sk_note *n;

	while ((n = e->notes)) {
		e->notes = n->next;
		if (!e->notes)
			e->notes_end = &e->notes;
		if (n->event)
			tell_watches(e, n->c, n->event);
		else if (n->waiter)
			n->waiter->done(n->waiter->arg, n->waiter->failed ? &n->waiter->err : NULL);
		else
			sk_capsule_free(n->c);
		free(n->waiter);
		free(n);
	}
	drop_gone_watches(e);
	return 0;
}

static void note(struct sk_capsule *c, const char *event, struct sk_waiter *w)
{
	struct sk_engine *e = c->e;
	struct sk_note *n = w ? TAKE_PTR(w->note) : calloc(1, sizeof(*n));

	if (!n) {
		sk_error("out of memory: an event of %s is lost", c->app.name);
		return;
	}
	n->c = c;
	n->event = event;
	n->waiter = w;
	*e->notes_end = n;
	e->notes_end = &n->next;
	(void)sd_event_source_set_enabled(e->notes_source, SD_EVENT_ONESHOT);
}

void sk_engine_tell(struct sk_capsule *c, const char *event)
{
	note(c, event, NULL);
}

void sk_engine_end_waiter(struct sk_capsule *c, struct sk_waiter *w)
{
	note(c, NULL, w);
}

static bool has_image(void *arg, const struct sk_digest *digest)
{
	const struct sk_engine *e = arg;

	for (size_t i = 0; i < e->n; i++)
		if (sk_digest_equal(&e->v[i]->image.digest, digest))
			return true;
	return false;
}

void sk_engine_sweep_images(struct sk_engine *e)
{
	sk_image_mount_sweep(e->run_dir, has_image, e);
}

void sk_engine_forget(struct sk_capsule *c)
{
	struct sk_engine *e = c->e;

	if (c->forgotten)
		return;
	c->forgotten = true;
	for (size_t i = 0; i < e->n; i++)
		if (e->v[i] == c) {
			memmove(&e->v[i], &e->v[i + 1], (e->n - i - 1) * sizeof(*e->v));
			e->n--;
			break;
		}
	sk_engine_sweep_images(e);
	/* The last note about it frees it. */
	note(c, NULL, NULL);
}

int sk_engine_watch(struct sk_engine *e, sk_engine_event_fn fn, void *arg,
		    struct sk_engine_watch **ret)
{
	struct sk_engine_watch *w = calloc(1, sizeof(*w)), **at = &e->watches;

	if (!w)
		return -ENOMEM;
	w->e = e;
	w->fn = fn;
	w->arg = arg;
	while (*at)
		at = &(*at)->next;
	*at = w;
	*ret = w;
	return 0;
}

void sk_engine_unwatch(struct sk_engine_watch *w)
{
	if (!w)
		return;
	/* It may be called from inside one of the list: freed once nobody walks it. */
	w->gone = true;
	(void)sd_event_source_set_enabled(w->e->notes_source, SD_EVENT_ONESHOT);
}

/* Finding */

static int liveliness(const struct sk_capsule *c)
{
	if (c->state >= SK_CAP_STARTING && c->state <= SK_CAP_STOPPING)
		return 2;
	return c->goal != SK_CAP_WANT_GONE;
}

/* While a release replaces another, an app has two capsules: the one that runs is meant. */
static struct sk_capsule *find_name(struct sk_engine *e, const char *name, bool releases_only)
{
	struct sk_capsule *best = NULL;

	for (size_t i = 0; i < e->n; i++) {
		struct sk_capsule *c = e->v[i];

		if (!sk_streq(c->app.name, name) || (releases_only && c->generation == 0))
			continue;
		if (!best || liveliness(c) >= liveliness(best))
			best = c;
	}
	return best;
}

struct sk_capsule *sk_engine_app(struct sk_engine *e, const char *name)
{
	return find_name(e, name, true);
}

struct sk_capsule *sk_engine_find(struct sk_engine *e, const char *ref, struct sk_err *err)
{
	struct sk_capsule *found = find_name(e, ref, false);
	size_t len = strlen(ref), n = 0;

	if (found)
		return found;
	for (size_t i = 0; len > 0 && len <= SK_CAPSULE_ID_LEN && i < e->n; i++) {
		if (strncmp(e->v[i]->id, ref, len) != 0)
			continue;
		found = e->v[i];
		n++;
	}
	if (n == 1)
		return found;
	if (n > 1)
		(void)sk_err_set(err, -EINVAL, "bad-request",
				 "\"%.64s\" is the start of more than one capsule's id", ref);
	else
		(void)sk_err_set(err, -ENOENT, "not-found", "there is no capsule \"%.64s\"", ref);
	return NULL;
}

struct sk_capsule *sk_engine_next(struct sk_engine *e, size_t *pos)
{
	return *pos < e->n ? e->v[(*pos)++] : NULL;
}

const struct sk_cgroup *sk_engine_cgroup(const struct sk_engine *e)
{
	return &e->env.cgroup;
}

/* Creating */

int sk_engine_add(struct sk_engine *e, struct sk_capsule *c)
{
	struct sk_capsule **v = reallocarray(e->v, e->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	e->v = v;
	e->v[e->n++] = c;
	return 0;
}

int sk_engine_set_paths(struct sk_capsule *c)
{
	const struct sk_engine *e = c->e;

	c->dir = sk_asprintf("%s/capsules/%s", e->run_dir, c->id);
	c->disk_dir = sk_asprintf("%s/%s", e->state_dir, c->id);
	c->log_path = sk_asprintf("%s/%u.log", e->log_dir, c->slot);
	return c->dir && c->disk_dir && c->log_path ? 0 : -ENOMEM;
}

static int free_slot(const struct sk_engine *e, unsigned *ret)
{
	for (unsigned s = 0; s < SK_CAPSULES_MAX; s++) {
		bool used = false;

		for (size_t i = 0; !used && i < e->n; i++)
			used = e->v[i]->slot == s;
		if (!used) {
			*ret = s;
			return 0;
		}
	}
	return -ENOSPC;
}

/* @c: has the name already */
static int name_taken(const struct sk_capsule *c, const struct sk_capsule_spec *spec,
		      struct sk_err *err)
{
	if (spec->generation && !c->generation)
		return sk_err_set(err, -EEXIST, "already-exists",
				  "the release's app \"%s\" has the name of a container that was "
				  "made on this device (%.12s); remove that one: docker rm -f %s",
				  c->app.name, c->id, c->app.name);
	return sk_err_set(err, -EEXIST, "already-exists", "there is a capsule \"%s\" already",
			  c->app.name);
}

static int check_spec(struct sk_engine *e, const struct sk_capsule_spec *spec, struct sk_err *err)
{
	const char *name = spec->app->name;

	if (!name || !sk_name_ok(name))
		return sk_err_set(err, -EINVAL, "bad-name", "\"%.64s\" cannot name a capsule",
				  name ? name : "");
	if (spec->app->kind != SK_KIND_CONTAINER)
		return sk_err_set(err, -ENOTSUP, "not-supported",
				  "%s: this device runs capsules of kind \"container\" only", name);
	for (size_t i = 0; i < e->n; i++) {
		const struct sk_capsule *c = e->v[i];
		bool both = c->generation && spec->generation && c->generation != spec->generation;

		if (sk_streq(c->app.name, name) && !both)
			return name_taken(c, spec, err);
	}
	if (!sk_store_has(e->store, &spec->image))
		return sk_err_set(err, -ENOENT, "not-found", "%s: its image %s is not in the store",
				  name, SK_DIGEST_STR(&spec->image));
	return 0;
}

static int make_id(char id[static SK_CAPSULE_ID_LEN + 1])
{
	struct sk_digest d;

	if (getrandom(d.bytes, sizeof(d.bytes), 0) != sizeof(d.bytes))
		return -errno;
	(void)sk_digest_hex(&d, id);
	return 0;
}

static int copy_spec(struct sk_capsule *c, const struct sk_capsule_spec *spec, struct sk_err *err)
{
	json_t *app = sk_app_to_json(spec->app);
	int r;

	if (!app)
		return sk_err_set(err, -EINVAL, "bad-value", "%s: its texts are not UTF-8",
				  spec->app->name);
	r = sk_app_from_json(app, &c->app, err);
	json_decref(app);
	if (r < 0)
		return r;
	c->image.name = strdup(spec->image_name ? spec->image_name : "");
	c->image.digest = spec->image;
	c->image.pinned = true;
	c->app.image = &c->image;
	c->labels = spec->labels ? sk_strv_copy(spec->labels) : NULL;
	c->generation = spec->generation;
	c->tty = spec->tty;
	c->open_stdin = spec->open_stdin;
	c->auto_remove = spec->auto_remove;
	c->created_s = sk_wall_s();
	return c->image.name && (c->labels || !spec->labels || !*spec->labels) ? 0
									       : sk_err_oom(err);
}

int sk_engine_create(struct sk_engine *e, const struct sk_capsule_spec *spec,
		     struct sk_capsule **ret, struct sk_err *err)
{
	struct sk_capsule *c;
	int r = check_spec(e, spec, err);

	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return sk_err_oom(err);
	c->e = e;
	c->after = SK_CAP_EV_CLEANED;
	r = copy_spec(c, spec, err);
	if (r == 0 && free_slot(e, &c->slot) < 0)
		r = sk_err_set(err, -ENOSPC, "too-many", "there are %d capsules already",
			       SK_CAPSULES_MAX);
	if (r == 0 && (make_id(c->id) < 0 || sk_engine_set_paths(c) < 0 ||
		       sk_capsule_attach(c) < 0 || sk_engine_add(e, c) < 0))
		r = sk_err_oom(err);
	if (r < 0) {
		sk_capsule_free(c);
		return r;
	}
	sk_log_remove(c->log_path);
	sk_record_save(c);
	sk_engine_tell(c, "create");
	*ret = c;
	return 0;
}

/* Making the engine */

static int need_program(const char *name, char **ret, struct sk_err *err)
{
	*ret = sk_program_find(name, NULL);
	return *ret ? 0
		    : sk_err_set(err, -ENOENT, "not-found",
				 "the program %s is not installed; capsules need it", name);
}

static int need_programs(struct sk_engine *e, const struct sk_engine_config *config,
			 struct sk_err *err)
{
	_cleanup_free_ char *crun = NULL;
	int r = need_program(config->runtime ? config->runtime : "crun", &crun, err);

	r = r ?: need_program(config->monitor ? config->monitor : "conmon", &e->conmon, err);
	if (r < 0)
		return r;
	e->crun = sk_read_only_program(e->run_dir, crun);
	return e->crun ? 0 : sk_err_oom(err);
}

/* May this process lock the memory that a device filter takes? */
static bool may_filter_devices(void)
{
	_cleanup_free_ char *text = NULL;
	const char *at;

	if (sk_file_read(AT_FDCWD, "/proc/self/status", 65536, &text, NULL) < 0)
		return false;
	at = strstr(text, "\nCapEff:");
	return at && (strtoull(at + 8, NULL, 16) >> CAP_SYS_RESOURCE_BIT & 1);
}

/* Has this process a negative score, which its children would inherit? */
static bool is_spared(void)
{
	_cleanup_free_ char *text = NULL;

	return sk_file_read(AT_FDCWD, "/proc/self/oom_score_adj", 64, &text, NULL) == 0 &&
	       text[0] == '-';
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

static int make_dir(const char *path, mode_t mode, char **ret_real, struct sk_err *err)
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
	int r = make_dir(config->run_dir, 0711, &e->run_dir, err);

	r = r ?: make_dir(config->state_dir, 0711, &e->state_dir, err);
	r = r ?: make_dir(config->volume_dir, 0700, &e->volume_dir, err);
	r = r ?: make_dir(config->log_dir, 0750, &e->log_dir, err);
	/* An earlier version may have left it open. */
	if (r == 0 && chmod(e->volume_dir, 0700) < 0)
		r = sk_err_set(err, -errno, "io", "cannot close %s: %s", e->volume_dir,
			       strerror(errno));
	r = r ?: make_sub(e->run_dir, "capsules", 0711, err);
	r = r ?: make_sub(e->run_dir, "images", 0700, err);
	r = r ?: make_sub(e->run_dir, "records", 0700, err);
	r = r ?: make_sub(e->run_dir, "crun", 0711, err);
	return r ?: check_reachable(e->run_dir, err);
}

static void fill_env(struct sk_engine *e, const struct sk_engine_config *config)
{
	e->log_max_bytes = config->log_max_bytes ? config->log_max_bytes : LOG_MAX_DEFAULT;
	e->env = (struct sk_runtime_env){
		.event = e->event,
		.store = e->store,
		.run_dir = e->run_dir,
		.volume_dir = e->volume_dir,
		.crun = e->crun,
		.conmon = e->conmon,
		.uid_base = config->uid_base,
		.log_max_bytes = e->log_max_bytes,
		.limits_best_effort = config->limits_best_effort,
		.device_rules = may_filter_devices(),
		.spared = is_spared(),
	};
	sk_cgroup_detect(SK_CGROUP_ROOT, &e->env.cgroup);
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
	r = sd_event_add_defer(e->event, &e->notes_source, on_notes, e);
	if (r >= 0)
		r = sd_event_source_set_enabled(e->notes_source, SD_EVENT_OFF);
	if (r < 0)
		return sk_err_set(err, r, "internal", "event loop: %s", strerror(-r));
	r = make_dirs(e, config, err);
	if (r == 0 && !config->ops)
		r = need_programs(e, config, err);
	if (r < 0)
		return r;
	fill_env(e, config);
	r = sk_engine_recover(e, err);
	return r < 0 ? r : sk_log_rotate_start(e);
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
	e->ops = config->ops ? config->ops : &sk_runtime_crun;
	e->notes_end = &e->notes;
	r = start_engine(e, config, err);
	if (r == 0)
		*ret = TAKE_PTR(e);
	return r;
}
