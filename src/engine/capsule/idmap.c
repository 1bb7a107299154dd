/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/capsule/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/file.h"

#define STACK_SIZE 16384

/* Only there to own the new namespace until a descriptor of it is open. */
static int hold(void *arg)
{
	const int *pipefd = arg;
	char c;

	/* With the writing end gone here, the parent's death ends it too. */
	(void)close(pipefd[1]);
	(void)!read(pipefd[0], &c, 1);
	return 0;
}

static int write_map(pid_t pid, const char *name, uint32_t base)
{
	_cleanup_close_ int fd = -1;
	char path[64], map[64];
	int n;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	n = snprintf(map, sizeof(map), "0 %u %u\n", base, SK_IDMAP_SIZE);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* The kernel takes a map in one write only. */
	return write(fd, map, (size_t)n) == n ? 0 : -errno;
}

static int open_mapped(pid_t pid, uint32_t base)
{
	char path[64];
	int r, fd;

	r = write_map(pid, "uid_map", base);
	if (r == 0)
		r = write_map(pid, "gid_map", base);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int sk_idmap_userns(uint32_t base)
{
	_cleanup_free_ char *stack = malloc(STACK_SIZE);
	int pipefd[2], r;
	pid_t pid;

	if (!stack)
		return -ENOMEM;
	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return -errno;
	pid = clone(hold, stack + STACK_SIZE, CLONE_NEWUSER | SIGCHLD, pipefd);
	r = pid < 0 ? -errno : open_mapped(pid, base);
	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	(void)close(pipefd[0]);
	(void)close(pipefd[1]);
	return r;
}

int sk_idmap_clone(int dirfd, const char *path, int userns_fd, uint64_t attr)
{
	struct mount_attr a = { .attr_set = attr };
	_cleanup_close_ int fd = -1;

	fd = (int)syscall(SYS_open_tree, dirfd, path,
			  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path ? 0 : AT_EMPTY_PATH));
	if (fd < 0)
		return -errno;
	if (userns_fd >= 0) {
		a.attr_set |= MOUNT_ATTR_IDMAP;
		a.userns_fd = (uint64_t)userns_fd;
	}
	if (a.attr_set && syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &a, sizeof(a)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int sk_mount_attach(int mount_fd, const char *path)
{
	if (syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}
