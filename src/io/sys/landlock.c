/* SPDX-License-Identifier: Apache-2.0 */
#include "io/sys/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"

#define ALL                                                               \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |     \
	 LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |     \
	 LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	 LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |     \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |     \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |   \
	 LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)
#define READ	     (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define READ_AND_RUN (READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define READ_PROGRAM (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE)

static const struct {
	const char *path;
	uint64_t access;
} readable[] = {
	{ "/usr", READ_AND_RUN },
	{ "/lib", READ_AND_RUN },
	{ "/lib64", READ_AND_RUN },
	{ "/bin", READ_AND_RUN },
	{ "/etc", READ },
	{ "/sys/devices/system/cpu", READ },
	{ "/dev/null", LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE },
};

static int allow_fd(int ruleset, int fd, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = fd };

	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0
		       ? -errno
		       : 0;
}

/* A path that is not there needs no rule. */
static int allow(int ruleset, const char *path, uint64_t access)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return allow_fd(ruleset, fd, access);
}

static int allow_program(int ruleset, int fd)
{
	int r = allow_fd(ruleset, fd, READ_PROGRAM);

	/* A sanitizer does not start without its maps. */
#ifdef __SANITIZE_ADDRESS__
	if (r == 0)
		r = allow(ruleset, "/proc", READ);
#endif
	return r;
}

int sk_landlock_write_below(const char *dir, int program_fd)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_ruleset_attr attr = { .handled_access_fs = ALL };
	_cleanup_close_ int ruleset = -1;
	int r;

	/* The first version cannot let a file be linked from one folder to another; layers do that. */
	if (version < 2)
		return 0;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return -errno;
	r = dir ? allow(ruleset, dir, ALL) : 0;
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(readable); i++)
		r = allow(ruleset, readable[i].path, readable[i].access);
	if (r == 0 && program_fd >= 0)
		r = allow_program(ruleset, program_fd);
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = -errno;
	return r;
}
