/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/err.h"

/*
 * Folders that children work in, one each, below <state-dir>/work. Their trees can be large, so a child
 * removes them too; what a killed daemon left behind is removed after the next start.
 */
struct sk_workdirs;

int sk_workdirs_open(sd_event *event, const char *state_dir, struct sk_workdirs **ret,
		     struct sk_err *err);
/** Removals under way are left to the next start. */
void sk_workdirs_free(struct sk_workdirs *w);

/** sk_workdir_make() - an empty folder that belongs to @uid; @ret_path is owned by the caller */
int sk_workdir_make(struct sk_workdirs *w, uid_t uid, char **ret_path, struct sk_err *err);

/** sk_workdir_discard() - no process works in it any more; @path is freed */
void sk_workdir_discard(struct sk_workdirs *w, char *path);
