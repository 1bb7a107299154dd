/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "base/str.h"
#include "cli/manifest/source.h"

#define X "x-skerry: {project: p, version: \"1.0\", compatible: box}\n"

static int convert(const char *yaml, struct sk_source *s)
{
	*s = (struct sk_source){ .path = "c.yaml" };
	return sk_compose_to_dts(yaml, strlen(yaml), s, NULL);
}

/* The source that a service's key becomes. */
static void assert_makes(const char *service, const char *wanted)
{
	_cleanup_free_ char *yaml =
		sk_asprintf(X "volumes: {v: , w: }\nservices:\n  a:\n    image: a\n%s", service);
	_cleanup_(sk_source_done) struct sk_source s;

	if (convert(yaml, &s) < 0)
		fail_msg("%s: %s", service, s.mistakes.v[0].text);
	if (!strstr(s.dts, wanted))
		fail_msg("no %s in\n%s", wanted, s.dts);
}

static void makes_words(void **state)
{
	static const char *const pairs[][2] = {
		{ "", "\t\ta {\n\t\t\timage = \"a.itb\";\n\t\t\trestart = \"no\";\n"
		      "\t\t\twritable-root;\n\t\t};" },
		{ "    command: a 'b c' \"d\\\"e\" f\\ g\n",
		  "arguments = \"a\", \"b c\", \"d\\\"e\", \"f g\";" },
		{ "    command: [a, \"b c\"]\n", "arguments = \"a\", \"b c\";" },
		{ "    entrypoint: /bin/x -y\n", "command = \"/bin/x\", \"-y\";" },
		{ "    environment: {A: 1, B: \"x y\"}\n", "A = \"1\";\n\t\t\t\tB = \"x y\";" },
		{ "    environment: [A=1, B=]\n", "A = \"1\";\n\t\t\t\tB = \"\";" },
		{ "    environment: [\"A=x\\ny\"]\n", "A = \"x\\x0ay\";" },
		{ "    devices: [\"/dev/a:/dev/b:r\"]\n", "devices = \"/dev/a:/dev/b:r\";" },
		{ "    devices: [{source: /dev/a, permissions: r}]\n", "devices = \"/dev/a:r\";" },
		{ "    volumes: [\"v:/x:ro\", {type: volume, source: w, target: /y}]\n",
		  "v = \"/x\", \"read-only\";\n\t\t\t\tw = \"/y\";" },
		{ "    restart: on-failure:3\n",
		  "restart = \"on-failure\";\n\t\t\trestart-max = <3>;" },
		{ "    restart: unless-stopped\n", "restart = \"always\";" },
		{ "    healthcheck: {test: curl x, timeout: 3s}\n",
		  "command = \"/bin/sh\", \"-c\", \"curl x\";\n\t\t\t\ttimeout = \"3s\";\n"
		  "\t\t\t\tinterval = \"30s\";" },
		{ "    healthcheck: {test: [CMD, /ok, -v]}\n", "command = \"/ok\", \"-v\";" },
		{ "    healthcheck: {test: [NONE]}\n", "disable;" },
		{ "    healthcheck: {disable: true}\n", "disable;" },
		{ "    mem_limit: 64m\n", "memory-limit = \"64m\";" },
		{ "    cpus: 0.5\n", "cpu-limit = \"0.5\";" },
		{ "    pids_limit: 9\n", "pids-limit = <9>;" },
		{ "    deploy: {resources: {limits: {memory: 1G, cpus: \"2\", pids: 7}}}\n",
		  "memory-limit = \"1G\";\n\t\t\tcpu-limit = \"2\";\n\t\t\tpids-limit = <7>;" },
		{ "    deploy: {restart_policy: {condition: any, delay: 5s, max_attempts: 2}}\n",
		  "restart = \"always\";\n\t\t\tbackoff-min = \"5s\";\n\t\t\trestart-max = <2>;" },
		{ "    network_mode: host\n", "network = \"host\";" },
		{ "    x-skerry: {keep_logs: true, msg-servers: [m, n]}\n",
		  "keep-logs;\n\t\t\tmsg_servers = \"m\", \"n\";" },
		{ "    x-skerry: {health-check: {http: /, port: 80}}\n",
		  "http = \"/\";\n\t\t\t\tport = <80>;" },
		{ "    x-skerry: {image: b-2.itb}\n", "image = \"b-2.itb\";" },
		{ "  b: {image: \"ghcr.io:443/x/b.c:1@sha256:00\", depends_on: [a]}\n",
		  "image = \"b.c.itb\";" },
		{ "  b: {image: b, depends_on: {a: {condition: service_started, restart: true}}}\n",
		  "supervision {\n\t\ta = \"b\";\n\t};" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		assert_makes(pairs[i][0], pairs[i][1]);
}

static void sealed_root(void **state)
{
	_cleanup_(sk_source_done) struct sk_source s;

	assert_int_equal(convert(X "services: {a: {image: a, read_only: true}}\n", &s), 0);
	assert_null(strstr(s.dts, "writable-root"));
}

static void top_level(void **state)
{
	_cleanup_(sk_source_done) struct sk_source s;

	assert_int_equal(
		convert("name: n\nx-other: [1]\nversion: \"3\"\nservices: {a: {image: a}}\n"
			"x-skerry:\n  version: \"1.0\"\n  compatible: [a, b]\n"
			"  persistent_boot: true\n  system: r.itb\n  allow-downgrade: false\n"
			"  keys: {k: {apps: a, uses: [sign]}}\n"
			"  msg_servers: {m: {p: {publish: a}}}\n",
			&s),
		0);
	assert_non_null(strstr(s.dts, "{\n\tpersistent-boot;\n"));
	assert_non_null(strstr(s.dts, "project = \"n\";"));
	assert_non_null(strstr(s.dts, "compatible = \"a\", \"b\";"));
	assert_null(strstr(s.dts, "allow-downgrade"));
	assert_non_null(strstr(s.dts, "\tsystem {\n\t\timage = \"r.itb\";\n\t};"));
	assert_non_null(strstr(s.dts, "k {\n\t\t\tapps = \"a\";\n\t\t\tuses = \"sign\";"));
	assert_non_null(strstr(s.dts, "dir_access_control {\n\t\t\t\tp {"));
}

/* Each is refused with its line, its words, and what to do. */
static void refuses(void **state)
{
	static const char *const bad[][3] = {
		/* line 5 of a service, words, text */
		{ "    ports: [\"80:80\"]\n", "services.a.ports", "cannot be expressed" },
		{ "    build: .\n", "services.a.build", "cannot be expressed" },
		{ "    privileged: true\n", "services.a.privileged", "cannot be expressed" },
		{ "    env_file: ../x\n", "services.a.env_file", "leads elsewhere" },
		{ "    networks: [x]\n", "services.a.networks", "cannot be expressed" },
		{ "    secrets: [x]\n", "services.a.secrets", "cannot be expressed" },
		{ "    network_mode: bridge\n", "services.a.network_mode", "cannot be expressed" },
		{ "    cap_add: [NET_ADMIN]\n", "services.a.cap_add", "cannot be expressed" },
		{ "    cap_drop: [NET_ADMIN]\n", "services.a.cap_drop", "cannot be expressed" },
		{ "    container_name: b\n", "services.a.container_name", "cannot be expressed" },
		{ "    volumes: [\"./x:/y\"]\n", "services.a.volumes", "bind mount" },
		{ "    volumes: [\"/x:/y\"]\n", "services.a.volumes", "bind mount" },
		{ "    volumes: [\"~/x:/y\"]\n", "services.a.volumes", "bind mount" },
		{ "    volumes: [\"/y\"]\n", "services.a.volumes", "without a name" },
		{ "    volumes: [\"u:/y\"]\n", "services.a.volumes", "no volume \"u\"" },
		{ "    volumes: [\"v:/y:z\"]\n", "services.a.volumes", "option \"z\"" },
		{ "    volumes: [{type: bind, source: /x, target: /y}]\n", "services.a.volumes",
		  "type \"bind\"" },
		{ "    volumes: [{type: volume, source: v, target: /y, volume: {}}]\n",
		  "services.a.volumes.volume", "cannot be expressed" },
		{ "    volumes: [\"x\\\"; evil = \\\"y:/z\"]\n", "services.a.volumes",
		  "bind mount" },
		{ "    enviroment: {}\n", "services.a.enviroment", "unknown key" },
		{ "    environment: {A: }\n", "services.a.environment.A", "own environment" },
		{ "    environment: [A]\n", "services.a.environment", "own environment" },
		{ "    environment: {\"A; evil\": 1}\n", "services.a.environment.A; evil",
		  "not a name" },
		{ "    depends_on: {b: {condition: service_healthy}}\n", "services.a.depends_on.b",
		  "condition service_healthy" },
		{ "    depends_on: {b: {restart: false}}\n", "services.a.depends_on.b",
		  "stays up" },
		{ "    command: \"a 'b\"\n", "services.a.command", "left open" },
		{ "    command: []\n", "services.a.command", "empty list" },
		{ "    healthcheck: {test: [curl, x]}\n", "services.a.healthcheck.test", "is not" },
		{ "    healthcheck: {test: x, start_interval: 1s}\n",
		  "services.a.healthcheck.start_interval", "cannot be expressed" },
		{ "    healthcheck: {test: x}\n    x-skerry: {health-check: {port: 1}}\n",
		  "services.a.x-skerry.health-check", "stands beside" },
		{ "    pids_limit: -1\n", "services.a.pids_limit", "not a number" },
		{ "    deploy: {replicas: 2}\n", "services.a.deploy.replicas", "cannot be" },
		{ "    deploy: {placement: {}}\n", "services.a.deploy.placement", "cannot be" },
		{ "    deploy: {resources: {reservations: {}}}\n",
		  "services.a.deploy.resources.reservations", "cannot be expressed" },
		{ "    mem_limit: [1]\n", "services.a.mem_limit", "one value" },
		{ "    x-skerry: {keep-log: true}\n", "services.a.x-skerry.keep-log", "unknown" },
		{ "    x-skerry: {keep-logs: 1}\n", "services.a.x-skerry.keep-logs", "true or" },
		{ "    x-skerry: [1]\n", "services.a.x-skerry", "must be a map" },
		{ "  \"b}; evil {\": {image: b}\n", "services.b}; evil {", "not a name" },
		{ "  b: {image: x/a:2}\n", "services.b.image", "would both be a.itb" },
		{ "  b: {command: x}\n", "services.b", "image is missing" },
		{ "  b: 7\n", "services.b", "must be a map" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_free_ char *yaml = sk_asprintf(
			X "services:\n  a:\n    image: a\n%svolumes: {v: }\n", bad[i][0]);
		_cleanup_(sk_source_done) struct sk_source s;

		if (convert(yaml, &s) != -EINVAL)
			fail_msg("accepted %s", bad[i][0]);
		if (!sk_streq(s.mistakes.v[0].where, bad[i][1]) ||
		    !strstr(s.mistakes.v[0].text, bad[i][2]) || s.mistakes.v[0].line < 5)
			fail_msg("%s: %u: %s: %s", bad[i][0], s.mistakes.v[0].line,
				 s.mistakes.v[0].where, s.mistakes.v[0].text);
	}
}

static void refuses_at_the_top(void **state)
{
	static const char *const bad[][2] = {
		{ "a: 1\n", "not a Compose file" },
		{ "[1]\n", "not a Compose file" },
		{ "services: {a: {image: a}}\n", "x-skerry is missing" },
		{ X "services: [a]\n", "must be a map" },
		{ X "services: {a: {image: a}}\nnetworks: {}\n", "cannot be expressed" },
		{ X "services: {a: {image: a}}\nconfigs: {}\n", "cannot be expressed" },
		{ X "services: {a: {image: a}}\nservcies: {}\n", "unknown key" },
		{ X "services: {a: {image: a}}\nvolumes: {v: {driver: nfs}}\n", "options of a" },
		{ X "volumes: {v: }\nservices: {a: {image: a, volumes: [\"v:/x\"]}, b: {image: b, "
		    "volumes: [\"v:/x\"]}}\n",
		  "also in service \"a\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(sk_source_done) struct sk_source s;

		if (convert(bad[i][0], &s) != -EINVAL)
			fail_msg("accepted %s", bad[i][0]);
		if (!strstr(s.mistakes.v[0].text, bad[i][1]))
			fail_msg("%s: %s", bad[i][0], s.mistakes.v[0].text);
	}
}

static void keeps_places(void **state)
{
	_cleanup_(sk_source_done) struct sk_source s;
	const struct sk_place *p;

	assert_int_equal(convert(X "services:\n  a:\n    image: a\n    mem_limit: 64m\n", &s), 0);
	p = sk_places_find(s.places, "/apps/a", "memory-limit");
	assert_int_equal(p->line, 5);
	assert_string_equal(p->where, "services.a.mem_limit");
	p = sk_places_find(s.places, "/apps/a/health-check", "port");
	assert_string_equal(p->where, "services.a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_words),	cmocka_unit_test(sealed_root),
		cmocka_unit_test(top_level),	cmocka_unit_test(refuses),
		cmocka_unit_test(keeps_places), cmocka_unit_test(refuses_at_the_top),
	};

	return cmocka_run_group_tests_name("cli/compose", tests, NULL, NULL);
}
