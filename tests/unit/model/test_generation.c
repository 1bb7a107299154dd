/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "model/generation.h"

#define NONE SK_GEN_STATES

/* Where each event leads from each state; NONE: there is no such move. */
static const enum sk_gen_state expected[SK_GEN_STATES][SK_GEN_EVENTS] = {
	/* clang-format off */
	/*                  apply          boot           healthy      unhealthy   cancel      spent       reboot */
	[SK_GEN_STAGED] = { SK_GEN_TRYING, SK_GEN_STAGED, NONE,        NONE,       SK_GEN_BAD, NONE,       NONE },
	[SK_GEN_TRYING] = { NONE,          SK_GEN_TRYING, SK_GEN_GOOD, SK_GEN_BAD, SK_GEN_BAD, SK_GEN_BAD, SK_GEN_BAD },
	[SK_GEN_GOOD]   = { NONE,          SK_GEN_GOOD,   NONE,        NONE,       NONE,       NONE,       SK_GEN_GOOD },
	[SK_GEN_BAD]    = { NONE,          SK_GEN_BAD,    NONE,        NONE,       NONE,       NONE,       NONE },
	/* clang-format on */
};

static void each_move(void **state)
{
	for (unsigned s = 0; s < SK_GEN_STATES; s++) {
		for (unsigned e = 0; e < SK_GEN_EVENTS; e++) {
			struct sk_generation g = { .number = 1, .state = (enum sk_gen_state)s };
			const struct sk_generation before = g;
			unsigned actions = 0;
			int r = sk_gen_step(&g, (enum sk_gen_event)e, "why", 5, &actions);

			assert_int_equal(sk_gen_allowed((enum sk_gen_state)s, (enum sk_gen_event)e),
					 r == 0);
			if (expected[s][e] == NONE) {
				assert_int_equal(r, -EINVAL);
				assert_memory_equal(&g, &before, sizeof(g));
				continue;
			}
			assert_int_equal(r, 0);
			assert_int_equal(g.state, expected[s][e]);
			/* A move to another state is always recorded. */
			if (g.state != before.state)
				assert_true(actions & SK_GEN_ACT_SAVE);
		}
	}
}

/* The link moves when, and only when, a lasting generation proved healthy. */
static void link_moves_only_when_good(void **state)
{
	for (unsigned s = 0; s < SK_GEN_STATES; s++) {
		for (unsigned e = 0; e < SK_GEN_EVENTS; e++) {
			struct sk_generation g = { .state = (enum sk_gen_state)s };
			unsigned actions = 0;
			bool links;

			if (sk_gen_step(&g, (enum sk_gen_event)e, NULL, 0, &actions) < 0)
				continue;
			links = s == SK_GEN_TRYING && e == SK_GEN_EV_HEALTHY;
			assert_int_equal(!!(actions & SK_GEN_ACT_LINK), links);
			g = (struct sk_generation){ .state = (enum sk_gen_state)s,
						    .ephemeral = true };
			assert_int_equal(sk_gen_step(&g, (enum sk_gen_event)e, NULL, 0, &actions),
					 0);
			assert_false(actions & SK_GEN_ACT_LINK);
		}
	}
}

static void boots_are_counted(void **state)
{
	struct sk_generation g = { .number = 2, .state = SK_GEN_TRYING, .boots_max = 2 };
	unsigned actions;

	for (unsigned boot = 1; boot <= 2; boot++) {
		assert_int_equal(sk_gen_boot_event(&g), SK_GEN_EV_BOOT);
		assert_int_equal(sk_gen_step(&g, SK_GEN_EV_BOOT, NULL, 0, &actions), 0);
		assert_int_equal(g.boots, boot);
		assert_int_equal(actions, SK_GEN_ACT_SAVE);
	}
	assert_int_equal(sk_gen_boot_event(&g), SK_GEN_EV_BOOTS_SPENT);
	assert_int_equal(sk_gen_step(&g, SK_GEN_EV_BOOTS_SPENT, "spent", 0, &actions), 0);
	assert_int_equal(g.state, SK_GEN_BAD);
	assert_string_equal(g.reason, "spent");
	g = (struct sk_generation){ .state = SK_GEN_TRYING, .boots_max = 0 };
	assert_int_equal(sk_gen_boot_event(&g), SK_GEN_EV_BOOTS_SPENT);
	g = (struct sk_generation){ .state = SK_GEN_STAGED, .boots_max = 0 };
	assert_int_equal(sk_gen_boot_event(&g), SK_GEN_EV_BOOT);
}

static void ephemeral_ends(void **state)
{
	struct sk_generation g = { .state = SK_GEN_STAGED, .ephemeral = true, .boots_max = 3 };

	assert_int_equal(sk_gen_boot_event(&g), SK_GEN_EV_BOOT);
	g.state = SK_GEN_TRYING;
	assert_int_equal(sk_gen_boot_event(&g), SK_GEN_EV_REBOOT);
	g.state = SK_GEN_GOOD;
	assert_int_equal(sk_gen_boot_event(&g), SK_GEN_EV_REBOOT);
	g.state = SK_GEN_BAD;
	assert_int_equal(sk_gen_boot_event(&g), SK_GEN_EV_BOOT);
}

static void picks(void **state)
{
	struct sk_generation g[] = {
		{ .number = 1, .state = SK_GEN_GOOD },
		{ .number = 2, .state = SK_GEN_GOOD, .ephemeral = true },
		{ .number = 3, .state = SK_GEN_BAD },
		{ .number = 4, .state = SK_GEN_STAGED },
	};

	assert_int_equal(sk_gen_pick_running(g, 0), -1);
	assert_int_equal(sk_gen_pick_good(g, 0, false), -1);
	assert_int_equal(sk_gen_pick_running(g, 4), 1);
	assert_int_equal(sk_gen_pick_good(g, 4, false), 1);
	assert_int_equal(sk_gen_pick_good(g, 4, true), 0);
	g[3].state = SK_GEN_TRYING;
	assert_int_equal(sk_gen_pick_running(g, 4), 3);
	/* A first generation that failed: none runs. */
	assert_int_equal(sk_gen_pick_running(g + 2, 1), -1);
}

static const char *reason_for(const char *text)
{
	static struct sk_generation g;
	unsigned actions;

	g = (struct sk_generation){ .state = SK_GEN_TRYING };
	assert_int_equal(sk_gen_step(&g, SK_GEN_EV_UNHEALTHY, text, 0, &actions), 0);
	return g.reason;
}

static void reasons_are_fit_to_print(void **state)
{
	char longest[2 * SK_GEN_REASON_MAX];

	assert_string_equal(reason_for("web: exit status 1"), "web: exit status 1");
	assert_string_equal(reason_for("a\nb\tc\x7f"), "a b c ");
	assert_string_equal(reason_for("\x1b[31mred"), " [31mred");
	assert_string_equal(reason_for("h\xc3\xa4lt"), "h\xc3\xa4lt");
	/* Not UTF-8: lone, overlong, surrogate, cut off. */
	assert_string_equal(reason_for("\xff\x80"), "??");
	assert_string_equal(reason_for("\xc0\xaf"), "??");
	assert_string_equal(reason_for("\xed\xa0\x80"), "???");
	assert_string_equal(reason_for("a\xe2\x82z"), "a??z");
	assert_string_equal(reason_for("a\xe2\x82"), "a");
	assert_string_equal(reason_for("a\xe2\x80\xaez"), "a   z"); /* turns what follows round */
	assert_string_equal(reason_for("\xf0\x9f\x9a\xa2"), "\xf0\x9f\x9a\xa2");
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(strlen(reason_for(longest)), SK_GEN_REASON_MAX - 1);
	/* A character at the bound is left out whole. */
	memcpy(longest + SK_GEN_REASON_MAX - 2, "\xc3\xa4", 2);
	assert_int_equal(strlen(reason_for(longest)), SK_GEN_REASON_MAX - 2);
}

static void names(void **state)
{
	assert_string_equal(sk_gen_state_name(SK_GEN_TRYING), "trying");
	assert_string_equal(sk_gen_state_name((enum sk_gen_state)99), "?");
	assert_string_equal(sk_gen_event_name(SK_GEN_EV_BOOTS_SPENT), "boots-spent");
	assert_string_equal(sk_gen_event_name((enum sk_gen_event)99), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_move),
		cmocka_unit_test(link_moves_only_when_good),
		cmocka_unit_test(boots_are_counted),
		cmocka_unit_test(ephemeral_ends),
		cmocka_unit_test(picks),
		cmocka_unit_test(reasons_are_fit_to_print),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests_name("model/generation", tests, NULL, NULL);
}
