/* SPDX-License-Identifier: Apache-2.0 */

/* A command inside a running container. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/file.h"
#include "base/str.h"
#include "engine/runtime/container/crun.h"

#define PID_FILE   "exec.pid"
#define OUTPUT_MAX 4096

int sk_crun_exec(struct sk_runtime_unit *u, char *const *argv, uint64_t timeout_ms,
		 sk_child_done_fn done, void *arg, struct sk_child **ret, struct sk_err *err)
{
	_cleanup_strv_ char **v = NULL;
	char path[PATH_MAX];
	int r;

	(void)unlink(sk_crun_path(u->priv, PID_FILE, path));
	r = sk_strv_add(&v, "exec");
	r = r ?: sk_strv_addf(&v, "--pid-file=%s", path);
	r = r ?: sk_strv_add(&v, u->id);
	for (; r == 0 && *argv; argv++)
		r = sk_strv_add(&v, *argv);
	if (r < 0)
		return sk_err_oom(err);
	return sk_crun_spawn(u->priv, v, OUTPUT_MAX, timeout_ms, done, arg, ret, err);
}

/* The command is no child of the capsule's: killing crun leaves it behind. */
void sk_crun_end_exec(struct sk_runtime_unit *u)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	long pid;

	if (u->pid <= 0 || sk_crun_read_number(u->priv, PID_FILE, &pid) < 0)
		return;
	fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	/* By now the number may be that of a stranger. Crun made it the leader of a group. */
	if (fd >= 0 && pid > 1 && sk_crun_same_space(pid, u->pid)) {
		(void)kill((pid_t)-pid, SIGKILL);
		(void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
	}
	(void)unlink(sk_crun_path(u->priv, PID_FILE, path));
}
