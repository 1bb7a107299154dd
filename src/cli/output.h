/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/*
 * The file that --output names. There is the old one or the whole new one: it grows without a name
 * in the same folder (or under one of its own, where the file system cannot do that), is synced and
 * then put in place. SIGINT, SIGTERM and SIGHUP leave nothing of it; where it has a name of its own,
 * they are caught for that, unless they are ignored or somebody else's. A symlink is followed; what is no file, such as /dev/stdout or a FIFO, is
 * written to and never replaced.
 */
struct sk_output {
	const char *given; /* as the user wrote it; borrowed */
	char *place;	   /* where that leads */
	char *tmp;	   /* its name until it is done */
	int fd;
	bool replaces; /* false: a device or a pipe */
	bool named;    /* @tmp exists */
};

/** sk_output_check() - could it be written? Asked before long work. */
int sk_output_check(const char *path, struct sk_err *err);

/** sk_output_open() - o->fd is to be written to. sk_output_done() without a commit leaves nothing. */
int sk_output_open(struct sk_output *o, const char *path, struct sk_err *err);
int sk_output_commit(struct sk_output *o, struct sk_err *err);
void sk_output_done(struct sk_output *o);
#define _cleanup_output_ _cleanup_(sk_output_done)

/** sk_output_failed() - "cannot write FILE: why", as "no-space", "not-found" or "io" */
int sk_output_failed(const char *path, int r, struct sk_err *err);

/** sk_output_write() - all of a small one; "-" is standard output */
int sk_output_write(const char *path, const void *data, size_t len, struct sk_err *err);
