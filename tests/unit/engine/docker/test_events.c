/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "base/str.h"
#include "docker_fixture.h"
#include "io/json.h"

static unsigned listen_to(struct sk_http_req *req, const char *filters)
{
	return docker_ask(req, sk_docker_event_routes, "GET", "/events", "",
			  filters ? PAIRS("filters", filters) : NULL);
}

/* "one:start one:die " of what has come; each line is an object by itself. */
static const char *heard(const struct sk_http_req *req)
{
	static char text[1024];
	_cleanup_strv_ char **lines = NULL;
	size_t n = 0;

	text[0] = '\0';
	if (req->stream.out.len == 0)
		return text;
	assert_int_equal(req->stream.out.data[req->stream.out.len - 1], '\n');
	assert_int_equal(sk_strv_split(req->stream.out.data, '\n', &lines), 0);
	SK_STRV_FOREACH (line, lines) {
		_cleanup_json_ json_t *j = NULL;
		const json_t *attributes;

		if (!**line)
			continue;
		assert_int_equal(sk_json_parse(*line, strlen(*line), &j, NULL), 0);
		attributes = json_object_get(json_object_get(j, "Actor"), "Attributes");
		assert_string_equal(json_string_value(json_object_get(j, "Type")), "container");
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s:%s ",
				      json_string_value(json_object_get(attributes, "name")),
				      json_string_value(json_object_get(j, "Action")));
		if (sk_streq(json_string_value(json_object_get(j, "Action")), "die"))
			assert_non_null(json_object_get(attributes, "exitCode"));
	}
	return text;
}

/* One that starts, and ends by itself. */
static void live_and_die(struct world *w, const char *name)
{
	struct sk_capsule *c = docker_running(w, name);

	settle(w, 5);
	die(c, 3);
	UNTIL(w, state_of(c) == SK_CAPSULE_EXITED);
	settle(w, 5);
}

static void all_of_them(void **state)
{
	struct sk_http_req req = { 0 };

	assert_int_equal(listen_to(&req, NULL), 200);
	live_and_die(*state, "one");
	live_and_die(*state, "two");
	assert_string_equal(heard(&req), "one:create one:start one:die "
					 "two:create two:start two:die ");
	assert_non_null(strstr(req.stream.out.data, "\"exitCode\":\"3\""));
	fake_over(&req);
}

static void some_of_them(void **state)
{
	static const struct {
		const char *filters, *heard;
	} rows[] = {
		{ "{\"event\":[\"die\"]}", "one:die two:die " },
		{ "{\"event\":{\"start\":true,\"die\":true},\"container\":[\"two\"]}",
		  "two:start two:die " },
		{ "{\"container\":[\"three\"]}", "" },
		{ "{\"type\":[\"image\"]}", "" },
		{ "{\"type\":[\"container\",\"image\"],\"event\":[\"create\"]}",
		  "one:create two:create " },
		{ "{\"image\":[\"x.itb\"],\"event\":[\"start\"]}", "one:start two:start " },
		{ "{\"image\":[\"y.itb\"]}", "" },
		{ "{\"label\":[\"a=b\"]}", "" },
	};
	struct sk_http_req req[ARRAY_SIZE(rows)] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(listen_to(&req[i], rows[i].filters), 200);
	live_and_die(*state, "one");
	live_and_die(*state, "two");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_string_equal(heard(&req[i]), rows[i].heard);
		fake_over(&req[i]);
	}
}

/* By a beginning of its id, too. */
static void by_id(void **state)
{
	struct sk_http_req req = { 0 };
	struct world *w = *state;
	struct sk_capsule_view v;
	char filters[64];

	sk_capsule_view(docker_running(w, "one"), &v);
	settle(w, 5);
	(void)snprintf(filters, sizeof(filters), "{\"container\":[\"%.20s\"]}", v.id);
	assert_int_equal(listen_to(&req, filters), 200);
	live_and_die(w, "two");
	die(sk_engine_find(w->e, "one", NULL), 0);
	settle(w, 5);
	assert_string_equal(heard(&req), "one:die ");
	fake_over(&req);
}

/* It misses events, whole ones, and holds up nobody. */
static void a_reader_that_falls_behind(void **state)
{
	struct sk_http_req slow = { 0 }, other = { 0 };

	assert_int_equal(listen_to(&slow, NULL), 200);
	assert_int_equal(listen_to(&other, NULL), 200);
	slow.stream.room = 10;
	live_and_die(*state, "one");
	assert_int_equal(slow.stream.out.len, 0);
	fake_read(&slow, 100000);
	live_and_die(*state, "two");
	assert_string_equal(heard(&slow), "two:create two:start two:die ");
	assert_string_equal(heard(&other), "one:create one:start one:die "
					   "two:create two:start two:die ");
	fake_over(&slow);
	fake_over(&other);
}

/* In the middle of it: nothing is told to who is gone. */
static void readers_leave(void **state)
{
	struct sk_http_req req[3] = { 0 };

	for (int i = 0; i < 3; i++)
		assert_int_equal(listen_to(&req[i], NULL), 200);
	fake_over(&req[1]);
	live_and_die(*state, "one");
	fake_over(&req[0]);
	live_and_die(*state, "two");
	assert_non_null(strstr(heard(&req[2]), "two:die"));
	fake_over(&req[2]);
}

static void refused(void **state)
{
	static const char *const bad[] = { "{", "[1]", "{\"scope\":[\"local\"]}", "{\"event\":3}" };
	const struct sk_http_route *r = fake_route(sk_docker_event_routes, "GET", "/events");
	struct sk_err err = SK_ERR_INIT;
	struct sk_http_req req = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(listen_to(&req, bad[i]), 400);
		fake_over(&req);
	}
	(void)docker_ask(&req, sk_docker_event_routes, "GET", "/events", "", PAIRS("since", "1"));
	assert_int_equal(req.status, 501);
	fake_over(&req);
	(void)docker_ask(&req, sk_docker_event_routes, "GET", "/events", "", PAIRS("until", "1"));
	assert_int_equal(req.status, 501);
	fake_over(&req);
	req = (struct sk_http_req){ .query = PAIRS("filters", "{\"event\":[\"die\"]}"),
				    .dying = true };
	assert_int_equal(r->handler(&req, &the_daemon, &err), -ENOMEM);
	fake_over(&req);
	live_and_die(*state, "one");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DOCKER_TEST(all_of_them),   DOCKER_TEST(some_of_them),
		DOCKER_TEST(by_id),	    DOCKER_TEST(a_reader_that_falls_behind),
		DOCKER_TEST(readers_leave), DOCKER_TEST(refused),
	};

	return cmocka_run_group_tests_name("engine/docker/events", tests, NULL, NULL);
}
