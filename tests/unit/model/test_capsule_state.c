/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdbool.h>

#include "base/str.h"
#include "model/capsule_state.h"

#define STEPS 1000000

static uint64_t rnd(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void names_differ(void **state)
{
	for (int a = 0; a < SK_CAP_N_STATES; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(sk_cap_state_name(a), sk_cap_state_name(b));
}

static void every_way_stands_in_the_table(void **state)
{
	for (int s = 0; s < SK_CAP_N_STATES; s++)
		for (int g = 0; g < SK_CAP_N_GOALS; g++) {
			enum sk_cap_event ev = sk_cap_toward(s, g);

			if (ev != SK_CAP_EV_NONE)
				assert_non_null(sk_cap_step(s, ev));
			if (sk_cap_reached(s, g))
				assert_int_equal(ev, SK_CAP_EV_NONE);
		}
}

static void impossible_events(void **state)
{
	assert_null(sk_cap_step(SK_CAP_RUNNING, SK_CAP_EV_PREPARE));
	assert_null(sk_cap_step(SK_CAP_RUNNING, SK_CAP_EV_START));
	assert_null(sk_cap_step(SK_CAP_RUNNING, SK_CAP_EV_DESTROY));
	assert_null(sk_cap_step(SK_CAP_CLEANING, SK_CAP_EV_PREPARE));
	assert_null(sk_cap_step(SK_CAP_GONE, SK_CAP_EV_PREPARE));
}

/* The world of one capsule, as the engine's actions would make it. */
struct world {
	enum sk_cap_state state;
	enum sk_cap_goal goal;
	bool mounted, process, running, files, signalled;
	uint64_t seed;
};

static void act(struct world *w, enum sk_cap_action action)
{
	switch (action) {
	case SK_CAP_DO_CREATE:
		assert_false(w->mounted || w->process);
		w->mounted = true;
		break;
	case SK_CAP_DO_START:
		assert_true(w->mounted && w->process && !w->running);
		w->running = true;
		break;
	case SK_CAP_DO_STOP:
	case SK_CAP_DO_KILL:
		assert_true(w->running);
		w->signalled = true;
		break;
	case SK_CAP_DO_CLEAN:
		assert_true(w->mounted);
		w->process = w->running = w->signalled = false;
		break;
	case SK_CAP_DO_DESTROY:
		assert_false(w->mounted || w->process);
		w->files = false;
		break;
	case SK_CAP_DO_FORGET:
		assert_false(w->files);
		break;
	case SK_CAP_DO_NOTHING:
	case SK_CAP_DO_WAIT:
		break;
	}
}

static void feed(struct world *w, enum sk_cap_event ev)
{
	const struct sk_cap_transition *t = sk_cap_step(w->state, ev);

	assert_non_null(t);
	w->state = t->to;
	act(w, t->action);
}

/* What the outside may answer while something is under way. */
static enum sk_cap_event outcome(struct world *w)
{
	uint64_t x = rnd(&w->seed) % 8;

	switch ((int)w->state) {
	case SK_CAP_PREPARING:
		w->process = x > 0;
		return x > 0 ? SK_CAP_EV_CREATED : SK_CAP_EV_STEP_FAILED;
	case SK_CAP_PREPARED:
		return x == 0 ? SK_CAP_EV_DIED : SK_CAP_EV_NONE;
	case SK_CAP_STARTING:
		return x == 0 ? SK_CAP_EV_DIED : x == 1 ? SK_CAP_EV_STEP_FAILED : SK_CAP_EV_STARTED;
	case SK_CAP_RUNNING:
		return x == 0 ? SK_CAP_EV_DIED : SK_CAP_EV_NONE;
	case SK_CAP_STOPPING:
		return x < 2 ? SK_CAP_EV_KILL : SK_CAP_EV_DIED;
	case SK_CAP_CLEANING:
		w->mounted = false;
		return w->goal == SK_CAP_GOAL_RUNNING && x < 2	 ? SK_CAP_EV_RETRY
		       : w->goal == SK_CAP_GOAL_RUNNING && x < 3 ? SK_CAP_EV_GIVE_UP
								 : SK_CAP_EV_CLEANED;
	case SK_CAP_BACKOFF:
		return SK_CAP_EV_DUE;
	case SK_CAP_DESTROYING:
		return SK_CAP_EV_DESTROYED;
	default:
		return SK_CAP_EV_NONE;
	}
}

/* A long random life: nothing is run twice, lost, or removed while it is in use. */
static void random_lives(void **state)
{
	struct world w = { .files = true, .seed = 0x5eed };
	int lives = 0;

	for (int i = 0; i < STEPS; i++) {
		enum sk_cap_event ev;

		if (w.state == SK_CAP_GONE) {
			w = (struct world){ .files = true, .seed = w.seed };
			lives++;
		}
		if (rnd(&w.seed) % 5 == 0 && w.goal != SK_CAP_GOAL_GONE) {
			w.goal = (enum sk_cap_goal)(rnd(&w.seed) % SK_CAP_N_GOALS);
			if (w.goal == SK_CAP_GOAL_GONE && rnd(&w.seed) % 4)
				w.goal = SK_CAP_GOAL_RUNNING;
		}
		ev = sk_cap_toward(w.state, w.goal);
		if (ev == SK_CAP_EV_NONE)
			ev = outcome(&w);
		if (ev != SK_CAP_EV_NONE)
			feed(&w, ev);
		assert_true(!w.process || sk_cap_live(w.state));
		assert_true(!w.running || w.state == SK_CAP_STARTING || w.state == SK_CAP_RUNNING ||
			    w.state == SK_CAP_STOPPING);
	}
	assert_true(lives > 1000);
}

/* From everywhere each goal is reached when the outside behaves. */
static void goals_are_reached(void **state)
{
	for (int s = 0; s < SK_CAP_GONE; s++)
		for (int g = 0; g < SK_CAP_N_GOALS; g++) {
			enum sk_cap_state at = s;
			int left = 20;

			while (!sk_cap_reached(at, g) && left-- > 0) {
				static const enum sk_cap_event kind[SK_CAP_N_STATES] = {
					[SK_CAP_PREPARING] = SK_CAP_EV_CREATED,
					[SK_CAP_STARTING] = SK_CAP_EV_STARTED,
					[SK_CAP_STOPPING] = SK_CAP_EV_DIED,
					[SK_CAP_CLEANING] = SK_CAP_EV_CLEANED,
					[SK_CAP_BACKOFF] = SK_CAP_EV_DUE,
					[SK_CAP_DESTROYING] = SK_CAP_EV_DESTROYED,
				};
				enum sk_cap_event ev = sk_cap_toward(at, g);

				ev = ev ? ev : kind[at];
				if (!ev)
					break;
				at = sk_cap_step(at, ev)->to;
			}
			/* What is being removed does not come back. */
			if (s != SK_CAP_DESTROYING || g == SK_CAP_GOAL_GONE ||
			    g == SK_CAP_GOAL_STOPPED)
				assert_true(sk_cap_reached(at, g));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_differ),
		cmocka_unit_test(every_way_stands_in_the_table),
		cmocka_unit_test(impossible_events),
		cmocka_unit_test(random_lives),
		cmocka_unit_test(goals_are_reached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
