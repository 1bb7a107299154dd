/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdlib.h>

#include "base/str.h"
#include "engine/api/handlers.h"
#include "io/json.h"
#include "world.h"

static const struct spec one = { "1.0", { "d1" } };

static void told(const char *step, uint64_t generation, const char *version, const char *reason)
{
	_cleanup_json_ json_t *j = sk_api_progress_json(&w.api);

	assert_string_equal(json_string_value(json_object_get(j, "step")), step);
	assert_int_equal(json_integer_value(json_object_get(j, "generation")), generation);
	assert_int_equal(json_integer_value(json_object_get(j, "seq")), w.u->progress.seq);
	if (version)
		assert_string_equal(json_string_value(json_object_get(j, "version")), version);
	else
		assert_null(json_object_get(j, "version"));
	if (reason)
		assert_string_equal(json_string_value(json_object_get(j, "reason")), reason);
	else
		assert_null(json_object_get(j, "reason"));
}

/* Each change is news; what is not known is not said. */
static void each_change_counts(void **state)
{
	uint64_t seq = w.u->progress.seq;

	told("idle", 0, NULL, NULL);
	sk_progress_set(&w.u->progress, "stopping", NULL, "because");
	assert_int_equal(w.u->progress.seq, seq + 1);
	told("stopping", 0, NULL, "because");
	go(&one);
	assert_true(w.u->progress.seq > seq + 3);
	told("good", 1, "1.0", NULL);
}

/* Once nothing is under way: what became of the newest one that was tried. */
static void outcome(void **state)
{
	uint64_t number;
	struct sk_digest other = { { 3 } };

	go(&one);
	fake_fail_start = "db";
	go(&(struct spec){ "2.0", { "d2" } });
	fake_fail_start = NULL;
	told("bad", 2, "2.0", "cannot start capsule db: no such program");
	/* One that is only staged has come to nothing yet. */
	assert_int_equal(sk_generations_stage(w.u->gens, &other, "3.0", false, 3, &number, NULL),
			 0);
	sk_progress_set_outcome(&w.u->progress, w.u->gens);
	told("bad", 2, "2.0", "cannot start capsule db: no such program");
	/* After a start of the daemon too, under another number: nobody waits for what he missed. */
	halt();
	boot();
	run_until_idle();
	told("bad", 2, "2.0", "cannot start capsule db: no such program");
}

/* A long reason of a hostile program stays within its bound, whole characters and one line. */
static void long_reasons(void **state)
{
	char reason[4 * SK_GEN_REASON_MAX];

	memset(reason, 'x', sizeof(reason) - 1);
	reason[sizeof(reason) - 1] = '\0';
	sk_progress_set(&w.u->progress, "bad", NULL, reason);
	assert_int_equal(strlen(w.u->progress.reason), SK_GEN_REASON_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_change_counts),
		TEST(outcome),
		TEST(long_reasons),
	};

	return cmocka_run_group_tests_name("engine/update/progress", tests, NULL, NULL);
}
