/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "base/conf.h"
#include "hub/core/config.h"

static struct sk_err err;

static int parse(struct sk_hub_config *c, const char *text)
{
	sk_hub_config_defaults(c);
	return sk_conf_parse("hub.conf", text, sk_hub_config_set, c, &err);
}

static void reads(void **state)
{
	struct sk_hub_config c;

	assert_int_equal(
		parse(&c, "# a comment\n\n data = /srv/hub \nthreads=7\nimage-size-max = 2M"), 0);
	assert_string_equal(c.data, "/srv/hub");
	assert_int_equal(c.threads, 7);
	assert_int_equal(c.image_max, 2 << 20);
	assert_string_equal(c.listen, "[::]:8443");
}

static void refuses(void **state)
{
	static const char *const bad[] = {
		"x = 1",  "threads = 0", "threads = 65", "threads = -1",   "threads = 4x",
		"data =", "= x",	 "threads",	 "poll-max = 601", "image-size-max = 5G"
	};
	struct sk_hub_config c;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char text[64];

		(void)snprintf(text, sizeof(text), "\n%s", bad[i]);
		assert_true(parse(&c, text) < 0);
		assert_non_null(strstr(err.text, "hub.conf:2"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests_name("hub/config", tests, NULL, NULL);
}
