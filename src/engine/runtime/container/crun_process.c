/* SPDX-License-Identifier: Apache-2.0 */

/* Which processes belong to a container: by the files of its folder, and by /proc. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/runtime/container/crun.h"

#define CMDLINE_MAX  65536
#define CHILDREN_MAX 65536
#define LOOKS_MAX    10
#define NOTE	     "conmon.begin"

char *sk_crun_path(const struct sk_crun_unit *c, const char *name, char buf[static PATH_MAX])
{
	(void)snprintf(buf, PATH_MAX, "%s/%s", c->u->dir, name);
	return buf;
}

int sk_crun_read_number(const struct sk_crun_unit *c, const char *name, long *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX], *end;
	int r = sk_file_read(AT_FDCWD, sk_crun_path(c, name, path), 64, &text, NULL);

	if (r < 0)
		return r;
	errno = 0;
	*ret = strtol(text, &end, 10);
	return errno || end == text || *ret < 0 || *ret > INT_MAX ? -EINVAL : 0;
}

bool sk_crun_same_space(long a, long b)
{
	char path[64];
	struct stat x, y;

	(void)snprintf(path, sizeof(path), "/proc/%ld/ns/pid", a);
	if (stat(path, &x) < 0)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%ld/ns/pid", b);
	return stat(path, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

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
static bool kill_if_ours(const struct sk_crun_unit *c, pid_t pid)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	/* Looked at with the descriptor open: the number cannot be another process's by then. */
	return fd >= 0 && has_argument(pid, c->u->id) && has_argument(pid, c->u->dir) &&
	       syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
}

static bool kill_those_found(const struct sk_crun_unit *c)
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

void sk_crun_kill_stragglers(const struct sk_crun_unit *c)
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

void sk_crun_monitor_note(const struct sk_crun_unit *c, pid_t conmon)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX], text[32];
	uint64_t begin;

	if (begin_of(conmon, &begin) < 0)
		return;
	(void)snprintf(text, sizeof(text), "%" PRIu64 "\n", begin);
	fd = open(sk_crun_path(c, NOTE, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || sk_fd_write(fd, text, strlen(text)) < 0)
		sk_debug("%s: cannot write %s", c->u->app->name, path);
}

/*
 * The number alone could be that of another process by now, one that names the capsule too: a user's
 * "docker wait <id>". Without a note the daemon was killed before it could write it.
 */
bool sk_crun_is_monitor(const struct sk_crun_unit *c, pid_t pid)
{
	_cleanup_free_ char *text = NULL;
	char path[PATH_MAX];
	uint64_t noted, begin;

	if (!has_argument(pid, c->u->id) || !has_argument(pid, c->u->dir) ||
	    begin_of(pid, &begin) < 0)
		return false;
	if (sk_file_read(AT_FDCWD, sk_crun_path(c, NOTE, path), 64, &text, NULL) < 0)
		return true;
	noted = strtoull(text, NULL, 10);
	return noted == 0 || noted == begin;
}

bool sk_crun_monitor_alone(const struct sk_crun_unit *c)
{
	_cleanup_free_ char *text = NULL;
	char path[64], *at, *end;
	long conmon, child;

	if (sk_crun_read_number(c, "conmon.pid", &conmon) < 0)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%ld/task/%ld/children", conmon, conmon);
	if (sk_file_read(AT_FDCWD, path, CHILDREN_MAX, &text, NULL) < 0)
		return false;
	for (at = text; (child = strtol(at, &end, 10)) > 0 && end != at; at = end)
		if (sk_crun_same_space(child, conmon))
			return false;
	return true;
}
