/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <openssl/evp.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/runtime/container/seccomp.h"
#include "engine/runtime/container/seccomp_rules.h"

/* The filter that is built in, as crun decodes it. */
static struct sock_fprog program(void)
{
	static struct sock_filter code[8192];
	size_t len = strlen(sk_seccomp_filter), pad = len - strcspn(sk_seccomp_filter, "=");
	int n;

	assert_true(len / 4 * 3 < sizeof(code));
	n = EVP_DecodeBlock((unsigned char *)code, (const unsigned char *)sk_seccomp_filter,
			    (int)len);
	assert_true(n > 0);
	n -= (int)pad;
	assert_int_equal((size_t)n % sizeof(*code), 0);
	return (struct sock_fprog){ .len = (unsigned short)((size_t)n / sizeof(*code)),
				    .filter = code };
}

/* errno of one call under the filter, 0 when it was let through and worked; in a child. */
static int under_filter(long number, long a, long b)
{
	struct sock_fprog prog = program();
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
			_exit(255);
		errno = 0;
		_exit(syscall(number, a, b, 0, 0, 0) < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void compiled_filter(void **state)
{
	assert_int_equal(under_filter(SYS_getpid, 0, 0), 0);
	/* let through: it is the kernel that finds fault with the descriptor */
	assert_int_equal(under_filter(SYS_read, -1, 0), EBADF);
	/* refused, though root in a namespace of its own could do some of them */
	assert_int_equal(under_filter(SYS_unshare, CLONE_NEWUSER, 0), EPERM);
	assert_int_equal(under_filter(SYS_mount, 0, 0), EPERM);
	assert_int_equal(under_filter(SYS_bpf, 0, 0), EPERM);
	assert_int_equal(under_filter(SYS_keyctl, 0, 0), EPERM);
	/* not known: C libraries fall back */
	assert_int_equal(under_filter(SYS_clone3, 0, 0), ENOSYS);
	assert_int_equal(under_filter(4242, 0, 0), ENOSYS);
}

static void conditions(void **state)
{
	assert_int_equal(under_filter(SYS_socket, AF_UNIX, SOCK_STREAM), 0);
	assert_int_equal(under_filter(SYS_socket, AF_VSOCK, SOCK_STREAM), ENOSYS);
	assert_int_equal(under_filter(SYS_socket, AF_ALG, SOCK_SEQPACKET), ENOSYS);
	/* the kernel looks at 32 bits of it */
	assert_int_equal(under_filter(SYS_socket, AF_VSOCK | 1L << 32, SOCK_STREAM), ENOSYS);
	assert_int_equal(under_filter(SYS_personality, 0xffffffff, 0), 0);
	assert_int_equal(under_filter(SYS_personality, 0x0400000, 0), ENOSYS);
	/* let through: EINVAL comes from the kernel, as CLONE_SIGHAND needs CLONE_VM */
	assert_int_equal(under_filter(SYS_clone, CLONE_SIGHAND, 0), EINVAL);
	assert_int_equal(under_filter(SYS_clone, CLONE_NEWUSER | CLONE_SIGHAND, 0), ENOSYS);
}

/* The two forms have to say the same, so each has to take its lists from the same place. */
static void every_rule_is_in_the_profile(void **state)
{
	json_t *p = sk_seccomp_profile();
	char *text = p ? json_dumps(p, JSON_COMPACT) : NULL;
	char quoted[64];

	assert_non_null(text);
	for (const char *const *v = sk_seccomp_allowed; *v; v++) {
		(void)snprintf(quoted, sizeof(quoted), "\"%s\"", *v);
		assert_non_null(strstr(text, quoted));
	}
	for (const char *const *v = sk_seccomp_refused; *v; v++) {
		(void)snprintf(quoted, sizeof(quoted), "\"%s\"", *v);
		assert_non_null(strstr(text, quoted));
	}
	free(text);
	json_decref(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compiled_filter),
		cmocka_unit_test(conditions),
		cmocka_unit_test(every_rule_is_in_the_profile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
