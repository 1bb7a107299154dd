/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "base/str.h"
#include "engine/runtime/container/oci.h"
#include "engine/runtime/container/seccomp.h"
#include "io/json.h"

#define S(s)   ((char *)(s))
#define V(...) ((char *[]){ __VA_ARGS__, NULL })

static const struct sk_cgroup full = {
	.v2 = true, .memory = true, .swap = true, .cpu = true, .pids = true
};
static const struct sk_cgroup bare = { .v2 = true };
static const struct sk_user user = { .uid = 1000, .gid = 1001, .groups = { 44 }, .n_groups = 1 };

static json_t *make(struct sk_app *app, struct sk_oci_input in)
{
	struct sk_err err = SK_ERR_INIT;
	json_t *config = NULL;
	int r;

	app->name = S("web");
	in.app = app;
	in.user = in.user ? in.user : &user;
	in.dir = "/run/skerry/capsules/x";
	in.uid_base = 200000;
	in.cgroup_path = "/skerry/x";
	in.cgroup = in.cgroup ? in.cgroup : &full;
	r = sk_oci_config(&in, &config, &err);
	if (r < 0)
		print_message("%s\n", err.text);
	assert_int_equal(r, 0);
	return config;
}

/* "process.user.uid", "mounts.0.type" */
static json_t *at(json_t *o, const char *path)
{
	_cleanup_strv_ char **parts = NULL;

	assert_int_equal(sk_strv_split(path, '.', &parts), 0);
	SK_STRV_FOREACH (p, parts) {
		uint64_t i;

		if (json_is_array(o) && sk_parse_u64(*p, &i) == 0)
			o = json_array_get(o, i);
		else
			o = json_object_get(o, *p);
	}
	return o;
}

static json_t *mount_on(json_t *config, const char *target)
{
	const json_t *list = json_object_get(config, "mounts");
	json_t *m;
	size_t i;

	json_array_foreach (list, i, m)
		if (sk_streq(json_string_value(json_object_get(m, "destination")), target))
			return m;
	return NULL;
}

static bool lists(const json_t *list, const char *word)
{
	const json_t *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (sk_streq(json_string_value(item), word))
			return true;
	return false;
}

static bool has_namespace(json_t *config, const char *type)
{
	const json_t *list = at(config, "linux.namespaces"), *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (sk_streq(json_string_value(json_object_get(item, "type")), type))
			return true;
	return false;
}

static void locked_down(void **state)
{
	struct sk_app app = { .run = { .command = V(S("/bin/x")) }, .pids = 100 };
	_cleanup_json_ json_t *c = make(&app, (struct sk_oci_input){ 0 });
	static const char *const sets[] = { "bounding", "effective", "permitted", "inheritable",
					    "ambient" };
	static const char *const kinds[] = { "user", "pid",	"mount", "ipc",
					     "uts",  "network", "cgroup" };

	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		const json_t *caps = json_object_get(at(c, "process.capabilities"), sets[i]);

		assert_true(json_is_array(caps));
		assert_int_equal(json_array_size(caps), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		assert_true(has_namespace(c, kinds[i]));
	assert_true(json_is_true(at(c, "process.noNewPrivileges")));
	assert_true(json_is_true(at(c, "root.readonly")));
	assert_int_equal(json_integer_value(at(c, "linux.uidMappings.0.hostID")), 200000);
	assert_int_equal(json_integer_value(at(c, "linux.uidMappings.0.containerID")), 0);
	assert_int_equal(json_integer_value(at(c, "linux.gidMappings.0.size")), 65536);
	assert_int_equal(json_array_size(at(c, "linux.uidMappings")), 1);
	/* both: the compiled filter, and the profile for a runtime that does not know of it */
	assert_string_equal(json_string_value(json_object_get(json_object_get(c, "annotations"),
							      SK_SECCOMP_ANNOTATION)),
			    sk_seccomp_filter);
	assert_string_equal(json_string_value(at(c, "linux.seccomp.defaultAction")),
			    "SCMP_ACT_ERRNO");
	assert_true(lists(at(c, "linux.maskedPaths"), "/proc/kcore"));
	assert_true(lists(at(c, "linux.readonlyPaths"), "/proc/sys"));
	assert_string_equal(json_string_value(at(c, "hostname")), "web");
	assert_int_equal(json_integer_value(at(c, "process.user.uid")), 1000);
	assert_int_equal(json_integer_value(at(c, "process.user.additionalGids.0")), 44);
	assert_null(mount_on(c, "/etc/hosts"));
}

static void root_s_capabilities(void **state)
{
	struct sk_app app = { .run = { .command = V(S("/bin/x")) } };
	static const struct sk_user root = { 0 };
	_cleanup_json_ json_t *released = make(&app, (struct sk_oci_input){ .user = &root });
	_cleanup_json_ json_t *made =
		make(&app, (struct sk_oci_input){ .user = &root, .user_made = true });
	_cleanup_json_ json_t *plain = make(&app, (struct sk_oci_input){ .user_made = true });

	assert_int_equal(json_array_size(at(released, "process.capabilities.bounding")), 0);
	assert_int_equal(json_array_size(at(plain, "process.capabilities.bounding")), 0);
	assert_true(lists(at(made, "process.capabilities.effective"), "CAP_CHOWN"));
	assert_false(lists(at(made, "process.capabilities.bounding"), "CAP_SYS_ADMIN"));
	assert_false(lists(at(made, "process.capabilities.bounding"), "CAP_NET_RAW"));
}

static void command_and_environment(void **state)
{
	struct sk_env env[] = { { S("COLOUR"), S("blue=green") }, { S("HOME"), S("/x") } };
	struct sk_app app = { .run = { .command = V(S("/bin/x"), S("-a")),
				       .arguments = V(S("b c")),
				       .env = env,
				       .n_env = 2,
				       .working_dir = S("/srv") } };
	_cleanup_json_ json_t *c = make(&app, (struct sk_oci_input){ 0 });

	assert_string_equal(json_string_value(at(c, "process.args.1")), "-a");
	assert_string_equal(json_string_value(at(c, "process.args.2")), "b c");
	assert_true(lists(at(c, "process.env"), "COLOUR=blue=green"));
	assert_true(lists(at(c, "process.env"), "HOME=/x"));
	assert_false(lists(at(c, "process.env"), "HOME=/"));
	assert_true(lists(at(c, "process.env"), "HOSTNAME=web"));
	assert_string_equal(json_string_value(at(c, "process.cwd")), "/srv");
}

static void limits(void **state)
{
	struct sk_app app = { .run = { .command = V(S("/bin/x")) },
			      .memory_bytes = UINT64_C(3) << 30,
			      .cpu_millis = 1500,
			      .pids = 77 };
	_cleanup_json_ json_t *c = make(&app, (struct sk_oci_input){ 0 }), *weak = NULL;
	struct sk_oci_input in = { .cgroup = &bare, .best_effort = true };

	assert_true(json_integer_value(at(c, "linux.resources.memory.limit")) == 3ll << 30);
	assert_true(json_integer_value(at(c, "linux.resources.memory.swap")) == 3ll << 30);
	assert_int_equal(json_integer_value(at(c, "linux.resources.cpu.quota")), 150000);
	assert_int_equal(json_integer_value(at(c, "linux.resources.cpu.period")), 100000);
	assert_int_equal(json_integer_value(at(c, "linux.resources.pids.limit")), 77);
	weak = make(&app, in);
	assert_int_equal(json_object_size(at(weak, "linux.resources")), 0);
	/* The number of processes is bounded all the same. */
	assert_string_equal(json_string_value(at(weak, "process.rlimits.2.type")), "RLIMIT_NPROC");
	assert_int_equal(json_integer_value(at(weak, "process.rlimits.2.hard")), 77);
}

static int try_make(struct sk_app *app, const struct sk_cgroup *cg, struct sk_err *err)
{
	struct sk_oci_input in = {
		.app = app, .user = &user, .dir = "/x", .cgroup_path = "/y", .cgroup = cg
	};
	json_t *c = NULL;
	int r;

	app->name = S("web");
	r = sk_oci_config(&in, &c, err);
	json_decref(c);
	return r;
}

static void what_cannot_be_limited_is_an_error(void **state)
{
	struct sk_app app = { .run = { .command = V(S("/bin/x")) }, .memory_bytes = 1 << 20 };
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(try_make(&app, &bare, &err), -ENOTSUP);
	assert_true(sk_err_is(&err, "not-supported"));
	app.memory_bytes = 0;
	app.cpu_millis = 1;
	assert_int_equal(try_make(&app, &bare, &err), -ENOTSUP);
	app.cpu_millis = 0;
	assert_int_equal(try_make(&app, &bare, &err), 0);
}

static void what_cannot_be_written_is_an_error(void **state)
{
	struct sk_env env = { S("A"), S("\xff") };
	struct sk_app app = { 0 };
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(try_make(&app, &full, &err), -EINVAL);
	app.run.command = V(S("\xc3\x28"));
	assert_int_equal(try_make(&app, &full, &err), -EINVAL);
	app.run.command = V(S("/bin/x"));
	app.run.env = &env;
	app.run.n_env = 1;
	assert_int_equal(try_make(&app, &full, &err), -EINVAL);
	assert_true(sk_err_is(&err, "bad-value"));
}

static void grants(void **state)
{
	struct sk_volume volumes[] = { { S("a"), S("/a"), true }, { S("b"), S("/b/c"), false } };
	struct sk_device_grant dev = { S("/dev/null"), S("/dev/x"), "rw" };
	struct sk_app app = { .run = { .command = V(S("/bin/x")) },
			      .volumes = volumes,
			      .n_volumes = 2,
			      .devices = &dev,
			      .n_devices = 1 };
	_cleanup_json_ json_t *c =
		make(&app, (struct sk_oci_input){ .device_rules = true, .has_hosts = true });
	_cleanup_strv_ char **targets = NULL;

	assert_true(lists(json_object_get(mount_on(c, "/a"), "options"), "ro"));
	assert_true(lists(json_object_get(mount_on(c, "/b/c"), "options"), "rw"));
	assert_string_equal(json_string_value(json_object_get(mount_on(c, "/b/c"), "source")),
			    "/run/skerry/capsules/x/vol/1");
	assert_true(lists(json_object_get(mount_on(c, "/dev/x"), "options"), "noexec"));
	assert_string_equal(json_string_value(json_object_get(mount_on(c, "/etc/hosts"), "source")),
			    "/run/skerry/capsules/x/hosts");
	assert_true(json_is_false(at(c, "linux.resources.devices.0.allow")));
	assert_int_equal(json_integer_value(at(c, "linux.resources.devices.1.major")), 1);
	assert_int_equal(json_integer_value(at(c, "linux.resources.devices.1.minor")), 3);
	assert_int_equal(sk_oci_targets(&app, &targets), 0);
	assert_true(sk_strv_has(targets, "/b/c") && sk_strv_has(targets, "/proc"));
}

static void host_network(void **state)
{
	struct sk_app app = { .run = { .command = V(S("/bin/x")) }, .network = SK_NETWORK_HOST };
	struct sk_oci_input in = {
		.has_hosts = true, .has_resolv = true, .device_hosts = true, .device_resolv = true
	};
	_cleanup_json_ json_t *c = make(&app, in), *on_bare = NULL;

	assert_false(has_namespace(c, "network"));
	assert_true(has_namespace(c, "user"));
	assert_null(at(c, "linux.sysctl"));
	assert_string_equal(
		json_string_value(json_object_get(mount_on(c, "/etc/resolv.conf"), "source")),
		"/etc/resolv.conf");
	assert_string_equal(json_string_value(json_object_get(mount_on(c, "/etc/hosts"), "source")),
			    "/etc/hosts");
	assert_string_equal(json_string_value(json_object_get(mount_on(c, "/sys"), "type")),
			    "bind");
	/* A device may have neither file: the runtime would refuse to mount what is not there. */
	in.device_hosts = in.device_resolv = false;
	on_bare = make(&app, in);
	assert_string_not_equal(
		json_string_value(json_object_get(mount_on(on_bare, "/etc/hosts"), "source")),
		"/etc/hosts");
	assert_null(mount_on(on_bare, "/etc/resolv.conf"));
}

/* The words of the seccomp profile: each call once, dangerous ones not among the allowed. */
static void seccomp_profile(void **state)
{
	_cleanup_json_ json_t *p = sk_seccomp_profile(), *seen = json_object();
	static const char *const never[] = { "mount",	      "bpf",	     "ptrace",
					     "keyctl",	      "unshare",     "setns",
					     "reboot",	      "init_module", "open_by_handle_at",
					     "io_uring_setup" };
	const json_t *rules = json_object_get(p, "syscalls"), *rule, *name;
	const json_t *allowed = at(p, "syscalls.0.names");
	size_t i, k;

	assert_non_null(p);
	for (i = 0; i < ARRAY_SIZE(never); i++)
		assert_false(lists(allowed, never[i]));
	assert_true(lists(allowed, "openat") && lists(allowed, "execve"));
	/* A call in two rules, or twice in one, would make the filter ambiguous. */
	json_array_foreach (rules, i, rule)
		json_array_foreach (json_object_get(rule, "names"), k, name) {
			const char *s = json_string_value(name);

			if (sk_streq(s, "personality") || sk_streq(s, "socket"))
				continue;
			assert_null(json_object_get(seen, s));
			json_object_set_new(seen, s, json_true());
		}
}

/* Capsules must not be spared, as the daemon is, when memory is short. */
static void out_of_memory_score(void **state)
{
	struct sk_app app = { .run = { .command = V(S("/bin/x")) } };
	_cleanup_json_ json_t *spared = make(&app, (struct sk_oci_input){ .spared = true });
	_cleanup_json_ json_t *not = make(&app, (struct sk_oci_input){ 0 });
	json_t *score = at(spared, "process.oomScoreAdj");

	assert_true(json_is_integer(score) && json_integer_value(score) == 0);
	assert_null(at(not, "process.oomScoreAdj"));
}

/* Bytes alone do not bound a file system in memory: a million empty files take a gigabyte. */
static void file_systems_in_memory_are_bounded(void **state)
{
	struct sk_app app = { .run = { .command = V(S("/bin/x")) } };
	_cleanup_json_ json_t *c = make(&app, (struct sk_oci_input){ 0 });
	json_t *m, *option;
	size_t i, k, n = 0;

	json_array_foreach (json_object_get(c, "mounts"), i, m) {
		bool size = false, inodes = false;

		if (!sk_streq(json_string_value(json_object_get(m, "type")), "tmpfs"))
			continue;
		json_array_foreach (json_object_get(m, "options"), k, option) {
			size = size || sk_str_starts(json_string_value(option), "size=");
			inodes = inodes || sk_str_starts(json_string_value(option), "nr_inodes=");
		}
		assert_true(size && inodes);
		n++;
	}
	assert_int_equal(n, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(locked_down),
		cmocka_unit_test(root_s_capabilities),
		cmocka_unit_test(command_and_environment),
		cmocka_unit_test(limits),
		cmocka_unit_test(what_cannot_be_limited_is_an_error),
		cmocka_unit_test(what_cannot_be_written_is_an_error),
		cmocka_unit_test(grants),
		cmocka_unit_test(host_network),
		cmocka_unit_test(seccomp_profile),
		cmocka_unit_test(out_of_memory_score),
		cmocka_unit_test(file_systems_in_memory_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
