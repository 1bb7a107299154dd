/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

#define SK_USER_GROUPS_MAX 32
#define SK_USER_ID_MAX	   65535u /* a capsule's user namespace has 65536 ids */
#define SK_USER_FILE_MAX   (1u << 20)

/**
 * struct sk_user - who a capsule's process is, in the capsule's own numbers
 * @groups: supplementary groups by the image's /etc/group
 * @home:   empty when the image does not say
 */
struct sk_user {
	uid_t uid;
	gid_t gid;
	gid_t groups[SK_USER_GROUPS_MAX];
	size_t n_groups;
	char home[256];
};

/**
 * sk_user_lookup() - resolve the manifest's or image's user
 * @passwd, @group: texts of the image's files, untrusted; NULL when it has none
 * @spec: "1000", "1000:1000", "name", "name:group"; NULL or empty for root
 *
 * A number need not stand in @passwd. Without a group, the one of the passwd line holds, else 0.
 * Return: 0 or -EINVAL ("bad-value": unknown name, or a number above SK_USER_ID_MAX)
 */
int sk_user_lookup(const char *passwd, const char *group, const char *spec, struct sk_user *ret,
		   struct sk_err *err);

/** sk_user_resolve() - the same with the files of a root file system; links cannot leave it. */
int sk_user_resolve(int root_fd, const char *spec, struct sk_user *ret, struct sk_err *err);

/** sk_open_in_root() - open @path below @root_fd, every link resolved inside it. fd or -errno. */
int sk_open_in_root(int root_fd, const char *path, int flags);
