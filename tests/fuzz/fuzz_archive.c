/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "io/image/archive.h"

#define UNPACKED_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char outside_dir[] = "/dev/shm/skerry-fuzz.XXXXXX";

static void remove_outside(void)
{
	(void)rmdir(outside_dir);
}

/* The folder around the work folder: nothing may ever appear in it. */
static const char *outside(void)
{
	static int made;

	if (!made && (!mkdtemp(outside_dir) || atexit(remove_outside) != 0))
		abort();
	made = 1;
	return outside_dir;
}

static size_t count(const char *path)
{
	DIR *dir = opendir(path);
	size_t n = 0;

	if (!dir)
		abort();
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n - 2;
}

static void unpack(const uint8_t *data, size_t size, int layered)
{
	_cleanup_free_ char *work = sk_asprintf("%s/work", outside());
	_cleanup_close_ int fd = memfd_create("archive", MFD_CLOEXEC);
	struct sk_unpacked u = { 0 };
	struct sk_err err = SK_ERR_INIT;
	int r;

	if (!work || fd < 0 || sk_fd_write(fd, data, size) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
	    mkdir(work, 0700) < 0)
		abort();
	r = layered ? sk_archive_unpack(fd, work, UNPACKED_MAX, &u, &err)
		    : sk_archive_unpack_root(fd, work, UNPACKED_MAX, NULL, &u, &err);
	/* Refused: nothing left behind. Taken or refused: the whole can be removed, as one. */
	if (r < 0 && count(work) != 0)
		abort();
	if (sk_rm_rf(AT_FDCWD, work) < 0 || count(outside()) != 0)
		abort();
	sk_unpacked_done(&u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unpack(data, size, 1);
	unpack(data, size, 0);
	return 0;
}
