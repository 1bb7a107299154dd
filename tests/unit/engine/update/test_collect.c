/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>

#include "world.h"

static bool here(const char *name, const char *salt)
{
	struct sk_image_ref image = make_image(name, salt, false);

	return sk_store_has(w.store, &image.digest);
}

/* The two last good generations stay, with what they need; a bad one's images go. */
static void what_generations_need(void **state)
{
	go(&(struct spec){ "1.0", { "d1" } });
	go(&(struct spec){ "2.0", { "d2" } });
	go(&(struct spec){ "3.0", { "d3" } });
	assert_false(here("db.itb", "d1"));
	assert_true(here("db.itb", "d2"));
	assert_true(here("db.itb", "d3"));
	fake_fail_start = "db";
	go(&(struct spec){ "4.0", { "d4" } });
	fake_fail_start = NULL;
	sk_update_reconcile(w.u);
	run_until_idle();
	assert_false(here("db.itb", "d4"));
	assert_true(here("db.itb", "d3"));
	/* Over and over: nothing more goes. */
	sk_update_collect(w.u);
	sk_update_collect(w.u);
	assert_true(here("db.itb", "d2"));
	assert_true(here("db.itb", "d3"));
}

/* Images of a release that was sent but not applied yet stay, until the release goes. */
static void what_a_kept_release_needs(void **state)
{
	struct sk_digest id;

	go(&(struct spec){ "1.0", { "d1" } });
	assert_int_equal(intake(&(struct spec){ "2.0", { "d2" } }, &id, NULL), 0);
	sk_update_collect(w.u);
	assert_true(here("db.itb", "d2"));
	(void)make_image("web.itb", "nobody's", true);
	assert_int_equal(sk_update_kept_drop(w.u, &id, NULL), 0);
	sk_update_collect(w.u);
	assert_false(here("db.itb", "d2"));
	assert_false(here("web.itb", "nobody's"));
	assert_true(here("db.itb", "d1"));
}

/* A capsule that no release made keeps its image. */
static void what_a_capsule_runs_from(void **state)
{
	struct sk_image_ref image = make_image("tool.itb", "t", true);
	struct sk_app app = { .name = (char *)"tool" };
	const struct sk_capsule_spec spec = { .app = &app, .image = image.digest };
	struct sk_capsule *c;

	go(&(struct spec){ "1.0", { "d1" } });
	assert_false(here("tool.itb", "t"));
	(void)make_image("tool.itb", "t", true);
	assert_int_equal(sk_engine_create(w.engine, &spec, &c, NULL), 0);
	sk_update_collect(w.u);
	assert_true(here("tool.itb", "t"));
}

static bool is_the_one(void *arg, const struct sk_digest *d)
{
	return sk_digest_equal(arg, d);
}

static void what_others_ask_for(void **state)
{
	struct sk_image_ref image = make_image("tool.itb", "t", true);

	w.u->keep_image = is_the_one;
	w.u->keep_arg = &image.digest;
	sk_update_collect(w.u);
	assert_true(here("tool.itb", "t"));
	w.u->keep_image = NULL;
	sk_update_collect(w.u);
	assert_false(here("tool.itb", "t"));
}

/* A generation whose release cannot be read, and that nothing runs instead of: nothing goes at all. */
static void nothing_when_it_is_not_known(void **state)
{
	_cleanup_free_ char *path = NULL;
	FILE *f;

	go(&(struct spec){ "1.0", { "d1" } });
	path = release_path(&sk_generations_running(w.u->gens)->release);
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fclose(f);
	(void)make_image("tool.itb", "t", true);
	sk_update_collect(w.u);
	assert_true(here("tool.itb", "t"));
	assert_true(here("db.itb", "d1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_generations_need),	    TEST(what_a_kept_release_needs),
		TEST(what_a_capsule_runs_from),	    TEST(what_others_ask_for),
		TEST(nothing_when_it_is_not_known),
	};

	return cmocka_run_group_tests_name("engine/update/collect", tests, NULL, NULL);
}
