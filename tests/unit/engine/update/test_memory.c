/* SPDX-License-Identifier: Apache-2.0 */
#include "store_test.h"

#include "engine/update/generations.h"

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);

/* The allocation that fails, counted from 0; the others work. */
static long fail_at = -1, seen;

static bool fails(void)
{
	return fail_at >= 0 && seen++ == fail_at;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

static bool keep_all(void *arg, const struct sk_digest *d)
{
	return true;
}

static int ignore(void *arg, const struct sk_digest *d, uint64_t size_bytes)
{
	return 0;
}

static int use_store(struct sk_store *s, struct sk_err *err)
{
	struct sk_digest d = digest_of("image", 5);
	struct sk_staged *st = NULL;
	int r = sk_store_has(s, &d) ? sk_store_remove(s, &d, err) : 0;

	r = r < 0 ? r : sk_staged_open(s, &d, 5, &st, err);
	if (r < 0)
		return r;
	r = sk_staged_write(st, &"image"[sk_staged_offset(st)], 5 - sk_staged_offset(st), err);
	if (r < 0) {
		sk_staged_close(st);
		return r;
	}
	r = sk_staged_commit(st, err);
	r = r < 0 ? r : sk_store_verify_image(s, &d, err);
	r = r < 0 ? r : sk_store_list(s, ignore, NULL);
	r = r < 0 ? r : sk_store_put_release(s, &d, "x", 1, err);
	r = r < 0 ? r : sk_store_list_releases(s, ignore, NULL);
	return r < 0 ? r : sk_store_collect(s, keep_all, NULL, NULL, NULL, err);
}

static int use_generations(struct sk_store *s, struct sk_err *err)
{
	_cleanup_(sk_generations_closep) struct sk_generations *g = NULL;
	struct sk_digest d = digest_of("release", 7);
	const struct sk_generation *running;
	uint64_t number;
	int r = sk_generations_open(s, &g, err);

	r = r < 0 ? r : sk_generations_boot(g, true, &running, err);
	if (r == 0 && running && running->state == SK_GEN_TRYING)
		r = sk_generations_healthy(g, err);
	r = r < 0 ? r : sk_generations_stage(g, &d, "1.0", false, 3, &number, err);
	r = r < 0 ? r : sk_generations_apply(g, number, err);
	r = r < 0 ? r : sk_generations_healthy(g, err);
	return r < 0 ? r : sk_generations_collect(g, 1, err);
}

/* Each allocation fails in turn: said so, nothing leaks, nothing that was good is lost. */
static void each_allocation_fails(void **state)
{
	bool done = false;
	uint64_t floor = 0;

	for (long i = 0; !done; i++) {
		struct sk_err err = SK_ERR_INIT;
		struct sk_generations *g = NULL;
		struct sk_store *s = NULL;
		int r;

		seen = 0;
		fail_at = i;
		r = sk_store_open(*state, &s, &err);
		r = r < 0 ? r : use_store(s, &err);
		r = r < 0 ? r : use_generations(s, &err);
		fail_at = -1;
		done = seen <= i;
		assert_true(done ? r == 0 : r == 0 || r == -ENOMEM);
		if (s)
			sk_store_close(s);
		s = must_open(*state);
		assert_int_equal(sk_generations_open(s, &g, NULL), 0);
		if (floor > 0)
			assert_true(sk_generations_floor(g)->number >= floor);
		if (sk_generations_floor(g))
			floor = sk_generations_floor(g)->number;
		sk_generations_close(g);
		sk_store_close(s);
		assert_true(i < 1000);
	}
	assert_true(floor > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(each_allocation_fails),
	};

	return cmocka_run_group_tests_name("engine/update/memory", tests, NULL, NULL);
}
