/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "engine/api/handlers.h"
#include "io/json.h"
#include "world.h"

static const struct spec one = { "1.0", { "d1", "w1" } };

static json_int_t number(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

/* How much of an image is here: what an upload goes on from. */
static void images(void **state)
{
	struct sk_image_ref image = make_image("db.itb", "d1", false);
	_cleanup_(sk_staged_closep) struct sk_staged *st = NULL;
	_cleanup_json_ json_t *none = NULL, *part = NULL, *whole = NULL;

	none = sk_api_image_json(&w.api, &image.digest, image.size_bytes);
	assert_true(json_is_false(json_object_get(none, "have")));
	assert_int_equal(number(none, "offset"), 0);
	assert_int_equal(sk_staged_open(w.store, &image.digest, image.size_bytes, &st, NULL), 0);
	assert_int_equal(sk_staged_write(st, "abc", 3, NULL), 0);
	part = sk_api_image_json(&w.api, &image.digest, image.size_bytes);
	assert_int_equal(number(part, "offset"), 3);
	sk_staged_drop(TAKE_PTR(st));
	(void)make_image("db.itb", "d1", true);
	whole = sk_api_image_json(&w.api, &image.digest, image.size_bytes);
	assert_true(json_is_true(json_object_get(whole, "have")));
	assert_int_equal(number(whole, "offset"), image.size_bytes);
}

static void generations(void **state)
{
	_cleanup_json_ json_t *list = NULL;
	_cleanup_free_ char *path = NULL;
	const json_t *g;

	go(&one);
	go(&(struct spec){ "2.0", { "d2", "w1" } });
	path = release_path(&sk_generations_running(w.u->gens)->release);
	assert_int_equal(truncate(path, 10), 0);
	power_cut();
	run_until_idle();
	list = sk_api_generations_json(&w.api);
	assert_int_equal(json_array_size(list), 2);
	g = json_array_get(list, 0);
	assert_true(json_is_true(json_object_get(g, "running")));
	assert_null(json_object_get(g, "damaged"));
	g = json_array_get(list, 1);
	assert_null(json_object_get(g, "running"));
	assert_true(json_is_true(json_object_get(g, "damaged")));
	assert_string_equal(json_string_value(json_object_get(g, "state")), "good");
}

/* What the agent looks at: images of the running release that are gone. */
static void missing(void **state)
{
	_cleanup_json_ json_t *before = NULL, *after = NULL;
	struct sk_image_ref web;

	go(&one);
	web = make_image("web.itb", "w1", false);
	before = sk_api_status_json(&w.api);
	assert_int_equal(json_array_size(json_object_get(before, "missing")), 0);
	assert_int_equal(number(json_object_get(before, "capsules"), "running"), 2);
	assert_int_equal(sk_store_remove(w.store, &web.digest, NULL), 0);
	after = sk_api_status_json(&w.api);
	assert_int_equal(json_array_size(json_object_get(after, "missing")), 1);
	assert_string_equal(
		json_string_value(json_object_get(
			json_array_get(json_object_get(after, "missing"), 0), "digest")),
		SK_DIGEST_STR(&web.digest));
}

/* A device that has nothing yet says so in the same shape. */
static void a_new_device(void **state)
{
	_cleanup_json_ json_t *j = sk_api_status_json(&w.api);

	assert_true(json_is_null(json_object_get(j, "generation")));
	assert_true(json_is_null(json_object_get(j, "good")));
	assert_int_equal(json_array_size(json_object_get(j, "missing")), 0);
	assert_true(json_is_false(json_object_get(json_object_get(j, "clock"), "trusted")));
	assert_int_equal(json_array_size(json_object_get(j, "compatible")), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(images),
		TEST(generations),
		TEST(missing),
		TEST(a_new_device),
	};

	return cmocka_run_group_tests_name("engine/api/json", tests, NULL, NULL);
}
