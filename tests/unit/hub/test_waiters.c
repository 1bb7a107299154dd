/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "hub/domain/waiters.h"

/* Waiting polls, without a network: what is done to them is written down. */
static struct sk_err err;

#define NONE -1

static struct {
	int end; /* the last: enum sk_poll_end, NONE */
	const void *of;
	unsigned ends, jobs;
	bool suspend_fails;
} seen;

/* The poll of device n is the address of polls[n]. */
static char polls[64];

static int note_suspend(void *poll, struct sk_waiters *w)
{
	return seen.suspend_fails ? -ENOMEM : 0;
}

static void note_end(void *poll, enum sk_poll_end why, json_t *job)
{
	seen.end = (int)why;
	seen.of = poll;
	seen.ends++;
	seen.jobs += job != NULL;
}

static const struct sk_poll_ops ops = { .suspend = note_suspend, .end = note_end };

static struct sk_waiters *fresh(void)
{
	memset(&seen, 0, sizeof(seen));
	seen.end = NONE;
	return sk_waiters_new();
}

static int add(struct sk_waiters *w, char *poll, struct sk_waiting who, uint64_t until_ms,
	       uint64_t epoch)
{
	return sk_waiters_add(w, &(struct sk_poll){ &ops, poll, who, until_ms }, epoch, &err);
}

static int wait_for(struct sk_waiters *w, int64_t device, uint64_t until_ms)
{
	return add(w, &polls[device], (struct sk_waiting){ 1 + device % 2, device % 4, device },
		   until_ms, sk_waiters_epoch(w));
}

static void a_newer_poll_ends_the_older(void **state)
{
	_cleanup_(sk_waiters_freep) struct sk_waiters *w = fresh();
	struct sk_waiting who = { 1, 1, 3 };

	assert_int_equal(wait_for(w, 3, 10), 0);
	assert_int_equal(add(w, &polls[0], who, 20, sk_waiters_epoch(w)), 0);
	assert_int_equal(seen.end, SK_POLL_NOTHING);
	assert_ptr_equal(seen.of, &polls[3]);
	assert_int_equal(sk_waiters_count(w), 1);
	sk_waiters_expire(w, 15);
	assert_true(sk_waiters_has(w, 3));
	sk_waiters_expire(w, 20);
	assert_false(sk_waiters_has(w, 3));
	assert_int_equal(seen.ends, 2);
}

/* What changed between the look into the database and the wait is not slept over. */
static void who_looked_before_a_change_looks_again(void **state)
{
	_cleanup_(sk_waiters_freep) struct sk_waiters *w = fresh();
	uint64_t epoch = sk_waiters_epoch(w);
	struct sk_waiting who = { 1, 1, 5 };

	sk_waiters_touch(w);
	assert_int_equal(add(w, &polls[5], who, 10, epoch), 1);
	assert_int_equal(sk_waiters_count(w), 0);
	assert_int_equal(seen.ends, 0);
	epoch = sk_waiters_epoch(w);
	sk_waiters_drop(w, 6); /* anybody's session that ends counts as a change */
	assert_int_equal(add(w, &polls[5], who, 10, epoch), 1);
}

static void the_answer_is_for_one(void **state)
{
	_cleanup_(sk_waiters_freep) struct sk_waiters *w = fresh();
	json_t *job = json_object();

	assert_int_equal(wait_for(w, 1, 10), 0);
	assert_int_equal(wait_for(w, 2, 10), 0);
	assert_int_equal(sk_waiters_end(w, 2, SK_POLL_JOB, job), 1);
	assert_int_equal(seen.end, SK_POLL_JOB);
	assert_int_equal(seen.jobs, 1);
	assert_ptr_equal(seen.of, &polls[2]);
	assert_int_equal(sk_waiters_end(w, 2, SK_POLL_JOB, job), 0);
	assert_int_equal(sk_waiters_end(w, 1, SK_POLL_NOTHING, NULL), 1);
	assert_int_equal(seen.end, SK_POLL_NOTHING);
	assert_int_equal(seen.ends, 2);
	json_decref(job);
}

static void a_session_that_ends_ends_its_poll(void **state)
{
	_cleanup_(sk_waiters_freep) struct sk_waiters *w = fresh();

	assert_int_equal(wait_for(w, 7, 10), 0);
	assert_int_equal(wait_for(w, 8, 10), 0);
	sk_waiters_drop(w, 7);
	assert_int_equal(seen.end, SK_POLL_SESSION_ENDED);
	assert_ptr_equal(seen.of, &polls[7]);
	assert_true(sk_waiters_has(w, 8));
}

/* The peer of a poll that was answered already, or whose device polls anew, is not looked for. */
static void who_left_is_forgotten_once(void **state)
{
	_cleanup_(sk_waiters_freep) struct sk_waiters *w = fresh();

	assert_int_equal(wait_for(w, 9, 10), 0);
	sk_waiters_gone(w, 9, &polls[8]);
	assert_int_equal(sk_waiters_count(w), 1);
	sk_waiters_gone(w, 9, &polls[9]);
	assert_int_equal(sk_waiters_count(w), 0);
	sk_waiters_gone(w, 9, &polls[9]);
	assert_int_equal(sk_waiters_end(w, 9, SK_POLL_CRLS, NULL), 0);
	assert_int_equal(seen.ends, 0);
}

static void without_memory_nobody_waits(void **state)
{
	_cleanup_(sk_waiters_freep) struct sk_waiters *w = fresh();

	seen.suspend_fails = true;
	assert_int_equal(wait_for(w, 4, 10), -ENOMEM);
	assert_int_equal(sk_waiters_count(w), 0);
	assert_false(sk_waiters_has(w, 4));
}

static void only_those_that_are_meant(void **state)
{
	static const struct {
		struct sk_waiting meant;
		size_t n;
	} cases[] = {
		{ { 0 }, 32 },		 { { .org = 1 }, 16 },
		{ { .org = 3 }, 0 },	 { { .deployment = 2 }, 8 },
		{ { .device = 17 }, 1 }, { { .org = 2, .device = 16 }, 0 },
		{ { .device = 99 }, 0 }, { { .org = 2, .deployment = 1 }, 8 },
	};
	_cleanup_(sk_waiters_freep) struct sk_waiters *w = fresh();

	for (int64_t d = 1; d <= 32; d++)
		assert_int_equal(wait_for(w, d, 10), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ struct sk_waiting *list = NULL;

		assert_int_equal(sk_waiters_list(w, &cases[i].meant, &list), cases[i].n);
	}
	sk_waiters_expire(w, 9);
	assert_int_equal(sk_waiters_count(w), 32);
	sk_waiters_expire(w, 10);
	assert_int_equal(sk_waiters_count(w), 0);
	assert_int_equal(seen.ends, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_newer_poll_ends_the_older),
		cmocka_unit_test(who_looked_before_a_change_looks_again),
		cmocka_unit_test(the_answer_is_for_one),
		cmocka_unit_test(a_session_that_ends_ends_its_poll),
		cmocka_unit_test(who_left_is_forgotten_once),
		cmocka_unit_test(without_memory_nobody_waits),
		cmocka_unit_test(only_those_that_are_meant),
	};

	return cmocka_run_group_tests_name("hub/waiters", tests, NULL, NULL);
}
