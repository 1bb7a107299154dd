/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <signal.h>

#include "base/buf.h"
#include "io/sys/child.h"

/* Shared by child.c and child_watch.c only. */

#define SK_CHILD_ERR_TAIL 1024

/**
 * struct sk_child_tail - the last bytes of a stream, as a string
 * @text: at least the last SK_CHILD_ERR_TAIL bytes; NUL-terminated, NULs inside become '?'
 */
struct sk_child_tail {
	char text[2 * SK_CHILD_ERR_TAIL + 1];
	size_t len;
};

void sk_child_tail_add(struct sk_child_tail *t, const char *data, size_t len);
/** sk_child_tail_end() - the last SK_CHILD_ERR_TAIL bytes, without trailing blanks. */
const char *sk_child_tail_end(struct sk_child_tail *t);

struct sk_child {
	sd_event *event;
	pid_t pid;
	int pidfd, out_fd, err_fd;
	bool reaped;
	sd_event_source *exit_source, *out_source, *err_source, *timer;
	struct sk_buf out;
	struct sk_child_tail tail;
	sk_child_done_fn done;
	void *arg;
};

/** sk_child_new() - a handle with its two pipes; the writing ends go to @out_w and @err_w. */
int sk_child_new(sd_event *event, size_t out_max, sk_child_done_fn done, void *arg,
		 struct sk_child **ret, int *out_w, int *err_w);

/** sk_child_attach() - @c->pid and @c->pidfd are set: watch them in the loop. */
int sk_child_attach(struct sk_child *c, uint64_t timeout_ms);

/** sk_child_start() - as sk_child_spawn(), and a close-on-exec pidfd (owned by the caller). */
int sk_child_start(const struct sk_child_spec *spec, pid_t *ret_pid, int *ret_pidfd,
		   struct sk_err *err);

/** sk_child_pipe() - both ends close-on-exec; reading never blocks. */
int sk_child_pipe(int ret[2]);

/** sk_child_read() - read once. Return: bytes, 0 at the end, -EAGAIN or another errno. */
ssize_t sk_child_read(int fd, char *buf, size_t size);

/** Reset handlers and mask as a new program expects them; async-signal-safe. */
void sk_child_reset_signals(void);

/** Become @uid and @gid (0: stay) without supplementary groups. 0 or -errno; this thread only. */
int sk_child_become(uid_t uid, gid_t gid);

/** Set an rlimit to @value, or to the hard limit where that is lower; 0: leave it. 0 or -errno. */
int sk_child_limit(int resource, uint64_t value);

/** Die with the parent, which must still be @parent. 0 or -errno. */
int sk_child_die_with(pid_t parent);
