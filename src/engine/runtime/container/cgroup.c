/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/container/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

#define CONTROL_FILE_MAX 65536

static char *read_file(const char *root, const char *path, const char *name)
{
	char full[PATH_MAX], *text = NULL;

	if (snprintf(full, sizeof(full), "%s%s/%s", root, path, name) >= (int)sizeof(full))
		return NULL;
	return sk_file_read(AT_FDCWD, full, CONTROL_FILE_MAX, &text, NULL) < 0 ? NULL : text;
}

static bool is_dir(const char *root, const char *name)
{
	char full[PATH_MAX];
	struct stat st;

	return snprintf(full, sizeof(full), "%s/%s", root, name) < (int)sizeof(full) &&
	       stat(full, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The root group has no limits of its own, so the kernel's files are looked for in the groups below it. */
static bool some_group_has(const char *root, const char *file)
{
	DIR *dir = opendir(root);
	struct dirent *e;
	bool found = false;

	while (dir && !found && (e = readdir(dir))) {
		_cleanup_free_ char *name = sk_asprintf("%s/%s", e->d_name, file);

		found = name && e->d_name[0] != '.' && faccessat(dirfd(dir), name, F_OK, 0) == 0;
	}
	if (dir)
		(void)closedir(dir);
	return found;
}

void sk_cgroup_detect(const char *root, struct sk_cgroup *ret)
{
	_cleanup_free_ char *text = read_file(root, "", "cgroup.controllers");
	_cleanup_strv_ char **have = NULL;

	*ret = (struct sk_cgroup){ .v2 = text != NULL };
	if (!text) {
		ret->memory = is_dir(root, "memory");
		ret->cpu = is_dir(root, "cpu");
		ret->pids = is_dir(root, "pids");
		return;
	}
	text[strcspn(text, "\n")] = '\0';
	if (sk_strv_split(text, ' ', &have) < 0)
		return;
	ret->memory = sk_strv_has(have, "memory");
	ret->swap = ret->memory && some_group_has(root, "memory.swap.max");
	ret->cpu = sk_strv_has(have, "cpu");
	ret->pids = sk_strv_has(have, "pids");
}

/* The number after "oom_kill " at the start of a line */
static bool counts_kills(const char *text)
{
	const char *at = text;

	while (at && !sk_str_starts(at, "oom_kill ")) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	return at && strtoul(at + strlen("oom_kill "), NULL, 10) > 0;
}

bool sk_cgroup_oom_killed(const char *root, const struct sk_cgroup *cg, const char *path)
{
	_cleanup_free_ char *full = NULL, *text = NULL;

	if (cg->v2) {
		text = read_file(root, path, "memory.events");
	} else {
		full = sk_asprintf("/memory%s", path);
		text = full ? read_file(root, full, "memory.oom_control") : NULL;
	}
	return counts_kills(text);
}

void sk_cgroup_kill(const char *root, const struct sk_cgroup *cg, const char *path)
{
	char full[PATH_MAX];
	int fd;

	if (!cg->v2 ||
	    snprintf(full, sizeof(full), "%s%s/cgroup.kill", root, path) >= (int)sizeof(full))
		return;
	fd = open(full, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, "1", 1);
	(void)close(fd);
	full[strlen(full) - strlen("/cgroup.kill")] = '\0';
	/* It fails while they are still ending; the runtime's delete has waited for them. */
	(void)rmdir(full);
}
