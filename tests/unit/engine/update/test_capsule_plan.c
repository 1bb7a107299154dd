/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "engine/update/labels.h"
#include "world.h"

static const struct spec one = { "1.0", { "d1", "w1", "j1" } };

/* Another capsule with the label of @like's app, made for generation @generation, running or not. */
static const char *twin(const char *like, uint64_t generation)
{
	struct sk_capsule_view v;
	struct sk_capsule *c;
	const char *id;
	struct sk_capsule_spec spec = { .generation = generation };

	assert_int_equal(fake_running(like, &id), 1);
	sk_capsule_view(sk_engine_find(w.engine, id, NULL), &v);
	spec.app = v.app;
	spec.image = v.image;
	spec.labels = v.labels;
	assert_int_equal(sk_engine_create(w.engine, &spec, &c, NULL), 0);
	sk_capsule_view(c, &v);
	return v.id;
}

static struct sk_capsule_plan plan;

/* Anew, for what is to run. */
static void make_plan(const struct sk_release *rel)
{
	const struct sk_part_target to = { .generation = 1, .release = rel };

	assert_int_equal(sk_capsule_plan_make(&plan, w.engine, &to, NULL, NULL), 0);
	assert_true(sk_capsule_plan_is_for(&plan, &to));
}

static int end(void **state)
{
	sk_capsule_plan_clear(&plan);
	return teardown(state);
}

static const struct sk_desired *desired_of(const char *app)
{
	for (size_t i = 0; i < plan.n_desired; i++)
		if (sk_streq(plan.desired[i].app->name, app))
			return &plan.desired[i];
	fail_msg("no %s", app);
	return NULL;
}

/* What runs is what is desired: nothing to do. */
static void adopts(void **state)
{
	const char *id;

	go(&one);
	make_plan(w.u->target);
	assert_int_equal(plan.n_desired, 3);
	assert_int_equal(sk_strv_len(plan.surplus), 0);
	assert_int_equal(fake_running("web", &id), 1);
	assert_string_equal(desired_of("web")->id, id);
}

/* Of two that are both right the one that runs stays, whichever comes first. */
static void of_two_the_running_one(void **state)
{
	const char *id, *second;

	go(&one);
	assert_int_equal(fake_running("web", &id), 1);
	second = twin("web", 1);
	make_plan(w.u->target);
	assert_string_equal(desired_of("web")->id, id);
	assert_int_equal(sk_strv_len(plan.surplus), 1);
	assert_string_equal(plan.surplus[0], second);
}

/* What somebody made by hand is nobody's business here. */
static void leaves_others_alone(void **state)
{
	go(&one);
	(void)twin("web", 0);
	make_plan(w.u->target);
	assert_int_equal(sk_strv_len(plan.surplus), 0);
}

/* Labels that say nothing: the capsule does not belong. */
static void odd_labels(void **state)
{
	char *labels[] = { (char *)SK_LABEL_FINGERPRINT "zz", (char *)SK_LABEL_ORDER "-7", NULL };
	struct sk_app app = { .name = (char *)"web" };
	struct sk_capsule_spec spec = { .app = &app, .generation = 9, .labels = labels };
	struct sk_capsule *c;
	struct sk_capsule_view v;

	go(&one);
	assert_int_equal(sk_engine_create(w.engine, &spec, &c, NULL), 0);
	sk_capsule_view(c, &v);
	assert_string_equal(sk_update_label(&v, SK_LABEL_ORDER), "-7");
	assert_null(sk_update_label(&v, SK_LABEL_PROJECT));
	make_plan(w.u->target);
	assert_int_equal(sk_strv_len(plan.surplus), 1);
	assert_string_equal(plan.surplus[0], v.id);
}

/* Nothing is desired: all go, those that others depend on last. */
static void nothing_desired(void **state)
{
	const char *db, *web, *job;

	go(&one);
	assert_int_equal(fake_running("db", &db), 1);
	assert_int_equal(fake_running("web", &web), 1);
	assert_int_equal(fake_running("job", &job), 1);
	make_plan(NULL);
	assert_int_equal(plan.n_desired, 0);
	assert_int_equal(sk_strv_len(plan.surplus), 3);
	assert_string_equal(plan.surplus[0], job);
	assert_string_equal(plan.surplus[1], web);
	assert_string_equal(plan.surplus[2], db);
}

#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(adopts),	  TEST(of_two_the_running_one), TEST(leaves_others_alone),
		TEST(odd_labels), TEST(nothing_desired),
	};

	return cmocka_run_group_tests_name("engine/update/capsule_plan", tests, NULL, NULL);
}
