/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/container/idmap.h"

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

/* What parent and holder share; the holder's stack is in it. */
struct hold {
	int pipe[2];
	char byte;
	char stack[STACK_SIZE] __attribute__((aligned(16)));
};

/*
 * Only there to own the new namespace until a descriptor of it is open. It runs in its parent's
 * memory, which does not wait for it: system calls only.
 */
static int hold(void *arg)
{
	struct hold *h = arg;

	/* With the writing end gone here, the parent's death ends it too. */
	(void)close(h->pipe[1]);
	(void)!read(h->pipe[0], &h->byte, 1);
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

/* No handler of the parent's may run in the holder, which has its memory. */
static pid_t clone_holder(struct hold *h)
{
	sigset_t all, old;
	pid_t pid;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = clone(hold, h->stack + sizeof(h->stack), CLONE_VM | CLONE_NEWUSER | SIGCHLD, h);
	if (pid < 0)
		pid = -errno;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid;
}

int sk_userns_open(struct sk_userns *u, uint32_t base)
{
	struct hold *h = malloc(sizeof(*h));
	int r;

	*u = (struct sk_userns)SK_USERNS_INIT;
	if (!h)
		return -ENOMEM;
	if (pipe2(h->pipe, O_CLOEXEC) < 0) {
		r = -errno;
		free(h);
		return r;
	}
	u->hold = h;
	u->holder = clone_holder(h);
	u->fd = u->holder < 0 ? u->holder : open_mapped(u->holder, base);
	/* It is not waited for here: that would hand the processor to somebody else. */
	if (u->holder > 0)
		(void)kill(u->holder, SIGKILL);
	(void)close(h->pipe[0]);
	(void)close(h->pipe[1]);
	r = SK_MIN(u->fd, 0);
	if (r < 0)
		sk_userns_close(u);
	return r;
}

void sk_userns_close(struct sk_userns *u)
{
	sk_closep(&u->fd);
	if (u->holder > 0)
		while (waitpid(u->holder, NULL, 0) < 0 && errno == EINTR)
			;
	free(u->hold);
	*u = (struct sk_userns)SK_USERNS_INIT;
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
