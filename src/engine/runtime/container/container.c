/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/container/container.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/str.h"
#include "engine/runtime/container/crun.h"
#include "engine/runtime/container/image_mount.h"
#include "engine/runtime/container/kind.h"
#include "engine/runtime/container/read_only.h"
#include "io/sys/program.h"

static int need_program(const char *name, char **ret, struct sk_err *err)
{
	*ret = sk_program_find(name, NULL);
	return *ret ? 0
		    : sk_err_set(err, -ENOENT, "not-found",
				 "the program %s is not installed; capsules need it", name);
}

static int need_programs(struct sk_container_kind *k, const struct sk_runtime_env *env,
			 const struct sk_container_settings *s, struct sk_err *err)
{
	_cleanup_free_ char *crun = NULL;
	int r = need_program(s->crun ?: "crun", &crun, err);

	r = r ?: need_program(s->conmon ?: "conmon", &k->conmon, err);
	if (r < 0)
		return r;
	k->crun = sk_read_only_program(env->run_dir, crun);
	return k->crun ? 0 : sk_err_oom(err);
}

static int make_folder(const char *run_dir, const char *name, mode_t mode, struct sk_err *err)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", run_dir, name) >= (int)sizeof(path))
		return sk_err_set(err, -ENAMETOOLONG, "io", "the path of %s is too long", run_dir);
	if ((mkdir(path, mode) < 0 && errno != EEXIST) || chmod(path, mode) < 0)
		return sk_err_set(err, -errno, "io", "cannot make %s: %s", path, strerror(errno));
	return 0;
}

/* May this process lock the memory that a device filter takes? */
static bool may_filter_devices(void)
{
	_cleanup_free_ char *text = NULL;
	const char *at;

	if (sk_file_read(AT_FDCWD, "/proc/self/status", 65536, &text, NULL) < 0)
		return false;
	at = strstr(text, "\nCapEff:");
	return at && (strtoull(at + 8, NULL, 16) >> CAP_SYS_RESOURCE & 1);
}

/* Has this process a negative score, which its children would inherit? */
static bool is_spared(void)
{
	_cleanup_free_ char *text = NULL;

	return sk_file_read(AT_FDCWD, "/proc/self/oom_score_adj", 64, &text, NULL) == 0 &&
	       text[0] == '-';
}

static int container_open(struct sk_runtime *rt, const void *settings, struct sk_err *err)
{
	struct sk_container_kind *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return sk_err_oom(err);
	rt->priv = k;
	r = make_folder(rt->env->run_dir, "images", 0700, err);
	r = r ?: make_folder(rt->env->run_dir, "crun", 0711, err);
	r = r ?: need_programs(k, rt->env, settings, err);
	if (r < 0)
		return r;
	k->device_rules = may_filter_devices();
	k->spared = is_spared();
	sk_cgroup_detect(SK_CGROUP_ROOT, &k->cgroup);
	return 0;
}

static void container_close(struct sk_runtime *rt)
{
	struct sk_container_kind *k = rt->priv;

	if (!k)
		return;
	free(k->crun);
	free(k->conmon);
	free(k);
	rt->priv = NULL;
}

static void container_limits(const struct sk_runtime *rt, struct sk_runtime_limits *ret)
{
	const struct sk_container_kind *k = rt->priv;

	*ret = (struct sk_runtime_limits){
		.memory = k->cgroup.memory,
		.swap = k->cgroup.swap,
		.cpu = k->cgroup.cpu,
		.pids = k->cgroup.pids,
		.cgroup_version = k->cgroup.v2 ? 2 : 1,
	};
}

static void container_sweep(struct sk_runtime *rt,
			    bool (*is_used)(void *arg, const struct sk_digest *image), void *arg)
{
	sk_image_mount_sweep(rt->env->run_dir, is_used, arg);
}

const struct sk_runtime_ops sk_container_ops = {
	.kind = SK_KIND_CONTAINER,
	.name = "container",
	.folder = "capsules",
	.init = sk_crun_init,
	.done = sk_crun_done,
	.prepare = sk_crun_prepare,
	.start = sk_crun_start,
	.signal = sk_crun_signal,
	.clean = sk_crun_clean,
	.recover = sk_crun_recover,
	.open = container_open,
	.close = container_close,
	.limits = container_limits,
	.sweep = container_sweep,
	.exec = sk_crun_exec,
	.end_exec = sk_crun_end_exec,
	.dial = sk_container_dial,
	/* Both are needed to enter the network of another process. */
	.dial_caps = SK_CAP(CAP_SYS_ADMIN) | SK_CAP(CAP_SYS_PTRACE),
	.open_log = sk_container_open_log,
	.reopen_log = sk_crun_reopen_log,
};
