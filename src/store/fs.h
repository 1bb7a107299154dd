/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"
#include "store/store.h"

/*
 * What the store asks of a file system, and nothing more. There are five flat folders; a name never
 * holds a slash, so no path is ever parsed here. The real one is fs_posix.c; tests/sim has a model
 * disk that loses what was not synced.
 *
 * Each operation returns 0 or more on success and -errno on failure.
 */
enum sk_fs_dir {
	SK_FS_IMAGES,
	SK_FS_STAGING,
	SK_FS_QUARANTINE,
	SK_FS_RELEASES,
	SK_FS_RECORDS,
	SK_FS_DIRS, /* how many there are */
};

enum sk_fs_open {
	SK_FS_READ,   /* must be there */
	SK_FS_WRITE,  /* read and write, made when it is not there, content kept */
	SK_FS_CREATE, /* the same, and emptied */
};

/** struct sk_fs_stat - @regular is false for all that the store leaves alone: links, folders, … */
struct sk_fs_stat {
	uint64_t size_bytes;
	uint64_t allocated_bytes; /* room it takes now; with allocate() more than its size */
	bool regular;
	bool sealed; /* no write permission is left, as after seal() */
};

/** struct sk_fs_space - @free_bytes is what an unprivileged writer may still take */
struct sk_fs_space {
	uint64_t free_bytes;
	uint64_t total_bytes;
};

struct sk_fs;

struct sk_fs_ops {
	/** lock() - take the store for this process; -EBUSY when another one has it. */
	int (*lock)(struct sk_fs *fs);
	/** mkdir() - make and open a folder; one that is there already is fine. */
	int (*mkdir)(struct sk_fs *fs, enum sk_fs_dir dir);
	/** open() - a descriptor; never follows a link, never opens what is not a regular file. */
	int (*open)(struct sk_fs *fs, enum sk_fs_dir dir, const char *name, enum sk_fs_open how);
	void (*close)(struct sk_fs *fs, int fd);
	/** pread(), pwrite() - may do less than asked, as the system calls do; 0 is the end. */
	ssize_t (*pread)(struct sk_fs *fs, int fd, void *buf, size_t len, uint64_t offset);
	ssize_t (*pwrite)(struct sk_fs *fs, int fd, const void *buf, size_t len, uint64_t offset);
	int (*truncate)(struct sk_fs *fs, int fd, uint64_t size);
	/** allocate() - room for @size bytes without changing the size; -EOPNOTSUPP is fine. */
	int (*allocate)(struct sk_fs *fs, int fd, uint64_t size);
	/** flush_start() - begin to write a range out; a hint, promises nothing. */
	void (*flush_start)(struct sk_fs *fs, int fd, uint64_t offset, uint64_t len);
	/**
	 * reread() - what is read from now on comes from the medium, as far as the system can do that
	 * Its memory calls pages clean that never arrived, after a write-out that failed.
	 */
	void (*reread)(struct sk_fs *fs, int fd);
	int (*fsync)(struct sk_fs *fs, int fd);
	/**
	 * seal() - take write permission away, make it durable, add fs-verity where there is one
	 * @fd is closed by it, also on failure: fs-verity wants no writer left.
	 */
	int (*seal)(struct sk_fs *fs, int fd, enum sk_fs_dir dir, const char *name);
	int (*stat)(struct sk_fs *fs, enum sk_fs_dir dir, const char *name, struct sk_fs_stat *ret);
	/** rename() - replaces @to_name; atomic. */
	int (*rename)(struct sk_fs *fs, enum sk_fs_dir from, const char *from_name,
		      enum sk_fs_dir to, const char *to_name);
	int (*unlink)(struct sk_fs *fs, enum sk_fs_dir dir, const char *name);
	/** list() - all names but "." and "..", in no order; a non-zero answer of @each ends it. */
	int (*list)(struct sk_fs *fs, enum sk_fs_dir dir, int (*each)(void *arg, const char *name),
		    void *arg);
	int (*sync_dir)(struct sk_fs *fs, enum sk_fs_dir dir);
	int (*space)(struct sk_fs *fs, struct sk_fs_space *ret);
	/** fds() - folders' descriptors, for a forked child to keep; may be NULL. At most @max. */
	size_t (*fds)(const struct sk_fs *fs, int *ret, size_t max);
	void (*free)(struct sk_fs *fs);
};

/** struct sk_fs - embedded as the first member of each implementation */
struct sk_fs {
	const struct sk_fs_ops *ops;
};

/** sk_fs_free() - closes all; the lock ends with the last process that inherited it. */
void sk_fs_free(struct sk_fs *fs);
SK_DEFINE_CLEANUP(struct sk_fs, sk_fs_free);

/** sk_fs_posix_open() - the real one below @path, which is made when it is not there. */
int sk_fs_posix_open(const char *path, struct sk_fs **ret);

/** sk_store_open_fs() - sk_store_open() on any file system; @fs belongs to the store, always. */
int sk_store_open_fs(struct sk_fs *fs, struct sk_store **ret, struct sk_err *err);

/** Folder name below the store's, e.g. "images". */
const char *sk_fs_dir_name(enum sk_fs_dir dir);

/* Built on the table: over short reads and writes, and in the one order that survives a power cut. */

/** sk_fs_read() - whole file; -EFBIG over @max; NUL-terminated copy owned by the caller. */
int sk_fs_read(struct sk_fs *fs, enum sk_fs_dir dir, const char *name, size_t max, char **ret,
	       size_t *ret_len);

/** sk_fs_pwrite_all() - all of @len, or -errno; *ret_done: how much arrived, also on failure. */
int sk_fs_pwrite_all(struct sk_fs *fs, int fd, const void *data, size_t len, uint64_t offset,
		     size_t *ret_done);

/** sk_fs_replace() - old content or new content, nothing between, and durable on return. */
int sk_fs_replace(struct sk_fs *fs, enum sk_fs_dir dir, const char *name, const void *data,
		  size_t len);

/** sk_fs_remove() - unlink and sync the folder; a name that is not there is fine. */
int sk_fs_remove(struct sk_fs *fs, enum sk_fs_dir dir, const char *name);

/** sk_fs_hash() - feed @from up to @to of a file to @h; -ENODATA when the file ends before @to. */
int sk_fs_hash(struct sk_fs *fs, int fd, uint64_t from, uint64_t to, struct sk_hasher *h);

/** sk_fs_names() - regular files' names for which @match says yes, sorted. */
int sk_fs_names(struct sk_fs *fs, enum sk_fs_dir dir, bool (*match)(const char *name),
		char ***ret_names);

#define SK_FS_TMP_PREFIX ".tmp-"
