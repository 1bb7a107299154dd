/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/str.h"
#include "engine/docker/docker.h"
#include "io/json.h"

static int parse(const char *text, struct sk_create *c, struct sk_err *err)
{
	_cleanup_json_ json_t *body = NULL;

	assert_int_equal(sk_json_parse(text, strlen(text), &body, NULL), 0);
	return sk_create_parse(body, c, err);
}

/* As `docker run -d` of version 28 sends it when nothing is asked for. */
static void plain(void **state)
{
	struct sk_create c = { 0 };

	assert_int_equal(
		parse("{\"Hostname\":\"\",\"AttachStdout\":true,\"Tty\":false,\"Env\":null,\"Cmd\":null,"
		      "\"Image\":\"demo:1\",\"Volumes\":{},\"Entrypoint\":null,\"Labels\":{},"
		      "\"HostConfig\":{\"Binds\":null,\"LogConfig\":{\"Type\":\"\",\"Config\":{}},"
		      "\"NetworkMode\":\"default\",\"PortBindings\":{},\"RestartPolicy\":{\"Name\":\"no\","
		      "\"MaximumRetryCount\":0},\"ConsoleSize\":[24,80],\"CapAdd\":null,\"Dns\":[],"
		      "\"MemorySwappiness\":-1,\"OomKillDisable\":false,\"MaskedPaths\":null},"
		      "\"NetworkingConfig\":{\"EndpointsConfig\":{\"default\":{\"IPAMConfig\":null,"
		      "\"MacAddress\":\"\"}}}}",
		      &c, NULL),
		0);
	assert_string_equal(c.image, "demo:1");
	assert_int_equal(c.app.network, SK_NETWORK_NONE);
	assert_int_equal(sk_strv_len(c.warnings), 1);
	assert_int_equal(c.app.pids, 512);
	assert_true(c.app.writable_root);
	assert_false(c.has_entrypoint);
	sk_create_done(&c);
}

static void everything(void **state)
{
	struct sk_create c = { 0 };

	assert_int_equal(
		parse("{\"Image\":\"x\",\"Cmd\":[\"a\",\"b\"],\"Entrypoint\":\"/e\",\"Env\":[\"A=1\",\"B=\"],"
		      "\"User\":\"7:8\",\"WorkingDir\":\"/w\",\"Labels\":{\"k\":\"v\"},"
		      "\"StopSignal\":\"SIGINT\",\"StopTimeout\":3,"
		      "\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"true\"],\"Interval\":2000000000,"
		      "\"Retries\":2},"
		      "\"HostConfig\":{\"Memory\":67108864,\"MemorySwap\":67108864,\"NanoCpus\":500000000,"
		      "\"PidsLimit\":9,\"RestartPolicy\":{\"Name\":\"on-failure\",\"MaximumRetryCount\":4},"
		      "\"NetworkMode\":\"host\",\"ReadonlyRootfs\":true,\"Binds\":[\"data:/d:ro\"],"
		      "\"Mounts\":[{\"Type\":\"volume\",\"Source\":\"more\",\"Target\":\"/m\"}],"
		      "\"CapDrop\":[\"ALL\"],\"Devices\":[{\"PathOnHost\":\"/dev/i2c-1\","
		      "\"PathInContainer\":\"/dev/i2c-0\",\"CgroupPermissions\":\"rw\"}]}}",
		      &c, NULL),
		0);
	assert_string_equal(c.app.run.command[0], "/e");
	assert_int_equal(sk_strv_len(c.app.run.arguments), 2);
	assert_int_equal(c.app.run.n_env, 2);
	assert_string_equal(c.app.run.env[1].value, "");
	assert_string_equal(c.labels[0], "k=v");
	assert_int_equal(c.app.run.stop_signal, SIGINT);
	assert_int_equal(c.app.run.stop_grace_ms, 3000);
	assert_int_equal(c.app.run.health.interval_ms, 2000);
	assert_int_equal(sk_strv_len(c.app.run.health.command), 3);
	assert_int_equal(c.app.memory_bytes, 67108864);
	assert_int_equal(c.app.cpu_millis, 500);
	assert_int_equal(c.app.pids, 9);
	assert_int_equal(c.app.restart, SK_RESTART_ON_FAILURE);
	assert_int_equal(c.app.restart_max, 4);
	assert_int_equal(c.app.network, SK_NETWORK_HOST);
	assert_false(c.app.writable_root);
	assert_int_equal(c.app.n_volumes, 2);
	assert_true(c.app.volumes[0].read_only);
	assert_string_equal(c.app.volumes[1].target, "/m");
	assert_string_equal(c.app.devices[0].target, "/dev/i2c-0");
	assert_null(c.warnings);
	sk_create_done(&c);
}

static void refused(void **state)
{
	static const struct {
		const char *host, *slug, *part;
	} cases[] = {
		{ "\"Privileged\":true", "not-supported", "Privileged" },
		{ "\"CapAdd\":[\"NET_ADMIN\"]", "not-supported", "CapAdd" },
		{ "\"PidMode\":\"host\"", "not-supported", "PidMode" },
		{ "\"IpcMode\":\"host\"", "not-supported", "IpcMode" },
		{ "\"SecurityOpt\":[\"seccomp=unconfined\"]", "not-supported", "SecurityOpt" },
		{ "\"SecurityOpt\":[\"apparmor=unconfined\"]", "not-supported", "SecurityOpt" },
		{ "\"SecurityOpt\":[\"no-new-privileges:false\"]", "not-supported", "SecurityOpt" },
		{ "\"MaskedPaths\":[]", "not-supported", "MaskedPaths" },
		{ "\"ReadonlyPaths\":[]", "not-supported", "ReadonlyPaths" },
		{ "\"privileged\":true", "not-supported", "privileged" },
		{ "\"UsernsMode\":\"host\"", "not-supported", "UsernsMode" },
		{ "\"UTSMode\":\"host\"", "not-supported", "UTSMode" },
		{ "\"CgroupnsMode\":\"host\"", "not-supported", "CgroupnsMode" },
		{ "\"CgroupParent\":\"/\"", "not-supported", "CgroupParent" },
		{ "\"DeviceCgroupRules\":[\"a *:* rwm\"]", "not-supported", "DeviceCgroupRules" },
		{ "\"DeviceRequests\":[{\"Driver\":\"x\"}]", "not-supported", "DeviceRequests" },
		{ "\"VolumesFrom\":[\"other\"]", "not-supported", "VolumesFrom" },
		{ "\"Sysctls\":{\"kernel.x\":\"1\"}", "not-supported", "Sysctls" },
		{ "\"GroupAdd\":[\"0\"]", "not-supported", "GroupAdd" },
		{ "\"Runtime\":\"runc\"", "not-supported", "Runtime" },
		{ "\"OomKillDisable\":true", "not-supported", "OomKillDisable" },
		{ "\"Ulimits\":[{\"Name\":\"nofile\",\"Hard\":1}]", "not-supported", "Ulimits" },
		{ "\"RestartPolicy\":{\"Name\":\"always\",\"MaximumRetryCount\":3}", "bad-request",
		  "on-failure" },
		{ "\"Binds\":[\"x:/\"]", "bad-request", "target" },
		{ "\"ShmSize\":1", "not-supported", "ShmSize" },
		{ "\"Tmpfs\":{\"/t\":\"\"}", "not-supported", "Tmpfs" },
		{ "\"Binds\":[\"/etc:/etc\"]", "not-supported", "folder of the device" },
		{ "\"Binds\":[\"../x:/y\"]", "not-supported", "folder of the device" },
		{ "\"Binds\":[\"x:/../y\"]", "bad-request", "target" },
		{ "\"Binds\":[\"x:y\"]", "bad-request", "target" },
		{ "\"Binds\":[\"x\"]", "bad-request", "name:/target" },
		{ "\"Binds\":[\"x:/y:shared\"]", "not-supported", "option" },
		{ "\"Mounts\":[{\"Type\":\"bind\",\"Source\":\"/a\",\"Target\":\"/b\"}]",
		  "not-supported", "type=volume" },
		{ "\"NetworkMode\":\"container:x\"", "not-supported", "network" },
		{ "\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"80\"}]}", "not-supported",
		  "ports" },
		{ "\"RestartPolicy\":{\"Name\":\"sometimes\"}", "bad-request", "RestartPolicy" },
		{ "\"AutoRemove\":true,\"RestartPolicy\":{\"Name\":\"always\"}", "bad-request",
		  "AutoRemove" },
		{ "\"Memory\":-5", "bad-request", "Memory" },
		{ "\"Memory\":5,\"MemorySwap\":6", "not-supported", "MemorySwap" },
		{ "\"Devices\":[{\"PathOnHost\":\"/etc/shadow\"}]", "bad-request", "/dev" },
		{ "\"Devices\":[{\"PathOnHost\":\"/dev/../etc\"}]", "bad-request", "/dev" },
		{ "\"LogConfig\":{\"Type\":\"syslog\"}", "not-supported", "log driver" },
		{ "\"OomScoreAdj\":5", "not-supported", "OomScoreAdj" },
		{ "\"FutureOption\":\"x\"", "not-supported", "FutureOption" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sk_create c = { 0 };
		struct sk_err err = SK_ERR_INIT;
		char text[512];

		(void)snprintf(text, sizeof(text), "{\"Image\":\"x\",\"HostConfig\":{%s}}",
			       cases[i].host);
		assert_true(parse(text, &c, &err) < 0);
		assert_string_equal(err.slug, cases[i].slug);
		assert_non_null(strstr(err.text, cases[i].part));
		assert_null(c.image);
	}
}

static void refused_own(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[]",
		"7",
		"{\"Image\":\"\"}",
		"{\"Image\":7}",
		"{\"Image\":\"x\",\"HostConfig\":[]}",
		"{\"Image\":\"x\",\"Tty\":true}",
		"{\"Image\":\"x\",\"OpenStdin\":true}",
		"{\"Image\":\"x\",\"Hostname\":\"h\"}",
		"{\"Image\":\"x\",\"Env\":[\"NOVALUE\"]}",
		"{\"Image\":\"x\",\"Env\":[\"=x\"]}",
		"{\"Image\":\"x\",\"Cmd\":{}}",
		"{\"Image\":\"x\",\"Labels\":{\"io.skerry.release\":\"x\"}}",
		"{\"Image\":\"x\",\"Labels\":{\"a=b\":\"x\"}}",
		"{\"Image\":\"x\",\"StopSignal\":\"SIGNOTHING\"}",
		"{\"Image\":\"x\",\"Healthcheck\":{\"Test\":[\"NONE\"]}}",
		"{\"Image\":\"x\",\"Healthcheck\":{\"Test\":[\"CMD\"]}}",
		"{\"Image\":\"x\",\"NetworkingConfig\":{\"EndpointsConfig\":{\"other\":{}}}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct sk_create c = { 0 };
		struct sk_err err = SK_ERR_INIT;

		assert_true(parse(bad[i], &c, &err) < 0);
		assert_true(err.text[0] != '\0');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),
		cmocka_unit_test(everything),
		cmocka_unit_test(refused),
		cmocka_unit_test(refused_own),
	};

	return cmocka_run_group_tests_name("engine/docker/create_parse", tests, NULL, NULL);
}
