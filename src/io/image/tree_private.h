/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/map.h"
#include "io/image/tree.h"

/* Shared by tree.c (adding), tree_walk.c (the whole tree). */
struct sk_tree {
	int root_fd;
	bool own;
	int64_t newest_s;
	struct sk_map *owners; /* path -> struct sk_tree_meta; NULL with own */
};

/** sk_tree_failed() - an errno on the way of @path as an error; returns @r or -EBADMSG. */
int sk_tree_failed(struct sk_err *err, int r, const char *path);
