/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "engine/runtime/runtime.h"

static int opened, closed;

static int count_open(struct sk_runtime *rt, const void *settings, struct sk_err *err)
{
	opened++;
	return settings ? sk_err_set(err, -ENOENT, "not-found", "%s", (const char *)settings) : 0;
}

static void count_close(struct sk_runtime *rt)
{
	closed++;
}

static const struct sk_runtime_ops box = {
	.kind = SK_KIND_CONTAINER, .name = "container", .open = count_open, .close = count_close
};
static const struct sk_runtime_ops vm = { .kind = SK_KIND_VM, .name = "vm" };
static const struct sk_runtime_env env = { .uid_base = 7 };

static int set_up(void **state)
{
	opened = closed = 0;
	return 0;
}

static void finds_by_kind(void **state)
{
	const struct sk_runtime_kind kinds[] = { { &box, NULL }, { &vm, NULL }, { NULL } };
	const struct sk_app app = { .name = (char *)"a", .kind = SK_KIND_VM };
	const struct sk_runtime *found = NULL;
	struct sk_runtimes rs = { 0 };

	assert_int_equal(sk_runtimes_open(&rs, &env, kinds, NULL), 0);
	assert_int_equal(sk_runtimes_find(&rs, &app, &found, NULL), 0);
	assert_ptr_equal(found->ops, &vm);
	assert_ptr_equal(found->env, &env);
	sk_runtimes_close(&rs);
	assert_int_equal(opened, 1);
	assert_int_equal(closed, 1);
}

static void names_those_that_there_are(void **state)
{
	const struct sk_runtime_kind one[] = { { &box, NULL }, { NULL } };
	const struct sk_app app = { .name = (char *)"a", .kind = SK_KIND_VM };
	const struct sk_app other = { .name = (char *)"b", .kind = (enum sk_kind)9 };
	struct sk_err err = SK_ERR_INIT;
	struct sk_runtimes rs = { 0 };

	assert_int_equal(sk_runtimes_open(&rs, &env, one, NULL), 0);
	assert_int_equal(sk_runtimes_find(&rs, &app, NULL, &err), -ENOTSUP);
	assert_string_equal(err.text, "a: this device runs capsules of kind \"container\" only");
	assert_int_equal(
		sk_runtimes_open(&rs, &env, (struct sk_runtime_kind[]){ { &vm }, { NULL } }, NULL),
		0);
	assert_int_equal(sk_runtimes_find(&rs, &other, NULL, &err), -ENOTSUP);
	assert_string_equal(err.text,
			    "b: this device runs capsules of kind \"container\" and \"vm\" only");
	sk_runtimes_close(&rs);
}

/* One that does not open is closed with the others: it may hold something already. */
static void one_does_not_open(void **state)
{
	const struct sk_runtime_kind kinds[] = {
		{ &box, NULL }, { &box, "no crun" }, { &vm }, { NULL }
	};
	struct sk_err err = SK_ERR_INIT;
	struct sk_runtimes rs = { 0 };

	assert_int_equal(sk_runtimes_open(&rs, &env, kinds, &err), -ENOENT);
	assert_string_equal(err.text, "no crun");
	sk_runtimes_close(&rs);
	assert_int_equal(closed, 2);
}

static void too_many(void **state)
{
	struct sk_runtime_kind kinds[SK_RUNTIME_KINDS_MAX + 2] = { { NULL } };
	struct sk_runtimes rs = { 0 };

	for (size_t i = 0; i <= SK_RUNTIME_KINDS_MAX; i++)
		kinds[i].ops = &box;
	assert_int_equal(sk_runtimes_open(&rs, &env, kinds, NULL), -E2BIG);
	sk_runtimes_close(&rs);
	assert_int_equal(opened, SK_RUNTIME_KINDS_MAX);
	assert_int_equal(closed, SK_RUNTIME_KINDS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(finds_by_kind, set_up),
		cmocka_unit_test_setup(names_those_that_there_are, set_up),
		cmocka_unit_test_setup(one_does_not_open, set_up),
		cmocka_unit_test_setup(too_many, set_up),
	};

	return cmocka_run_group_tests_name("engine/runtime", tests, NULL, NULL);
}
