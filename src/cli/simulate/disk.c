/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/simulate/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/str.h"
#include "io/sys/child.h"

/* From fs/ext4/ext4.h: not in the kernel's exported headers. */
#define EXT4_IOC_SHUTDOWN	    _IOR('X', 125, uint32_t)
#define EXT4_GOING_FLAGS_NOLOGFLUSH 2u

static int run(const char *const *argv, struct sk_err *err)
{
	struct sk_child_spec spec = SK_CHILD_SPEC(.argv = argv);

	return sk_child_run(&spec, 64 * 1024, NULL, NULL, err);
}

static int make_sparse(const char *path, uint64_t size, struct sk_err *err)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return sk_err_set(err, -errno, "io", "cannot make %s: %s", path, strerror(errno));
	return 0;
}

int sk_sim_disk_make(const struct sk_sim_config *c, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_asprintf("%s/disk.ext4", c->dir);
	_cleanup_free_ char *tmp = sk_asprintf("%s/disk.ext4.new", c->dir);
	int r;

	if (!path || !tmp)
		return sk_err_oom(err);
	if (access(path, F_OK) == 0)
		return 0;
	r = make_sparse(tmp, c->disk_bytes, err);
	if (r < 0)
		return r;
	r = run((const char *[]){ "mkfs.ext4", "-q", "-F", "-m", "0", "-O", "verity", "-E",
				  "lazy_itable_init=1,lazy_journal_init=1", tmp, NULL },
		err);
	if (r < 0)
		return sk_err_prefix(err, "cannot make the device's disk");
	if (rename(tmp, path) < 0)
		return sk_err_set(err, -errno, "io", "cannot make %s: %s", path, strerror(errno));
	return 0;
}

int sk_sim_disk_mount(const struct sk_sim_config *c, const char *where, struct sk_err *err)
{
	_cleanup_free_ char *path = sk_asprintf("%s/disk.ext4", c->dir);
	int r;

	if (!path)
		return sk_err_oom(err);
	r = run((const char *[]){ "mount", "-t", "ext4", "-o", "loop,noatime", path, where, NULL },
		err);
	return r < 0 ? sk_err_prefix(err, "cannot mount the device's disk %s", path) : 0;
}

static int wait_gone(pid_t pid, int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return -errno;
	return poll(&p, 1, 10000) == 1 ? 0 : -ETIMEDOUT;
}

int sk_sim_power_cut(const struct sk_sim_config *c, struct sk_err *err)
{
	uint32_t how = EXT4_GOING_FLAGS_NOLOGFLUSH;
	_cleanup_close_ int disk = -1, pidfd = -1;
	pid_t pid = sk_sim_pid(c);
	char path[64];
	int r;

	if (pid == 0)
		return sk_err_set(err, -ESRCH, "bad-state", "device %s is off", c->dir);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	/* This descriptor keeps the disk mounted when the last process of the device is gone. */
	(void)snprintf(path, sizeof(path), "/proc/%d/root/var", (int)pid);
	disk = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pidfd < 0 || disk < 0)
		return sk_err_set(err, -errno, "io", "cannot reach device %s: %s", c->dir,
				  strerror(errno));
	r = wait_gone(pid, pidfd);
	if (r < 0)
		return sk_err_set(err, r, "timeout", "device %s does not die", c->dir);
	if (ioctl(disk, EXT4_IOC_SHUTDOWN, &how) < 0)
		return sk_err_set(err, -errno, "io", "cannot cut the power of disk %s: %s", c->dir,
				  strerror(errno));
	sk_closep(&disk);
	disk = -1;
	return sk_sim_wait_off(c, err);
}
