/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/macros.h"

/*
 * A root file system being put together on disk from names that a stranger wrote. No name leaves
 * the root: the kernel resolves each below it (openat2, RESOLVE_BENEATH). A symlink on the way is
 * followed as long as it stays below (usr-merged images write "lib/x" through lib -> usr/lib); an
 * absolute one, or one that climbs out, is an error.
 *
 * Paths are sk_tree_path() results: relative, no "." or "..", "" is the root itself.
 * All return 0, -EBADMSG ("bad-archive"), or an errno ("no-space", "io", "out-of-memory").
 */
struct sk_tree;

#define SK_TREE_DEPTH_MAX 100 /* folders in folders; sk_rm_rf() must reach them all */

struct sk_tree_meta {
	mode_t mode; /* permission bits */
	uid_t uid;
	gid_t gid;
	int64_t mtime_s;
};

/**
 * sk_tree_open() - an existing, empty folder
 * @own: true (needs root): owners and modes are set on disk. false: they are remembered, files
 *       belong to the caller and can be read by it; sk_tree_write_owners() writes the real ones.
 */
int sk_tree_open(const char *root, bool own, struct sk_tree **ret, struct sk_err *err);
void sk_tree_free(struct sk_tree *t);
SK_DEFINE_CLEANUP(struct sk_tree, sk_tree_free);

/**
 * sk_tree_path() - clean a name from an archive: "./a//b/" becomes "a/b", "./" and "/" become ""
 * @buf: at least PATH_MAX bytes
 * Refused: absolute names, "..", control characters, names over PATH_MAX, deeper than
 * SK_TREE_DEPTH_MAX, parts over 255 bytes.
 */
int sk_tree_path(const char *name, char *buf, struct sk_err *err);

/** Adding replaces what is there; a folder over a folder keeps its content. Parents are made. */
int sk_tree_add_dir(struct sk_tree *t, const char *path, const struct sk_tree_meta *m,
		    struct sk_err *err);
/** sk_tree_add_file() - an empty file, open for writing; finish it with sk_tree_end_file(). */
int sk_tree_add_file(struct sk_tree *t, const char *path, const struct sk_tree_meta *m, int *ret_fd,
		     struct sk_err *err);
int sk_tree_end_file(struct sk_tree *t, int fd, const struct sk_tree_meta *m, struct sk_err *err);
int sk_tree_add_symlink(struct sk_tree *t, const char *path, const char *target,
			const struct sk_tree_meta *m, struct sk_err *err);
/** sk_tree_add_hardlink() - @target must be a regular file that is there already. */
int sk_tree_add_hardlink(struct sk_tree *t, const char *path, const char *target,
			 struct sk_err *err);

/** Removing what is not there is fine. */
int sk_tree_remove(struct sk_tree *t, const char *path, struct sk_err *err);
int sk_tree_remove_children(struct sk_tree *t, const char *path, struct sk_err *err);

/**
 * sk_tree_end() - time stamps: folders get @epoch_s, files newer than it too
 * After this the same content has the same time stamps, whenever and wherever it was unpacked.
 */
int sk_tree_end(struct sk_tree *t, int64_t epoch_s, struct sk_err *err);

/** sk_tree_newest() - the newest time stamp of a file that was added, 0 before any. */
int64_t sk_tree_newest(const struct sk_tree *t);

/**
 * sk_tree_write_owners() - mksquashfs pseudo definitions ("path m mode uid gid") of all that was added
 * through @t, beside those that @file has of other paths. Only for a tree with @own false.
 */
int sk_tree_write_owners(struct sk_tree *t, const char *file, struct sk_err *err);
