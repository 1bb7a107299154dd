/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/update/update.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/update/boot_id.h"
#include "engine/update/private.h"

static int copy(const char *from, char **to)
{
	if (!from)
		return 0;
	*to = strdup(from);
	return *to ? 0 : -ENOMEM;
}

static int configure(struct sk_update *u, const struct sk_update_config *config)
{
	u->compatible = config->compatible;
	u->clock = config->clock;
	u->has_os_slots = config->has_os_slots;
	u->releases_max = config->releases_max ?: SK_UPDATE_RELEASES_MAX;
	u->vet_uid = config->vet_uid;
	u->keep_image = config->keep_image;
	u->keep_arg = config->keep_arg;
	u->repair_ms = SK_UPDATE_REPAIR_MIN_MS;
	/* Another one after each start of the daemon, so that nobody waits for news that he missed. */
	u->news.seq = sk_mono_us();
	u->news.step = "idle";
	return copy(config->store_dir, &u->store_dir) ?: copy(config->trust_dir, &u->trust_dir) ?:
	       copy(config->boot_id_file, &u->boot_id_file);
}

int sk_update_new(sd_event *event, struct sk_store *store, struct sk_engine *engine,
		  const struct sk_update_config *config, struct sk_update **ret, struct sk_err *err)
{
	_cleanup_(sk_update_freep) struct sk_update *u = calloc(1, sizeof(*u));
	struct sk_err trust_err = SK_ERR_INIT;
	int r;

	if (!u)
		return sk_err_oom(err);
	u->event = sd_event_ref(event);
	u->store = store;
	u->engine = engine;
	if (configure(u, config) < 0)
		return sk_err_oom(err);
	r = sk_generations_open(store, &u->gens, err);
	if (r == 0)
		r = sk_update_kept_load(u, err);
	if (r < 0)
		return r;
	if (sk_update_trust(u, &trust_err) < 0)
		sk_warning("no release can be taken in: %s", trust_err.text);
	r = sk_engine_watch(engine, sk_update_on_event, u, &u->watch);
	if (r < 0)
		return sk_err_oom(err);
	*ret = TAKE_PTR(u);
	return 0;
}

void sk_update_free(struct sk_update *u)
{
	if (!u)
		return;
	sk_update_uploads_done(u);
	sk_update_vets_done(u);
	sk_update_verify_done(u);
	sk_update_freeing_done(u);
	sk_update_news_done(u);
	sk_update_plan_clear(u);
	if (u->watch)
		sk_engine_unwatch(u->watch);
	(void)sd_event_source_disable_unref(u->timer);
	(void)sd_event_source_disable_unref(u->repair);
	if (u->claimed)
		sk_map_free(u->claimed);
	sk_update_missing_stale(u);
	sk_release_free(u->target);
	sk_release_free(u->good);
	if (u->trust)
		sk_trust_free(u->trust);
	if (u->gens)
		sk_generations_close(u->gens);
	sk_strv_free(u->kept);
	free(u->store_dir);
	free(u->trust_dir);
	free(u->boot_id_file);
	free(u->running_name);
	(void)sd_event_unref(u->event);
	free(u);
}

/* What cannot be recorded (a full disk) is decided all the same: the device must run something. */
static void decide(struct sk_update *u)
{
	const char *path = u->boot_id_file ?: SK_BOOT_ID_PATH;
	const struct sk_generation *run;
	struct sk_err err = SK_ERR_INIT;
	bool new_boot = true;
	int r = sk_boot_id_changed(u->store, path, &new_boot, &err);

	if (r < 0)
		sk_error("cannot tell whether the machine was restarted: %s", err.text);
	r = sk_generations_boot(u->gens, new_boot, &run, &err);
	if (r == 0 && new_boot)
		r = sk_boot_id_keep(u->store, path, &err);
	if (r < 0)
		sk_error("cannot record this start: %s", err.text);
}

int sk_update_start(struct sk_update *u, struct sk_err *err)
{
	const struct sk_generation *run;
	int r;

	decide(u);
	r = sk_update_load_target(u, err);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		/* What runs is left alone, and a release can be loaded again. */
		sk_error("no release here can be read; waiting for one");
		return 0;
	}
	run = sk_generations_running(u->gens);
	sk_update_feed(u,
		       run && run->state == SK_GEN_TRYING ? SK_UPD_EV_TRYING : SK_UPD_EV_RESTORE);
	return 0;
}

void sk_update_halt(struct sk_update *u)
{
	u->halted = true;
	u->timer = sd_event_source_disable_unref(u->timer);
	u->repair = sd_event_source_disable_unref(u->repair);
}

const char *sk_update_running_name(const struct sk_update *u)
{
	return u->running_name;
}
