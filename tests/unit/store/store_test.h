/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "store/fs.h"

/* A folder of its own for each test; *state is its path. */
static inline int folder_setup(void **state)
{
	char tmpl[] = "/tmp/skerry-store-XXXXXX";

	*state = mkdtemp(tmpl) ? strdup(tmpl) : NULL;
	return *state ? 0 : -1;
}

static inline int folder_teardown(void **state)
{
	int r = sk_rm_rf(AT_FDCWD, *state);

	free(*state);
	return r;
}

static inline struct sk_store *must_open(const char *path)
{
	struct sk_err err = SK_ERR_INIT;
	struct sk_store *s = NULL;

	if (sk_store_open(path, &s, &err) < 0)
		fail_msg("sk_store_open: %s", err.text);
	return s;
}

static inline struct sk_digest digest_of(const void *data, size_t len)
{
	struct sk_digest d;

	assert_int_equal(sk_digest_of(data, len, &d), 0);
	return d;
}

static inline void must_add(struct sk_store *s, const void *data, size_t len)
{
	struct sk_digest d = digest_of(data, len);
	struct sk_err err = SK_ERR_INIT;
	struct sk_staged *st = NULL;

	if (sk_staged_open(s, &d, len, &st, &err) < 0 || sk_staged_write(st, data, len, &err) < 0 ||
	    sk_staged_commit(st, &err) < 0)
		fail_msg("adding: %s", err.text);
}

/* "<folder>/<sub>/<hex><suffix>", valid until the next call. */
static inline const char *store_path(const char *root, const char *sub, const struct sk_digest *d,
				     const char *suffix)
{
	static char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s/%s%s", root, sub, SK_DIGEST_STR(d), suffix);
	return path;
}

static inline bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static inline void put_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(sk_fd_write(fd, data, len), 0);
	(void)close(fd);
}

#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, folder_setup, folder_teardown)
