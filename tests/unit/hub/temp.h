/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/macros.h"

/* A folder for one test, and paths in it. In memory if that can be: fsync() is called thousands of times. */
struct temp {
	char dir[64];
	char path[128];
};

static inline void temp_make(struct temp *t)
{
	(void)snprintf(t->dir, sizeof(t->dir), "%s/skerry-hub-unit-XXXXXX",
		       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(t->dir))
		abort();
}

static inline void temp_done(struct temp *t)
{
	(void)sk_rm_rf(AT_FDCWD, t->dir);
}

static inline const char *temp_path(struct temp *t, const char *name)
{
	(void)snprintf(t->path, sizeof(t->path), "%s/%s", t->dir, name);
	return t->path;
}

#define _cleanup_temp_ _cleanup_(temp_done)
