/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/file.h"
#include "base/str.h"
#include "docker_fixture.h"
#include "engine/runtime/container/container.h"

#define T(n) "2026-11-22T03:27:0" n ".000000005Z "

/* What the monitor of "one" has written. */
static void has_written(struct world *w, const char *text)
{
	struct sk_capsule_view v;

	sk_capsule_view(sk_engine_find(w->e, "one", NULL), &v);
	assert_int_equal(sk_file_write(AT_FDCWD, v.log_path, text, strlen(text), 0600), 0);
}

static void three_lines(struct world *w)
{
	(void)make(w, "one", (struct sk_app){ 0 });
	has_written(w,
		    T("1") "stdout F first\n" T("2") "stderr F second\n" T("3") "stdout F third\n");
}

static unsigned logs(struct sk_http_req *req, const char *const *query)
{
	return docker_ask(req, sk_docker_log_routes, "GET", "/containers/{id}/logs", "one", query);
}

/* All of it, to its end. */
static void expect(struct world *w, struct sk_http_req *req, const char *bytes, size_t len)
{
	assert_int_equal(req->status, 200);
	UNTIL(w, !req->stream.open);
	assert_int_equal(req->stream.out.len, len);
	if (len > 0)
		assert_memory_equal(req->stream.out.data, bytes, len);
	fake_over(req);
}
#define EXPECT(w, req, text) expect(w, req, text, sizeof(text) - 1)

#define FIRST  "\1\0\0\0\0\0\0\6first\n"
#define SECOND "\2\0\0\0\0\0\0\7second\n"
#define THIRD  "\1\0\0\0\0\0\0\6third\n"

static void frames(void **state)
{
	struct sk_http_req req = { 0 };

	three_lines(*state);
	(void)logs(&req, PAIRS("stdout", "1", "stderr", "true"));
	EXPECT(*state, &req, FIRST SECOND THIRD);
	(void)logs(&req, PAIRS("stdout", "1"));
	EXPECT(*state, &req, FIRST THIRD);
	(void)logs(&req, PAIRS("stderr", "1", "stdout", "0"));
	EXPECT(*state, &req, SECOND);
	(void)logs(&req, PAIRS("stdout", "1", "timestamps", "1"));
	EXPECT(*state, &req,
	       "\1\0\0\0\0\0\0\x25" T("1") "first\n"
					   "\1\0\0\0\0\0\0\x25" T("3") "third\n");
}

static void some_of_them(void **state)
{
	static const struct {
		const char *name, *value;
		bool first, second, third;
	} rows[] = {
		{ "tail", "all", true, true, true },
		{ "tail", "", true, true, true },
		{ "tail", "2", false, true, true },
		{ "tail", "0", false, false, false },
		{ "tail", "4611686018427387903", true, true, true },
		{ "since", "2026-11-22T03:27:02Z", false, true, true },
		{ "since", "1795318023", false, false, true },
		{ "since", "1795318023.999999999", false, false, true },
		{ "since", "0", true, true, true },
		{ "until", "2026-11-22T03:27:01Z", true, false, false },
		{ "until", "1", false, false, false },
	};
	struct sk_http_req req = { 0 };

	three_lines(*state);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_buf_ struct sk_buf want = SK_BUF(1024);

		if (rows[i].first)
			(void)sk_buf_add(&want, FIRST, sizeof(FIRST) - 1);
		if (rows[i].second)
			(void)sk_buf_add(&want, SECOND, sizeof(SECOND) - 1);
		if (rows[i].third)
			(void)sk_buf_add(&want, THIRD, sizeof(THIRD) - 1);
		(void)logs(&req, PAIRS("stdout", "1", "stderr", "1", rows[i].name, rows[i].value));
		expect(*state, &req, want.data, want.len);
	}
}

static void refused(void **state)
{
	static const char *const bad[][2] = {
		{ "tail", "x" },
		{ "tail", "-1" },
		{ "tail", "1e3" },
		{ "tail", "99999999999999999999" },
		{ "since", "x" },
		{ "since", "-1" },
		{ "since", "99999999999999999999" },
		{ "until", " 1" },
		{ "until", "2026-13-01T00:00:00Z" },
	};
	const struct sk_http_route *r =
		fake_route(sk_docker_log_routes, "GET", "/containers/{id}/logs");
	struct sk_http_req req = { 0 };
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(logs(&req, PAIRS("stdout", "1")), 404);
	fake_over(&req);
	three_lines(*state);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(logs(&req, PAIRS("stdout", "1", bad[i][0], bad[i][1])), 400);
		fake_over(&req);
	}
	assert_int_equal(logs(&req, NULL), 400);
	fake_over(&req);
	assert_int_equal(logs(&req, PAIRS("stdout", "yes")), 400);
	fake_over(&req);
	req = (struct sk_http_req){ .params = PAIRS("id", "one"),
				    .query = PAIRS("stdout", "1"),
				    .dying = true };
	assert_int_equal(r->handler(&req, &the_daemon, &err), -ENOMEM);
	fake_over(&req);
}

#define BOTH "stdout", "1", "stderr", "1"

/* Nothing of a log that is not there, or that is no log, and an end all the same. */
static void strange_files(void **state)
{
	struct sk_http_req req = { 0 };
	struct world *w = *state;

	(void)make(w, "one", (struct sk_app){ 0 });
	(void)logs(&req, PAIRS(BOTH));
	expect(w, &req, "", 0);
	has_written(w, "no line of the monitor's\n" T("1") "stdout X bad\n" T(
			       "2") "stdout F first\n" T("3") "stdout F cut off");
	(void)logs(&req, PAIRS(BOTH));
	EXPECT(w, &req, FIRST);
}

/* The line that has no room waits; nothing is lost and nothing comes twice, however small the steps. */
static void a_slow_reader(void **state)
{
	struct sk_http_req req = { 0 };
	struct world *w = *state;
	unsigned steps = 0;

	three_lines(w);
	assert_int_equal(logs(&req, PAIRS(BOTH)), 200);
	req.stream.room = 0;
	settle(w, 5);
	assert_int_equal(req.stream.out.len, 0);
	assert_true(req.stream.open);
	while (req.stream.open) {
		assert_true(++steps < 20);
		fake_read(&req, sizeof(SECOND));
		settle(w, 5);
	}
	assert_true(steps >= 3);
	EXPECT(w, &req, FIRST SECOND THIRD);
}

/* Follows one that runs: what is new comes as it is written, and the end when it has ended. */
static void follow(void **state)
{
	struct sk_http_req req = { 0 };
	struct world *w = *state;
	struct sk_capsule *c = docker_running(w, "one");

	has_written(w, T("1") "stdout F first\n");
	assert_int_equal(logs(&req, PAIRS(BOTH, "follow", "1")), 200);
	UNTIL(w, req.stream.out.len > 0);
	settle(w, 5);
	assert_true(req.stream.open);
	die(c, 0);
	EXPECT(w, &req, FIRST);
}

/* While a line waits, and while nothing comes: all of the reader goes (LeakSanitizer). */
static void readers_leave(void **state)
{
	struct sk_http_req slow = { 0 }, idle = { 0 };
	struct world *w = *state;

	(void)docker_running(w, "one");
	has_written(w, T("1") "stdout F first\n");
	assert_int_equal(logs(&slow, PAIRS(BOTH, "follow", "1")), 200);
	slow.stream.room = 0;
	assert_int_equal(logs(&idle, PAIRS(BOTH, "follow", "1")), 200);
	UNTIL(w, idle.stream.out.len > 0);
	settle(w, 5);
	fake_over(&slow);
	fake_over(&idle);
	die(sk_engine_find(w->e, "one", NULL), 0);
	settle(w, 5);
}

/* A kind that has no log to read: the head is promised by then, so it is told in the stream. */
static void a_kind_without_logs(void **state)
{
	struct sk_http_req req = { 0 };

	fake_ops.open_log = NULL;
	three_lines(*state);
	(void)logs(&req, PAIRS("stdout", "1"));
	fake_ops.open_log = sk_container_ops.open_log;
	assert_int_equal(req.status, 200);
	UNTIL((struct world *)*state, !req.stream.open);
	assert_int_equal(req.stream.out.data[0], 2);
	assert_non_null(memmem(req.stream.out.data, req.stream.out.len, "cannot read its log", 19));
	fake_over(&req);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DOCKER_TEST(frames),	    DOCKER_TEST(some_of_them),	      DOCKER_TEST(refused),
		DOCKER_TEST(strange_files), DOCKER_TEST(a_slow_reader),	      DOCKER_TEST(follow),
		DOCKER_TEST(readers_leave), DOCKER_TEST(a_kind_without_logs),
	};

	fake_ops.open_log = sk_container_ops.open_log;
	return cmocka_run_group_tests_name("engine/docker/logs", tests, NULL, NULL);
}
