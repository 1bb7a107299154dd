/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/macros.h"

/*
 * The members of an outer archive (docker save, OCI layout), each in a numbered file of a folder:
 * what a member is called never touches the disk. `docker save` of old writes a layer that two
 * images share as a symlink; those are resolved here, by name, among the members.
 */
struct sk_spool;

/**
 * sk_spool_read() - read the whole archive
 * @dir: an empty folder for the files, borrowed; the caller removes it
 * @max: most bytes over all members
 */
int sk_spool_read(int archive_fd, const char *dir, uint64_t max, struct sk_spool **ret,
		  struct sk_err *err);
void sk_spool_free(struct sk_spool *s);
SK_DEFINE_CLEANUP(struct sk_spool, sk_spool_free);

/** sk_spool_has() - is there a member of that name, over links too? */
int sk_spool_has(const struct sk_spool *s, const char *name);

/** sk_spool_open() - a member for reading; absent: "bad-archive". */
int sk_spool_open(const struct sk_spool *s, const char *name, int *ret_fd, uint64_t *ret_size,
		  struct sk_err *err);

/** sk_spool_blob() - "blobs/sha256/<hex>" opened, and hashed: it must be what its name says. */
int sk_spool_blob(const struct sk_spool *s, const struct sk_digest *d, int *ret_fd,
		  uint64_t *ret_size, struct sk_err *err);
