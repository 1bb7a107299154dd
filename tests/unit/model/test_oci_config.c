/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "base/str.h"
#include "model/image.h"

static int parse(const char *config, struct sk_run *run, char **arch, struct sk_err *err)
{
	_cleanup_free_ char *json =
		sk_asprintf("{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":%s}", config);

	return sk_run_from_oci(json, strlen(json), run, arch, err);
}

static void everything(void **state)
{
	_cleanup_(sk_run_done) struct sk_run run = { 0 };
	_cleanup_free_ char *arch = NULL;
	struct sk_err err = SK_ERR_INIT;

	if (parse("{\"Entrypoint\":[\"/ep\",\"-x\"],\"Cmd\":[\"a\"],"
		  "\"Env\":[\"PATH=/bin\",\"EMPTY=\",\"EQ=a=b\",\"PATH=/usr/bin\"],"
		  "\"User\":\"1000:1000\",\"WorkingDir\":\"/srv/\",\"StopSignal\":\"SIGQUIT\","
		  "\"ExposedPorts\":{\"80/tcp\":{}},\"Labels\":null,"
		  "\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"curl -f http://127.0.0.1\"],"
		  "\"Interval\":5000000000,\"Timeout\":1,\"Retries\":7}}",
		  &run, &arch, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(arch, "amd64");
	assert_string_equal(run.command[1], "-x");
	assert_string_equal(run.arguments[0], "a");
	assert_int_equal(run.n_env, 3);
	assert_string_equal(run.env[0].value, "/usr/bin");
	assert_string_equal(run.env[1].value, "");
	assert_string_equal(run.env[2].value, "a=b");
	assert_string_equal(run.user, "1000:1000");
	assert_string_equal(run.working_dir, "/srv");
	assert_int_equal(run.stop_signal, 3);
	assert_int_equal(run.health.kind, SK_HEALTH_COMMAND);
	assert_string_equal(run.health.command[0], "/bin/sh");
	assert_string_equal(run.health.command[2], "curl -f http://127.0.0.1");
	assert_int_equal(run.health.interval_ms, 5000);
	assert_int_equal(run.health.timeout_ms, 100);
	assert_int_equal(run.health.start_period_ms, 0);
	assert_int_equal(run.health.retries, 7);
}

static void nothing(void **state)
{
	static const char *const configs[] = {
		"{}", "null",
		"{\"Entrypoint\":null,\"Cmd\":null,\"Env\":null,\"User\":\"\",\"WorkingDir\":\"\","
		"\"Healthcheck\":{\"Test\":[]}}"
	};

	for (size_t i = 0; i < ARRAY_SIZE(configs); i++) {
		_cleanup_(sk_run_done) struct sk_run run = { 0 };
		_cleanup_free_ char *arch = NULL;

		assert_int_equal(parse(configs[i], &run, &arch, NULL), 0);
		assert_null(run.command);
		assert_null(run.user);
		assert_int_equal(run.health.kind, SK_HEALTH_NONE);
		assert_false(run.health.disabled);
	}
}

static void health_words(void **state)
{
	_cleanup_(sk_run_done) struct sk_run off = { 0 }, plain = { 0 };
	_cleanup_free_ char *a = NULL, *b = NULL;

	assert_int_equal(parse("{\"Healthcheck\":{\"Test\":[\"NONE\"]}}", &off, &a, NULL), 0);
	assert_true(off.health.disabled);
	assert_int_equal(off.health.kind, SK_HEALTH_NONE);
	assert_int_equal(
		parse("{\"Healthcheck\":{\"Test\":[\"CMD\",\"/ok\",\"1\"]}}", &plain, &b, NULL), 0);
	assert_int_equal(sk_strv_len(plain.health.command), 2);
	assert_int_equal(plain.health.interval_ms, 30000);
	assert_int_equal(plain.health.retries, 3);
}

static void architectures(void **state)
{
	static const struct {
		const char *json, *arch;
	} cases[] = {
		{ "{\"architecture\":\"arm64\"}", "arm64" },
		{ "{\"architecture\":\"arm\",\"variant\":\"v7\",\"os\":\"linux\"}", "armhf" },
		{ "{\"architecture\":\"s390x\"}", NULL },
		{ "{\"os\":\"linux\"}", NULL },
		{ "{\"architecture\":\"amd64\",\"os\":\"windows\"}", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(sk_run_done) struct sk_run run = { 0 };
		_cleanup_free_ char *arch = NULL;
		int r = sk_run_from_oci(cases[i].json, strlen(cases[i].json), &run, &arch, NULL);

		assert_int_equal(r, cases[i].arch ? 0 : -EBADMSG);
		if (cases[i].arch)
			assert_string_equal(arch, cases[i].arch);
	}
}

static void refused(void **state)
{
	static const char *const configs[] = {
		"[]",
		"{\"Env\":[\"NOVALUE\"]}",
		"{\"Env\":[\"=x\"]}",
		"{\"Env\":[\"1A=x\"]}",
		"{\"Env\":[\"A B=x\"]}",
		"{\"Env\":[1]}",
		"{\"Env\":{}}",
		"{\"Entrypoint\":\"/bin/sh\"}",
		"{\"Cmd\":[null]}",
		"{\"User\":7}",
		"{\"User\":\"a\\nb\"}",
		"{\"WorkingDir\":\"srv\"}",
		"{\"StopSignal\":\"SIGNOPE\"}",
		"{\"StopSignal\":\"99\"}",
		"{\"Healthcheck\":[]}",
		"{\"Healthcheck\":{\"Test\":[\"EXEC\",\"x\"]}}",
		"{\"Healthcheck\":{\"Test\":[\"CMD\"]}}",
		"{\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"a\",\"b\"]}}",
		"{\"Healthcheck\":{\"Test\":[\"CMD\",\"x\"],\"Interval\":-1}}",
		"{\"Healthcheck\":{\"Test\":[\"CMD\",\"x\"],\"Interval\":9223372036854775807}}",
		"{\"Healthcheck\":{\"Test\":[\"CMD\",\"x\"],\"Retries\":1.5}}",
		"{\"Cmd\":[],\"Cmd\":[\"x\"]}",
		"{\"Cmd\":[\"a\\u0000b\"]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(configs); i++) {
		struct sk_run run = { 0 };
		struct sk_err err = SK_ERR_INIT;
		char *arch = NULL;

		if (parse(configs[i], &run, &arch, &err) != -EBADMSG)
			fail_msg("taken: %s", configs[i]);
		assert_string_equal(err.slug, "bad-image");
		assert_null(arch);
		assert_null(run.env);
	}
}

static void bounds(void **state)
{
	_cleanup_free_ char *long_arg = calloc(1, 40001), *big = calloc(1, (1 << 20) + 2);
	_cleanup_free_ char *config = NULL;
	struct sk_run run = { 0 };
	char *arch = NULL;

	memset(long_arg, 'x', 40000);
	config = sk_asprintf("{\"Cmd\":[\"%s\"]}", long_arg);
	assert_int_equal(parse(config, &run, &arch, NULL), -EBADMSG);
	memset(big, ' ', (1 << 20) + 1);
	assert_int_equal(sk_run_from_oci(big, (1 << 20) + 1, &run, &arch, NULL), -EBADMSG);
	memset(big, '[', 100000);
	assert_int_equal(sk_run_from_oci(big, 100000, &run, &arch, NULL), -EBADMSG);
	assert_int_equal(sk_run_from_oci("", 0, &run, &arch, NULL), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything),	 cmocka_unit_test(nothing),
		cmocka_unit_test(health_words),	 cmocka_unit_test(refused),
		cmocka_unit_test(architectures), cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests_name("model/oci_config", tests, NULL, NULL);
}
