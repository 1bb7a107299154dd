/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/macros.h"

/*
 * Immutable files by SHA-256, on ext4 (or any POSIX file system). Below the store's folder:
 *   images/<hex>       sealed: complete, hashed, read-only, fs-verity where the file system has it
 *   staging/<hex>.part what arrived so far; survives a crash and is resumed
 *   quarantine/<hex>   found damaged; never handed out again (a release file: <hex>.skr)
 *   releases/<hex>.skr verified release files by release id, each with a seal of its own
 *   records/<name>     small files replaced atomically (generations and the like; content is the caller's)
 * Reference: docs/reference/store.md
 */
struct sk_store;

/** sk_store_open() - open or create; finishes or undoes what a crash interrupted. One process at a time (-EBUSY, "in-use"). */
int sk_store_open(const char *path, struct sk_store **ret, struct sk_err *err);
void sk_store_close(struct sk_store *s);
SK_DEFINE_CLEANUP(struct sk_store, sk_store_close);

bool sk_store_has(struct sk_store *s, const struct sk_digest *d);
/** sk_store_image_fd() - open a sealed image for reading. 0 with the descriptor, -ENOENT ("not-found") */
int sk_store_image_fd(struct sk_store *s, const struct sk_digest *d, int *ret_fd,
		      uint64_t *ret_size, struct sk_err *err);

/*
 * Adding: sk_staged_open() finds what is there already, bytes are appended, sk_staged_commit()
 * checks size and digest, seals and lists. Closing without commit keeps the part for later.
 */
struct sk_staged;
int sk_staged_open(struct sk_store *s, const struct sk_digest *d, uint64_t size_bytes,
		   struct sk_staged **ret,
		   struct sk_err *err); /* "no-space", "already-exists", "in-use", "too-large" */
uint64_t sk_staged_offset(const struct sk_staged *st); /* bytes held so far */
int sk_staged_write(struct sk_staged *st, const void *data, size_t len, struct sk_err *err);
/**
 * sk_staged_commit() - fsync, verify, seal, list; always consumes @st
 * The hash of bytes written since _open is kept up as they come; a resumed prefix is read again
 * here (sk_staged_rehash_bytes() says how much: run it in a child when it is large).
 * A wrong digest is "digest-mismatch": the part is removed, nothing is stored.
 */
int sk_staged_commit(struct sk_staged *st, struct sk_err *err);
/** sk_staged_fill() - all of it from a file of the caller, instead of what is there; then commit. */
int sk_staged_fill(struct sk_staged *st, int fd, struct sk_err *err);
uint64_t sk_staged_rehash_bytes(const struct sk_staged *st);
/**
 * sk_staged_end_writing() - no more bytes will come: from here on the part is open for reading only
 * Needed before a child commits it, as fs-verity wants no writer left in any process.
 */
int sk_staged_end_writing(struct sk_staged *st, struct sk_err *err);
void sk_staged_close(struct sk_staged *st);
/** sk_staged_lend() - a child that was forked fills and commits it: no descriptor of it stays here */
void sk_staged_lend(struct sk_staged *st);
/** sk_staged_drop() - close, and remove what is not committed */
void sk_staged_drop(struct sk_staged *st);
SK_DEFINE_CLEANUP(struct sk_staged, sk_staged_close);
/** sk_store_part_bytes() - bytes that are here of an image not complete yet; 0 for none. */
uint64_t sk_store_part_bytes(struct sk_store *s, const struct sk_digest *d);

#define SK_STORE_TASK_FDS_MAX 16
/**
 * sk_store_task_fds() - descriptors that a forked child must keep to work on the store
 * @st: to commit it there (after sk_staged_end_writing()), or NULL. Afterwards the parent closes it:
 * a committed one stays sealed.
 * Return: how many were written to @fds
 */
size_t sk_store_task_fds(const struct sk_store *s, const struct sk_staged *st,
			 int fds[static SK_STORE_TASK_FDS_MAX]);

/** Adds from a file of the caller, which is read from its present offset to its end. */
int sk_store_add_fd(struct sk_store *s, int fd, const struct sk_digest *expected,
		    uint64_t size_bytes, struct sk_err *err);

int sk_store_remove(struct sk_store *s, const struct sk_digest *d, struct sk_err *err);

/** Called per image; a non-zero return ends the walk and is returned. */
int sk_store_list(struct sk_store *s,
		  int (*each)(void *arg, const struct sk_digest *d, uint64_t size_bytes),
		  void *arg);

/** sk_store_verify_image() - read and hash; a damaged one is moved to quarantine and is "damaged". */
int sk_store_verify_image(struct sk_store *s, const struct sk_digest *d, struct sk_err *err);

#define SK_STORE_REMOVED_MAX 48

/**
 * struct sk_store_removed - large files that have no name any more, and still take room
 * The room is given back when the last descriptor is closed: that is what takes long, and a child can do it.
 */
struct sk_store_removed {
	int fds[SK_STORE_REMOVED_MAX];
	size_t n;
};
/** sk_store_removed_close() - gives the room back, here */
void sk_store_removed_close(struct sk_store *s, struct sk_store_removed *removed);

/**
 * sk_store_collect() - remove images (and staging, release files) for which @keep says no
 * @removed: what is left to close of them, to be initialised to zero; NULL: all is done here
 */
int sk_store_collect(struct sk_store *s, bool (*keep)(void *arg, const struct sk_digest *d),
		     void *arg, struct sk_store_removed *removed, uint64_t *ret_freed_bytes,
		     struct sk_err *err);
/** sk_store_refill_ballast() - after room was given back: reserve again what a full disk made the store release */
void sk_store_refill_ballast(struct sk_store *s);

/*
 * Release files, at most 8 MiB each. That one is still what was put in is checked at each use ("damaged"
 * when not); whether it may be used is the caller's to verify.
 */
int sk_store_put_release(struct sk_store *s, const struct sk_digest *id, const void *skr,
			 size_t len, struct sk_err *err);
int sk_store_get_release(struct sk_store *s, const struct sk_digest *id, char **ret,
			 size_t *ret_len, struct sk_err *err);
bool sk_store_has_release(struct sk_store *s, const struct sk_digest *id);
/** sk_store_verify_release() - as sk_store_verify_image(), for a release file */
int sk_store_verify_release(struct sk_store *s, const struct sk_digest *id, struct sk_err *err);
/** One that is not there is fine. */
int sk_store_del_release(struct sk_store *s, const struct sk_digest *id, struct sk_err *err);
/** As sk_store_list(), for release ids and sizes of their files. */
int sk_store_list_releases(struct sk_store *s,
			   int (*each)(void *arg, const struct sk_digest *id, uint64_t size_bytes),
			   void *arg);

#define SK_STORE_RECORD_MAX 65536

/*
 * Records: small named files (sk_name_ok(), at most 64 KiB), replaced as a whole: after a power cut the old
 * or the new content is there, whatever was written before it in program order is there too.
 */
int sk_store_put_record(struct sk_store *s, const char *name, const void *data, size_t len,
			struct sk_err *err);
int sk_store_get_record(struct sk_store *s, const char *name, char **ret, size_t *ret_len,
			struct sk_err *err);
int sk_store_del_record(struct sk_store *s, const char *name, struct sk_err *err);
/** All names, sorted. */
int sk_store_list_records(struct sk_store *s, char ***ret_names, struct sk_err *err);
