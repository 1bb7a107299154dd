/* SPDX-License-Identifier: Apache-2.0 */

/* A capsule as Docker shows it, and which versions of its API are spoken. */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "engine/docker/docker.h"
#include "io/json.h"

#define S(s) ((char *)(s))
#define ID   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char *command[] = { S("/bin/sh"), S("-c"), NULL };
static char *arguments[] = { S("echo \"hello\""), NULL };
static char *labels[] = { S("a=b"), S("bare"), S("x=y=z"), NULL };
static struct sk_env env[] = { { S("A"), S("1") }, { S("B"), S("") } };
static struct sk_volume volumes[] = { { S("data"), S("/data"), true } };
static struct sk_device_grant devices[] = {
	{ .path = S("/dev/i2c-1"), .target = S("/dev/i2c-0"), .mode = "rw" }
};
static const struct sk_app app = {
	.name = S("web"),
	.run = { .command = command,
		 .arguments = arguments,
		 .env = env,
		 .n_env = 2,
		 .user = S("1000"),
		 .working_dir = S("/tmp"),
		 .stop_signal = SIGINT },
	.memory_bytes = 1 << 20,
	.cpu_millis = 500,
	.pids = 9,
	.restart = SK_RESTART_ON_FAILURE,
	.restart_max = 4,
	.volumes = volumes,
	.n_volumes = 1,
	.devices = devices,
	.n_devices = 1,
	.network = SK_NETWORK_HOST,
};

static struct sk_capsule_view full(enum sk_capsule_state state)
{
	return (struct sk_capsule_view){
		.id = ID,
		.app = &app,
		.image_name = "demo:1",
		.labels = labels,
		.state = state,
		.health = SK_HEALTH_UNHEALTHY,
		.health_output = "sick",
		.health_check = { .start_s = 100, .end_s = 101, .exit_code = 3, .failures = 2 },
		.pid = 42,
		.exit_code = 7,
		.restarts = 5,
		.created_s = 1000,
		.started_s = 2000,
		.finished_s = 3000,
		.log_path = "/var/log/skerry/0.log",
	};
}

static void states(void **state)
{
	static const struct {
		enum sk_capsule_state is;
		const char *docker, *text;
	} rows[] = {
		{ SK_CAPSULE_CREATED, "created", "Created" },
		{ SK_CAPSULE_PREPARED, "created", "Created" },
		{ SK_CAPSULE_STARTING, "running", "Up 2 minutes (unhealthy)" },
		{ SK_CAPSULE_RUNNING, "running", "Up 2 minutes (unhealthy)" },
		{ SK_CAPSULE_STOPPING, "running", "Up 2 minutes (unhealthy)" },
		{ SK_CAPSULE_EXITED, "exited", "Exited (7) Less than a second ago" },
		{ SK_CAPSULE_FAILED, "exited", "Exited (7) Less than a second ago" },
		{ SK_CAPSULE_BACKOFF, "restarting", "Restarting (7) Less than a second ago" },
		{ SK_CAPSULE_REMOVING, "removing", "Removal In Progress" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sk_capsule_view v = full(rows[i].is);
		char buf[96];

		v.finished_s = v.started_s + 130;
		assert_string_equal(sk_docker_state(&v), rows[i].docker);
		assert_string_equal(sk_docker_status_text(&v, v.started_s + 130, buf),
				    rows[i].text);
	}
}

static void how_long(void **state)
{
	static const struct {
		int64_t s;
		const char *text;
	} rows[] = {
		{ -5, "Less than a second" }, /* the clock was set back */
		{ 0, "Less than a second" },  { 1, "1 second" },	  { 59, "59 seconds" },
		{ 60, "About a minute" },     { 120, "2 minutes" },	  { 3600, "About an hour" },
		{ 7200, "2 hours" },	      { 48 * 3600, "2 days" },	  { 14 * 86400, "2 weeks" },
		{ 60 * 86400, "2 months" },   { 730 * 86400, "2 years" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sk_capsule_view v = full(SK_CAPSULE_RUNNING);
		char buf[96], want[96];

		v.health = SK_HEALTH_STARTING;
		(void)snprintf(want, sizeof(want), "Up %s (health: starting)", rows[i].text);
		assert_string_equal(sk_docker_status_text(&v, v.started_s + rows[i].s, buf), want);
		v.health = SK_HEALTH_UNKNOWN;
		(void)snprintf(want, sizeof(want), "Up %s", rows[i].text);
		assert_string_equal(sk_docker_status_text(&v, v.started_s + rows[i].s, buf), want);
	}
}

/* "State.Health.Log" of an object */
static const json_t *at(const json_t *o, const char *path)
{
	_cleanup_strv_ char **parts = NULL;

	assert_int_equal(sk_strv_split(path, '.', &parts), 0);
	SK_STRV_FOREACH (p, parts)
		o = json_is_array(o) ? json_array_get(o, 0) : json_object_get(o, *p);
	return o;
}

static void check(const json_t *o, const char *path, const char *want)
{
	_cleanup_free_ char *got = json_dumps(at(o, path), JSON_ENCODE_ANY | JSON_COMPACT);

	if (!got || !sk_streq(got, want))
		fail_msg("%s is %s, not %s", path, got ? got : "missing", want);
}

static void inspect(void **state)
{
	struct sk_capsule_view v = full(SK_CAPSULE_RUNNING);
	_cleanup_json_ json_t *o = sk_docker_inspect(&v);

	check(o, "Id", "\"" ID "\"");
	check(o, "Name", "\"/web\"");
	check(o, "Path", "\"/bin/sh\"");
	check(o, "Args", "[\"-c\",\"echo \\\"hello\\\"\"]");
	check(o, "State.Status", "\"running\"");
	check(o, "State.Running", "true");
	check(o, "State.Pid", "42");
	check(o, "State.Health.FailingStreak", "2");
	check(o, "State.Health.Log.0.Output", "\"sick\"");
	check(o, "State.Health.Log.0.ExitCode", "3");
	check(o, "Config.Env", "[\"A=1\",\"B=\"]");
	check(o, "Config.Labels", "{\"a\":\"b\",\"bare\":\"\",\"x\":\"y=z\"}");
	check(o, "Config.StopSignal", "\"SIGINT\"");
	check(o, "Config.Volumes", "null");
	check(o, "HostConfig.NetworkMode", "\"host\"");
	check(o, "HostConfig.NanoCpus", "500000000");
	check(o, "HostConfig.PidsLimit", "9");
	check(o, "HostConfig.Privileged", "false");
	check(o, "HostConfig.RestartPolicy", "{\"Name\":\"on-failure\",\"MaximumRetryCount\":4}");
	check(o, "HostConfig.Devices.0.PathInContainer", "\"/dev/i2c-0\"");
	check(o, "Mounts.0.RW", "false");
	check(o, "RestartCount", "5");
	check(o, "GraphDriver.Data", "null");
}

/* Docker's clients stop and remove what waits for its restart as what runs. */
static void restarting_is_running(void **state)
{
	struct sk_capsule_view v = full(SK_CAPSULE_BACKOFF);
	_cleanup_json_ json_t *o = sk_docker_inspect(&v);

	check(o, "State.Status", "\"restarting\"");
	check(o, "State.Running", "true");
	check(o, "State.Restarting", "true");
}

/* One that was made and nothing more: no field is missing, none is of another kind. */
static void bare(void **state)
{
	static const struct sk_app little = { .name = S("x") };
	struct sk_capsule_view v = { .id = ID, .app = &little, .state = SK_CAPSULE_CREATED };
	_cleanup_json_ json_t *o = sk_docker_inspect(&v), *s = sk_docker_summary(&v);

	check(o, "State.StartedAt", "\"0001-01-01T00:00:00Z\"");
	check(o, "State.Error", "\"\"");
	check(o, "Config.Env", "[]");
	check(o, "Config.Labels", "{}");
	check(o, "Path", "\"\"");
	check(o, "Args", "[]");
	check(o, "Mounts", "[]");
	check(o, "HostConfig.Devices", "[]");
	assert_null(at(o, "State.Health"));
	check(s, "Names", "[\"/x\"]");
	check(s, "Ports", "[]");
	check(s, "Labels", "{}");
	check(s, "Command", "\"\"");
}

/* --- without memory --- */

static int allocations;

static void *allocate(size_t size)
{
	return allocations-- > 0 ? malloc(size) : NULL;
}

/* Each allocation of the JSON library failed in turn: whole, or nothing; and nothing falls over. */
static void without_memory(void **state)
{
	struct sk_capsule_view v = full(SK_CAPSULE_RUNNING);
	int whole = 0;

	json_set_alloc_funcs(allocate, free);
	for (int n = 0; n < 2000 && whole == 0; n++) {
		json_t *o;

		allocations = n;
		o = sk_docker_inspect(&v);
		whole = o && allocations > 0;
		json_decref(o);
		allocations = n;
		json_decref(sk_docker_summary(&v));
	}
	json_set_alloc_funcs(malloc, free);
	assert_true(whole);
}

static void versions(void **state)
{
	static const struct {
		const char *path, *rest;
		int r;
	} rows[] = {
		{ "/info", "/info", 0 },
		{ "/v1.24/info", "/info", 0 },
		{ "/v1.44/info", "/info", 0 },
		{ "/v1.45/info", "/info", -EINVAL },
		{ "/v1.23/info", "/info", -EINVAL },
		{ "/v1/info", "/info", -EINVAL },
		{ "/v2/info", "/info", -EINVAL },
		{ "/v2.30/info", "/info", -EINVAL },
		{ "/v1.1000000/info", "/info", -EINVAL },
		{ "/v99999999999999999999999/info", "/info", -EINVAL },
		{ "/v18446744073709551616.30/info", "/info", -EINVAL },
		{ "/v1.2.4/info", "/info", -EINVAL },
		{ "/v1.30", "/v1.30", 0 },
		{ "/v/info", "/v/info", 0 },
		{ "/volumes", "/volumes", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sk_err err = SK_ERR_INIT;

		assert_string_equal(sk_docker_strip_version(rows[i].path), rows[i].rest);
		if (sk_docker_check_version(rows[i].path, &err) != rows[i].r)
			fail_msg("%s: %s", rows[i].path, err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(states),   cmocka_unit_test(how_long),
		cmocka_unit_test(inspect),  cmocka_unit_test(restarting_is_running),
		cmocka_unit_test(bare),	    cmocka_unit_test(without_memory),
		cmocka_unit_test(versions),
	};

	return cmocka_run_group_tests_name("engine/docker/view", tests, NULL, NULL);
}
