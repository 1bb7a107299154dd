/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "engine/api/handlers.h"
#include "io/json.h"

static int put_time(json_t *j, const char *key, int64_t unix_s)
{
	char text[32];

	return unix_s ? json_object_set_new(j, key, json_string(sk_time_format(text, unix_s))) : 0;
}

json_t *sk_api_image_json(const struct sk_api *api, const struct sk_digest *d, uint64_t size_bytes)
{
	bool have = sk_store_has(api->store, d);
	uint64_t offset = have ? size_bytes : sk_store_part_bytes(api->store, d);

	return json_pack("{s:s, s:I, s:b, s:I}", "digest", SK_DIGEST_STR(d), "size_bytes",
			 (json_int_t)size_bytes, "have", have, "offset",
			 (json_int_t)SK_MIN(offset, size_bytes));
}

json_t *sk_api_release_json(const struct sk_api *api, const struct sk_release *rel)
{
	const struct sk_manifest *m = rel->manifest;
	json_t *images = json_array();

	for (size_t i = 0; i < m->n_images; i++) {
		json_t *image =
			sk_api_image_json(api, &m->images[i].digest, m->images[i].size_bytes);

		(void)json_object_set_new(image, "name", json_string(m->images[i].name));
		(void)json_array_append_new(images, image);
	}
	return json_pack("{s:s, s:s, s:s, s:o}", "id", SK_DIGEST_STR(&rel->id), "project",
			 m->project, "version", m->version, "images", images);
}

static json_t *generation_json(const struct sk_generation *g)
{
	json_t *j = json_pack("{s:I, s:s, s:s, s:s, s:b}", "generation", (json_int_t)g->number,
			      "release", SK_DIGEST_STR(&g->release), "version", g->version, "state",
			      sk_gen_state_name(g->state), "ephemeral", g->ephemeral);

	if (!j)
		return NULL;
	if (g->state == SK_GEN_TRYING)
		(void)json_object_set_new(j, "boots", json_integer(g->boots));
	(void)put_time(j, "changed", g->changed_s);
	if (g->reason[0])
		(void)json_object_set_new(j, "reason", json_string(g->reason));
	return j;
}

json_t *sk_api_generations_json(const struct sk_api *api)
{
	const struct sk_generations *gens = sk_update_generations(api->update);
	const struct sk_generation *run = sk_generations_running(gens);
	json_t *list = json_array();
	size_t n;
	const struct sk_generation *all = sk_generations_all(gens, &n);

	for (size_t i = 0; i < n; i++) {
		json_t *j = generation_json(&all[i]);

		if (j && run && run->number == all[i].number)
			(void)json_object_set_new(j, "running", json_true());
		if (j && sk_generations_is_parked(gens, all[i].number))
			(void)json_object_set_new(j, "damaged", json_true());
		(void)json_array_append_new(list, j);
	}
	return list;
}

static json_t *running_json(const struct sk_generation *g, const struct sk_release *rel)
{
	json_t *j = g ? generation_json(g) : json_null();

	if (g && rel)
		(void)json_object_set_new(j, "project", json_string(rel->manifest->project));
	return j;
}

static json_t *capsules_json(const struct sk_api *api)
{
	struct sk_capsule *c;
	size_t pos = 0;
	json_int_t total = 0, running = 0, unhealthy = 0;

	while ((c = sk_engine_next(api->engine, &pos))) {
		struct sk_capsule_view v;

		sk_capsule_view(c, &v);
		total++;
		running += v.state == SK_CAPSULE_RUNNING;
		unhealthy += v.state == SK_CAPSULE_FAILED || v.health == SK_HEALTH_UNHEALTHY;
	}
	return json_pack("{s:I, s:I, s:I}", "total", total, "running", running, "unhealthy",
			 unhealthy);
}

static json_t *clock_json(const struct sk_api *api)
{
	json_t *j = json_pack("{s:b}", "trusted", sk_verifier_clock_trusted(api->verifier));

	if (j)
		(void)put_time(j, "now", sk_wall_s());
	return j;
}

json_t *sk_api_progress_json(const struct sk_api *api)
{
	const struct sk_progress *p = sk_update_progress(api->update);
	json_t *j = json_pack("{s:I, s:s, s:I}", "seq", (json_int_t)p->seq, "step", p->step,
			      "generation", (json_int_t)p->generation);

	if (j && !sk_digest_is_zero(&p->release)) {
		(void)json_object_set_new(j, "release", json_string(SK_DIGEST_STR(&p->release)));
		(void)json_object_set_new(j, "version", json_string(p->version));
	}
	if (j && p->reason[0])
		(void)json_object_set_new(j, "reason", json_string(p->reason));
	return j;
}

struct listing {
	const struct sk_api *api;
	json_t *list;
};

static void missing_image(void *arg, const struct sk_digest *d, uint64_t size_bytes)
{
	const struct listing *l = arg;

	(void)json_array_append_new(l->list, sk_api_image_json(l->api, d, size_bytes));
}

json_t *sk_api_missing_images_json(const struct sk_api *api)
{
	struct listing l = { api, json_array() };

	sk_missing_images(sk_update_missing(api->update), sk_update_target(api->update),
			  missing_image, &l);
	return l.list;
}

static void missing_release(void *arg, const struct sk_digest *id)
{
	const struct listing *l = arg;

	(void)json_array_append_new(l->list, json_string(SK_DIGEST_STR(id)));
}

json_t *sk_api_missing_releases_json(const struct sk_api *api)
{
	struct listing l = { api, json_array() };

	sk_missing_releases(sk_update_missing(api->update), missing_release, &l);
	return l.list;
}

json_t *sk_api_status_json(const struct sk_api *api)
{
	const struct sk_update *u = api->update;
	const struct sk_generations *gens = sk_update_generations(u);
	const struct sk_generation *run = sk_generations_running(gens);
	const struct sk_generation *good = sk_generations_good(gens);

	return json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:I}}", "skerry",
			 SK_VERSION, "halted", sk_update_halted(u), "compatible",
			 sk_json_strv(api->compatible), "generation",
			 running_json(run, sk_update_target(u)), "good",
			 running_json(good, sk_update_good(u)), "update", sk_api_progress_json(api),
			 "capsules", capsules_json(api), "clock", clock_json(api), "missing",
			 sk_api_missing_images_json(api), "missing_releases",
			 sk_api_missing_releases_json(api), "store", "free_bytes",
			 (json_int_t)sk_intake_free_bytes(api->intake));
}
