/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Containers with a conmon and a crun that only pretend: shell scripts that each test gives their
 * lines. What a container is made of is pretended too, so that it needs no root.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "engine/runtime/container/bundle.h"
#include "engine/runtime/container/crun.h"
#include "engine/runtime/container/kind.h"

#define ID     "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd"
#define WAIT_S 120

/*
 * The monitor's first process waits for its word, leaves a second one behind and ends. The second one
 * stays until a line comes in the pipe "end": the exit code, or nothing.
 */
#define MONITOR                                                             \
	"id=$4 dir=${14}\n"                                                 \
	"say() { echo \"$1\" >&3; }\n"                                      \
	"stay() { exec sh $0 stay $id $dir </dev/null >/dev/null 2>&1; }\n" \
	"if [ \"$1\" = stay ]; then\n"                                      \
	"	exec 3>&- 4>&-\n"                                                 \
	"	read code <$3/end\n"                                              \
	"	kill -9 $(cat $3/pid)\n"                                          \
	"	[ -z \"$code\" ] || echo $code >$3/exit\n"                        \
	"	exit\n"                                                           \
	"fi\n"                                                              \
	"read go <&4\n"
#define MAKES_IT                                                                \
	"sleep 1000 3>&- 4>&- </dev/null >/dev/null 2>&1 & echo $! >$dir/pid\n" \
	"(stay) & echo $! >$dir/conmon.pid\n"                                   \
	"say '{\"data\": '$(cat $dir/pid)'}'\n"

struct world {
	char dir[64], unit_dir[128], state_dir[192];
	char conmon[128], crun[128];
	struct sk_runtime_env env;
	struct sk_container_kind container;
	struct sk_runtime kind;
	struct sk_app app;
	struct sk_runtime_unit unit;
	/* what was told, in this order: c, s, d and e (ended); capitals: it failed */
	char told[16];
	struct sk_err err;
	int code;
};

static int bundle_result;

int __wrap_sk_bundle_make(const struct sk_runtime_unit *u, struct sk_userns *userns,
			  struct sk_err *err);
int __wrap_sk_bundle_make(const struct sk_runtime_unit *u, struct sk_userns *userns,
			  struct sk_err *err)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/end", u->dir);
	if (mkdir(u->dir, 0700) < 0 || mkfifo(path, 0600) < 0)
		return -errno;
	return bundle_result < 0 ? sk_err_set(err, bundle_result, "bad-image", "no such luck") : 0;
}

static void tell(struct world *w, char what, const struct sk_err *err)
{
	char one[2] = { (char)(err ? what - 'a' + 'A' : what), '\0' };

	assert_true(strlen(w->told) < sizeof(w->told) - 1);
	(void)strcat(w->told, one);
	if (err)
		w->err = *err;
}

static void on_created(void *arg, const struct sk_err *err)
{
	tell(arg, 'c', err);
}

static void on_started(void *arg, const struct sk_err *err)
{
	tell(arg, 's', err);
}

static void on_died(void *arg, int exit_code, bool oom_killed)
{
	struct world *w = arg;

	w->code = exit_code;
	tell(w, 'd', NULL);
}

static void on_cleaned(void *arg)
{
	tell(arg, 'e', NULL);
}

static const struct sk_runtime_events events = { on_created, on_started, on_died, on_cleaned };

static void write_text(const char *dir, const char *name, const char *text, mode_t mode)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(sk_file_write(AT_FDCWD, path, text, strlen(text), mode), 0);
}

static char *read_text(const char *dir, const char *name)
{
	char path[PATH_MAX], *text = NULL;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return sk_file_read(AT_FDCWD, path, 65536, &text, NULL) < 0 ? NULL : text;
}

static bool exists(const char *dir, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return lstat(path, &st) == 0;
}

/* crun notes how it was called and does what the test's lines say. */
static void set_programs(struct world *w, const char *conmon, const char *crun)
{
	_cleanup_free_ char *a = sk_asprintf("#!/bin/sh\n" MONITOR "%s", conmon);
	_cleanup_free_ char *b = sk_asprintf("#!/bin/sh\nshift\n[ \"$1\" = state ] || shift\n"
					     "echo $1 >>%s/calls\nenv >%s/env\n%s",
					     w->dir, w->dir, crun);

	write_text(w->dir, "conmon", a, 0755);
	write_text(w->dir, "crun-fake", b, 0755);
}

static void attach(struct world *w)
{
	w->unit = (struct sk_runtime_unit){
		.kind = &w->kind,
		.events = &events,
		.arg = w,
		.id = ID,
		.dir = w->unit_dir,
		.log_path = "/dev/null",
		.app = &w->app,
	};
	assert_int_equal(w->unit.kind->ops->init(&w->unit), 0);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/skerry-crun-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->unit_dir, sizeof(w->unit_dir), "%s/unit", w->dir);
	(void)snprintf(w->state_dir, sizeof(w->state_dir), "%s/crun/%s", w->dir, ID);
	(void)snprintf(w->conmon, sizeof(w->conmon), "%s/conmon", w->dir);
	(void)snprintf(w->crun, sizeof(w->crun), "%s/crun-fake", w->dir);
	assert_int_equal(sk_mkdir_p(AT_FDCWD, w->state_dir, 0700), 0);
	w->app.name = (char *)"probe";
	w->env = (struct sk_runtime_env){ .run_dir = w->dir, .log_max_bytes = 1000 };
	w->container = (struct sk_container_kind){ .crun = w->crun, .conmon = w->conmon };
	w->kind = (struct sk_runtime){ &sk_container_ops, &w->env, &w->container };
	assert_true(sd_event_new(&w->env.event) >= 0);
	bundle_result = 0;
	set_programs(w, MAKES_IT, "");
	attach(w);
	*state = w;
	return 0;
}

/* Until so much was told */
static void until(struct world *w, const char *told)
{
	time_t end = time(NULL) + WAIT_S;

	while (strlen(w->told) < strlen(told) && time(NULL) < end)
		assert_true(sd_event_run(w->env.event, 100000) >= 0);
	assert_string_equal(w->told, told);
}

/* What a monitor that is there takes for the end of its container */
static void end_quietly(struct world *w)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/end", w->unit_dir);
	fd = open(path, O_WRONLY | O_NONBLOCK);
	if (fd >= 0)
		(void)!write(fd, "\n", 1);
	sk_closep(&fd);
}

static int tear_down(void **state)
{
	struct world *w = *state;

	w->told[0] = '\0';
	w->unit.kind->ops->clean(&w->unit);
	end_quietly(w);
	until(w, "e");
	assert_false(exists(w->dir, "unit"));
	w->unit.kind->ops->done(&w->unit);
	(void)sd_event_unref(w->env.event);
	assert_int_equal(sk_rm_rf(AT_FDCWD, w->dir), 0);
	free(w);
	return 0;
}

static void prepare(struct world *w)
{
	struct sk_err err = SK_ERR_INIT;

	if (w->unit.kind->ops->prepare(&w->unit, &err) < 0)
		fail_msg("%s", err.text);
}

/* crun's pipe, at which the container's first process waits */
static int make_pipe(struct world *w)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/exec.fifo", w->state_dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

static void end_with(struct world *w, const char *line)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/end", w->unit_dir);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line));
	(void)close(fd);
}

static void lives_and_dies(void **state)
{
	struct world *w = *state;
	char byte[2] = { 'x', 'x' };
	int fd = make_pipe(w);

	prepare(w);
	until(w, "c");
	assert_true(w->unit.pid > 1 && kill(w->unit.pid, 0) == 0);
	assert_int_equal(w->unit.kind->ops->start(&w->unit, NULL), 0);
	assert_string_equal(w->told, "c"); /* told from the loop, not inside the call */
	until(w, "cs");
	/* One byte came, the pipe is gone, and crun was not needed. */
	assert_int_equal(read(fd, byte, 2), 1);
	(void)close(fd);
	assert_false(exists(w->state_dir, "exec.fifo"));
	assert_false(exists(w->dir, "calls"));
	end_with(w, "3\n");
	until(w, "csd");
	assert_int_equal(w->code, 3);
	assert_false(w->unit.lost);
}

static void monitor_was_killed(void **state)
{
	struct world *w = *state;
	int fd = make_pipe(w);

	prepare(w);
	until(w, "c");
	assert_int_equal(w->unit.kind->ops->start(&w->unit, NULL), 0);
	until(w, "cs");
	(void)close(fd);
	end_with(w, "\n");
	until(w, "csd");
	assert_int_equal(w->code, 137);
	assert_true(w->unit.lost);
}

/* An earlier daemon was killed after the byte and before it removed the pipe. */
static void was_let_go_before(void **state)
{
	struct world *w = *state;

	(void)close(make_pipe(w));
	prepare(w);
	until(w, "c");
	assert_int_equal(w->unit.kind->ops->start(&w->unit, NULL), 0);
	until(w, "cs");
	assert_false(exists(w->state_dir, "exec.fifo"));
	assert_false(exists(w->dir, "calls"));
}

static void assert_calls(struct world *w, const char *calls)
{
	_cleanup_free_ char *text = read_text(w->dir, "calls");

	assert_string_equal(text ? text : "", calls);
}

static void another_runtime_starts(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *env = NULL;

	(void)setenv("NOTIFY_SOCKET", "/run/x", 1);
	prepare(w);
	until(w, "c");
	assert_int_equal(w->unit.kind->ops->start(&w->unit, NULL), 0);
	until(w, "cs");
	assert_calls(w, "start\n");
	/* It would wait for the capsule to tell that it is ready. */
	env = read_text(w->dir, "env");
	assert_non_null(env);
	assert_null(strstr(env, "NOTIFY_SOCKET"));
	(void)unsetenv("NOTIFY_SOCKET");
}

/* What has the pipe's name and is none is left alone. */
static void no_pipe_at_all(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *text = NULL;

	write_text(w->state_dir, "exec.fifo", "mine", 0600);
	prepare(w);
	until(w, "c");
	assert_int_equal(w->unit.kind->ops->start(&w->unit, NULL), 0);
	until(w, "cs");
	assert_calls(w, "start\n");
	text = read_text(w->state_dir, "exec.fifo");
	assert_string_equal(text, "mine");
}

static void does_not_start(void **state)
{
	struct world *w = *state;

	set_programs(w, MAKES_IT, "[ $1 != start ] || { echo 'not today' >&2; exit 1; }");
	prepare(w);
	until(w, "c");
	assert_int_equal(w->unit.kind->ops->start(&w->unit, NULL), 0);
	until(w, "cS");
	assert_string_equal(w->err.text, "the container does not start: not today");
}

/* Its first process is gone, and with it the reader: crun has the word for it. */
static void died_before_it_was_let_go(void **state)
{
	struct world *w = *state;
	char name[64];

	(void)close(make_pipe(w));
	set_programs(w, MAKES_IT, "[ $1 != start ] || { echo 'is not running' >&2; exit 1; }");
	prepare(w);
	until(w, "c");
	(void)kill(w->unit.pid, SIGKILL);
	(void)snprintf(name, sizeof(name), "/proc/%d/stat", w->unit.pid);
	for (time_t end = time(NULL) + WAIT_S; time(NULL) < end;) {
		_cleanup_free_ char *stat = read_text("/", name);

		if (!stat || strstr(stat, ") Z "))
			break;
	}
	assert_int_equal(w->unit.kind->ops->start(&w->unit, NULL), 0);
	until(w, "cS");
	assert_string_equal(w->err.text, "the container does not start: is not running");
}

/* It came and went before its start was told: in this order all the same. */
static void ends_at_once(void **state)
{
	struct world *w = *state;
	int fd = make_pipe(w);

	prepare(w);
	until(w, "c");
	assert_int_equal(w->unit.kind->ops->start(&w->unit, NULL), 0);
	end_with(w, "0\n");
	until(w, "csd");
	assert_int_equal(w->code, 0);
	(void)close(fd);
}

static void cannot_be_made(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *monitor, *text;
	} all[] = {
		{ "say '{\"data\": -1, \"message\": \"no root\"}'",
		  "the container cannot be made: no root" },
		{ "say '{\"data\": -1}'", "the container cannot be made: no reason given" },
		{ "say '{\"data\": 99999999999}'",
		  "the container cannot be made: no reason given" },
		{ "say 'what?'", "the monitor ended without a word" },
		{ "say '{\"data\": '", "the monitor ended without a word" },
		{ "exit 0", "the monitor ended without a word" },
		{ "head -c 100000 /dev/zero >&3 2>/dev/null; exit 0",
		  "the monitor ended without a word" },
		{ "echo 'no log' >&2; exit 1", "the monitor did not start: no log" },
		{ "exit 1", "the monitor did not start: no reason given" },
		/* It says yes and leaves nobody behind. */
		{ "say '{\"data\": 1}'", "the monitor is gone: No such file or directory" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		w->told[0] = '\0';
		set_programs(w, all[i].monitor, "");
		prepare(w);
		until(w, "C");
		assert_string_equal(w->err.text, all[i].text);
		w->unit.kind->ops->clean(&w->unit);
		until(w, "Ce");
	}
}

/* What cannot be mounted ends the monitor before it made anything. */
static void bundle_fails(void **state)
{
	struct world *w = *state;
	struct sk_err err = SK_ERR_INIT;

	bundle_result = -EIO;
	assert_int_equal(w->unit.kind->ops->prepare(&w->unit, &err), -EIO);
	assert_string_equal(err.text, "no such luck");
	assert_string_equal(w->told, "");
	assert_false(exists(w->unit_dir, "conmon.pid"));
}

/* crun was killed, and what it left behind keeps the monitor from noticing. */
static void crun_was_killed(void **state)
{
	struct world *w = *state;
	struct sk_crun_unit *c = w->unit.priv;

	set_programs(
		w,
		"sh -c 'read never <'$dir'/end' stay $id $dir 4>&- </dev/null >/dev/null 2>&1 &"
		"echo $! >$dir/conmon.pid",
		"");
	prepare(w);
	until(w, "C");
	assert_string_equal(w->err.text, "the container was not made: crun was killed");
	assert_true(c->looks < 60);
}

/* As long as crun is at work it has its time. */
static void crun_takes_long(void **state)
{
	struct world *w = *state;
	struct sk_crun_unit *c = w->unit.priv;

	set_programs(w,
		     "sh -c 'sleep 1000; :' stay $id $dir 4>&- </dev/null >/dev/null 2>&1 &"
		     "echo $! >$dir/conmon.pid",
		     "");
	prepare(w);
	for (time_t end = time(NULL) + WAIT_S; c->looks < 5 && time(NULL) < end;)
		assert_true(sd_event_run(w->env.event, 100000) >= 0);
	assert_int_equal(c->looks, 5);
	assert_string_equal(w->told, "");
	c->looks = 59;
	until(w, "C");
	assert_string_equal(w->err.text, "the container was not made within 60 s");
}

/* A daemon that is restarted: forget everything, then find it again. */
static enum sk_runtime_found find_again(struct world *w, int *code)
{
	w->unit.kind->ops->done(&w->unit);
	attach(w);
	return w->unit.kind->ops->recover(&w->unit, code);
}

static void is_found_again(void **state)
{
	struct world *w = *state;
	int code = 99;
	pid_t pid;

	assert_int_equal(find_again(w, &code), SK_RUNTIME_NOTHING);
	prepare(w);
	until(w, "c");
	pid = w->unit.pid;
	set_programs(w, "", "echo '{\"status\": \"created\"}'");
	assert_int_equal(find_again(w, &code), SK_RUNTIME_PREPARED);
	assert_int_equal(w->unit.pid, pid);
	set_programs(w, "", "echo '{\"status\": \"running\"}'");
	assert_int_equal(find_again(w, &code), SK_RUNTIME_RUNNING);
	end_with(w, "7\n");
	until(w, "cd");
	assert_int_equal(w->code, 7);
	assert_int_equal(find_again(w, &code), SK_RUNTIME_ENDED);
	assert_int_equal(code, 7);
}

static void stranger_has_its_number(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *note = NULL;
	int code = 99;

	prepare(w);
	until(w, "c");
	set_programs(w, "", "echo '{\"status\": \"running\"}'");
	note = read_text(w->unit_dir, "conmon.begin");
	assert_non_null(note);
	/* Killed before it was written, or while: then what it is called has to do. */
	write_text(w->unit_dir, "conmon.begin", "", 0600);
	assert_int_equal(find_again(w, &code), SK_RUNTIME_RUNNING);
	/* A process that began at another time is another one, whatever it is called. */
	write_text(w->unit_dir, "conmon.begin", "12345\n", 0600);
	assert_int_equal(find_again(w, &code), SK_RUNTIME_LEFTOVERS);
	assert_int_equal(w->unit.pid, 0);
	write_text(w->unit_dir, "conmon.begin", note, 0600);
	assert_int_equal(find_again(w, &code), SK_RUNTIME_RUNNING);
	/* So is one that is called otherwise. */
	write_text(w->unit_dir, "conmon.pid", "1\n", 0600);
	assert_int_equal(find_again(w, &code), SK_RUNTIME_LEFTOVERS);
	assert_int_equal(code, 99);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(lives_and_dies),
		TEST(monitor_was_killed),
		TEST(was_let_go_before),
		TEST(another_runtime_starts),
		TEST(no_pipe_at_all),
		TEST(does_not_start),
		TEST(died_before_it_was_let_go),
		TEST(ends_at_once),
		TEST(cannot_be_made),
		TEST(bundle_fails),
		TEST(crun_was_killed),
		TEST(crun_takes_long),
		TEST(is_found_again),
		TEST(stranger_has_its_number),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
