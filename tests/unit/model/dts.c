/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "dts.h"

#include <sys/mman.h>

#include "base/file.h"
#include "io/sys/child.h"

void *dts_compile(const char *source, size_t *ret_len)
{
	static const char head[] = "/dts-v1/;\n";
	const char *const argv[] = { "dtc", "-qq", "-I", "dts",
				     "-O",  "dtb", "-E", "no-name_properties",
				     "-",   NULL };
	struct sk_err err = SK_ERR_INIT;
	char *dtb = NULL;
	int fd = memfd_create("dts", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(sk_fd_write(fd, head, strlen(head)), 0);
	assert_int_equal(sk_fd_write(fd, source, strlen(source)), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	if (sk_child_run(&SK_CHILD_SPEC(.argv = argv, .stdin_fd = fd), 64u << 20, &dtb, ret_len,
			 &err) < 0)
		fail_msg("%s\n%s", err.text, source);
	(void)close(fd);
	return dtb;
}
