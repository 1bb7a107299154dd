/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/capsule/crun_priv.h"
#include "io/json.h"

#define CMDLINE_MAX  65536
#define STATE_MAX    65536
#define CHILDREN_MAX 65536
#define LOOKS_MAX    10
#define NOTE	     "conmon.begin"

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
static bool kill_if_ours(const struct crun_unit *c, pid_t pid)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	/* Looked at with the descriptor open: the number cannot be another process's by then. */
	return fd >= 0 && has_argument(pid, c->u->id) && has_argument(pid, c->u->dir) &&
	       syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
}

static bool kill_those_found(const struct crun_unit *c)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	bool some = false;
	uint32_t pid;

	while (dir && (e = readdir(dir)))
		if (sk_parse_u32(e->d_name, &pid) == 0 && (pid_t)pid != getpid())
			some = kill_if_ours(c, (pid_t)pid) || some;
	if (dir)
		(void)closedir(dir);
	return some;
}

void crun_kill_stragglers(const struct crun_unit *c)
{
	/* One may have forked while it was being looked for. */
	for (int look = 0; look < LOOKS_MAX && kill_those_found(c); look++)
		;
}

/* When a process began, in ticks since the boot: with its number it is like no other's. */
static int begin_of(pid_t pid, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *at;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (sk_file_read(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return -ESRCH;
	/* The 22nd field; the second one, in brackets, may hold anything. */
	at = strrchr(text, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	*ret = at ? strtoull(at, NULL, 10) : 0;
	return *ret ? 0 : -EINVAL;
}

void crun_monitor_note(const struct crun_unit *c, pid_t conmon)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX], text[32];
	uint64_t begin;

	if (begin_of(conmon, &begin) < 0)
		return;
	(void)snprintf(text, sizeof(text), "%" PRIu64 "\n", begin);
	fd = open(crun_path(c, NOTE, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || sk_fd_write(fd, text, strlen(text)) < 0)
		sk_debug("%s: cannot write %s", c->u->app->name, path);
}

/*
 * The number alone could be that of another process by now, one that names the capsule too: a user's
 * "docker wait <id>". Without a note the daemon was killed before it could write it.
 */
static bool is_monitor(const struct crun_unit *c, pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	uint64_t noted, begin;

	if (!has_argument(pid, c->u->id) || !has_argument(pid, c->u->dir) ||
	    begin_of(pid, &begin) < 0)
		return false;
	if (sk_file_read(AT_FDCWD, crun_path(c, NOTE, path), 64, &text, NULL) < 0)
		return true;
	noted = strtoull(text, NULL, 10);
	return noted == 0 || noted == begin;
}

bool crun_monitor_alone(const struct crun_unit *c)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *at, *end;
	long conmon, child;

	if (crun_read_number(c, "conmon.pid", &conmon) < 0)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%ld/task/%ld/children", conmon, conmon);
	if (sk_file_read(AT_FDCWD, path, CHILDREN_MAX, &text, NULL) < 0)
		return false;
	for (at = text; (child = strtol(at, &end, 10)) > 0 && end != at; at = end)
		if (crun_same_space(child, conmon))
			return false;
	return true;
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
	/* Held first: what is found out about them holds for as long as they are. */
	if (crun_read_number(c, "conmon.pid", &conmon) == 0 &&
	    crun_read_number(c, "pid", &pid) == 0 && crun_hold(c, (pid_t)conmon, (pid_t)pid) == 0 &&
	    is_monitor(c, (pid_t)conmon))
		status = ask_status(c);
	if (status && (sk_streq(status, "created") || sk_streq(status, "running")) &&
	    crun_watch(c) == 0)
		return *status == 'c' ? SK_RUNTIME_PREPARED : SK_RUNTIME_RUNNING;
	crun_let_loose(c);
	if (crun_read_number(c, "exit", &code) < 0)
		return SK_RUNTIME_RESTS;
	*ret_code = (int)code;
	return SK_RUNTIME_ENDED;
}
