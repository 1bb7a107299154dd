/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/runtime/container/fs_mount.h"

#include <errno.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"

static int fsctx_set(int ctx, unsigned cmd, const char *key, const char *value)
{
	return syscall(SYS_fsconfig, ctx, cmd, key, value, 0) < 0 ? -errno : 0;
}

int sk_fs_mount(const char *type, const char *const *options, uint64_t attr)
{
	_cleanup_close_ int ctx = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	int r = ctx < 0 ? -errno : 0, fd;

	for (; r == 0 && options[0]; options += 2)
		r = *options[1] ? fsctx_set(ctx, FSCONFIG_SET_STRING, options[0], options[1])
				: fsctx_set(ctx, FSCONFIG_SET_FLAG, options[0], NULL);
	if (r == 0)
		r = fsctx_set(ctx, FSCONFIG_CMD_CREATE, NULL, NULL);
	if (r < 0)
		return r;
	fd = (int)syscall(SYS_fsmount, ctx, FSMOUNT_CLOEXEC, attr);
	return fd < 0 ? -errno : fd;
}
