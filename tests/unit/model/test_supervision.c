/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/str.h"
#include "model/supervision.h"

#define S(s)   ((char *)(s))
#define V(...) ((char *[]){ __VA_ARGS__, NULL })

static struct sk_app apps[] = {
	{ .name = S("ethernet") },
	{ .name = S("tunnel") },
	{ .name = S("hello") },
	{ .name = S("web") },
};

static char *plan_text(const struct sk_manifest *m, const char *failed)
{
	struct sk_supervision_plan p;
	_cleanup_free_ char *stop = NULL, *start = NULL;
	char *both;

	assert_int_equal(sk_supervision_plan(m, failed, &p), 0);
	stop = sk_strv_join(p.stop, " ");
	start = sk_strv_join(p.start, " ");
	both = sk_asprintf("%s | %s", stop ? stop : "", start ? start : "");
	sk_supervision_plan_done(&p);
	return both;
}

static void check(struct sk_supervision *rows, size_t n, const char *failed, const char *want)
{
	struct sk_manifest m = {
		.apps = apps, .n_apps = 4, .supervision = rows, .n_supervision = n
	};
	_cleanup_free_ char *got = plan_text(&m, failed);

	assert_string_equal(got, want);
}

static void reverse_then_forward(void **state)
{
	struct sk_supervision rows[] = { { S("ethernet"), V(S("hello"), S("tunnel")) } };

	check(rows, 1, "ethernet", "hello tunnel | ethernet tunnel hello");
	check(rows, 1, "tunnel", " | tunnel");
}

static void dependants_of_dependants(void **state)
{
	struct sk_supervision rows[] = { { S("tunnel"), V(S("hello")) },
					 { S("ethernet"), V(S("tunnel")) },
					 { S("hello"), V(S("web")) } };

	check(rows, 3, "ethernet", "web hello tunnel | ethernet tunnel hello web");
	check(rows, 3, "tunnel", "web hello | tunnel hello web");
	check(rows, 3, "web", " | web");
}

static void cycles_end(void **state)
{
	struct sk_supervision rows[] = { { S("ethernet"), V(S("tunnel")) },
					 { S("tunnel"), V(S("ethernet"), S("tunnel")) } };

	check(rows, 2, "ethernet", "tunnel | ethernet tunnel");
	check(rows, 2, "tunnel", "ethernet | tunnel ethernet");
}

static void unknown_names(void **state)
{
	struct sk_supervision rows[] = { { S("ethernet"), V(S("nobody")) },
					 { S("nobody"), V(S("web")) } };

	check(rows, 2, "ethernet", " | ethernet");
	check(rows, 2, "somebody", " | somebody");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reverse_then_forward),
		cmocka_unit_test(dependants_of_dependants),
		cmocka_unit_test(cycles_end),
		cmocka_unit_test(unknown_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
