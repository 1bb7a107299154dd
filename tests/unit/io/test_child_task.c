/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/str.h"
#include "io/sys/child.h"

struct fixture {
	sd_event *event;
	struct sk_child *child;
	int calls, status;
	char out[4096], tail[2048];
	char dir[64];
};

static void on_done(void *arg, int status, const char *out, const char *err_tail)
{
	struct fixture *f = arg;

	f->calls++;
	f->status = status;
	(void)snprintf(f->out, sizeof(f->out), "%s", out);
	(void)snprintf(f->tail, sizeof(f->tail), "%s", err_tail);
	(void)sd_event_exit(f->event, 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_true(sd_event_new(&f->event) >= 0);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/skerry-task-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	sk_child_free(f->child);
	sd_event_unref(f->event);
	assert_int_equal(sk_rm_rf(AT_FDCWD, f->dir), 0);
	free(f);
	return 0;
}

static void run(struct fixture *f, struct sk_task task)
{
	/* A loop that has ended does not begin again. */
	sk_child_free(TAKE_PTR(f->child));
	sd_event_unref(f->event);
	assert_true(sd_event_new(&f->event) >= 0);
	f->calls = 0;
	task.out_max = sizeof(f->out) - 1;
	assert_int_equal(sk_child_task(f->event, &task, on_done, f, &f->child, NULL), 0);
	assert_int_equal(f->calls, 0);
	(void)sd_event_loop(f->event);
	assert_int_equal(f->calls, 1);
}

static int count_fds(void *arg)
{
	int *keep = arg, open_fds = 0;

	for (int fd = 0; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			open_fds++;
	printf("%d %d", open_fds, fcntl(*keep, F_GETFD) >= 0);
	(void)fprintf(stderr, "note");
	return 5;
}

static void runs_with_few_descriptors(void **state)
{
	struct fixture *f = *state;
	int a = open("/dev/null", O_RDONLY), b = open("/dev/null", O_RDONLY);

	run(f, (struct sk_task){ .run = count_fds, .arg = &b, .keep_fds = &b, .n_keep = 1 });
	assert_string_equal(f->out, "4 1");
	assert_string_equal(f->tail, "note");
	assert_int_equal(WEXITSTATUS(f->status), 5);
	(void)close(a);
	(void)close(b);
}

static int whoami(void *arg)
{
	printf("%d %d %d", (int)getuid(), (int)getegid(), getgroups(0, NULL));
	return 1000; /* out of range: must not come out as 1000 % 256 */
}

static void changes_user(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	run(f, (struct sk_task){ .run = whoami, .uid = 65534, .gid = 65534 });
	assert_string_equal(f->out, "65534 65534 0");
	assert_int_equal(WEXITSTATUS(f->status), 125);
}

/* What the kernel says of it, and what is left of that in a program that it runs. */
static int tell_rights(void *arg)
{
	return system("cat /proc/$PPID/status; exec cat /proc/self/status") == 0 ? 0 : 1;
}

/* The value of each line @key of two files in a row must be @want. */
static void says(const char *text, const char *key, const char *want)
{
	int n = 0;

	for (const char *at = text; (at = strstr(at, key)); n++) {
		at += strlen(key);
		assert_int_equal(strncmp(at, want, strlen(want)), 0);
		assert_int_equal(at[strlen(want)], '\n');
	}
	assert_int_equal(n, 2);
}

static void has_no_rights(struct fixture *f)
{
	const char *const none[] = { "\nCapInh:\t", "\nCapPrm:\t", "\nCapEff:\t", "\nCapAmb:\t" };

	assert_int_equal(f->status, 0);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		says(f->out, none[i], "0000000000000000");
	says(f->out, "\nNoNewPrivs:\t", "1");
	if (geteuid() == 0)
		says(f->out, "\nCapBnd:\t", "0000000000000000");
}

static void root_keeps_no_rights(void **state)
{
	struct fixture *f = *state;

	run(f, (struct sk_task){ .run = tell_rights });
	has_no_rights(f);
}

static void user_has_no_rights(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	/* Capabilities are root's: another user gets none, whatever is asked for. */
	run(f, (struct sk_task){ .run = tell_rights,
				 .uid = 65534,
				 .gid = 65534,
				 .caps = SK_CAP(CAP_SYS_ADMIN) });
	has_no_rights(f);
}

static void root_keeps_what_it_needs(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	run(f, (struct sk_task){ .run = tell_rights, .caps = SK_CAP(CAP_DAC_OVERRIDE) });
	says(f->out, "\nCapEff:\t", "0000000000000002");
	says(f->out, "\nCapBnd:\t", "0000000000000002");
}

static int try_to_leave(void *arg)
{
	const char *other = arg;
	int inside = open("inside", O_WRONLY | O_CREAT, 0600), link_r, out, read_r;

	link_r = mkdir("sub", 0700) == 0 ? link("inside", "sub/link") : -1;
	out = open(other, O_WRONLY | O_CREAT, 0600);
	read_r = open("/proc/self/environ", O_RDONLY);
	printf("%d %d %d %d %d", inside >= 0, link_r == 0, out >= 0, read_r >= 0,
	       system("true") == 0);
	return 0;
}

static bool has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 2;
}

static void confined_writes_below_its_folder(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *other = sk_asprintf("%s.other", f->dir);

	if (!has_landlock())
		skip();
	run(f,
	    (struct sk_task){ .run = try_to_leave, .arg = other, .cwd = f->dir, .confined = true });
	(void)unlink(other);
	assert_string_equal(f->out, "1 1 0 0 1");
}

static int list_network(void *arg)
{
	struct if_nameindex *all = if_nameindex();

	for (struct if_nameindex *i = all; i && i->if_index; i++)
		printf("%s ", i->if_name);
	return 0;
}

static void confined_has_no_network(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	run(f, (struct sk_task){ .run = list_network, .cwd = f->dir, .confined = true });
	assert_string_equal(f->out, "lo ");
}

/* A program where the user of the task cannot reach it by name, and a file for its descriptor 3. */
struct other_program {
	int fds[2]; /* of both */
	bool named; /* in the task */
};

static int become_it(void *arg)
{
	static const char *const argv[] = { "reader", "-c",
					    "read line <&3; echo \"$line\"; env; "
					    "(: <&4) 2>/dev/null && echo open; id -u; "
					    "(: > ../out) 2>/dev/null; : > in",
					    NULL };
	const struct other_program *p = arg;

	return sk_task_exec(p->fds[0], argv, &p->fds[1], 1);
}

static struct other_program other_program(struct fixture *f)
{
	_cleanup_free_ char *program = sk_asprintf("%s/hidden/sh", f->dir);
	_cleanup_free_ char *file = sk_asprintf("%s/hidden/file", f->dir);
	_cleanup_free_ char *hidden = sk_asprintf("%s/hidden", f->dir);
	_cleanup_free_ char *copy = sk_asprintf("cp /bin/sh %s", program);
	struct other_program p = { 0 };

	assert_int_equal(mkdir(hidden, 0700), 0);
	assert_int_equal(system(copy), 0);
	assert_int_equal(sk_file_write(AT_FDCWD, file, "hello\n", 6, 0600), 0);
	p.fds[0] = open(program, O_RDONLY | O_CLOEXEC);
	p.fds[1] = open(file, O_RDONLY | O_CLOEXEC);
	assert_true(p.fds[0] >= 0 && p.fds[1] >= 0);
	return p;
}

static void confined_becomes_a_program(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *work = sk_asprintf("%s/work", f->dir);
	_cleanup_free_ char *in = sk_asprintf("%s/work/in", f->dir);
	_cleanup_free_ char *out = sk_asprintf("%s/out", f->dir);
	struct other_program p = other_program(f);
	struct sk_task task = { .run = become_it,
				.arg = &p,
				.keep_fds = p.fds,
				.n_keep = 2,
				.cwd = work,
				.confined = true,
				.program_fd = p.fds[0] };
	const char *path = getenv("PATH");

	assert_int_equal(mkdir(work, 0777), 0);
	assert_int_equal(chmod(work, 0777), 0);
	assert_int_equal(chmod(f->dir, 0755), 0);
	if (geteuid() == 0)
		task.uid = task.gid = 65534;
	run(f, task);
	assert_int_equal(f->status, 0);
	assert_int_equal(strncmp(f->out, "hello\n", 6), 0);
	assert_non_null(strstr(f->out, "\nPATH="));
	assert_non_null(strstr(f->out, path));
	/* Nothing else of the daemon's. */
	assert_null(strstr(f->out, "CMOCKA"));
	assert_null(strstr(f->out, "\nopen"));
	if (geteuid() == 0)
		assert_non_null(strstr(f->out, "\n65534\n"));
	assert_int_equal(access(in, F_OK), 0);
	assert_true(access(out, F_OK) < 0 || !has_landlock());
	(void)close(p.fds[0]);
	(void)close(p.fds[1]);
}

static void confined_becomes_no_other(void **state)
{
	struct fixture *f = *state;
	struct other_program p = other_program(f);
	struct sk_err err = SK_ERR_INIT;

	if (!has_landlock())
		skip();
	run(f, (struct sk_task){ .run = become_it,
				 .arg = &p,
				 .keep_fds = p.fds,
				 .n_keep = 2,
				 .confined = true });
	assert_int_equal(sk_task_verdict("it", f->status, f->out, f->tail, &err), -EBADMSG);
	assert_true(sk_err_is(&err, "child-failed"));
	assert_string_equal(err.text, "cannot run reader: Permission denied");
	(void)close(p.fds[0]);
	(void)close(p.fds[1]);
}

static int spin(void *arg)
{
	for (volatile bool on = true; on;)
		;
	return 0;
}

static int take_memory(void *arg)
{
	char *p = malloc((size_t)1 << 30);

	printf("%d", p != NULL);
	free(p);
	return 0;
}

static int write_much(void *arg)
{
	char block[4096] = "";
	int fd = open("big", O_WRONLY | O_CREAT, 0600);

	while (write(fd, block, sizeof(block)) > 0)
		;
	return 0;
}

static void limits_hold(void **state)
{
	struct fixture *f = *state;

	run(f, (struct sk_task){ .run = spin, .limit_cpu_s = 1 });
	assert_true(WIFSIGNALED(f->status));
	run(f, (struct sk_task){ .run = write_much, .cwd = f->dir, .limit_fsize_bytes = 8192 });
	assert_true(WIFSIGNALED(f->status));
	assert_int_equal(WTERMSIG(f->status), SIGXFSZ);
#ifndef __SANITIZE_ADDRESS__
	run(f, (struct sk_task){ .run = take_memory, .limit_as_bytes = (uint64_t)1 << 29 });
	assert_string_equal(f->out, "0");
#else
	(void)take_memory;
#endif
}

static int wait_for_ever(void *arg)
{
	while (pause() != 0)
		;
	return 0;
}

/* In a process of its own: starts a task, tells its id and waits to be killed. */
static void start_and_stay(struct fixture *f, int tell)
{
	const struct sk_task task = { .run = wait_for_ever };
	pid_t pid;

	/* A loop belongs to the process that made it. */
	if (sd_event_new(&f->event) < 0 ||
	    sk_child_task(f->event, &task, on_done, f, &f->child, NULL) < 0)
		_exit(1);
	pid = sk_child_pid(f->child);
	(void)!write(tell, &pid, sizeof(pid));
	(void)wait_for_ever(NULL);
}

static void dies_with_the_daemon(void **state)
{
	struct fixture *f = *state;
	pid_t daemon, task;
	int p[2], gone = 0;

	assert_int_equal(pipe(p), 0);
	daemon = fork();
	if (daemon == 0)
		start_and_stay(f, p[1]);
	(void)close(p[1]);
	assert_int_equal(read(p[0], &task, sizeof(task)), sizeof(task));
	assert_int_equal(kill(task, 0), 0);
	(void)kill(daemon, SIGKILL);
	(void)waitpid(daemon, NULL, 0);
	for (int i = 0; i < 6000 && !gone; i++) {
		char path[64];
		_cleanup_free_ char *stat = NULL;

		(void)snprintf(path, sizeof(path), "/proc/%d/stat", task);
		/* A zombie that nobody here collects has gone too. */
		gone = sk_file_read(AT_FDCWD, path, 4096, &stat, NULL) < 0 || strstr(stat, ") Z ");
		(void)usleep(10000);
	}
	assert_true(gone);
	(void)close(p[0]);
}

static void setting_up_may_fail(void **state)
{
	struct fixture *f = *state;

	run(f, (struct sk_task){ .run = whoami, .cwd = "/not/there" });
	assert_int_equal(WEXITSTATUS(f->status), 126);
	assert_string_equal(f->out, "");
	assert_non_null(strstr(f->tail, "No such file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(runs_with_few_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(changes_user, setup, teardown),
		cmocka_unit_test_setup_teardown(root_keeps_no_rights, setup, teardown),
		cmocka_unit_test_setup_teardown(user_has_no_rights, setup, teardown),
		cmocka_unit_test_setup_teardown(root_keeps_what_it_needs, setup, teardown),
		cmocka_unit_test_setup_teardown(confined_writes_below_its_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(confined_has_no_network, setup, teardown),
		cmocka_unit_test_setup_teardown(confined_becomes_a_program, setup, teardown),
		cmocka_unit_test_setup_teardown(confined_becomes_no_other, setup, teardown),
		cmocka_unit_test_setup_teardown(limits_hold, setup, teardown),
		cmocka_unit_test_setup_teardown(dies_with_the_daemon, setup, teardown),
		cmocka_unit_test_setup_teardown(setting_up_may_fail, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
