/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "engine/docker/docker.h"
#include "io/json.h"

static const char *const known[] = { "name", "label", "status", NULL };

static json_t *parse(const char *text)
{
	json_t *f = NULL;

	assert_int_equal(sk_filters_parse(text, known, &f, NULL), 0);
	return f;
}

static void both_forms(void **state)
{
	_cleanup_json_ json_t *a = parse("{\"status\":[\"running\",\"exited\"]}");
	_cleanup_json_ json_t *b = parse("{\"status\":{\"running\":true,\"exited\":false}}");
	_cleanup_json_ json_t *none = parse(NULL), *empty = parse("");

	assert_true(sk_filter_is(a, "status", "exited"));
	assert_false(sk_filter_is(a, "status", "created"));
	assert_true(sk_filter_is(b, "status", "running"));
	assert_false(sk_filter_is(b, "status", "exited"));
	assert_true(sk_filter_is(none, "status", "anything"));
	assert_true(sk_filter_is(empty, "status", "anything"));
}

static void partly(void **state)
{
	_cleanup_json_ json_t *f = parse("{\"name\":[\"/eb\"]}");

	assert_true(sk_filter_has(f, "name", "web", true));
	assert_false(sk_filter_has(f, "name", "db", true));
	assert_false(sk_filter_has(f, "name", "web", false));
}

static void labels(void **state)
{
	char *have[] = { (char[]){ "a=1" }, (char[]){ "bc=2" }, NULL };
	_cleanup_json_ json_t *yes = parse("{\"label\":[\"a\",\"bc=2\"]}");
	_cleanup_json_ json_t *no = parse("{\"label\":[\"a=1\",\"b\"]}");

	assert_true(sk_filter_labels(yes, have));
	assert_false(sk_filter_labels(no, have));
	assert_false(sk_filter_labels(yes, NULL));
}

static void refused(void **state)
{
	static const char *const bad[] = { "{\"x\":[\"a\"]}", "{\"name\":\"a\"}", "[]", "{",
					   "{\"name\":[1]}",  "{\"name\":[[]]}",  "7" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct sk_err err = SK_ERR_INIT;
		json_t *f = NULL;

		assert_int_equal(sk_filters_parse(bad[i], known, &f, &err), -EINVAL);
		assert_string_equal(err.slug, "bad-request");
		assert_null(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_forms),
		cmocka_unit_test(partly),
		cmocka_unit_test(labels),
		cmocka_unit_test(refused),
	};

	return cmocka_run_group_tests_name("engine/docker/filters", tests, NULL, NULL);
}
