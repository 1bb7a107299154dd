/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "base/str.h"
#include "engine/config.h"

static int parse(struct sk_daemon_config *c, const char *text, struct sk_err *err)
{
	assert_int_equal(sk_daemon_config_init(c), 0);
	return sk_daemon_config_parse(c, "x.conf", text, err);
}

static void defaults(void **state)
{
	struct sk_daemon_config c;

	assert_int_equal(parse(&c, "", NULL), 0);
	assert_string_equal(c.state_dir, "/var/lib/skerry");
	assert_string_equal(c.socket_group, "skerry");
	assert_null(c.compatible);
	assert_false(c.limits_best_effort);
	sk_daemon_config_done(&c);
	assert_int_equal(sk_daemon_config_init(&c), 0);
	assert_int_equal(sk_daemon_config_read(&c, "/nowhere/x.conf", false, NULL), 0);
	assert_int_equal(sk_daemon_config_read(&c, "/nowhere/x.conf", true, NULL), -ENOENT);
	sk_daemon_config_done(&c);
}

static void values(void **state)
{
	struct sk_daemon_config c;

	assert_int_equal(
		parse(&c,
		      "# a comment\n compatible = acme,box, skerry,virtual\n"
		      "log-size-max=64K\nlimits = best-effort\nclock=trusted\n"
		      "uid-base = 100000\nagent-user = -\nsocket = /run/s\nsocket = /run/t\n",
		      NULL),
		0);
	assert_int_equal(sk_strv_len(c.compatible), 2);
	assert_string_equal(c.compatible[0], "acme,box");
	assert_string_equal(c.compatible[1], "skerry,virtual");
	assert_int_equal(c.log_size_max, 65536);
	assert_true(c.limits_best_effort);
	assert_int_equal(c.clock, SK_CLOCK_TRUSTED);
	assert_int_equal(c.uid_base, 100000);
	assert_string_equal(c.agent_user, "");
	assert_string_equal(c.socket, "/run/t");
	sk_daemon_config_done(&c);
}

static void mistakes(void **state)
{
	static const char *const bad[] = {
		"compatible = acme", "compatible =",	"uid-base = 5",	    "uid-base = 4294967295",
		"clock = sundial",   "state-dir = var", "log-size-max = 1", "limits = none",
		"runtime =",	     "nonsense = 1",	"nonsense",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct sk_err err = SK_ERR_INIT;
		struct sk_daemon_config c;

		assert_true(parse(&c, bad[i], &err) < 0);
		assert_string_equal(err.slug, "bad-value");
		assert_non_null(strstr(err.text, "x.conf:1"));
		sk_daemon_config_done(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(values),
		cmocka_unit_test(mistakes),
	};

	return cmocka_run_group_tests_name("engine/docker/config", tests, NULL, NULL);
}
