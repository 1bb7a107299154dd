/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/macros.h"
#include "model/fingerprint.h"

static struct sk_digest of(const struct sk_app *app)
{
	struct sk_digest d;

	assert_int_equal(sk_app_fingerprint(app, &d), 0);
	return d;
}

/* Sets one field to another value; a field that nobody hashes would leave the print as it was. */
#define CHANGES(field, ...)                                      \
	do {                                                     \
		struct sk_app other = base;                      \
		struct sk_digest d;                              \
                                                                 \
		other.field = __VA_ARGS__;                       \
		d = of(&other);                                  \
		if (sk_digest_equal(&d, &same))                  \
			fail_msg(#field " is not in the print"); \
	} while (0)

static void every_field_counts(void **state)
{
	struct sk_image_ref image = { .name = (char *)"a.itb", .digest = { { 1 } } };
	struct sk_image_ref other_image = { .name = (char *)"a.itb", .digest = { { 2 } } };
	char *words[] = { (char *)"x", NULL };
	struct sk_env env = { (char *)"A", (char *)"1" };
	struct sk_device_grant dev = { (char *)"/dev/a", (char *)"/dev/a", "rw" };
	struct sk_volume vol = { (char *)"data", (char *)"/data", false };
	const struct sk_app base = { .name = (char *)"web", .image = &image };
	const struct sk_digest same = of(&base);

	CHANGES(name, (char *)"wed");
	CHANGES(kind, SK_KIND_VM);
	CHANGES(image, &other_image);
	CHANGES(run.command, words);
	CHANGES(run.arguments, words);
	CHANGES(run, (struct sk_run){ .env = &env, .n_env = 1 });
	CHANGES(run.user, (char *)"1000");
	CHANGES(run.working_dir, (char *)"/");
	CHANGES(run.stop_signal, 2);
	CHANGES(run.stop_grace_ms, 1);
	CHANGES(run.health.kind, SK_HEALTH_TCP);
	CHANGES(run.health.command, words);
	CHANGES(run.health.http_path, (char *)"/");
	CHANGES(run.health.port, 1);
	CHANGES(run.health.interval_ms, 1);
	CHANGES(run.health.timeout_ms, 1);
	CHANGES(run.health.start_period_ms, 1);
	CHANGES(run.health.retries, 1);
	CHANGES(memory_bytes, 1);
	CHANGES(cpu_millis, 1);
	CHANGES(pids, 1);
	CHANGES(restart, SK_RESTART_ALWAYS);
	CHANGES(restart_max, 1);
	CHANGES(restart_window_ms, 1);
	CHANGES(backoff_min_ms, 1);
	CHANGES(backoff_max_ms, 1);
	CHANGES(network, SK_NETWORK_HOST);
	CHANGES(writable_root, true);
	CHANGES(keep_logs, true);
	CHANGES(msg_servers, words);
	CHANGES(device_setup, (char *)"/s");
	{
		struct sk_app other = base;
		struct sk_digest d;

		other.devices = &dev;
		other.n_devices = 1;
		d = of(&other);
		assert_false(sk_digest_equal(&d, &same));
		other.n_devices = 0;
		other.volumes = &vol;
		other.n_volumes = 1;
		d = of(&other);
		assert_false(sk_digest_equal(&d, &same));
	}
}

static void lists_do_not_run_together(void **state)
{
	char *ab[] = { (char *)"ab", NULL }, *a_b[] = { (char *)"a", (char *)"b", NULL };
	struct sk_image_ref image = { .name = (char *)"a.itb" };
	struct sk_app one = { .name = (char *)"w", .image = &image, .run.command = ab };
	struct sk_app two = { .name = (char *)"w", .image = &image, .run.command = a_b };
	struct sk_app three = { .name = (char *)"w", .image = &image, .run.arguments = ab };
	struct sk_digest d1 = of(&one), d2 = of(&two), d3 = of(&three);

	assert_false(sk_digest_equal(&d1, &d2));
	assert_false(sk_digest_equal(&d1, &d3));
	d2 = of(&one);
	assert_true(sk_digest_equal(&d1, &d2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_counts),
		cmocka_unit_test(lists_do_not_run_together),
	};

	return cmocka_run_group_tests_name("model/fingerprint", tests, NULL, NULL);
}
