/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/digest.h"
#include "base/macros.h"

/* Paths are relative to @dirfd, or to the working folder with AT_FDCWD. All return 0 or -errno. */

/**
 * sk_file_read() - read a whole regular file
 * @max: most bytes; a larger file is -EFBIG and nothing is returned
 * @ret: NUL-terminated one past @ret_len; owned by the caller
 */
int sk_file_read(int dirfd, const char *path, size_t max, char **ret, size_t *ret_len);
int sk_fd_read(int fd, size_t max, char **ret, size_t *ret_len);

/**
 * sk_file_write() - replace a file so that after a power cut there is the old one or the new one
 * Temporary name (@path.tmp) in the same folder, fsync, rename, fsync of the folder. Of processes that are
 * killed on the way one temporary file is left at most, which the next write takes over. Several may write at
 * once: each waits for the one before.
 */
int sk_file_write(int dirfd, const char *path, const void *data, size_t len, mode_t mode);

/** sk_fd_write() - write all of @len, over EINTR and short writes. */
int sk_fd_write(int fd, const void *data, size_t len);

/**
 * sk_fd_copy() - copy from the present position of @from to @to
 * @max:        more bytes than this is -EFBIG (what was copied so far stays in @to)
 * @ret_digest: SHA-256 of what was copied; may be NULL
 */
int sk_fd_copy(int from, int to, uint64_t max, uint64_t *ret_len, struct sk_digest *ret_digest);

int sk_dir_sync(int dirfd, const char *path);
/** sk_mkdir_p() - make a folder and those above it; an existing folder is fine. */
int sk_mkdir_p(int dirfd, const char *path, mode_t mode);
/** sk_rm_rf() - remove a tree; never follows a symlink, never crosses a mount. Absent is fine. */
int sk_rm_rf(int dirfd, const char *path);

/**
 * sk_std_fds_open() - at the start of a program: see that 0, 1 and 2 are taken
 * One that is closed would be given to the next file that is opened, and what is meant for a person
 * would be written into it. What takes its place fails when it is used.
 */
int sk_std_fds_open(void);

/** sk_path_folder() - the folder of a file's name, "." when it has none; owned by the caller */
char *sk_path_folder(const char *path);

/** sk_path_ok() - relative, no empty, "." or ".." part, no byte below ' ', under PATH_MAX. */
bool sk_path_ok(const char *path);
