/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/container/oci.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/str.h"
#include "engine/runtime/container/idmap.h"
#include "engine/runtime/container/seccomp.h"
#include "io/json.h"

#define CPU_PERIOD_US 100000
#define NOFILE_MAX    4096
#define PATH_DEFAULT  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Enough to change owners, users and to kill, within the capsule's own ids only. */
static const char *const root_caps[] = {
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID",
	"CAP_KILL",  "CAP_SETGID",	 "CAP_SETUID", "CAP_NET_BIND_SERVICE",
};

static const char *const masked[] = {
	"/proc/acpi",	 "/proc/asound",	"/proc/kcore",
	"/proc/keys",	 "/proc/latency_stats", "/proc/sched_debug",
	"/proc/scsi",	 "/proc/timer_list",	"/proc/timer_stats",
	"/sys/firmware", "/sys/dev/block",	"/sys/devices/virtual/powercap",
};
static const char *const readonly[] = {
	"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
};

static json_t *strings(const char *const *v, size_t n)
{
	_cleanup_json_ json_t *list = json_array();

	for (size_t i = 0; list && i < n; i++)
		if (json_array_append_new(list, json_string(v[i])) < 0)
			return NULL;
	return TAKE_PTR(list);
}

/* Appending takes the new reference over, a NULL one is a failure. */
static int push(json_t *list, json_t *item)
{
	return json_array_append_new(list, item);
}

static int pushf(json_t *list, const char *name, const char *value)
{
	return json_array_append_new(list, json_sprintf("%s=%s", name, value));
}

static int make_args(const struct sk_run *run, json_t **ret, struct sk_err *err)
{
	_cleanup_json_ json_t *list = json_array();

	SK_STRV_FOREACH (s, run->command)
		if (push(list, json_string(*s)) < 0)
			return sk_err_set(err, -EINVAL, "bad-value", "the command is not UTF-8");
	SK_STRV_FOREACH (s, run->arguments)
		if (push(list, json_string(*s)) < 0)
			return sk_err_set(err, -EINVAL, "bad-value", "an argument is not UTF-8");
	if (json_array_size(list) == 0)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "neither the manifest nor the image names a command");
	*ret = TAKE_PTR(list);
	return 0;
}

static bool env_has(const struct sk_run *run, const char *name)
{
	for (size_t i = 0; i < run->n_env; i++)
		if (sk_streq(run->env[i].name, name))
			return true;
	return false;
}

static int make_env(const struct sk_oci_input *in, json_t **ret, struct sk_err *err)
{
	_cleanup_json_ json_t *list = json_array();
	const struct sk_run *run = &in->app->run;
	int r = list ? 0 : -1;

	if (r == 0 && !env_has(run, "PATH"))
		r = push(list, json_string(PATH_DEFAULT));
	if (r == 0 && !env_has(run, "HOSTNAME"))
		r = pushf(list, "HOSTNAME", in->app->name);
	if (r == 0 && !env_has(run, "HOME"))
		r = pushf(list, "HOME", in->user->home[0] == '/' ? in->user->home : "/");
	if (r == 0 && in->terminal && !env_has(run, "TERM"))
		r = push(list, json_string("TERM=xterm"));
	for (size_t i = 0; r == 0 && i < run->n_env; i++)
		r = pushf(list, run->env[i].name, run->env[i].value);
	/* Last, so that it holds whatever the manifest says: see include/skerry/app.h. */
	if (r == 0)
		r = pushf(list, "SKERRY_APP", in->app->name);
	if (r < 0)
		return sk_err_set(err, -EINVAL, "bad-value",
				  "the environment is not UTF-8 (or memory is short)");
	*ret = TAKE_PTR(list);
	return 0;
}

static json_t *make_user(const struct sk_user *u)
{
	_cleanup_json_ json_t *groups = json_array();

	for (size_t i = 0; groups && i < u->n_groups; i++)
		if (push(groups, json_integer(u->groups[i])) < 0)
			return NULL;
	return json_pack("{si si si sO}", "uid", (int)u->uid, "gid", (int)u->gid, "umask", 022,
			 "additionalGids", groups);
}

static json_t *make_caps(const struct sk_oci_input *in)
{
	bool some = in->user_made && in->user->uid == 0;
	_cleanup_json_ json_t *caps = strings(root_caps, some ? ARRAY_SIZE(root_caps) : 0);

	return json_pack("{sO sO sO s[] s[]}", "bounding", caps, "effective", caps, "permitted",
			 caps, "inheritable", "ambient");
}

static json_t *make_rlimits(const struct sk_oci_input *in)
{
	_cleanup_json_ json_t *list = json_array();
	int r = list ? 0 : -1;

	if (r == 0)
		r = push(list, json_pack("{ss si si}", "type", "RLIMIT_NOFILE", "soft", 1024,
					 "hard", NOFILE_MAX));
	if (r == 0)
		r = push(list,
			 json_pack("{ss si si}", "type", "RLIMIT_CORE", "soft", 0, "hard", 0));
	/* Counted per user of the namespace, so it bounds the capsule where no group does. */
	if (r == 0 && in->app->pids && !in->cgroup->pids)
		r = push(list,
			 json_pack("{ss sI sI}", "type", "RLIMIT_NPROC", "soft",
				   (json_int_t)in->app->pids, "hard", (json_int_t)in->app->pids));
	return r < 0 ? NULL : TAKE_PTR(list);
}

static int make_process(const struct sk_oci_input *in, json_t **ret, struct sk_err *err)
{
	_cleanup_json_ json_t *args = NULL, *env = NULL;
	const char *cwd = in->app->run.working_dir;
	int r;

	r = make_args(&in->app->run, &args, err);
	if (r == 0)
		r = make_env(in, &env, err);
	if (r < 0)
		return r;
	*ret = json_pack("{sb so sO sO ss so sb so}", "terminal", (int)in->terminal, "user",
			 make_user(in->user), "args", args, "env", env, "cwd",
			 cwd && *cwd ? cwd : "/", "capabilities", make_caps(in), "noNewPrivileges",
			 1, "rlimits", make_rlimits(in));
	if (!*ret || (in->spared && json_object_set_new(*ret, "oomScoreAdj", json_integer(0)) < 0))
		return sk_err_oom(err);
	return 0;
}

/* @options: separated by commas */
static int add_mount(json_t *mounts, const char *target, const char *type, const char *source,
		     const char *options)
{
	_cleanup_strv_ char **v = NULL;

	if (sk_strv_split(options, ',', &v) < 0)
		return -1;
	return push(mounts, json_pack("{ss ss ss so}", "destination", target, "type", type,
				      "source", source, "options", sk_json_strv(v)));
}

static int add_bind(json_t *mounts, const char *target, const char *dir, const char *name,
		    const char *options)
{
	_cleanup_free_ char *source = sk_asprintf("%s%s%s", dir, *name ? "/" : "", name);

	return source ? add_mount(mounts, target, "bind", source, options) : -1;
}

/* What every Linux program expects to find. */
static int add_system_mounts(json_t *m, const struct sk_oci_input *in)
{
	static const char *const table[][4] = {
		/* clang-format off */
		{ "/proc",	 "proc",   "proc",   "nosuid,noexec,nodev" },
		{ "/dev",	 "tmpfs",  "tmpfs",  "nosuid,noexec,strictatime,mode=755,size=64k,nr_inodes=1k" },
		{ "/dev/pts",	 "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5" },
		{ "/dev/shm",	 "tmpfs",  "shm",    "nosuid,noexec,nodev,mode=1777,size=64m,nr_inodes=16k" },
		{ "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev" },
		{ "/tmp",	 "tmpfs",  "tmpfs",  "nosuid,nodev,mode=1777,size=64m,nr_inodes=16k" },
		{ "/run",	 "tmpfs",  "tmpfs",  "nosuid,nodev,mode=1777,size=16m,nr_inodes=16k" },
		/* clang-format on */
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(table); i++)
		r = add_mount(m, table[i][0], table[i][1], table[i][2], table[i][3]);
	/* Without a network namespace of its own the kernel refuses a capsule a new sysfs. */
	if (r == 0 && in->app->network == SK_NETWORK_HOST)
		return add_mount(m, "/sys", "bind", "/sys", "rbind,nosuid,noexec,nodev,ro");
	if (r == 0)
		r = add_mount(m, "/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro");
	if (r == 0 && in->cgroup->v2)
		r = add_mount(m, "/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,ro");
	return r;
}

static int add_network_files(json_t *m, const struct sk_oci_input *in)
{
	static const char ro[] = "bind,ro,nosuid,nodev,noexec";
	bool host = in->app->network == SK_NETWORK_HOST;
	int r = 0;

	if (in->has_hosts && host && in->device_hosts)
		r = add_bind(m, "/etc/hosts", "/etc/hosts", "", ro);
	else if (in->has_hosts)
		r = add_bind(m, "/etc/hosts", in->dir, "hosts", ro);
	if (r == 0 && in->has_resolv && host && in->device_resolv)
		r = add_bind(m, "/etc/resolv.conf", "/etc/resolv.conf", "", ro);
	return r;
}

static int add_granted(json_t *m, const struct sk_oci_input *in)
{
	const struct sk_app *app = in->app;
	char name[32];
	int r = 0;

	for (size_t i = 0; r == 0 && i < app->n_volumes; i++) {
		(void)snprintf(name, sizeof(name), "vol/%zu", i);
		r = add_bind(m, app->volumes[i].target, in->dir, name,
			     app->volumes[i].read_only ? "bind,ro,nosuid,nodev"
						       : "bind,rw,nosuid,nodev");
	}
	for (size_t i = 0; r == 0 && i < app->n_devices; i++) {
		(void)snprintf(name, sizeof(name), "dev/%zu", i);
		r = add_bind(m, app->devices[i].target, in->dir, name, "bind,rw,nosuid,noexec");
	}
	return r;
}

static json_t *make_mounts(const struct sk_oci_input *in)
{
	_cleanup_json_ json_t *m = json_array();

	if (!m || add_system_mounts(m, in) < 0 || add_network_files(m, in) < 0 ||
	    add_granted(m, in) < 0)
		return NULL;
	return TAKE_PTR(m);
}

static json_t *make_namespaces(const struct sk_app *app)
{
	static const char *const kinds[] = { "user", "pid",    "mount",	 "ipc",
					     "uts",  "cgroup", "network" };
	size_t n = ARRAY_SIZE(kinds) - (app->network == SK_NETWORK_HOST);
	_cleanup_json_ json_t *list = json_array();

	for (size_t i = 0; list && i < n; i++)
		if (push(list, json_pack("{ss}", "type", kinds[i])) < 0)
			return NULL;
	return TAKE_PTR(list);
}

static int cannot_limit(struct sk_err *err, const char *what)
{
	return sk_err_set(err, -ENOTSUP, "not-supported",
			  "this device cannot limit %s (its kernel or its control groups lack the "
			  "controller); take the limit out of the manifest, or set "
			  "\"limits = best-effort\" in skerryd.conf",
			  what);
}

/* All is closed first; the runtime itself opens what every program needs (null, zero, random). */
static json_t *device_rules(const struct sk_app *app)
{
	_cleanup_json_ json_t *list = json_array();
	int r = list ? push(list, json_pack("{sb ss}", "allow", 0, "access", "rwm")) : -1;

	for (size_t i = 0; r == 0 && i < app->n_devices; i++) {
		const struct sk_device_grant *d = &app->devices[i];
		struct stat st;

		if (stat(d->path, &st) < 0)
			continue;
		r = push(list, json_pack("{sb ss sI sI ss}", "allow", 1, "type",
					 S_ISBLK(st.st_mode) ? "b" : "c", "major",
					 (json_int_t)major(st.st_rdev), "minor",
					 (json_int_t)minor(st.st_rdev), "access", d->mode));
	}
	return r < 0 ? NULL : TAKE_PTR(list);
}

/* A capsule must not evade its limit into swap: "swap" is the sum of both, so none is left for it. */
static json_t *memory_limit(const struct sk_oci_input *in)
{
	json_int_t limit = (json_int_t)in->app->memory_bytes;

	return in->cgroup->swap ? json_pack("{sI sI}", "limit", limit, "swap", limit)
				: json_pack("{sI}", "limit", limit);
}

static int make_resources(const struct sk_oci_input *in, json_t **ret, struct sk_err *err)
{
	_cleanup_json_ json_t *o = json_object();
	const struct sk_app *app = in->app;
	int r = o ? 0 : -1;

	if (app->memory_bytes && !in->cgroup->memory && !in->best_effort)
		return cannot_limit(err, "memory");
	if (app->cpu_millis && !in->cgroup->cpu && !in->best_effort)
		return cannot_limit(err, "CPU time");
	if (r == 0 && app->memory_bytes && in->cgroup->memory)
		r = json_object_set_new(o, "memory", memory_limit(in));
	if (r == 0 && app->cpu_millis && in->cgroup->cpu)
		r = json_object_set_new(
			o, "cpu",
			json_pack("{sI si}", "quota",
				  (json_int_t)app->cpu_millis * CPU_PERIOD_US / 1000, "period",
				  CPU_PERIOD_US));
	if (r == 0 && app->pids && in->cgroup->pids)
		r = json_object_set_new(o, "pids",
					json_pack("{sI}", "limit", (json_int_t)app->pids));
	if (r == 0 && in->device_rules)
		r = json_object_set_new(o, "devices", device_rules(app));
	if (r < 0)
		return sk_err_oom(err);
	*ret = TAKE_PTR(o);
	return 0;
}

static json_t *make_mapping(uint32_t base)
{
	return json_pack("[{si sI sI}]", "containerID", 0, "hostID", (json_int_t)base, "size",
			 (json_int_t)SK_IDMAP_SIZE);
}

static int make_linux(const struct sk_oci_input *in, json_t **ret, struct sk_err *err)
{
	_cleanup_json_ json_t *resources = NULL, *o = NULL;
	int r = make_resources(in, &resources, err);

	if (r < 0)
		return r;
	o = json_pack("{so so so ss sO so so so}", "uidMappings", make_mapping(in->uid_base),
		      "gidMappings", make_mapping(in->uid_base), "namespaces",
		      make_namespaces(in->app), "cgroupsPath", in->cgroup_path, "resources",
		      resources, "seccomp", sk_seccomp_profile(), "maskedPaths",
		      strings(masked, ARRAY_SIZE(masked)), "readonlyPaths",
		      strings(readonly, ARRAY_SIZE(readonly)));
	if (!o)
		return sk_err_oom(err);
	/* In a network of its own a capsule without capabilities may serve on port 80 too. */
	if (in->app->network != SK_NETWORK_HOST &&
	    json_object_set_new(o, "sysctl",
				json_pack("{ss}", "net.ipv4.ip_unprivileged_port_start", "0")) < 0)
		return sk_err_oom(err);
	*ret = TAKE_PTR(o);
	return 0;
}

int sk_oci_config(const struct sk_oci_input *in, json_t **ret, struct sk_err *err)
{
	_cleanup_json_ json_t *process = NULL, *linux_ = NULL;
	_cleanup_free_ char *root = sk_asprintf("%s/rootfs", in->dir);
	int r;

	if (!root)
		return sk_err_oom(err);
	r = make_process(in, &process, err);
	if (r == 0)
		r = make_linux(in, &linux_, err);
	if (r < 0)
		return r;
	*ret = json_pack("{ss sO s{ss sb} ss so sO s{ss}}", "ociVersion", "1.0.2", "process",
			 process, "root", "path", root, "readonly", (int)!in->app->writable_root,
			 "hostname", in->app->name, "mounts", make_mounts(in), "linux", linux_,
			 "annotations", SK_SECCOMP_ANNOTATION, sk_seccomp_filter);
	return *ret ? 0 : sk_err_oom(err);
}

int sk_oci_targets(const struct sk_app *app, char ***ret)
{
	static const char *const always[] = { "/proc", "/dev", "/sys", "/tmp", "/run" };
	_cleanup_strv_ char **v = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(always); i++)
		r = sk_strv_add(&v, always[i]);
	for (size_t i = 0; r == 0 && i < app->n_volumes; i++)
		r = sk_strv_add(&v, app->volumes[i].target);
	if (r == 0)
		*ret = TAKE_PTR(v);
	return r;
}
