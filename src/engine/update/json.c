/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/clock.h"
#include "engine/update/private.h"
#include "io/json.h"

static int put_time(json_t *j, const char *key, int64_t unix_s)
{
	char text[32];

	return unix_s ? json_object_set_new(j, key, json_string(sk_time_format(text, unix_s))) : 0;
}

json_t *sk_update_image_json(struct sk_update *u, const struct sk_digest *d, uint64_t size_bytes)
{
	bool have = sk_store_has(u->store, d);
	uint64_t offset = have ? size_bytes : sk_store_part_bytes(u->store, d);

	return json_pack("{s:s, s:I, s:b, s:I}", "digest", SK_DIGEST_STR(d), "size_bytes",
			 (json_int_t)size_bytes, "have", have, "offset",
			 (json_int_t)SK_MIN(offset, size_bytes));
}

json_t *sk_update_release_json(struct sk_update *u, const struct sk_release *rel)
{
	const struct sk_manifest *m = rel->manifest;
	json_t *images = json_array();

	for (size_t i = 0; i < m->n_images; i++) {
		json_t *image =
			sk_update_image_json(u, &m->images[i].digest, m->images[i].size_bytes);

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

json_t *sk_update_generations_json(const struct sk_update *u)
{
	const struct sk_generation *run = sk_generations_running(u->gens);
	json_t *list = json_array();
	size_t n;
	const struct sk_generation *all = sk_generations_all(u->gens, &n);

	for (size_t i = 0; i < n; i++) {
		json_t *j = generation_json(&all[i]);

		if (j && run && run->number == all[i].number)
			(void)json_object_set_new(j, "running", json_true());
		if (j && sk_generations_is_aside(u->gens, all[i].number))
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

static json_t *capsules_json(struct sk_update *u)
{
	struct sk_capsule *c;
	size_t pos = 0;
	json_int_t total = 0, running = 0, unhealthy = 0;

	while ((c = sk_engine_next(u->engine, &pos))) {
		struct sk_capsule_view v;

		sk_capsule_view(c, &v);
		total++;
		running += v.state == SK_CAPSULE_RUNNING;
		unhealthy += v.state == SK_CAPSULE_FAILED || v.health == SK_HEALTH_UNHEALTHY;
	}
	return json_pack("{s:I, s:I, s:I}", "total", total, "running", running, "unhealthy",
			 unhealthy);
}

static json_t *clock_json(const struct sk_update *u)
{
	json_t *j = json_pack("{s:b}", "trusted", sk_update_clock_trusted(u));

	if (j)
		(void)put_time(j, "now", sk_wall_s());
	return j;
}

json_t *sk_update_status_json(struct sk_update *u)
{
	const struct sk_generation *run = sk_generations_running(u->gens);
	const struct sk_generation *good = sk_generations_good(u->gens);

	return json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:I}}", "skerry",
			 SK_VERSION, "halted", u->halted, "compatible", sk_json_strv(u->compatible),
			 "generation", running_json(run, u->target), "good",
			 running_json(good, u->good), "update", sk_update_news_json(u), "capsules",
			 capsules_json(u), "clock", clock_json(u), "missing",
			 sk_update_missing_images_json(u), "missing_releases",
			 sk_update_missing_releases_json(u), "store", "free_bytes",
			 (json_int_t)sk_update_free_bytes(u));
}
