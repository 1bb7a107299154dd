/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <fcntl.h>
#include <stdio.h>

#include "base/file.h"
#include "base/macros.h"

/* A folder for one test, and paths in it. */
struct temp {
	char dir[64];
	char path[128];
};

static inline void temp_make(struct temp *t)
{
	(void)snprintf(t->dir, sizeof(t->dir), "/tmp/skerry-hub-unit-XXXXXX");
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
