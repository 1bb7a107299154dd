/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "store/fs.h"

/*
 * The real file system with one operation that fails: the @fail_at-th of those that may fail,
 * counted from 0, answers @code and does nothing. Later ones work again, as after a glitch, or
 * with @stay all fail, as on a disk that is gone or full.
 */
struct fault_plan {
	unsigned fail_at;
	int code;
	bool stay;
	bool writes_only; /* counts only what takes room: open for writing, pwrite, fsync */
	bool read_only;	  /* counts only what changes anything */
	unsigned seen;
	int allocate;		  /* an allocation answers this, when it has taken room already */
	struct sk_fs_space space; /* told instead of the real one, when total_bytes is set */
};

/** fault_fs_open() - @plan is borrowed and read at each operation. */
int fault_fs_open(const char *path, struct fault_plan *plan, struct sk_fs **ret);
