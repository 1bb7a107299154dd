/* SPDX-License-Identifier: Apache-2.0 */

/* Reading logs that a monitor would write: files made by hand, an engine without any runtime. */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "engine/capsule/logs.h"
#include "engine/runtime/container/container.h"

#define S(s)  ((char *)(s))
#define STAMP "2026-11-22T03:27:02Z stdout F "

static int none_init(struct sk_runtime_unit *u)
{
	return 0;
}

static void none_done(struct sk_runtime_unit *u)
{
}

/* Filled in by set-up: all that there is of a container is its log. */
static struct sk_runtime_ops none = { .folder = "capsules", .init = none_init, .done = none_done };

struct world {
	char dir[64], log[128], old[128];
	sd_event *event;
	struct sk_store *store;
	struct sk_engine *e;
	struct sk_capsule *c;
	struct sk_logs *logs;
	char text[65536];
	int lines, ends, pause_at;
};

static int on_line(void *arg, const struct sk_log_line *l)
{
	struct world *w = arg;
	size_t n = strlen(w->text);

	(void)snprintf(w->text + n, sizeof(w->text) - n, "%.*s", (int)l->len, l->text);
	return ++w->lines == w->pause_at;
}

static void on_end(void *arg)
{
	struct world *w = arg;

	w->ends++;
	sk_logs_close(TAKE_PTR(w->logs));
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char path[128], volumes[128], states[128], logs[128];
	const struct sk_runtime_kind kinds[] = { { &none, NULL }, { NULL } };
	struct sk_engine_config config = { .run_dir = path,
					   .state_dir = states,
					   .volume_dir = volumes,
					   .log_dir = logs,
					   .uid_base = 100000,
					   .kinds = kinds };
	struct sk_app app = { .name = S("a") };
	struct sk_capsule_spec spec = { .app = &app };
	struct sk_staged *st;

	none.open_log = sk_container_ops.open_log;
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/test-logs-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(chmod(w->dir, 0755), 0);
	assert_true(sd_event_new(&w->event) >= 0);
	(void)snprintf(path, sizeof(path), "%s/store", w->dir);
	assert_int_equal(sk_store_open(path, &w->store, NULL), 0);
	assert_int_equal(sk_digest_of("x", 1, &spec.image), 0);
	assert_int_equal(sk_staged_open(w->store, &spec.image, 1, &st, NULL), 0);
	assert_int_equal(sk_staged_write(st, "x", 1, NULL), 0);
	assert_int_equal(sk_staged_commit(st, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/run", w->dir);
	(void)snprintf(volumes, sizeof(volumes), "%s/volumes", w->dir);
	(void)snprintf(states, sizeof(states), "%s/state", w->dir);
	(void)snprintf(logs, sizeof(logs), "%s/log", w->dir);
	assert_int_equal(sk_engine_new(w->event, w->store, &config, &w->e, NULL), 0);
	assert_int_equal(sk_engine_create(w->e, &spec, &w->c, NULL), 0);
	(void)snprintf(w->log, sizeof(w->log), "%s/log/0.log", w->dir);
	(void)snprintf(w->old, sizeof(w->old), "%s/log/0.log.1", w->dir);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	sk_logs_close(w->logs);
	sk_engine_free(w->e);
	sk_store_close(w->store);
	sd_event_unref(w->event);
	assert_int_equal(sk_rm_rf(AT_FDCWD, w->dir), 0);
	free(w);
	return 0;
}

static void append(const char *path, const char *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);

	assert_true(fd >= 0);
	assert_int_equal(sk_fd_write(fd, data, len), 0);
	(void)close(fd);
}

static void add(const char *path, const char *text)
{
	_cleanup_free_ char *line = sk_asprintf(STAMP "%s\n", text);

	append(path, line, strlen(line));
}

static void settle(struct world *w)
{
	while (sd_event_run(w->event, 20000) > 0)
		;
}

static void open_logs(struct world *w, int64_t tail, bool follow)
{
	struct sk_log_query q = {
		.follow = follow, .stdout_ = true, .stderr_ = true, .tail = tail
	};

	w->text[0] = '\0';
	w->lines = w->ends = 0;
	assert_int_equal(sk_logs_open(w->c, &q, on_line, on_end, w, &w->logs, NULL), 0);
	assert_int_equal(w->lines, 0);
	settle(w);
}

static void over_rotations(void **state)
{
	struct world *w = *state;

	add(w->old, "1");
	add(w->old, "2");
	add(w->log, "3");
	add(w->log, "4");
	open_logs(w, -1, false);
	assert_string_equal(w->text, "1\n2\n3\n4\n");
	assert_int_equal(w->ends, 1);
	open_logs(w, 3, false);
	assert_string_equal(w->text, "2\n3\n4\n");
	open_logs(w, 2, false);
	assert_string_equal(w->text, "3\n4\n");
	open_logs(w, 0, false);
	assert_string_equal(w->text, "");
	open_logs(w, 1000000000, false);
	assert_string_equal(w->text, "1\n2\n3\n4\n");
}

static void no_files(void **state)
{
	struct world *w = *state;

	open_logs(w, 5, false);
	assert_int_equal(w->ends, 1);
	assert_int_equal(w->lines, 0);
}

static void filters(void **state)
{
	struct world *w = *state;
	struct sk_log_query q = { .stderr_ = true, .tail = -1 };

	add(w->log, "out");
	append(w->log, "2026-11-22T03:27:02Z stderr F err\n", 34);
	w->text[0] = '\0';
	assert_int_equal(sk_logs_open(w->c, &q, on_line, on_end, w, &w->logs, NULL), 0);
	settle(w);
	assert_string_equal(w->text, "err\n");
	q.stdout_ = true;
	q.since_s = 1795318023;
	assert_int_equal(sk_logs_open(w->c, &q, on_line, on_end, w, &w->logs, NULL), 0);
	settle(w);
	assert_string_equal(w->text, "err\n");
	q.since_s = 0;
	q.until_s = 1795318022;
	assert_int_equal(sk_logs_open(w->c, &q, on_line, on_end, w, &w->logs, NULL), 0);
	settle(w);
	assert_string_equal(w->text, "err\nout\nerr\n");
}

/* The loop goes on until @text was read: a reader looks again when a timer says so. */
static void until_text(struct world *w, const char *text)
{
	for (int i = 0; strcmp(w->text, text) != 0 && i < 1000; i++)
		assert_true(sd_event_run(w->event, 10000) >= 0);
	assert_string_equal(w->text, text);
}

static void follows_over_a_rotation(void **state)
{
	struct world *w = *state;

	open_logs(w, -1, true);
	add(w->log, "1");
	until_text(w, "1\n");
	/* Renamed, written to once more, then a new one appears. */
	assert_int_equal(rename(w->log, w->old), 0);
	add(w->old, "2");
	settle(w);
	add(w->log, "3");
	settle(w);
	add(w->log, "4");
	until_text(w, "1\n2\n3\n4\n");
	assert_int_equal(w->ends, 0);
	/* A line that comes in two pieces is told once it is whole. */
	append(w->log, STAMP "ha", strlen(STAMP "ha"));
	settle(w);
	assert_int_equal(w->lines, 4);
	append(w->log, "lf\n", 3);
	until_text(w, "1\n2\n3\n4\nhalf\n");
	/* The capsule goes: so does its log. */
	assert_int_equal(sk_capsule_remove(w->c, false, NULL, NULL, NULL), 0);
	for (int i = 0; w->ends == 0 && i < 1000; i++)
		assert_true(sd_event_run(w->event, 10000) >= 0);
	assert_int_equal(w->ends, 1);
}

static void pauses(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 5; i++)
		add(w->log, "x");
	w->pause_at = 2;
	open_logs(w, -1, false);
	assert_int_equal(w->lines, 2);
	settle(w);
	assert_int_equal(w->lines, 2);
	sk_logs_resume(w->logs);
	settle(w);
	assert_int_equal(w->lines, 5);
	assert_int_equal(w->ends, 1);
}

static void hostile_files(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *big = malloc(300000);

	memset(big, 'x', 300000);
	append(w->log, "\0\0\0\n\n\n", 6);
	add(w->log, "before");
	append(w->log, big, 300000);
	append(w->log, "\n", 1);
	add(w->log, "after");
	append(w->log, big, 70000);
	open_logs(w, -1, false);
	assert_string_equal(w->text, "before\nafter\n");
	assert_int_equal(w->ends, 1);
	/* A link in place of a log is not followed. */
	assert_int_equal(unlink(w->log), 0);
	assert_int_equal(symlink("/etc/passwd", w->log), 0);
	open_logs(w, -1, false);
	assert_int_equal(w->lines, 0);
	assert_int_equal(w->ends, 1);
}

static void many_lines(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 5000; i++)
		append(w->log, STAMP "y\n", strlen(STAMP "y\n"));
	open_logs(w, -1, false);
	assert_int_equal(w->lines, 5000);
	open_logs(w, 4321, false);
	assert_int_equal(w->lines, 4321);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(over_rotations), T(no_files),	     T(filters),    T(follows_over_a_rotation),
		T(pauses),	   T(hostile_files), T(many_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
