/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Containers: crun makes them; beside each one conmon stays and outlives this daemon. When conmon ends, its
 * container has ended: by then logs are written and the exit code is in its file.
 *
 * A capsule's folder (dir): config.json, rootfs/ …; from conmon: conmon.pid, pid, exit, ctl, attach.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/runtime/container/bundle.h"
#include "engine/runtime/container/crun.h"
#include "engine/runtime/container/rootfs.h"
#include "engine/runtime/container/kind.h"
#include "io/json.h"

#define CREATE_TIMEOUT_MS 60000
#define CREATE_LOOK_MS	  1000
#define DELETE_TIMEOUT_MS 30000
#define CONMON_END_MS	  3000 /* for conmon to follow its container */
#define SYNC_MAX	  65536
#define LOST_EXIT_CODE	  137 /* the monitor was killed, so the container was: as by SIGKILL */

static void drop_source(sd_event_source **s)
{
	*s = sd_event_source_disable_unref(*s);
}

static void crun_drop_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

int sk_crun_init(struct sk_runtime_unit *u)
{
	struct sk_crun_unit *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->u = u;
	c->sync_fd = c->conmon_fd = c->pid_fd = -1;
	c->userns = (struct sk_userns)SK_USERNS_INIT;
	c->sync.max = SYNC_MAX;
	u->priv = c;
	return 0;
}

/* Back to the state after init: nothing is known of it. */
static void reset(struct sk_crun_unit *c)
{
	drop_source(&c->sync_source);
	drop_source(&c->conmon_source);
	drop_source(&c->timer);
	drop_source(&c->defer);
	crun_drop_fd(&c->sync_fd);
	crun_drop_fd(&c->conmon_fd);
	crun_drop_fd(&c->pid_fd);
	sk_userns_close(&c->userns);
	sk_buf_done(&c->sync);
	c->looks = c->alone = 0;
	c->launched = c->synced = c->starting = c->ended = c->cleaning = c->deleted = false;
	c->u->pid = 0;
	c->u->lost = false;
}

void sk_crun_done(struct sk_runtime_unit *u)
{
	struct sk_crun_unit *c = u->priv;

	if (!c)
		return;
	reset(c);
	sk_child_free(c->child);
	free(c);
	u->priv = NULL;
}

static void cgroup_path(const struct sk_crun_unit *c, char buf[static PATH_MAX])
{
	(void)snprintf(buf, PATH_MAX, "/skerry/%s", c->u->id);
}

static void kill_pidfd(int fd, int sig)
{
	if (fd >= 0)
		(void)syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0);
}

void sk_crun_report_end(struct sk_crun_unit *c)
{
	const struct sk_cgroup *cgroup = &sk_container_kind_of(c->u)->cgroup;
	char path[PATH_MAX];
	long code;

	/* Without an exit file the monitor itself was killed; nothing would report the end of
	 * the container or write its log. */
	if (sk_crun_read_number(c, "exit", &code) < 0) {
		kill_pidfd(c->pid_fd, SIGKILL);
		code = LOST_EXIT_CODE;
		c->u->lost = true;
	}
	cgroup_path(c, path);
	c->u->events->died(c->u->arg, (int)code,
			   sk_cgroup_oom_killed(SK_CGROUP_ROOT, cgroup, path));
}

static void finish_clean(struct sk_crun_unit *c);

static int on_conmon_end(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct sk_crun_unit *c = arg;
	siginfo_t si;

	/* It is a child of ours only where this process adopts orphans. */
	(void)waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOHANG);
	drop_source(&c->conmon_source);
	c->ended = true;
	if (c->cleaning) {
		if (c->deleted)
			finish_clean(c);
	} else if (!c->starting && c->synced) {
		sk_crun_report_end(c);
	}
	return 0;
}

int sk_crun_hold(struct sk_crun_unit *c, pid_t conmon, pid_t pid)
{
	c->conmon_fd = (int)syscall(SYS_pidfd_open, conmon, 0);
	if (c->conmon_fd < 0)
		return -errno;
	c->pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	c->u->pid = pid;
	return 0;
}

void sk_crun_let_loose(struct sk_crun_unit *c)
{
	crun_drop_fd(&c->conmon_fd);
	crun_drop_fd(&c->pid_fd);
	c->u->pid = 0;
}

int sk_crun_watch(struct sk_crun_unit *c)
{
	int r = sd_event_add_io(c->u->kind->env->event, &c->conmon_source, c->conmon_fd, EPOLLIN,
				on_conmon_end, c);

	c->synced = r >= 0;
	return SK_MIN(r, 0);
}

/* Creating: both have to come, conmon's first process ends and the result arrives. */
static void created(struct sk_crun_unit *c, const struct sk_err *err)
{
	drop_source(&c->sync_source);
	drop_source(&c->timer);
	crun_drop_fd(&c->sync_fd);
	sk_userns_close(&c->userns);
	c->launched = false;
	c->u->events->created(c->u->arg, err);
}

/* {"data": pid} or {"data": -1, "message": "why"} */
static int parse_sync(struct sk_crun_unit *c, pid_t *ret_pid, struct sk_err *err)
{
	_cleanup_json_ json_t *o = NULL;
	const char *why = NULL;
	json_int_t data;

	if (!c->sync.data || sk_json_parse(c->sync.data, c->sync.len, &o, NULL) < 0)
		return sk_err_set(err, -EIO, "child-failed", "the monitor ended without a word");
	data = json_integer_value(json_object_get(o, "data"));
	if (data > 0 && data <= INT_MAX) {
		*ret_pid = (pid_t)data;
		return 0;
	}
	(void)sk_json_get_str(o, "message", &why, NULL);
	return sk_err_set(err, -EIO, "child-failed", "the container cannot be made: %s",
			  why && *why ? why : "no reason given");
}

static void both_came(struct sk_crun_unit *c)
{
	struct sk_err err = SK_ERR_INIT;
	long conmon;
	pid_t pid;
	int r;

	r = parse_sync(c, &pid, &err);
	if (r == 0) {
		r = sk_crun_read_number(c, "conmon.pid", &conmon);
		if (r == 0)
			r = sk_crun_hold(c, (pid_t)conmon, pid);
		if (r == 0)
			r = sk_crun_watch(c);
		if (r == 0)
			sk_crun_monitor_note(c, (pid_t)conmon);
		if (r < 0)
			(void)sk_err_set(&err, r, "child-failed", "the monitor is gone: %s",
					 strerror(-r));
	}
	created(c, r < 0 ? &err : NULL);
}

static int on_sync(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct sk_crun_unit *c = arg;
	char chunk[4096];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n > 0 && sk_buf_add(&c->sync, chunk, (size_t)n) == 0 && !memchr(chunk, '\n', (size_t)n))
		return 0;
	drop_source(&c->sync_source);
	crun_drop_fd(&c->sync_fd);
	if (!c->child)
		both_came(c);
	return 0;
}

static void on_launched(void *arg, int status, const char *out, const char *err_tail)
{
	struct sk_crun_unit *c = arg;

	sk_child_free(TAKE_PTR(c->child));
	if (!c->launched)
		return;
	if (status != 0) {
		struct sk_err err;

		(void)sk_err_set(&err, -EIO, "child-failed", "the monitor did not start: %s",
				 *err_tail ? err_tail : "no reason given");
		created(c, &err);
	} else if (c->sync_fd < 0) {
		both_came(c);
	}
}

static int look_later(struct sk_crun_unit *c, struct sk_err *err);

/*
 * conmon that waits for its crun notices its end, but then waits for the end of what the container's
 * first process may have to say, which is for ever when crun was killed.
 */
static int look(struct sk_crun_unit *c, struct sk_err *err)
{
	c->alone = sk_crun_monitor_alone(c) ? c->alone + 1 : 0;
	/* More than once: between its end and the monitor's word it may be so for a moment. */
	if (c->alone > 2)
		return sk_err_set(err, -EIO, "child-failed",
				  "the container was not made: crun was killed");
	if (++c->looks * CREATE_LOOK_MS >= CREATE_TIMEOUT_MS)
		return sk_err_set(err, -ETIMEDOUT, "timeout",
				  "the container was not made within %d s",
				  CREATE_TIMEOUT_MS / 1000);
	return 0;
}

static int on_create_look(sd_event_source *s, uint64_t usec, void *arg)
{
	struct sk_crun_unit *c = arg;
	struct sk_err err;

	drop_source(&c->timer);
	if (look(c, &err) < 0 || look_later(c, &err) < 0)
		created(c, &err);
	return 0;
}

static int look_later(struct sk_crun_unit *c, struct sk_err *err)
{
	int r = sd_event_add_time_relative(c->u->kind->env->event, &c->timer, CLOCK_MONOTONIC,
					   CREATE_LOOK_MS * 1000ull, 0, on_create_look, c);

	return r < 0 ? sk_err_set(err, r, "internal", "event loop: %s", strerror(-r)) : 0;
}

static int conmon_args(const struct sk_crun_unit *c, char ***ret)
{
	const struct sk_runtime_unit *u = c->u;
	_cleanup_strv_ char **v = NULL;
	const char *const fixed[] = {
		sk_container_kind_of(u)->conmon,
		"--api-version",
		"1",
		"-c",
		u->id,
		"-u",
		u->id,
		"-n",
		u->app->name,
		"-r",
		sk_container_kind_of(u)->crun,
		"-b",
		u->dir,
		"--persist-dir",
		u->dir,
		"--full-attach",
		"--no-new-keyring",
		"--no-sync-log",
		"--runtime-arg",
		"--cgroup-manager=cgroupfs",
		"--runtime-arg",
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(fixed); i++)
		r = sk_strv_add(&v, fixed[i]);
	r = r ?: sk_strv_addf(&v, "--root=%s/crun", u->kind->env->run_dir);
	r = r ?: sk_strv_add(&v, "-P") ?: sk_strv_addf(&v, "%s/conmon.pid", u->dir);
	r = r ?: sk_strv_add(&v, "-p") ?: sk_strv_addf(&v, "%s/pid", u->dir);
	r = r ?: sk_strv_add(&v, "-l") ?: sk_strv_addf(&v, "k8s-file:%s", u->log_path);
	/* The daemon rotates long before; this bounds the file while no daemon runs. */
	r = r ?: sk_strv_add(&v, "--log-size-max") ?:
		 sk_strv_addf(&v, "%llu", (unsigned long long)u->kind->env->log_max_bytes * 4);
	if (r == 0 && u->tty)
		r = sk_strv_add(&v, "-t");
	if (r == 0 && u->open_stdin)
		r = sk_strv_add(&v, "-i");
	if (r == 0)
		*ret = TAKE_PTR(v);
	return r;
}

char *sk_crun_path_variable(void)
{
	const char *path = getenv("PATH");

	return sk_asprintf("PATH=%s", path ? path : "/usr/bin:/bin");
}

/*
 * conmon waits for a word on the pipe @go_r before it does anything but load, so that this takes place
 * while the bundle is being made. Killed or left alone before the word it has made nothing.
 */
static int launch(struct sk_crun_unit *c, int sync_w, int go_r, struct sk_err *err)
{
	_cleanup_strv_ char **args = NULL;
	_cleanup_free_ char *path = sk_crun_path_variable();
	const char *env[] = { path, "_OCI_SYNCPIPE=3", "_OCI_STARTPIPE=4", NULL };
	const int fds[] = { sync_w, go_r };
	struct sk_child_spec spec = SK_CHILD_SPEC(.fds = fds, .n_fds = 2, .env = env);

	if (!path || conmon_args(c, &args) < 0)
		return sk_err_oom(err);
	spec.argv = (const char *const *)args;
	return sk_child_watch(c->u->kind->env->event, &spec, 0, 0, on_launched, c, &c->child, err);
}

static int crun_make_pipe(int ret[2], int flags, struct sk_err *err)
{
	if (pipe2(ret, O_CLOEXEC | flags) < 0)
		return sk_err_set(err, -errno, "child-failed", "cannot make a pipe: %s",
				  strerror(errno));
	return 0;
}

static int listen_for_result(struct sk_crun_unit *c, int *ret_sync_w, struct sk_err *err)
{
	sd_event *event = c->u->kind->env->event;
	int p[2], r = crun_make_pipe(p, O_NONBLOCK, err);

	if (r < 0)
		return r;
	c->sync_fd = p[0];
	*ret_sync_w = p[1];
	r = sd_event_add_io(event, &c->sync_source, c->sync_fd, EPOLLIN, on_sync, c);
	if (r < 0)
		return sk_err_set(err, r, "internal", "event loop: %s", strerror(-r));
	return look_later(c, err);
}

int sk_crun_prepare(struct sk_runtime_unit *u, struct sk_err *err)
{
	struct sk_crun_unit *c = u->priv;
	_cleanup_close_ int sync_w = -1, go_w = -1, go_r = -1;
	int go[2], r;

	reset(c);
	r = listen_for_result(c, &sync_w, err);
	if (r == 0)
		r = crun_make_pipe(go, 0, err);
	if (r < 0)
		return r;
	go_r = go[0];
	go_w = go[1];
	r = launch(c, sync_w, go_r, err);
	if (r == 0)
		r = sk_bundle_make(u, &c->userns, err);
	if (r == 0 && write(go_w, "1", 1) != 1)
		r = sk_err_set(err, -EIO, "child-failed", "the monitor ended too early");
	c->launched = r == 0;
	if (r < 0)
		sk_child_free(TAKE_PTR(c->child));
	return r;
}

int sk_crun_spawn(struct sk_crun_unit *c, char *const *more, size_t out_max, uint64_t timeout_ms,
		  sk_child_done_fn done, void *arg, struct sk_child **ret, struct sk_err *err)
{
	_cleanup_strv_ char **v = NULL;
	_cleanup_free_ char *path = sk_crun_path_variable();
	const char *env[] = { path, NULL };
	struct sk_child_spec spec = SK_CHILD_SPEC(.env = env);
	int r;

	r = path ? sk_strv_add(&v, sk_container_kind_of(c->u)->crun) : -ENOMEM;
	r = r ?: sk_strv_addf(&v, "--root=%s/crun", c->u->kind->env->run_dir);
	r = r ?: sk_strv_add(&v, "--cgroup-manager=cgroupfs");
	for (; r == 0 && *more; more++)
		r = sk_strv_add(&v, *more);
	if (r < 0)
		return sk_err_oom(err);
	spec.argv = (const char *const *)v;
	return sk_child_watch(c->u->kind->env->event, &spec, out_max, timeout_ms, done, arg, ret,
			      err);
}

int sk_crun_signal(struct sk_runtime_unit *u, int sig, struct sk_err *err)
{
	struct sk_crun_unit *c = u->priv;

	if (c->pid_fd < 0)
		return sk_err_set(err, -ESRCH, "bad-state", "nothing runs in %s", u->app->name);
	if (syscall(SYS_pidfd_send_signal, c->pid_fd, sig, NULL, 0) < 0 && errno != ESRCH)
		return sk_err_set(err, -errno, errno == EINVAL ? "bad-value" : "io",
				  "cannot send signal %d to %s: %s", sig, u->app->name,
				  strerror(errno));
	return 0;
}

/*
 * In a child: unmounting an overlay waits until everything that is to be written to the disk below it has
 * been, also what other processes wrote.
 */
static int unmount_task(void *arg)
{
	const struct sk_crun_unit *c = arg;
	int r = sk_rootfs_umount(c->u->dir);

	/* Never remove through what is still mounted. */
	if (r == 0)
		r = sk_rm_rf(AT_FDCWD, c->u->dir);
	if (r < 0)
		(void)fprintf(stderr, "%s", strerror(-r));
	return r < 0 ? 1 : 0;
}

static void on_unmounted(void *arg, int status, const char *out, const char *err_tail)
{
	struct sk_crun_unit *c = arg;

	sk_child_free(TAKE_PTR(c->child));
	if (status != 0)
		sk_warning("%s: leftovers stay in %s: %s", c->u->app->name, c->u->dir, err_tail);
	c->u->events->cleaned(c->u->arg);
}

/* Crun's own delete does this, unless it was killed or fell over what it found. */
static void forget_container(const struct sk_crun_unit *c)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/crun/%s", c->u->kind->env->run_dir, c->u->id);
	if (sk_rm_rf(AT_FDCWD, path) < 0)
		sk_warning("%s: leftovers stay in %s", c->u->app->name, path);
}

static void finish_clean(struct sk_crun_unit *c)
{
	const struct sk_task task = {
		.run = unmount_task,
		.arg = c,
		.caps = SK_CAP(CAP_SYS_ADMIN) | SK_CAP(CAP_DAC_OVERRIDE) | SK_CAP(CAP_FOWNER),
	};
	struct sk_err err;
	char path[PATH_MAX];

	cgroup_path(c, path);
	sk_cgroup_kill(SK_CGROUP_ROOT, &sk_container_kind_of(c->u)->cgroup, path);
	forget_container(c);
	reset(c);
	if (sk_child_task(c->u->kind->env->event, &task, on_unmounted, c, &c->child, &err) < 0)
		on_unmounted(c, unmount_task(c), "", err.text);
}

static int on_conmon_late(sd_event_source *s, uint64_t usec, void *arg)
{
	struct sk_crun_unit *c = arg;

	drop_source(&c->timer);
	sk_warning("%s: its monitor does not end by itself", c->u->app->name);
	kill_pidfd(c->conmon_fd, SIGKILL);
	return 0;
}

static void on_deleted(void *arg, int status, const char *out, const char *err_tail)
{
	struct sk_crun_unit *c = arg;

	sk_child_free(TAKE_PTR(c->child));
	c->deleted = true;
	if (status != 0)
		sk_debug("%s: delete: %s", c->u->app->name, err_tail);
	kill_pidfd(c->pid_fd, SIGKILL);
	if (c->conmon_source && !c->ended) {
		/* conmon ends once it has seen its container end. */
		if (sd_event_add_time_relative(c->u->kind->env->event, &c->timer, CLOCK_MONOTONIC,
					       CONMON_END_MS * 1000ull, 0, on_conmon_late, c) >= 0)
			return;
		kill_pidfd(c->conmon_fd, SIGKILL);
	}
	finish_clean(c);
}

static int on_nothing_to_delete(sd_event_source *s, void *arg)
{
	struct sk_crun_unit *c = arg;

	drop_source(&c->defer);
	on_deleted(c, 0, "", "");
	return 0;
}

void sk_crun_clean(struct sk_runtime_unit *u)
{
	struct sk_crun_unit *c = u->priv;
	char del[] = "delete", force[] = "--force";
	char *const args[] = { del, force, (char *)u->id, NULL };
	struct sk_err err;

	c->launched = false;
	drop_source(&c->sync_source);
	drop_source(&c->timer);
	drop_source(&c->defer);
	crun_drop_fd(&c->sync_fd);
	sk_child_free(TAKE_PTR(c->child));
	c->starting = false;
	c->cleaning = true;
	/* A creation that was broken off may still be under way in processes that nothing waits for. */
	if (!c->synced)
		sk_crun_kill_stragglers(c);
	if (sk_crun_spawn(c, args, 0, DELETE_TIMEOUT_MS, on_deleted, c, &c->child, &err) == 0)
		return;
	sk_warning("%s: cannot delete the container: %s", u->app->name, err.text);
	(void)sd_event_add_defer(u->kind->env->event, &c->defer, on_nothing_to_delete, c);
}

void sk_crun_reopen_log(struct sk_runtime_unit *u)
{
	static const char reopen[] = "2 0 0\n";
	struct sk_crun_unit *c = u->priv;
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];

	fd = open(sk_crun_path(c, "ctl", path), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || write(fd, reopen, sizeof(reopen) - 1) < 0)
		sk_debug("%s: monitor does not take messages: %s", u->app->name, strerror(errno));
}
