/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "base/str.h"
#include "dts.h"
#include "model/manifest.h"

static const char full[] =
	"/ { persistent-boot;"
	" release { project = \"weather\"; version = \"1.4.0-rc.1\";"
	"  compatible = \"acme,station-v2\", \"acme,station\"; expires = \"2027-12-31\";"
	"  allow-downgrade; settle-time = \"20s\"; health-timeout = \"2m\"; boot-attempts = <5>; };"
	" system { image = \"rootfs.itb\"; };"
	" apps {"
	"  web { image = \"nginx.itb\"; kind = \"vm\"; command = \"/usr/sbin/nginx\", \"-q\";"
	"   arguments = \"-g\", \"\"; user = \"33:33\"; working-dir = \"/srv\";"
	"   stop-signal = \"SIGQUIT\"; stop-grace = \"5s\"; devices = \"/dev/i2c-1\","
	"   \"/dev/ttyS0:/dev/gps:r\", \"/dev/x:rwm\"; memory-limit = \"64M\"; cpu-limit = \"1.25\";"
	"   pids-limit = <64>; restart = \"on-failure\"; restart-max = <5>; restart-window = \"1h\";"
	"   backoff-min = \"2s\"; backoff-max = \"30s\"; network = \"host\"; writable-root; keep-logs;"
	"   msg_servers = \"main\"; aux_device_setup_script = \"/setup\";"
	"   environment { TZ = \"UTC\"; EMPTY = \"\"; };"
	"   volumes { data = \"/var/lib/www\"; conf = \"/etc/www\", \"read-only\"; };"
	"   health-check { http = \"/ok\"; port = <80>; interval = \"3s\"; timeout = \"1s\";"
	"    start-period = \"9s\"; retries = <7>; }; };"
	"  db { image = \"db.itb\"; };"
	"  helper { image = \"nginx.itb\"; msg_servers = \"main\"; };"
	" };"
	" supervision { db = \"web\"; };"
	" msg_servers { main { dir_access_control { weather { publish = \"helper\";"
	"  connect = \"web\", \"helper\"; }; }; }; };"
	" keys { tls { apps = \"web\"; uses = \"sign\", \"derive\"; }; }; };";

static struct sk_manifest *parse(const char *dts)
{
	struct sk_err err = SK_ERR_INIT;
	struct sk_manifest *m = NULL;
	size_t len;
	_cleanup_free_ void *dtb = dts_compile(dts, &len);

	if (sk_manifest_parse(dtb, len, &m, NULL, &err) < 0)
		fail_msg("%s", err.text);
	return m;
}

static void reads_release(void **state)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = parse(full);

	assert_true(m->persistent_boot);
	assert_true(m->allow_downgrade);
	assert_string_equal(m->project, "weather");
	assert_string_equal(m->version, "1.4.0-rc.1");
	assert_int_equal(sk_strv_len(m->compatible), 2);
	assert_string_equal(m->compatible[1], "acme,station");
	assert_int_equal(m->expires_s, 1830211200);
	assert_int_equal(m->created_s, 0);
	assert_int_equal(m->settle_ms, 20000);
	assert_int_equal(m->health_timeout_ms, 120000);
	assert_int_equal(m->boots_max, 5);
	assert_string_equal(m->system->name, "rootfs.itb");
	assert_int_equal(m->n_images, 3);
	assert_int_equal(sk_manifest_pinned(m, NULL), -EINVAL);
}

static void reads_app(void **state)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = parse(full);
	const struct sk_app *a = sk_manifest_app(m, "web");

	assert_int_equal(a->kind, SK_KIND_VM);
	assert_string_equal(a->image->name, "nginx.itb");
	assert_ptr_equal(a->image, sk_manifest_app(m, "helper")->image);
	assert_int_equal(a->memory_bytes, 64 << 20);
	assert_int_equal(a->cpu_millis, 1250);
	assert_int_equal(a->pids, 64);
	assert_int_equal(a->restart, SK_RESTART_ON_FAILURE);
	assert_int_equal(a->restart_max, 5);
	assert_int_equal(a->restart_window_ms, 3600000);
	assert_int_equal(a->backoff_min_ms, 2000);
	assert_int_equal(a->backoff_max_ms, 30000);
	assert_int_equal(a->network, SK_NETWORK_HOST);
	assert_true(a->writable_root);
	assert_true(a->keep_logs);
	assert_string_equal(a->msg_servers[0], "main");
	assert_string_equal(a->device_setup, "/setup");
}

static void reads_grants(void **state)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = parse(full);
	const struct sk_app *a = sk_manifest_app(m, "web");

	assert_int_equal(a->n_devices, 3);
	assert_string_equal(a->devices[0].target, "/dev/i2c-1");
	assert_string_equal(a->devices[0].mode, "rw");
	assert_string_equal(a->devices[1].path, "/dev/ttyS0");
	assert_string_equal(a->devices[1].target, "/dev/gps");
	assert_string_equal(a->devices[1].mode, "r");
	assert_string_equal(a->devices[2].target, "/dev/x");
	assert_string_equal(a->devices[2].mode, "rwm");
	assert_int_equal(a->n_volumes, 2);
	assert_string_equal(a->volumes[0].name, "data");
	assert_false(a->volumes[0].read_only);
	assert_string_equal(a->volumes[1].target, "/etc/www");
	assert_true(a->volumes[1].read_only);
}

static void reads_links(void **state)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = parse(full);

	assert_int_equal(m->n_supervision, 1);
	assert_string_equal(m->supervision[0].app, "db");
	assert_string_equal(m->supervision[0].dependants[0], "web");
	assert_int_equal(m->n_msg_servers, 1);
	assert_string_equal(m->msg_servers[0].rules[0].protocol, "weather");
	assert_string_equal(m->msg_servers[0].rules[0].publish[0], "helper");
	assert_int_equal(sk_strv_len(m->msg_servers[0].rules[0].connect), 2);
	assert_int_equal(m->n_keys, 1);
	assert_string_equal(m->keys[0].apps[0], "web");
	assert_string_equal(m->keys[0].uses[1], "derive");
}

static void has_defaults(void **state)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m =
		parse("/ { " DTS_RELEASE " apps { a { image = \"a.itb\"; }; }; };");
	const struct sk_app *a = &m->apps[0];

	assert_false(m->persistent_boot);
	assert_null(m->system);
	assert_int_equal(m->expires_s, 0);
	assert_int_equal(m->settle_ms, 10000);
	assert_int_equal(m->health_timeout_ms, 300000);
	assert_int_equal(m->boots_max, 3);
	assert_int_equal(a->kind, SK_KIND_CONTAINER);
	assert_int_equal(a->pids, 512);
	assert_int_equal(a->memory_bytes, 0);
	assert_int_equal(a->cpu_millis, 0);
	assert_int_equal(a->restart, SK_RESTART_ALWAYS);
	assert_int_equal(a->restart_max, 0);
	assert_int_equal(a->restart_window_ms, 600000);
	assert_int_equal(a->backoff_min_ms, 1000);
	assert_int_equal(a->backoff_max_ms, 60000);
	assert_int_equal(a->network, SK_NETWORK_NONE);
	assert_int_equal(a->run.health.kind, SK_HEALTH_NONE);
	assert_null(a->run.command);
}

static void orders_apps(void **state)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m =
		parse("/ { " DTS_RELEASE " apps {"
		      " admin { image = \"i\"; }; free { image = \"i\"; };"
		      " tunnel { image = \"i\"; }; ethernet { image = \"i\"; }; };"
		      " supervision { ethernet = \"tunnel\", \"admin\"; tunnel = \"admin\"; }; };");

	assert_string_equal(m->apps[0].name, "free");
	assert_string_equal(m->apps[1].name, "ethernet");
	assert_string_equal(m->apps[2].name, "tunnel");
	assert_string_equal(m->apps[3].name, "admin");
}

/* Not every caller has the tree at an address that libfdt likes. */
static void reads_unaligned(void **state)
{
	_cleanup_(sk_manifest_freep) struct sk_manifest *m = NULL;
	size_t len;
	_cleanup_free_ char *dtb = dts_compile(full, &len);
	_cleanup_free_ char *moved = malloc(len + 1);

	memcpy(moved + 1, dtb, len);
	assert_int_equal(sk_manifest_parse(moved + 1, len, &m, NULL, NULL), 0);
}

static void refuses_broken_trees(void **state)
{
	struct sk_manifest *m = NULL;
	struct sk_err err = SK_ERR_INIT;
	size_t len;
	_cleanup_free_ char *dtb = dts_compile(full, &len);
	_cleanup_free_ char *longer = calloc(1, len + 4);

	for (size_t cut = 0; cut < len; cut += 7)
		assert_int_equal(sk_manifest_parse(dtb, cut, &m, NULL, &err), -EINVAL);
	assert_string_equal(err.slug, "bad-manifest");
	memcpy(longer, dtb, len);
	assert_int_equal(sk_manifest_parse(longer, len + 4, &m, NULL, &err), -EINVAL);
	longer[20 + 3] = 16; /* an older version of the format */
	assert_int_equal(sk_manifest_parse(longer, len, &m, NULL, &err), -EINVAL);
	assert_null(m);
}

static void refuses_huge(void **state)
{
	struct sk_manifest *m = NULL;
	struct sk_err err = SK_ERR_INIT;
	_cleanup_free_ char *big = calloc(1, SK_MANIFEST_SIZE_MAX + 1);

	assert_int_equal(sk_manifest_parse(big, SK_MANIFEST_SIZE_MAX + 1, &m, NULL, &err), -EFBIG);
	assert_string_equal(err.slug, "too-large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_release),   cmocka_unit_test(reads_app),
		cmocka_unit_test(reads_grants),	   cmocka_unit_test(reads_links),
		cmocka_unit_test(has_defaults),	   cmocka_unit_test(orders_apps),
		cmocka_unit_test(reads_unaligned), cmocka_unit_test(refuses_broken_trees),
		cmocka_unit_test(refuses_huge),
	};

	return cmocka_run_group_tests_name("model/manifest", tests, NULL, NULL);
}
