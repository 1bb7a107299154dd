/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/config.h"
#include "base/file.h"
#include "base/str.h"

static char path[] = "/tmp/skerry-agent-conf-XXXXXX";

static int load(const char *text, struct sk_agent_config *c, struct sk_err *err)
{
	assert_int_equal(sk_file_write(AT_FDCWD, path, text, strlen(text), 0600), 0);
	return sk_agent_config_load(path, c, err);
}

static void defaults(void **state)
{
	struct sk_agent_config c;
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(load("hub = https://hub.example\n", &c, &err), 0);
	assert_int_equal(c.poll_ms, 55000);
	assert_non_null(c.name);
	assert_string_equal(c.state_dir, "/var/lib/skerry-agent");
	sk_agent_config_done(&c);
}

static void what_is_taken(void **state)
{
	static const char *const good[] = { "https://h", "http://127.0.0.1:8080",
					    "http://localhost", "http://[::1]:1/",
					    "ftp://named-by-the-client" };
	static const char *const bad[] = { "http://hub.example", "http://127.0.0.1.evil.example",
					   "http://localhost@evil.example", "http://127.0.0.10",
					   "http://" };
	struct sk_agent_config c;
	struct sk_err err = SK_ERR_INIT;
	char text[128];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		(void)snprintf(text, sizeof(text), "hub = %s\n", good[i]);
		assert_int_equal(load(text, &c, &err), 0);
		sk_agent_config_done(&c);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		(void)snprintf(text, sizeof(text), "hub = %s\n", bad[i]);
		assert_true(load(text, &c, &err) < 0);
		assert_string_equal(err.slug, "bad-value");
	}
}

static void mistakes(void **state)
{
	static const char *const bad[] = { "", "hub = https://x\nwhat = 1\n",
					   "hub = https://x\npoll = 0s\n",
					   "hub = https://x\npoll = 8d\n", "no equals\n" };
	struct sk_agent_config c;
	struct sk_err err = SK_ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_true(load(bad[i], &c, &err) < 0);
	assert_int_equal(load("hub = https://x\nretry-min = 10s\nretry-max = 1s\n", &c, &err), 0);
	assert_true(c.retry_max_ms >= c.retry_min_ms);
	sk_agent_config_done(&c);
}

static int set_up(void **state)
{
	int fd = mkstemp(path);

	return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(what_is_taken),
		cmocka_unit_test(mistakes),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
