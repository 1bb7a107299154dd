/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/str.h"
#include "io/sys/child.h"
#include "io/sys/child_priv.h"

#define SH(script) ((const char *const[]){ "sh", "-c", (script), NULL })

static char *run_ok(const struct sk_child_spec *spec)
{
	struct sk_err err = SK_ERR_INIT;
	char *out = NULL;
	int r = sk_child_run(spec, 65536, &out, NULL, &err);

	if (r < 0)
		print_message("%s\n", err.text);
	assert_int_equal(r, 0);
	return out;
}

static void collects_output(void **state)
{
	struct sk_child_spec spec = SK_CHILD_SPEC(.argv = SH("echo one; echo two >&2"));
	_cleanup_free_ char *out = run_ok(&spec);

	assert_string_equal(out, "one\n");
}

static void output_bound_is_exact(void **state)
{
	struct sk_child_spec spec = SK_CHILD_SPEC(.argv = SH("printf 12345678"));
	struct sk_err err = SK_ERR_INIT;
	char *out = NULL;
	size_t len = 0;

	assert_int_equal(sk_child_run(&spec, 8, &out, &len, &err), 0);
	assert_int_equal(len, 8);
	free(out);
	out = NULL;
	assert_int_equal(sk_child_run(&spec, 7, &out, &len, &err), -EFBIG);
	assert_null(out);
	assert_true(sk_err_is(&err, "child-failed"));
}

static void endless_output_ends(void **state)
{
	struct sk_child_spec spec = SK_CHILD_SPEC(.argv = (const char *const[]){ "yes", NULL });
	char *out = NULL;

	assert_int_equal(sk_child_run(&spec, 1 << 20, &out, NULL, NULL), -EFBIG);
}

static void unwanted_output_is_no_error(void **state)
{
	struct sk_child_spec spec = SK_CHILD_SPEC(.argv = SH("echo lots of it"));

	assert_int_equal(sk_child_run(&spec, 0, NULL, NULL, NULL), 0);
}

static void status_and_last_line(void **state)
{
	struct sk_child_spec spec =
		SK_CHILD_SPEC(.argv = SH("echo first >&2; echo 'the reason' >&2; exit 3"));
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(sk_child_run(&spec, 10, NULL, NULL, &err), -EIO);
	assert_true(sk_err_is(&err, "child-failed"));
	assert_true(sk_str_ends(err.text, "status 3: the reason"));

	spec.argv = SH("kill -9 $$");
	assert_int_equal(sk_child_run(&spec, 10, NULL, NULL, &err), -EIO);
	assert_non_null(strstr(err.text, "signal 9"));
}

static void missing_program(void **state)
{
	struct sk_child_spec spec =
		SK_CHILD_SPEC(.argv = (const char *const[]){ "no-such-program-here", NULL });
	struct sk_err err = SK_ERR_INIT;
	pid_t pid;

	assert_int_equal(sk_child_spawn(&spec, &pid, &err), -ENOENT);
	assert_non_null(strstr(err.text, "no-such-program-here"));
	/* Nothing is left to be collected. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void missing_folder(void **state)
{
	struct sk_child_spec spec = SK_CHILD_SPEC(.argv = SH("true"), .cwd = "/no/such/folder");
	struct sk_err err = SK_ERR_INIT;
	pid_t pid;

	assert_int_equal(sk_child_spawn(&spec, &pid, &err), -ENOENT);
	assert_non_null(strstr(err.text, "working folder"));
}

static void only_given_descriptors(void **state)
{
	_cleanup_close_ int a = open("/dev/null", O_RDONLY), b = open("/dev/zero", O_RDONLY);
	int fds[] = { b, a };
	struct sk_child_spec spec = SK_CHILD_SPEC(
			.argv = SH("readlink /proc/$$/fd/3 /proc/$$/fd/4; exec ls /proc/self/fd"),
			.fds = fds, .n_fds = 2);
	_cleanup_free_ char *out = run_ok(&spec);

	/* 5 is the folder that ls reads. */
	assert_string_equal(out, "/dev/zero\n/dev/null\n0\n1\n2\n3\n4\n5\n");
}

/* Sources that are each other's targets must not overwrite one another. */
static void descriptors_that_cross(void **state)
{
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC), fds[2];
	_cleanup_free_ char *out = NULL;

	fds[0] = fcntl(null, F_DUPFD_CLOEXEC, 4);
	fds[1] = fcntl(zero, F_DUPFD_CLOEXEC, 3);
	struct sk_child_spec spec =
		SK_CHILD_SPEC(.argv = SH("readlink /proc/$$/fd/3 /proc/$$/fd/4"), .fds = fds,
			      .n_fds = 2);
	out = run_ok(&spec);
	assert_string_equal(out, "/dev/null\n/dev/zero\n");
	(void)close(zero);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void environment_and_folder(void **state)
{
	const char *const env[] = { "PATH=/usr/bin:/bin", "COLOUR=blue", NULL };
	struct sk_child_spec spec =
		SK_CHILD_SPEC(.argv = SH("echo $COLOUR $HOME; pwd"), .env = env, .cwd = "/usr");
	_cleanup_free_ char *out = run_ok(&spec);

	assert_string_equal(out, "blue\n/usr\n");
}

static void becomes_another_user(void **state)
{
	struct sk_child_spec spec = SK_CHILD_SPEC(.argv = SH("id -u; id -g; id -G"), .uid = 65534,
						  .gid = 65534, .no_new_privs = true);
	_cleanup_free_ char *out = NULL;

	if (geteuid() != 0)
		skip();
	out = run_ok(&spec);
	assert_string_equal(out, "65534\n65534\n65534\n");
}

static void limits_hold(void **state)
{
	struct sk_child_spec spec = SK_CHILD_SPEC(.argv = SH("ulimit -f; ulimit -t; ulimit -v"),
						  .limit_fsize_bytes = 1 << 20, .limit_cpu_s = 7,
						  .limit_as_bytes = 64 << 20);
	_cleanup_free_ char *out = run_ok(&spec);

	assert_string_equal(out, "2048\n7\n65536\n");
}

static void signals_are_as_new(void **state)
{
	struct sk_child_spec spec =
		SK_CHILD_SPEC(.argv = SH("grep -E 'Sig(Blk|Ign)' /proc/$$/status | cut -f2"));
	_cleanup_free_ char *out = NULL;
	sigset_t set, old;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &set, &old);
	out = run_ok(&spec);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	assert_string_equal(out, "0000000000000000\n0000000000000000\n");
}

static void tail_keeps_the_end(void **state)
{
	struct sk_child_tail t = { 0 };
	char big[5000];

	memset(big, 'x', sizeof(big));
	sk_child_tail_add(&t, "early", 5);
	for (size_t i = 0; i < sizeof(big); i += 100)
		sk_child_tail_add(&t, big, 100);
	sk_child_tail_add(&t, big, sizeof(big));
	sk_child_tail_add(&t, "a\0b\n", 4);
	assert_int_equal(strlen(sk_child_tail_end(&t)), SK_CHILD_ERR_TAIL);
	assert_true(sk_str_ends(sk_child_tail_end(&t), "xa?b"));
}

static void bad_specs_are_refused(void **state)
{
	struct sk_child_spec spec = SK_CHILD_SPEC(.argv = (const char *const[]){ NULL });
	int many[100] = { 0 };
	pid_t pid;

	assert_int_equal(sk_child_spawn(&spec, &pid, NULL), -EINVAL);
	spec.argv = SH("true");
	spec.fds = many;
	spec.n_fds = ARRAY_SIZE(many);
	assert_int_equal(sk_child_spawn(&spec, &pid, NULL), -EINVAL);
	many[0] = 9999;
	spec.n_fds = 1;
	assert_int_equal(sk_child_spawn(&spec, &pid, NULL), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(collects_output),
		cmocka_unit_test(output_bound_is_exact),
		cmocka_unit_test(endless_output_ends),
		cmocka_unit_test(unwanted_output_is_no_error),
		cmocka_unit_test(status_and_last_line),
		cmocka_unit_test(missing_program),
		cmocka_unit_test(missing_folder),
		cmocka_unit_test(only_given_descriptors),
		cmocka_unit_test(descriptors_that_cross),
		cmocka_unit_test(environment_and_folder),
		cmocka_unit_test(becomes_another_user),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(signals_are_as_new),
		cmocka_unit_test(tail_keeps_the_end),
		cmocka_unit_test(bad_specs_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
