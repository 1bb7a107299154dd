/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "model/release.h"

#define S(literal) ((char *)(literal)) /* the model owns its strings; these are nobody's */

static struct sk_image_ref image = { .name = S("a.itb"), .pinned = true, .digest = { { 1 } } };
static struct sk_image_ref newer = { .name = S("a.itb"), .pinned = true, .digest = { { 2 } } };
static struct sk_image_ref renamed = { .name = S("b.itb"), .pinned = true, .digest = { { 1 } } };

static struct sk_app app(const char *name)
{
	return (struct sk_app){ .name = (char *)name, .image = &image };
}

static struct sk_manifest of(struct sk_app *apps, size_t n)
{
	return (struct sk_manifest){ .apps = apps, .n_apps = n };
}

static void row(const struct sk_app_change *c, enum sk_change change, const char *name)
{
	assert_int_equal(c->change, change);
	assert_string_equal(c->to ? c->to->name : c->from->name, name);
	assert_int_equal(c->from != NULL, change != SK_CHANGE_ADD);
	assert_int_equal(c->to != NULL, change != SK_CHANGE_REMOVE);
}

static void stop_backwards_start_forwards(void **state)
{
	struct sk_app old[] = { app("net"), app("gone"), app("db"), app("web") };
	struct sk_app new[] = { app("db"), app("added"), app("web"), app("net") };
	struct sk_manifest from = of(old, 4), to = of(new, 4);
	struct sk_changes c;

	new[2].image = &newer; /* web */
	new[3].pids = 7;       /* net */
	assert_int_equal(sk_release_changes(&from, &to, &c), 0);
	assert_int_equal(c.n_stop, 3);
	row(&c.stop[0], SK_CHANGE_REPLACE, "web");
	row(&c.stop[1], SK_CHANGE_REMOVE, "gone");
	row(&c.stop[2], SK_CHANGE_REPLACE, "net");
	assert_int_equal(c.n_start, 3);
	row(&c.start[0], SK_CHANGE_ADD, "added");
	row(&c.start[1], SK_CHANGE_REPLACE, "web");
	row(&c.start[2], SK_CHANGE_REPLACE, "net");
	assert_int_equal(c.n_same, 1);
	row(&c.same[0], SK_CHANGE_SAME, "db");
	assert_ptr_equal(c.same[0].from, &old[2]);
	assert_ptr_equal(c.same[0].to, &new[0]);
	sk_changes_done(&c);
}

static void from_and_to_nothing(void **state)
{
	struct sk_app apps[] = { app("a"), app("b") };
	struct sk_manifest m = of(apps, 2);
	struct sk_changes c;

	assert_int_equal(sk_release_changes(NULL, &m, &c), 0);
	assert_int_equal(c.n_stop + c.n_same, 0);
	assert_int_equal(c.n_start, 2);
	row(&c.start[0], SK_CHANGE_ADD, "a");
	sk_changes_done(&c);
	assert_int_equal(sk_release_changes(&m, NULL, &c), 0);
	assert_int_equal(c.n_start + c.n_same, 0);
	assert_int_equal(c.n_stop, 2);
	row(&c.stop[0], SK_CHANGE_REMOVE, "b");
	sk_changes_done(&c);
	assert_int_equal(sk_release_changes(NULL, NULL, &c), 0);
	assert_int_equal(c.n_stop + c.n_start + c.n_same, 0);
	sk_changes_done(&c);
}

static bool same(const struct sk_app *a, const struct sk_app *b)
{
	struct sk_manifest from = of((struct sk_app *)a, 1), to = of((struct sk_app *)b, 1);
	struct sk_changes c;
	bool is;

	assert_int_equal(sk_release_changes(&from, &to, &c), 0);
	is = c.n_same == 1 && c.n_stop == 0 && c.n_start == 0;
	assert_int_equal(is || (c.n_stop == 1 && c.n_start == 1 && c.n_same == 0), true);
	sk_changes_done(&c);
	return is;
}

/* Each field in turn, from the default to something else and back: a forgotten one fails here. */
#define DIFFERS(field, ...)                                   \
	do {                                                  \
		struct sk_app a = app("a"), b = app("a");     \
		b.field = (__typeof__(b.field))__VA_ARGS__;   \
		if (same(&a, &b) || same(&b, &a))             \
			fail_msg("not compared: %s", #field); \
		a.field = b.field;                            \
		assert_true(same(&a, &b));                    \
	} while (0)

static void every_field_of_an_app(void **state)
{
	static char *words[] = { S("x"), S("y"), NULL };

	DIFFERS(kind, SK_KIND_VM);
	DIFFERS(image, &newer);
	DIFFERS(memory_bytes, 1);
	DIFFERS(cpu_millis, 1);
	DIFFERS(pids, 1);
	DIFFERS(restart, SK_RESTART_ALWAYS);
	DIFFERS(restart_max, 1);
	DIFFERS(restart_window_ms, 1);
	DIFFERS(backoff_min_ms, 1);
	DIFFERS(backoff_max_ms, 1);
	DIFFERS(network, SK_NETWORK_HOST);
	DIFFERS(writable_root, true);
	DIFFERS(keep_logs, true);
	DIFFERS(msg_servers, words);
	DIFFERS(device_setup, "setup");
}

static void every_field_of_a_run(void **state)
{
	static char *words[] = { S("x"), S("y"), NULL };

	DIFFERS(run.command, words);
	DIFFERS(run.arguments, words);
	DIFFERS(run.user, "1000");
	DIFFERS(run.working_dir, "/srv");
	DIFFERS(run.stop_signal, 2);
	DIFFERS(run.stop_grace_ms, 1);
	DIFFERS(run.health.kind, SK_HEALTH_TCP);
	DIFFERS(run.health.command, words);
	DIFFERS(run.health.http_path, "/");
	DIFFERS(run.health.port, 80);
	DIFFERS(run.health.interval_ms, 1);
	DIFFERS(run.health.timeout_ms, 1);
	DIFFERS(run.health.start_period_ms, 1);
	DIFFERS(run.health.retries, 1);
}

static void lists(void **state)
{
	struct sk_env env[] = { { S("A"), S("1") } }, value[] = { { S("A"), S("2") } },
		      name[] = { { S("B"), S("1") } };
	struct sk_device_grant dev[] = { { S("/dev/a"), S("/dev/a"), "r" } };
	struct sk_device_grant path[] = { { S("/dev/b"), S("/dev/a"), "r" } };
	struct sk_device_grant target[] = { { S("/dev/a"), S("/dev/b"), "r" } };
	struct sk_device_grant mode[] = { { S("/dev/a"), S("/dev/a"), "rw" } };
	struct sk_volume vol[] = { { S("d"), S("/d"), false } },
			 ro[] = { { S("d"), S("/d"), true } };
	struct sk_volume where[] = { { S("d"), S("/e"), false } },
			 which[] = { { S("e"), S("/d"), false } };
	struct sk_app a = app("a"), b;

	a.run.env = env;
	a.run.n_env = 1;
	a.devices = dev;
	a.n_devices = 1;
	a.volumes = vol;
	a.n_volumes = 1;
	b = a;
	assert_true(same(&a, &b));
#define LIST(field, other) \
	b = a;             \
	b.field = (other); \
	assert_false(same(&a, &b))
	LIST(run.env, value);
	LIST(run.env, name);
	LIST(run.n_env, 0);
	LIST(devices, path);
	LIST(devices, target);
	LIST(devices, mode);
	LIST(n_devices, 0);
	LIST(volumes, ro);
	LIST(volumes, where);
	LIST(volumes, which);
	LIST(n_volumes, 0);
}

/* Content decides, not what the file is called. */
static void renamed_image(void **state)
{
	struct sk_app a = app("a"), b = app("a");

	b.image = &renamed;
	assert_true(same(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stop_backwards_start_forwards),
		cmocka_unit_test(from_and_to_nothing),
		cmocka_unit_test(every_field_of_an_app),
		cmocka_unit_test(every_field_of_a_run),
		cmocka_unit_test(lists),
		cmocka_unit_test(renamed_image),
	};

	return cmocka_run_group_tests_name("model/changes", tests, NULL, NULL);
}
