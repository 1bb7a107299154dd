/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <libfdt.h>
#include <signal.h>

#include "base/str.h"
#include "dts.h"
#include "model/manifest.h"

static int parse(const char *words, struct sk_run *ret)
{
	_cleanup_free_ char *dts = sk_asprintf("/ { %s };", words);
	size_t len;
	_cleanup_free_ void *dtb = dts_compile(dts, &len);

	return sk_run_parse(dtb, 0, ret, NULL, NULL);
}

static const char image_words[] =
	"command = \"/bin/a\"; arguments = \"x\", \"y\"; user = \"www\"; working-dir = \"/\";"
	"stop-signal = \"SIGRTMIN+3\"; stop-grace = \"90500ms\";"
	"environment { A = \"1\"; B = \"2\"; };"
	"health-check { command = \"/bin/ok\", \"-v\"; interval = \"2m\"; };";

/* Written and read again, a run configuration is the same. */
static void *written(const struct sk_run *run, size_t size)
{
	void *fdt = calloc(1, size);

	assert_int_equal(fdt_create(fdt, (int)size), 0);
	assert_int_equal(fdt_finish_reservemap(fdt), 0);
	assert_int_equal(fdt_begin_node(fdt, ""), 0);
	assert_int_equal(sk_run_write(fdt, run), 0);
	assert_int_equal(fdt_end_node(fdt), 0);
	assert_int_equal(fdt_finish(fdt), 0);
	return fdt;
}

static void assert_image_words(const struct sk_run *run)
{
	assert_string_equal(run->command[0], "/bin/a");
	assert_string_equal(run->arguments[1], "y");
	assert_string_equal(run->user, "www");
	assert_string_equal(run->working_dir, "/");
	assert_int_equal(run->stop_signal, 37);
	assert_int_equal(run->stop_grace_ms, 90500);
	assert_int_equal(run->n_env, 2);
	assert_string_equal(run->env[1].name, "B");
	assert_string_equal(run->env[1].value, "2");
	assert_int_equal(run->health.kind, SK_HEALTH_COMMAND);
	assert_string_equal(run->health.command[1], "-v");
	assert_int_equal(run->health.interval_ms, 120000);
	assert_int_equal(run->health.timeout_ms, 5000);
	assert_int_equal(run->health.retries, 3);
}

static void round_trip(void **state)
{
	_cleanup_(sk_run_done) struct sk_run run = { 0 }, again = { 0 };
	_cleanup_free_ void *fdt = NULL;

	assert_int_equal(parse(image_words, &run), 0);
	assert_image_words(&run);
	fdt = written(&run, 4096);
	assert_int_equal(sk_run_parse(fdt, 0, &again, NULL, NULL), 0);
	assert_image_words(&again);
}

static void small_buffer_is_told(void **state)
{
	_cleanup_(sk_run_done) struct sk_run run = { 0 };
	char buf[512] = { 0 };

	assert_int_equal(parse(image_words, &run), 0);
	assert_int_equal(fdt_create(buf, 96), 0);
	assert_int_equal(fdt_finish_reservemap(buf), 0);
	assert_int_equal(fdt_begin_node(buf, ""), 0);
	assert_int_equal(sk_run_write(buf, &run), -ENOSPC);
}

static void merge_keeps_image(void **state)
{
	_cleanup_(sk_run_done) struct sk_run image = { 0 }, both = { 0 };
	const struct sk_run nothing = { 0 };

	assert_int_equal(parse(image_words, &image), 0);
	assert_int_equal(sk_run_merge(&image, &nothing, &both), 0);
	assert_image_words(&both);
}

static void merge_app_wins(void **state)
{
	_cleanup_(sk_run_done) struct sk_run image = { 0 }, app = { 0 }, both = { 0 };

	assert_int_equal(parse(image_words, &image), 0);
	assert_int_equal(parse("command = \"/bin/b\"; user = \"0\"; stop-signal = \"INT\";"
			       "environment { B = \"new\"; C = \"3\"; };"
			       "health-check { port = <7>; };",
			       &app),
			 0);
	assert_int_equal(sk_run_merge(&image, &app, &both), 0);
	assert_string_equal(both.command[0], "/bin/b");
	assert_null(both.arguments); /* they belonged to the image's command */
	assert_string_equal(both.user, "0");
	assert_string_equal(both.working_dir, "/");
	assert_int_equal(both.stop_signal, SIGINT);
	assert_int_equal(both.n_env, 3);
	assert_string_equal(both.env[0].value, "1");
	assert_string_equal(both.env[1].value, "new");
	assert_string_equal(both.env[2].name, "C");
	assert_int_equal(both.health.kind, SK_HEALTH_TCP);
	assert_null(both.health.command);
}

static void merge_arguments_alone(void **state)
{
	_cleanup_(sk_run_done) struct sk_run image = { 0 }, app = { 0 }, both = { 0 };

	assert_int_equal(parse(image_words, &image), 0);
	assert_int_equal(parse("arguments = \"z\";", &app), 0);
	assert_int_equal(sk_run_merge(&image, &app, &both), 0);
	assert_string_equal(both.command[0], "/bin/a");
	assert_int_equal(sk_strv_len(both.arguments), 1);
	assert_string_equal(both.arguments[0], "z");
}

static void merge_disabled_check(void **state)
{
	_cleanup_(sk_run_done) struct sk_run image = { 0 }, app = { 0 }, both = { 0 };
	_cleanup_(sk_run_done) struct sk_run again = { 0 };
	_cleanup_free_ void *fdt = NULL;

	assert_int_equal(parse(image_words, &image), 0);
	assert_int_equal(parse("health-check { disable; };", &app), 0);
	assert_int_equal(sk_run_merge(&image, &app, &both), 0);
	assert_int_equal(both.health.kind, SK_HEALTH_NONE);
	fdt = written(&app, 4096);
	assert_int_equal(sk_run_parse(fdt, 0, &again, NULL, NULL), 0);
	assert_true(again.health.disabled);
}

static void refuses(void **state)
{
	static const char *const bad[] = {
		"image = \"x\";",
		"command = \"\";",
		"command;",
		"command = <1 2>;",
		"command = [61 62];",
		"user = \"a b\";",
		"user = \"a:\";",
		"user = \"a:b:c\";",
		"user = \"a\", \"b\";",
		"working-dir = \"srv\";",
		"working-dir = \"/a/../b\";",
		"working-dir = \"/a/\";",
		"stop-signal = \"SIGNOT\";",
		"stop-grace = \"0s\";",
		"stop-grace = \"2d\";",
		"stop-grace = <10>;",
		"environment { 1A = \"x\"; };",
		"environment { A; };",
		"environment { A = \"x\", \"y\"; };",
		"environment { sub { }; };",
		"health-check { };",
		"health-check { http = \"/\"; };",
		"health-check { http = \"x\"; port = <1>; };",
		"health-check { command = \"/a\"; port = <1>; };",
		"health-check { disable; port = <1>; };",
		"health-check { port = <0>; };",
		"health-check { port = <65536>; };",
		"health-check { port = \"80\"; };",
		"health-check { port = <1>; retries = <0>; };",
		"health-check { port = <1>; interval = \"1ms\"; };",
	};
	struct sk_run run = { .stop_signal = 99 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (parse(bad[i], &run) != -EINVAL)
			fail_msg("accepted %s", bad[i]);
	assert_int_equal(run.stop_signal, 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(small_buffer_is_told),
		cmocka_unit_test(merge_keeps_image),
		cmocka_unit_test(merge_app_wins),
		cmocka_unit_test(merge_arguments_alone),
		cmocka_unit_test(merge_disabled_check),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests_name("model/run", tests, NULL, NULL);
}
