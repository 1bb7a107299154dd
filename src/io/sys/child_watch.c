/* SPDX-License-Identifier: Apache-2.0 */
#include "io/sys/child.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "io/sys/child_priv.h"

#define CHUNK 16384
#define READS_A_GO \
	16 /* chunks read before the loop gets its turn: a chatty child must not hog it */

/* A child that was freed before it ended is collected here, or it would stay a zombie. */
static int orphan_ended(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	siginfo_t si;

	(void)waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOHANG);
	sd_event_source_disable_unref(s);
	return 0;
}

static void reap_later(struct sk_child *c)
{
	siginfo_t si = { 0 };
	sd_event_source *s;

	(void)syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
	if (waitid(P_PIDFD, (id_t)c->pidfd, &si, WEXITED | WNOHANG) == 0 && si.si_pid != 0)
		return;
	if (sd_event_add_io(c->event, &s, c->pidfd, EPOLLIN, orphan_ended, NULL) >= 0) {
		(void)sd_event_source_set_io_fd_own(s, true);
		c->pidfd = -1;
		(void)sd_event_source_set_floating(s, true);
		sd_event_source_unref(s);
		return;
	}
	(void)waitid(P_PIDFD, (id_t)c->pidfd, &si, WEXITED);
}

void sk_child_free(struct sk_child *c)
{
	if (!c)
		return;
	sd_event_source_disable_unref(c->exit_source);
	sd_event_source_disable_unref(c->out_source);
	sd_event_source_disable_unref(c->err_source);
	sd_event_source_disable_unref(c->timer);
	if (c->pidfd >= 0 && !c->reaped)
		reap_later(c);
	sk_closep(&c->pidfd);
	sk_closep(&c->out_fd);
	sk_closep(&c->err_fd);
	sk_buf_done(&c->out);
	sd_event_unref(c->event);
	free(c);
}

pid_t sk_child_pid(const struct sk_child *c)
{
	return c->pid;
}

static void keep_output(struct sk_child *c, const char *data, size_t len)
{
	/* Past the bound it is thrown away, as the header says; so is it without memory. */
	(void)sk_buf_add(&c->out, data, SK_MIN(len, c->out.max - c->out.len));
}

/* Return: true when the stream has ended */
static bool drain(struct sk_child *c, int fd, bool is_out)
{
	char chunk[CHUNK];

	for (int i = 0; i < READS_A_GO; i++) {
		ssize_t n = sk_child_read(fd, chunk, sizeof(chunk));

		if (n <= 0)
			return n != -EAGAIN;
		if (is_out)
			keep_output(c, chunk, (size_t)n);
		else
			sk_child_tail_add(&c->tail, chunk, (size_t)n);
	}
	return false;
}

static int on_stream(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct sk_child *c = arg;

	if (drain(c, fd, fd == c->out_fd))
		(void)sd_event_source_set_enabled(s, SD_EVENT_OFF);
	return 0;
}

static int on_timeout(sd_event_source *s, uint64_t usec, void *arg)
{
	struct sk_child *c = arg;

	(void)syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
	return 0;
}

/* As waitpid() would have told it. */
static int status_of(const siginfo_t *si)
{
	if (si->si_code == CLD_EXITED)
		return (si->si_status & 0xff) << 8;
	return (si->si_status & 0x7f) | (si->si_code == CLD_DUMPED ? 0x80 : 0);
}

static int on_exit_(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct sk_child *c = arg;
	_cleanup_buf_ struct sk_buf out = { 0 };
	struct sk_child_tail tail;
	siginfo_t si = { 0 };

	if (waitid(P_PIDFD, (id_t)c->pidfd, &si, WEXITED | WNOHANG) < 0)
		si.si_code = CLD_KILLED, si.si_status = SIGKILL; /* reaped by somebody else */
	else if (si.si_pid == 0)
		return 0;
	c->reaped = true;
	/* What a grandchild that holds the pipe may write later is not waited for. */
	(void)drain(c, c->out_fd, true);
	(void)drain(c, c->err_fd, false);
	(void)sd_event_source_set_enabled(c->exit_source, SD_EVENT_OFF);
	(void)sd_event_source_set_enabled(c->out_source, SD_EVENT_OFF);
	(void)sd_event_source_set_enabled(c->err_source, SD_EVENT_OFF);
	if (c->timer)
		(void)sd_event_source_set_enabled(c->timer, SD_EVENT_OFF);
	/* The callback may free the handle: what it is given must live on. */
	out = c->out;
	c->out = (struct sk_buf){ 0 };
	tail = c->tail;
	c->done(c->arg, status_of(&si), out.data ? out.data : "", sk_child_tail_end(&tail));
	return 0;
}

int sk_child_attach(struct sk_child *c, uint64_t timeout_ms)
{
	int r;

	r = sd_event_add_io(c->event, &c->exit_source, c->pidfd, EPOLLIN, on_exit_, c);
	/* Output before the status, so that all of it is there when @done is called. */
	if (r >= 0)
		r = sd_event_source_set_priority(c->exit_source, SD_EVENT_PRIORITY_NORMAL + 1);
	if (r >= 0)
		r = sd_event_add_io(c->event, &c->out_source, c->out_fd, EPOLLIN, on_stream, c);
	if (r >= 0)
		r = sd_event_add_io(c->event, &c->err_source, c->err_fd, EPOLLIN, on_stream, c);
	if (r >= 0 && timeout_ms > 0)
		r = sd_event_add_time_relative(c->event, &c->timer, CLOCK_MONOTONIC,
					       timeout_ms * 1000, 1000, on_timeout, c);
	return r < 0 ? r : 0;
}

int sk_child_new(sd_event *event, size_t out_max, sk_child_done_fn done, void *arg,
		 struct sk_child **ret, int *out_w, int *err_w)
{
	_cleanup_(sk_child_freep) struct sk_child *c = calloc(1, sizeof(*c));
	int out[2] = { -1, -1 }, err[2] = { -1, -1 }, r;

	if (!c)
		return -ENOMEM;
	c->pidfd = c->out_fd = c->err_fd = -1;
	c->event = sd_event_ref(event);
	c->out.max = out_max;
	c->done = done;
	c->arg = arg;
	r = sk_child_pipe(out);
	c->out_fd = out[0];
	*out_w = out[1];
	if (r == 0)
		r = sk_child_pipe(err);
	c->err_fd = err[0];
	*err_w = err[1];
	if (r == 0)
		*ret = TAKE_PTR(c);
	return r;
}

int sk_child_watch(sd_event *event, const struct sk_child_spec *spec, size_t out_max,
		   uint64_t timeout_ms, sk_child_done_fn done, void *arg, struct sk_child **ret,
		   struct sk_err *err)
{
	_cleanup_(sk_child_freep) struct sk_child *c = NULL;
	_cleanup_close_ int out_w = -1, err_w = -1;
	struct sk_child_spec s = *spec;
	int r;

	r = sk_child_new(event, out_max, done, arg, &c, &out_w, &err_w);
	if (r < 0)
		return sk_err_set(err, r, "child-failed", "cannot watch %s: %s", s.argv[0],
				  strerror(-r));
	if (s.stdout_fd < 0)
		s.stdout_fd = out_w;
	if (s.stderr_fd < 0)
		s.stderr_fd = err_w;
	r = sk_child_start(&s, &c->pid, &c->pidfd, err);
	if (r < 0)
		return r;
	r = sk_child_attach(c, timeout_ms);
	if (r < 0)
		return sk_err_set(err, r, "child-failed", "cannot watch %s: %s", s.argv[0],
				  strerror(-r));
	*ret = TAKE_PTR(c);
	return 0;
}
