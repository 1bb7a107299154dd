/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/container/user.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/file.h"
#include "base/str.h"

#define FIELDS 7 /* of a passwd line; a group line has four */

/* One line split at colons; the strings point into @text. */
struct line {
	char text[1024];
	const char *field[FIELDS];
	size_t n;
};

/* The next line that is not longer than the buffer; NULL at the end. */
static const char *next_line(const char *at, struct line *ret)
{
	while (at && *at) {
		size_t len = strcspn(at, "\n");
		const char *from = at;

		at += len + (at[len] == '\n');
		if (len >= sizeof(ret->text))
			continue;
		memcpy(ret->text, from, len);
		ret->text[len] = '\0';
		ret->n = 0;
		for (char *p = ret->text; p && ret->n < FIELDS;) {
			ret->field[ret->n++] = p;
			p = strchr(p, ':');
			if (p)
				*p++ = '\0';
		}
		return at;
	}
	return NULL;
}

static int parse_id(const char *s, uint32_t *ret)
{
	uint32_t v;

	if (sk_parse_u32(s, &v) < 0 || v > SK_USER_ID_MAX)
		return -EINVAL;
	*ret = v;
	return 0;
}

/* Fills from the passwd line of @name, or of @uid when @name is NULL; its name goes to @ret_name. */
static bool find_user(const char *passwd, const char *name, uid_t uid, struct sk_user *ret,
		      char ret_name[static 256])
{
	struct line l;

	while ((passwd = next_line(passwd, &l))) {
		uint32_t u, g;

		if (l.n < 4 || parse_id(l.field[2], &u) < 0 || parse_id(l.field[3], &g) < 0)
			continue;
		if (name ? !sk_streq(l.field[0], name) : u != uid)
			continue;
		ret->uid = u;
		ret->gid = g;
		if (l.n > 5)
			(void)snprintf(ret->home, sizeof(ret->home), "%.255s", l.field[5]);
		(void)snprintf(ret_name, 256, "%.255s", l.field[0]);
		return true;
	}
	return false;
}

static bool find_group(const char *group, const char *name, gid_t *ret)
{
	struct line l;

	while ((group = next_line(group, &l)))
		if (l.n >= 3 && sk_streq(l.field[0], name) && parse_id(l.field[2], ret) == 0)
			return true;
	return false;
}

static bool is_member(const char *list, const char *name)
{
	size_t len = strlen(name);

	while (*list) {
		size_t n = strcspn(list, ",");

		if (n == len && strncmp(list, name, n) == 0)
			return true;
		list += n + (list[n] == ',');
	}
	return false;
}

static void add_groups(const char *group, const char *name, struct sk_user *u)
{
	struct line l;

	while ((group = next_line(group, &l)) && u->n_groups < SK_USER_GROUPS_MAX) {
		uint32_t gid;

		if (l.n >= 4 && is_member(l.field[3], name) && parse_id(l.field[2], &gid) == 0 &&
		    gid != u->gid)
			u->groups[u->n_groups++] = gid;
	}
}

static int unknown(struct sk_err *err, const char *what, const char *name)
{
	return sk_err_set(err, -EINVAL, "bad-value",
			  "the image has no %s \"%.64s\" (numbers go up to %u)", what, name,
			  SK_USER_ID_MAX);
}

int sk_user_lookup(const char *passwd, const char *group, const char *spec, struct sk_user *ret,
		   struct sk_err *err)
{
	struct sk_user u = { 0 };
	char who[256], name[256] = "";
	const char *colon;
	bool found;

	spec = spec && *spec ? spec : "0";
	colon = strchr(spec, ':');
	if (strlen(spec) >= sizeof(who))
		return unknown(err, "user", spec);
	(void)snprintf(who, sizeof(who), "%.*s", (int)(colon ? colon - spec : 255), spec);
	if (parse_id(who, &u.uid) == 0)
		found = find_user(passwd, NULL, u.uid, &u, name);
	else if (!(found = find_user(passwd, who, 0, &u, name)))
		return unknown(err, "user", who);
	if (colon && parse_id(colon + 1, &u.gid) < 0 && !find_group(group, colon + 1, &u.gid))
		return unknown(err, "group", colon + 1);
	if (!colon && found)
		add_groups(group, name, &u);
	*ret = u;
	return 0;
}

int sk_open_in_root(int root_fd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NOCTTY)),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* NULL when there is no such file; an unreadable or huge one is an error of the image. */
static int read_in_root(int root_fd, const char *path, char **ret, struct sk_err *err)
{
	_cleanup_close_ int fd = sk_open_in_root(root_fd, path, O_RDONLY | O_NONBLOCK);
	int r = fd;

	if (r >= 0)
		r = sk_fd_read(fd, SK_USER_FILE_MAX, ret, NULL);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r == -ENOMEM)
		return sk_err_oom(err);
	if (r < 0)
		return sk_err_set(err, r, "bad-image", "cannot read the image's %s: %s", path,
				  strerror(-r));
	return 0;
}

int sk_user_resolve(int root_fd, const char *spec, struct sk_user *ret, struct sk_err *err)
{
	_cleanup_free_ char *passwd = NULL, *group = NULL;
	int r;

	r = read_in_root(root_fd, "/etc/passwd", &passwd, err);
	if (r == 0)
		r = read_in_root(root_fd, "/etc/group", &group, err);
	return r < 0 ? r : sk_user_lookup(passwd, group, spec, ret, err);
}
