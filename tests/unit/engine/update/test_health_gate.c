/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdlib.h>

#include "base/clock.h"
#include "world.h"

static const struct spec one = { "1.0", { "d1", "w1", "j1" } };

static void until(enum sk_upd_state state)
{
	for (int i = 0; sk_machine_state(w.u->machine) != state; i++) {
		assert_true(i < 10000);
		assert_true(sd_event_run(w.event, 1000000) >= 0);
	}
}

/* Not a moment before the settle time is over: the manifest says a second. */
static void settles_for_as_long_as_it_says(void **state)
{
	uint64_t from_ms;

	(void)apply(&one);
	until(SK_UPD_SETTLING);
	from_ms = sk_mono_ms();
	assert_int_equal(sk_generations_running(w.u->gens)->state, SK_GEN_TRYING);
	until(SK_UPD_IDLE);
	assert_true(sk_mono_ms() - from_ms >= 1000);
	assert_int_equal(sk_generations_running(w.u->gens)->state, SK_GEN_GOOD);
}

/* A capsule that goes away while all wait for the settle time. */
static void one_disappears(void **state)
{
	const char *id;
	struct sk_capsule *c;

	(void)apply(&one);
	until(SK_UPD_SETTLING);
	assert_int_equal(fake_running("web", &id), 1);
	c = sk_engine_find(w.engine, id, NULL);
	fake_forget(c);
	fake_event(NULL, "destroy");
	until(SK_UPD_REVERTING);
	assert_string_equal(w.u->progress.reason, "capsule web is gone");
	run_until_idle();
	assert_string_equal(w.u->progress.step, "bad");
}

/* An event at any other time starts no look. */
static void events_outside(void **state)
{
	uint64_t seq;

	go(&one);
	seq = w.u->progress.seq;
	fake_event(NULL, "start");
	for (int i = 0; i < 5; i++)
		assert_true(sd_event_run(w.event, 1000) >= 0);
	assert_int_equal(w.u->progress.seq, seq);
	assert_int_equal(sk_machine_state(w.u->machine), SK_UPD_IDLE);
}

/* What a capsule says about its illness is one printable line of the reason. */
static void words_of_a_capsule(void **state)
{
	go(&one);
	fake_sick = "web";
	(void)apply(&(struct spec){ "2.0", { "d1", "w2", "j1" } });
	until(SK_UPD_REVERTING);
	fake_sick = NULL;
	assert_string_equal(w.u->progress.reason, "capsule web is unhealthy: HTTP 500");
	run_until_idle();
}

/* One that is on its way up has as long as the manifest says, a hundred seconds, and settles after that. */
static void one_takes_its_time(void **state)
{
	const char *id;
	struct sk_capsule *c;
	uint64_t from_ms;

	(void)apply(&one);
	until(SK_UPD_SETTLING);
	assert_int_equal(fake_running("web", &id), 1);
	c = sk_engine_find(w.engine, id, NULL);
	fake_set_state(c, SK_CAPSULE_BACKOFF);
	fake_event(c, "die");
	for (from_ms = sk_mono_ms(); sk_mono_ms() - from_ms < 10000;)
		assert_true(sd_event_run(w.event, 1000) >= 0);
	assert_int_equal(sk_machine_state(w.u->machine), SK_UPD_SETTLING);
	fake_set_state(c, SK_CAPSULE_RUNNING);
	fake_event(c, "start");
	run_until_idle();
	assert_string_equal(w.u->progress.step, "good");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(settles_for_as_long_as_it_says),
		TEST(one_disappears),
		TEST(one_takes_its_time),
		TEST(events_outside),
		TEST(words_of_a_capsule),
	};

	return cmocka_run_group_tests_name("engine/update/health_gate", tests, NULL, NULL);
}
