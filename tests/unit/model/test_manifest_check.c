/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>

#include "base/str.h"
#include "dts.h"
#include "model/manifest.h"

/* Every mistake is told with its node, its property and what to write instead. */
struct mistake {
	const char *body; /* nodes beside "release" */
	const char *path, *prop;
	const char *text, *hint; /* parts of them */
};

#define APP(words)  "apps { a { image = \"i\"; " words " }; };"
#define APPS(links) "apps { a { image = \"i\"; }; b { image = \"i\"; }; }; " links
#define MSG(rule)                                                                    \
	"apps { a { image = \"i\"; msg_servers = \"m\"; }; b { image = \"i\"; }; };" \
	"msg_servers { m { " rule " }; };"

static const struct mistake mistakes[] = {
	{ "app { };", "/app", NULL, "unknown node", "\"apps\"" },
	{ "services { };", "/services", NULL, "unknown node", "apps" },
	{ "apps { a { }; };", "/apps/a", NULL, "\"image\" is missing", "image = " },
	{ "apps { -a { image = \"i\"; }; };", "/apps/-a", NULL, "not a name for a app", "letters" },
	{ "apps { x = \"y\"; };", "/apps", "x", "unknown property", NULL },
	{ APP("imgae = \"x\";"), "/apps/a", "imgae", "unknown property", "\"image\"" },
	{ APP("memory_limit = \"64M\";"), "/apps/a", "memory_limit", "unknown", "memory-limit" },
	{ APP("mem_limit = \"64M\";"), "/apps/a", "mem_limit", "unknown", "memory-limit" },
	{ APP("depends_on = \"b\";"), "/apps/a", "depends_on", "unknown", "supervision" },
	{ APP("privileged;"), "/apps/a", "privileged", "unknown", "devices" },
	{ APP("enviroment { };"), "/apps/a/enviroment", NULL, "unknown node", "environment" },
	{ APP("memory-limit = \"1K\";"), "/apps/a", "memory-limit", "out of range", "64M" },
	{ APP("memory-limit = \"2000T\";"), "/apps/a", "memory-limit", "out of range", "64M" },
	{ APP("memory-limit = \"99999999999T\";"), "/apps/a", "memory-limit", "out of range",
	  "64M" },
	{ APP("memory-limit = \"lots\";"), "/apps/a", "memory-limit", "not a size", "64M" },
	{ APP("memory-limit = <1000>;"), "/apps/a", "memory-limit", "one string", "64M" },
	{ APP("memory-limit;"), "/apps/a", "memory-limit", "one string", "64M" },
	{ APP("cpu-limit = \"0\";"), "/apps/a", "cpu-limit", "not a number of CPUs", "0.5" },
	{ APP("cpu-limit = \"1.2345\";"), "/apps/a", "cpu-limit", "not a number of CPUs", "0.5" },
	{ APP("cpu-limit = \"1.\";"), "/apps/a", "cpu-limit", "not a number of CPUs", "0.5" },
	{ APP("cpu-limit = \".5\";"), "/apps/a", "cpu-limit", "not a number of CPUs", "0.5" },
	{ APP("cpu-limit = \"2000\";"), "/apps/a", "cpu-limit", "not a number of CPUs", "0.5" },
	{ APP("pids-limit = <0>;"), "/apps/a", "pids-limit", "out of range: 1 to", "<512>" },
	{ APP("pids-limit = \"512\";"), "/apps/a", "pids-limit", "out of range", "<512>" },
	{ APP("pids-limit = \"many\";"), "/apps/a", "pids-limit", "in angle brackets", "<512>" },
	{ APP("restart = \"alwyas\";"), "/apps/a", "restart", "is not", "\"always\"" },
	{ APP("restart = \"no\"; restart-max = <3>;"), "/apps/a", "restart-max", "no meaning",
	  "on-f" },
	{ APP("backoff-min = \"2m\";"), "/apps/a", "backoff-min", "longer than", "backoff-max" },
	{ APP("restart-window = \"10 m\";"), "/apps/a", "restart-window", "not a duration", "10m" },
	{ APP("network = \"bridge\";"), "/apps/a", "network", "is not \"none\"", "none" },
	{ APP("keep-logs = \"yes\";"), "/apps/a", "keep-logs", "switch", "keep-logs;" },
	{ APP("kind = \"jail\";"), "/apps/a", "kind", "is not", "container" },
	{ "apps { a { image = \"../i\"; }; };", "/apps/a", "image", "file name", "itb" },
	{ APP("devices = \"/etc/passwd\";"), "/apps/a", "devices", "not a device", "/dev/" },
	{ APP("devices = \"/dev/../etc\";"), "/apps/a", "devices", "not a device", "/dev/" },
	{ APP("devices = \"/dev/a:/proc/b\";"), "/apps/a", "devices", "not a device", "/dev/" },
	{ APP("devices = \"/dev/a:rx\";"), "/apps/a", "devices", "not a device", "/dev/" },
	{ APP("devices = \"/dev/a:/dev/b:r:w\";"), "/apps/a", "devices", "not a device", "/dev/" },
	{ APP("devices = \"/dev/a\", \"/dev/a\";"), "/apps/a", "devices", "given twice", NULL },
	{ APP("volumes { d = \"/\"; };"), "/apps/a/volumes", "d", "not a place", "/var" },
	{ APP("volumes { d = \"var\"; };"), "/apps/a/volumes", "d", "not a place", "/var" },
	{ APP("volumes { d = \"/a/../b\"; };"), "/apps/a/volumes", "d", "not a place", "/var" },
	{ APP("volumes { d = \"/sys\"; };"), "/apps/a/volumes", "d", "not a place", "/var" },
	{ APP("volumes { d = \"/a\", \"ro\"; };"), "/apps/a/volumes", "d", "read-only",
	  "read-only" },
	{ APP("volumes { d = \"/a\"; e = \"/a\"; };"), "/apps/a/volumes", "e", "taken by", NULL },
	{ APP("msg_servers = \"m\";"), "/apps/a", "msg_servers", "no message server", NULL },
	{ APPS("supervision { a = \"c\"; };"), "/supervision", "a", "no app \"c\"", NULL },
	{ APPS("supervision { aa = \"b\"; };"), "/supervision", "aa", "no app \"aa\"", "\"a\"" },
	{ APPS("supervision { a = \"b\", \"b\"; };"), "/supervision", "a", "twice", NULL },
	{ APPS("supervision { a = \"a\"; };"), "/supervision", "a", "circle: a after a", "out" },
	{ APPS("supervision { a = \"b\"; b = \"a\"; };"), "/supervision", NULL, "circle", "out" },
	{ APPS("supervision { a; };"), "/supervision", "a", "strings", "ethernet" },
	{ MSG(""), "/msg_servers/m", NULL, "dir_access_control", "publish" },
	{ MSG("dir_access_control { p { }; };"), "/msg_servers/m/dir_access_control/p", NULL,
	  "\"publish\" is missing", "publish =" },
	{ MSG("dir_access_control { p { publish = \"x\"; }; };"),
	  "/msg_servers/m/dir_access_control/p", "publish", "no app \"x\"", NULL },
	{ MSG("dir_access_control { p { publish = \"a\"; connect = \"b\"; }; };"),
	  "/msg_servers/m/dir_access_control/p", "connect", "not connected",
	  "msg_servers = \"m\"" },
	{ APPS("keys { k { apps = \"c\"; uses = \"sign\"; }; };"), "/keys/k", "apps", "no app",
	  NULL },
	{ APPS("keys { k { apps = \"a\"; uses = \"read\"; }; };"), "/keys/k", "uses", "is not",
	  "sign" },
	{ APPS("images { c.itb { sha256 = \"\"; }; };"), "/images/c.itb", NULL, "no app has",
	  "out" },
	{ APPS("images { i { sha256 = \"abc\"; size = /bits/ 64 <1>; }; };"), "/images/i", "sha256",
	  "64 lower-case", "filled in" },
	{ APPS("dir_access_control { };"), "/dir_access_control", NULL, "unknown node",
	  "msg_servers" },
	{ "l: apps { }; system { image = <&l>; };", "/apps", "phandle", "unknown", "labels" },
};

static void check(const char *dts, struct sk_diags *diags, int want)
{
	struct sk_manifest *m = NULL;
	struct sk_err err = SK_ERR_INIT;
	size_t len;
	_cleanup_free_ void *dtb = dts_compile(dts, &len);

	if (sk_manifest_parse(dtb, len, &m, diags, &err) != want)
		fail_msg("%d %s of %s", want, err.text, dts);
	if (want < 0)
		assert_null(m);
}

static void check_one(const struct mistake *w)
{
	_cleanup_(sk_diags_done) struct sk_diags diags = { 0 };
	_cleanup_free_ char *dts = sk_asprintf("/ { " DTS_RELEASE " %s };", w->body);
	const struct sk_diag *d;

	check(dts, &diags, -EINVAL);
	assert_true(diags.n > 0);
	d = &diags.v[0];
	if (!sk_streq(d->path, w->path) || (w->prop && (!d->prop || !sk_streq(d->prop, w->prop))) ||
	    !strstr(d->text, w->text) || (w->hint && (!d->hint || !strstr(d->hint, w->hint))))
		fail_msg("%s\ngave %s: %s: %s; %s", w->body, d->path, d->prop ? d->prop : "-",
			 d->text, d->hint ? d->hint : "-");
}

static void tells_mistakes(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++)
		check_one(&mistakes[i]);
}

static void tells_release_mistakes(void **state)
{
	static const char *const bad[][2] = {
		{ "/ { };", "\"release\" is missing" },
		{ "/ { release { }; };", "\"project\" is missing" },
		{ "/ { compatible = \"x\"; " DTS_RELEASE " };", "unknown property" },
		{ "/ { persistent-boot = <1>; " DTS_RELEASE " };", "switch" },
		{ "/ { release { project = \"a b\"; version = \"1\"; compatible = \"c\"; }; };",
		  "not a name" },
		{ "/ { release { project = \"a\"; version = \"v1\"; compatible = \"c\"; }; };",
		  "not a version" },
		{ "/ { release { project = \"a\"; version = \"1\"; compatible = \"c d\"; }; };",
		  "not a device type" },
		{ "/ { release { project = \"a\"; version = \"1\"; compatible = \"c\";"
		  " expires = \"soon\"; }; };",
		  "not a date" },
		{ "/ { release { project = \"a\"; version = \"1\"; compatible = \"c\";"
		  " settle-time = \"5m\"; }; };",
		  "not longer than settle-time" },
		{ "/ { release { project = \"a\"; version = \"1\"; compatible = \"c\";"
		  " boot-attempts = <0>; }; };",
		  "out of range" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(sk_diags_done) struct sk_diags diags = { 0 };

		check(bad[i][0], &diags, -EINVAL);
		if (!strstr(diags.v[0].text, bad[i][1]))
			fail_msg("%s: %s", bad[i][0], diags.v[0].text);
	}
}

/* Links are checked after apps, but told where they stand. */
static void tells_all_in_file_order(void **state)
{
	_cleanup_(sk_diags_done) struct sk_diags diags = { 0 };

	check("/ { supervision { a = \"x\"; }; apps { a { image = \"i\"; kind = \"x\"; odd; }; };"
	      " release { project = \"p\"; version = \"1\"; compatible = \"c\"; odd; }; };",
	      &diags, -EINVAL);
	assert_int_equal(diags.n, 4);
	assert_string_equal(diags.v[0].path, "/supervision");
	assert_string_equal(diags.v[1].prop, "kind");
	assert_string_equal(diags.v[2].path, "/apps/a");
	assert_string_equal(diags.v[3].path, "/release");
}

static void keeps_64(void **state)
{
	_cleanup_(sk_diags_done) struct sk_diags diags = { 0 };
	char dts[8192] = "/ { ";
	size_t len = strlen(dts);

	for (int i = 0; i < 200; i++)
		len += (size_t)snprintf(dts + len, sizeof(dts) - len, "odd%d; ", i);
	(void)snprintf(dts + len, sizeof(dts) - len, "%s };", DTS_RELEASE);
	check(dts, &diags, -EINVAL);
	assert_int_equal(diags.n, 64);
	assert_string_equal(diags.v[0].prop, "odd0");
}

/* Builds trees that dtc would refuse. */
static void *begin(size_t size)
{
	void *fdt = calloc(1, size);

	assert_int_equal(fdt_create(fdt, (int)size), 0);
	assert_int_equal(fdt_finish_reservemap(fdt), 0);
	assert_int_equal(fdt_begin_node(fdt, ""), 0);
	return fdt;
}

static int end(void *fdt, struct sk_diags *diags, struct sk_err *err)
{
	struct sk_manifest *m = NULL;

	assert_int_equal(fdt_end_node(fdt), 0);
	assert_int_equal(fdt_finish(fdt), 0);
	return sk_manifest_parse(fdt, fdt_totalsize(fdt), &m, diags, err);
}

static void refuses_100000_nodes(void **state)
{
	_cleanup_free_ void *fdt = begin(SK_MANIFEST_SIZE_MAX);
	struct sk_err err = SK_ERR_INIT;
	char name[16];

	assert_int_equal(fdt_begin_node(fdt, "apps"), 0);
	for (int i = 0; i < 100000; i++) {
		(void)snprintf(name, sizeof(name), "a%d", i);
		assert_int_equal(fdt_begin_node(fdt, name), 0);
		assert_int_equal(fdt_end_node(fdt), 0);
	}
	assert_int_equal(fdt_end_node(fdt), 0);
	assert_int_equal(end(fdt, NULL, &err), -EFBIG);
	assert_string_equal(err.slug, "too-large");
	assert_non_null(strstr(err.text, "16384 nodes"));
}

static void refuses_257_apps(void **state)
{
	_cleanup_(sk_diags_done) struct sk_diags diags = { 0 };
	_cleanup_free_ void *fdt = begin(1 << 20);
	char name[16];

	assert_int_equal(fdt_begin_node(fdt, "apps"), 0);
	for (int i = 0; i < SK_MANIFEST_APPS_MAX + 1; i++) {
		(void)snprintf(name, sizeof(name), "a%d", i);
		assert_int_equal(fdt_begin_node(fdt, name), 0);
		assert_int_equal(fdt_property_string(fdt, "image", "i"), 0);
		assert_int_equal(fdt_end_node(fdt), 0);
	}
	assert_int_equal(fdt_end_node(fdt), 0);
	assert_int_equal(end(fdt, &diags, NULL), -EINVAL);
	assert_non_null(strstr(diags.v[1].text, "at most 256"));
}

static void refuses_depth(void **state)
{
	_cleanup_free_ void *fdt = begin(1 << 20);
	struct sk_err err = SK_ERR_INIT;

	for (int i = 0; i < 5000; i++)
		assert_int_equal(fdt_begin_node(fdt, "n"), 0);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(fdt_end_node(fdt), 0);
	assert_int_equal(end(fdt, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "nested"));
}

static void refuses_long_names(void **state)
{
	_cleanup_free_ void *fdt = begin(1 << 20);
	char name[4096];

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(fdt_begin_node(fdt, name), 0);
	assert_int_equal(fdt_end_node(fdt), 0);
	assert_int_equal(end(fdt, NULL, NULL), -EINVAL);
}

/* Trees that libfdt itself would walk badly: told by their header and names, before it walks. */
static void refuses_unsound_trees(void **state)
{
	_cleanup_free_ char *fdt = begin(1 << 16);
	struct sk_err err = SK_ERR_INIT;
	struct sk_manifest *m = NULL;
	char name[300];
	size_t len;

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(fdt_property(fdt, name, NULL, 0), 0);
	assert_int_equal(end(fdt, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "name is too long"));
	len = fdt_totalsize(fdt);
	fdt_set_version(fdt, 4);
	fdt_set_last_comp_version(fdt, 4);
	assert_int_equal(sk_manifest_parse(fdt, len, &m, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "version 17"));
	fdt_set_version(fdt, 17);
	fdt_set_last_comp_version(fdt, 16);
	fdt_set_totalsize(fdt, UINT32_MAX);
	assert_int_equal(sk_manifest_parse(fdt, len, &m, NULL, &err), -EINVAL);
}

static void refuses_duplicates(void **state)
{
	_cleanup_(sk_diags_done) struct sk_diags diags = { 0 };
	_cleanup_free_ void *fdt = begin(1 << 16);

	assert_int_equal(fdt_begin_node(fdt, "release"), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fdt_property_string(fdt, "project", "p"), 0);
		assert_int_equal(fdt_property_string(fdt, "version", "1"), 0);
		assert_int_equal(fdt_property_string(fdt, "compatible", "c"), 0);
	}
	assert_int_equal(fdt_end_node(fdt), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fdt_begin_node(fdt, "apps"), 0);
		assert_int_equal(fdt_end_node(fdt), 0);
	}
	assert_int_equal(end(fdt, &diags, NULL), -EINVAL);
	assert_int_equal(diags.n, 4);
	for (size_t i = 0; i < diags.n; i++)
		assert_string_equal(diags.v[i].text, "stands there twice");
}

/* Nothing of a stranger's bytes reaches a terminal as it is. */
static void makes_text_printable(void **state)
{
	_cleanup_(sk_diags_done) struct sk_diags diags = { 0 };
	_cleanup_free_ void *fdt = begin(1 << 16);

	assert_int_equal(fdt_property_string(fdt, "\033[2J", "x"), 0);
	assert_int_equal(fdt_begin_node(fdt, "release"), 0);
	assert_int_equal(fdt_property_string(fdt, "project", "\033]0;evil\a"), 0);
	assert_int_equal(fdt_property(fdt, "version", "1.0", 3), 0);	 /* no end */
	assert_int_equal(fdt_property(fdt, "compatible", "a\0b", 3), 0); /* the last has none */
	assert_int_equal(fdt_end_node(fdt), 0);
	assert_int_equal(end(fdt, &diags, NULL), -EINVAL);
	assert_int_equal(diags.n, 4);
	for (size_t i = 0; i < diags.n; i++) {
		assert_null(strchr(diags.v[i].text, '\033'));
		assert_true(!diags.v[i].prop || !strchr(diags.v[i].prop, '\033'));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_mistakes),	   cmocka_unit_test(tells_release_mistakes),
		cmocka_unit_test(tells_all_in_file_order), cmocka_unit_test(keeps_64),
		cmocka_unit_test(refuses_100000_nodes),	   cmocka_unit_test(refuses_257_apps),
		cmocka_unit_test(refuses_depth),	   cmocka_unit_test(refuses_long_names),
		cmocka_unit_test(refuses_unsound_trees),   cmocka_unit_test(refuses_duplicates),
		cmocka_unit_test(makes_text_printable),
	};

	return cmocka_run_group_tests_name("model/manifest_check", tests, NULL, NULL);
}
