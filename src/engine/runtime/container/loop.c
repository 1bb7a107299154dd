/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/container/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/macros.h"

#define TRIES 64

/* Where /dev is a plain folder the kernel does not make the node of a new device. */
static int open_loop(int n, char path[static 32])
{
	int fd;

	(void)snprintf(path, 32, "/dev/loop%d", n);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		if (mknod(path, S_IFBLK | 0600, makedev(LOOP_MAJOR, (unsigned)n)) < 0 &&
		    errno != EEXIST)
			return -errno;
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

int sk_loop_attach(int fd, uint64_t offset, uint64_t size, char ret_path[static 32])
{
	_cleanup_close_ int ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	struct loop_config cfg = {
		.fd = (uint32_t)fd,
		.info = { .lo_offset = offset,
			  .lo_sizelimit = (size + 511) & ~UINT64_C(511),
			  .lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR },
	};

	if (ctl < 0)
		return -errno;
	/* Somebody else may take the free one first. */
	for (int i = 0; i < TRIES; i++) {
		_cleanup_close_ int loop = -1;
		int n = ioctl(ctl, LOOP_CTL_GET_FREE);

		if (n < 0)
			return -errno;
		loop = open_loop(n, ret_path);
		if (loop < 0)
			return loop;
		if (ioctl(loop, LOOP_CONFIGURE, &cfg) == 0)
			return TAKE_FD(loop);
		if (errno != EBUSY)
			return -errno;
	}
	return -EBUSY;
}
