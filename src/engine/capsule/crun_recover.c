/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/capsule/crun_priv.h"
#include "io/json.h"

#define CMDLINE_MAX 65536
#define STATE_MAX   65536

/* Does a process have @word as a whole argument? */
static bool has_argument(pid_t pid, const char *word)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	size_t len;

	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	if (sk_file_read(AT_FDCWD, path, CMDLINE_MAX, &text, &len) < 0)
		return false;
	for (size_t at = 0; at < len; at += strlen(text + at) + 1)
		if (sk_streq(text + at, word))
			return true;
	return false;
}

/*
 * conmon and "crun create" name the capsule's id and its folder. The id alone would also fit a
 * user's "docker start <id>", which waits for the answer.
 */
static void kill_if_ours(const struct crun_unit *c, pid_t pid)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	/* Looked at with the descriptor open: the number cannot be another process's by then. */
	if (fd >= 0 && has_argument(pid, c->u->id) && has_argument(pid, c->u->dir))
		(void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
}

void crun_kill_stragglers(const struct crun_unit *c)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	uint32_t pid;

	while (dir && (e = readdir(dir)))
		if (sk_parse_u32(e->d_name, &pid) == 0 && (pid_t)pid != getpid())
			kill_if_ours(c, (pid_t)pid);
	if (dir)
		(void)closedir(dir);
}

/* "created", "running", "stopped" …; NULL when the runtime does not know it. Owned. */
static char *ask_status(const struct crun_unit *c)
{
	_cleanup_free_ char *root = sk_asprintf("--root=%s/crun", c->u->env->run_dir), *out = NULL;
	const char *const argv[] = { c->u->env->crun, root, "state", c->u->id, NULL };
	_cleanup_free_ char *path = crun_path_variable();
	const char *const env[] = { path, NULL };
	struct sk_child_spec spec = SK_CHILD_SPEC(.argv = argv, .env = env);
	_cleanup_json_ json_t *o = NULL;
	const char *status = NULL;
	size_t len;

	if (!root || !path || sk_child_run(&spec, STATE_MAX, &out, &len, NULL) < 0 ||
	    sk_json_parse(out, len, &o, NULL) < 0 ||
	    sk_json_get_str(o, "status", &status, NULL) < 0 || !status)
		return NULL;
	return strdup(status);
}

static bool has_dir(const struct crun_unit *c)
{
	struct stat st;

	return stat(c->u->dir, &st) == 0;
}

enum sk_runtime_found crun_recover(struct sk_runtime_unit *u, int *ret_code)
{
	struct crun_unit *c = u->priv;
	_cleanup_free_ char *status = NULL;
	long conmon, pid, code;

	if (!has_dir(c))
		return SK_RUNTIME_NOTHING;
	/* The number alone could be that of another process by now. */
	if (crun_read_number(c, "conmon.pid", &conmon) == 0 &&
	    crun_read_number(c, "pid", &pid) == 0 && has_argument((pid_t)conmon, u->id))
		status = ask_status(c);
	if (status && (sk_streq(status, "created") || sk_streq(status, "running")) &&
	    crun_watch(c, (pid_t)conmon, (pid_t)pid) == 0)
		return *status == 'c' ? SK_RUNTIME_PREPARED : SK_RUNTIME_RUNNING;
	if (crun_read_number(c, "exit", &code) < 0)
		return SK_RUNTIME_RESTS;
	*ret_code = (int)code;
	return SK_RUNTIME_ENDED;
}
