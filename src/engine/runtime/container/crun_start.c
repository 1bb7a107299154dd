/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Letting a created container go. Its first process waits at a pipe in crun's state folder for a byte;
 * all that "crun start" does is to write that byte and to remove the pipe, and loading crun for it
 * takes longer than all of it. So it is written here. A runtime without such a pipe is asked to do it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/runtime/container/crun.h"

#define START_TIMEOUT_MS 30000

static void started(struct sk_crun_unit *c, const struct sk_err *err)
{
	c->starting = false;
	c->u->events->started(c->u->arg, err);
	/* It may have ended before its start was confirmed; start and end are reported in this order. */
	if (!err && c->ended && !c->cleaning)
		sk_crun_report_end(c);
}

static int on_let_go(sd_event_source *s, void *arg)
{
	struct sk_crun_unit *c = arg;

	c->defer = sd_event_source_disable_unref(c->defer);
	started(c, NULL);
	return 0;
}

static void on_crun_started(void *arg, int status, const char *out, const char *err_tail)
{
	struct sk_crun_unit *c = arg;
	struct sk_err err;

	sk_child_free(TAKE_PTR(c->child));
	if (status != 0)
		(void)sk_err_set(&err, -EIO, "child-failed", "the container does not start: %s",
				 *err_tail ? err_tail : "no reason given");
	started(c, status != 0 ? &err : NULL);
}

static int ask_crun(struct sk_crun_unit *c, struct sk_err *err)
{
	char start[] = "start";
	char *const args[] = { start, (char *)c->u->id, NULL };

	return sk_crun_spawn(c, args, 0, START_TIMEOUT_MS, on_crun_started, c, &c->child, err);
}

static bool process_has_ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) != 0;
}

/*
 * The byte is written before the pipe is removed: a daemon that is killed in between leaves a pipe without
 * a reader, by which the next one sees that the container was let go. The pipe is never opened without a
 * write: its reader would spin.
 */
static int let_go(const struct sk_crun_unit *c)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	struct stat st;

	if (snprintf(path, sizeof(path), "%s/crun/%s/exec.fifo", c->u->kind->env->run_dir,
		     c->u->id) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISFIFO(st.st_mode))
		return -ENOTSUP;
	fd = open(path, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno != ENXIO || process_has_ended(c->pid_fd)))
		return -errno;
	if (fd >= 0 && write(fd, "", 1) != 1)
		return -errno;
	if (unlink(path) < 0)
		sk_warning("%s: cannot remove %s: %s", c->u->app->name, path, strerror(errno));
	return 0;
}

int sk_crun_start(struct sk_runtime_unit *u, struct sk_err *err)
{
	struct sk_crun_unit *c = u->priv;
	int r = let_go(c);

	if (r == 0) {
		r = sd_event_add_defer(u->kind->env->event, &c->defer, on_let_go, c);
		if (r < 0)
			(void)sk_err_set(err, r, "internal", "event loop: %s", strerror(-r));
	} else {
		sk_debug("%s: crun is to start it: %s", u->app->name, strerror(-r));
		r = ask_crun(c, err);
	}
	c->starting = r >= 0;
	return SK_MIN(r, 0);
}
