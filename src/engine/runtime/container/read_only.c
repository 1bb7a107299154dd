/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/container/read_only.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "engine/runtime/container/idmap.h"

/* Mounts are made over files: an empty one, that cannot be run, is below. */
static int make_file(const char *at)
{
	_cleanup_close_ int fd = open(at, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0);

	return fd < 0 && errno != EACCES ? -errno : 0;
}

static int mount_read_only(const char *path, const char *dir, const char *at)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	/* The mount of an earlier daemon may show an older version. Processes that run it are not affected. */
	while (umount2(at, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
	r = make_file(at);
	fd = r < 0 ? r : sk_idmap_clone(AT_FDCWD, path, -1, MOUNT_ATTR_RDONLY);
	return fd < 0 ? fd : sk_mount_attach(fd, at);
}

char *sk_read_only_program(const char *run_dir, const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = sk_asprintf("%s/programs", run_dir);
	_cleanup_free_ char *at = dir ? sk_asprintf("%s/%s", dir, slash ? slash + 1 : path) : NULL;
	struct statvfs fs;
	int r;

	if (!at)
		return NULL;
	if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_RDONLY))
		return strdup(path);
	r = mount_read_only(path, dir, at);
	if (r == 0)
		return TAKE_PTR(at);
	sk_warning("%s is run from where it can be written: %s", path, strerror(-r));
	return strdup(path);
}
