/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "base/str.h"
#include "docker_fixture.h"

static unsigned ask(struct sk_http_req *req, const char *what, const char *id,
		    const char *const *query)
{
	char pattern[64];

	(void)snprintf(pattern, sizeof(pattern), "/containers/{id}/%s", what);
	return docker_ask(req, sk_docker_container_routes, "POST", pattern, id, query);
}

static unsigned list(struct sk_http_req *req, const char *const *query)
{
	return docker_ask(req, sk_docker_container_routes, "GET", "/containers/json", "", query);
}

static unsigned remove_it(struct sk_http_req *req, const char *id, const char *const *query)
{
	return docker_ask(req, sk_docker_container_routes, "DELETE", "/containers/{id}", id, query);
}

static void expect(struct sk_http_req *req, unsigned status, const char *slug)
{
	assert_int_equal(req->status, status);
	assert_string_equal(req->err.slug, slug);
	fake_over(req);
}

/* How many are listed, and (unless NULL) the name of the first. */
static void listed(const char *const *query, size_t n, const char *first)
{
	struct sk_http_req req = { 0 };
	const json_t *names;

	assert_int_equal(list(&req, query), 200);
	assert_int_equal(json_array_size(req.json), n);
	names = json_object_get(json_array_get(req.json, 0), "Names");
	if (first)
		assert_string_equal(json_string_value(json_array_get(names, 0)), first);
	fake_over(&req);
}

static void lists(void **state)
{
	struct world *w = *state;
	struct sk_capsule_view v;
	char ancestor[128], id[64];

	listed(NULL, 0, NULL);
	(void)docker_running(w, "old");
	sk_capsule_view(make(w, "new", (struct sk_app){ 0 }), &v);
	listed(NULL, 1, "/old");
	listed(PAIRS("all", "1"), 2, "/new");
	listed(PAIRS("all", "0"), 1, "/old");
	/* A limit, or a filter by state, is about all of them. */
	listed(PAIRS("limit", "1"), 1, "/new");
	listed(PAIRS("limit", "99"), 2, "/new");
	listed(PAIRS("limit", "-1"), 1, "/old");
	listed(PAIRS("filters", "{\"status\":[\"created\"]}"), 1, "/new");
	listed(PAIRS("filters", "{\"status\":{\"running\":true}}"), 1, "/old");
	listed(PAIRS("filters", "{\"status\":[\"created\",\"running\"]}"), 2, NULL);
	listed(PAIRS("all", "1", "filters", "{\"name\":[\"l\"]}"), 1, "/old");
	listed(PAIRS("all", "1", "filters", "{\"name\":[\"x\"]}"), 0, NULL);
	(void)snprintf(id, sizeof(id), "{\"id\":[\"%.12s\"]}", v.id);
	listed(PAIRS("all", "1", "filters", id), 1, "/new");
	listed(PAIRS("filters", "{\"health\":[\"none\"]}"), 1, "/old");
	listed(PAIRS("filters", "{\"health\":[\"healthy\"]}"), 0, NULL);
	listed(PAIRS("filters", "{\"label\":[\"a\"]}"), 0, NULL);
	(void)snprintf(ancestor, sizeof(ancestor), "{\"ancestor\":[\"sha256:%s\"]}",
		       SK_DIGEST_STR(&w->image));
	listed(PAIRS("all", "1", "filters", ancestor), 2, NULL);
	listed(PAIRS("all", "1", "filters", "{\"ancestor\":[\"nothing:1\"]}"), 0, NULL);
	/* Only what has ended has an exit code. */
	listed(PAIRS("filters", "{\"exited\":[\"0\"]}"), 0, NULL);
	(void)sk_capsule_kill(sk_engine_find(w->e, "old", NULL), 9, NULL);
	UNTIL(w, state_of(sk_engine_find(w->e, "old", NULL)) == SK_CAPSULE_EXITED);
	listed(PAIRS("filters", "{\"exited\":[\"137\"]}"), 1, "/old");
	listed(PAIRS("filters", "{\"exited\":[\"0\"]}"), 0, NULL);
}

static void lists_that_make_no_sense(void **state)
{
	static const char *const limits[] = { "x", "-2", "1e3", "99999999999999999999999" };
	static const char *const filters[] = { "{", "[]", "{\"colour\":[\"red\"]}", "\"\xff\"" };
	struct sk_http_req req = { 0 };

	(void)docker_running(*state, "one");
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		(void)list(&req, PAIRS("limit", limits[i]));
		expect(&req, 400, "bad-request");
	}
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		(void)list(&req, PAIRS("filters", filters[i]));
		expect(&req, 400, "bad-request");
	}
}

/* Every request about one that is not there, in Docker's words. */
static void no_such_container(void **state)
{
	struct sk_http_req req = { 0 };

	(void)make(*state, "one", (struct sk_app){ 0 });
	for (const struct sk_http_route *r = sk_docker_container_routes; r->method; r++) {
		if (!strstr(r->pattern, "{id}"))
			continue;
		(void)docker_ask(&req, sk_docker_container_routes, r->method, r->pattern, "x",
				 NULL);
		assert_string_equal(req.err.text, "No such container: x");
		assert_false(req.suspended);
		expect(&req, 404, "not-found");
	}
}

/* Each ends as Docker's does, and not before it is so. */
static void life(void **state)
{
	struct sk_http_req req = { 0 };
	struct world *w = *state;
	struct sk_capsule *c = make(w, "one", (struct sk_app){ 0 });

	assert_int_equal(ask(&req, "start", "one", NULL), 0);
	UNTIL(w, req.status);
	assert_int_equal(state_of(c), SK_CAPSULE_RUNNING);
	expect(&req, 204, "");
	(void)ask(&req, "start", "one", NULL);
	expect(&req, 304, "");
	assert_int_equal(ask(&req, "restart", "one", PAIRS("t", "5")), 0);
	UNTIL(w, req.status);
	expect(&req, 204, "");
	assert_int_equal(fakes.starts, 2);
	assert_int_equal(ask(&req, "stop", "one", PAIRS("t", "-1")), 0);
	UNTIL(w, req.status);
	assert_int_equal(state_of(c), SK_CAPSULE_EXITED);
	expect(&req, 204, "");
	(void)ask(&req, "stop", "one", NULL);
	expect(&req, 304, "");
	assert_int_equal(remove_it(&req, "one", NULL), 0);
	UNTIL(w, req.status);
	assert_null(sk_engine_find(w->e, "one", NULL));
	expect(&req, 204, "");
}

static void what_fails_is_told(void **state)
{
	struct sk_http_req req = { 0 };
	struct world *w = *state;

	(void)make(w, "one", (struct sk_app){ 0 });
	fakes.fail_create = true;
	assert_int_equal(ask(&req, "start", "one", NULL), 0);
	UNTIL(w, req.status);
	expect(&req, 500, "child-failed");
	/* An operation that does not even begin. */
	fakes.fail_create = false;
	assert_int_equal(sk_engine_halt(w->e, on_done, w, NULL), 0);
	(void)ask(&req, "start", "one", NULL);
	expect(&req, 409, "bad-state");
	(void)ask(&req, "restart", "one", NULL);
	expect(&req, 409, "bad-state");
	assert_int_equal(live(), 0);
}

/* How long to wait, and with which signal: nonsense does not stop anything. */
static void stops_that_make_no_sense(void **state)
{
	static const char *const times[] = { "x", "-2", "1.5", "86401", "18446744073709551617" };
	struct sk_http_req req = { 0 };
	struct sk_capsule *c = docker_running(*state, "one");

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		(void)ask(&req, "stop", "one", PAIRS("t", times[i]));
		expect(&req, 400, "bad-request");
		(void)ask(&req, "restart", "one", PAIRS("t", times[i]));
		expect(&req, 400, "bad-request");
	}
	(void)ask(&req, "stop", "one", PAIRS("signal", "SIGINT"));
	expect(&req, 501, "not-supported");
	(void)ask(&req, "restart", "one", PAIRS("signal", "SIGINT"));
	expect(&req, 501, "not-supported");
	settle(*state, 5);
	assert_int_equal(state_of(c), SK_CAPSULE_RUNNING);
	assert_int_equal(fakes.starts, 1);
}

/* Without patience: killed at once, though it does not listen. */
static void a_stop_without_patience(void **state)
{
	struct sk_http_req req = { 0 };
	struct world *w = *state;
	struct sk_capsule_view v;
	struct sk_capsule *c = docker_running(w, "one");

	fakes.ignore_term = true;
	assert_int_equal(ask(&req, "stop", "one", PAIRS("t", "0")), 0);
	UNTIL(w, req.status);
	expect(&req, 204, "");
	sk_capsule_view(c, &v);
	assert_int_equal(v.exit_code, 137);
}

static void kills(void **state)
{
	static const char *const signals[] = { "SIGNOTHING", "0", "-9", "65", "9x", "4294967305" };
	struct sk_http_req req = { 0 };
	struct world *w = *state;
	struct sk_capsule *c = make(w, "one", (struct sk_app){ 0 });

	(void)ask(&req, "kill", "one", NULL);
	expect(&req, 409, "bad-state");
	(void)sk_capsule_start(c, NULL, NULL, NULL);
	UNTIL(w, state_of(c) == SK_CAPSULE_RUNNING);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		(void)ask(&req, "kill", "one", PAIRS("signal", signals[i]));
		expect(&req, 400, "bad-request");
	}
	fakes.ignore_term = true;
	(void)ask(&req, "kill", "one", PAIRS("signal", "SIGTERM"));
	expect(&req, 204, "");
	settle(w, 5);
	assert_int_equal(state_of(c), SK_CAPSULE_RUNNING);
	(void)ask(&req, "kill", "one", NULL);
	expect(&req, 204, "");
	UNTIL(w, state_of(c) == SK_CAPSULE_EXITED);
}

static void removals(void **state)
{
	struct sk_http_req req = { 0 };
	struct world *w = *state;

	(void)docker_running(w, "one");
	(void)make(w, "app", (struct sk_app){ .keep_logs = true });
	(void)remove_it(&req, "one", NULL);
	expect(&req, 409, "bad-state");
	(void)remove_it(&req, "one", PAIRS("link", "1", "force", "1"));
	expect(&req, 501, "not-supported");
	/* What a release brought goes with it alone, by no force. */
	(void)remove_it(&req, "app", PAIRS("force", "1"));
	expect(&req, 409, "in-use");
	assert_int_equal(remove_it(&req, "one", PAIRS("force", "1", "v", "1")), 0);
	UNTIL(w, req.status);
	expect(&req, 204, "");
	assert_null(sk_engine_find(w->e, "one", NULL));
	assert_non_null(sk_engine_find(w->e, "app", NULL));
	assert_int_equal(live(), 0);
}

/* It is done all the same, and nobody is answered. */
static void the_client_leaves(void **state)
{
	struct sk_http_req req = { 0 };
	struct world *w = *state;
	struct sk_capsule *c = docker_running(w, "one");

	assert_int_equal(ask(&req, "stop", "one", NULL), 0);
	fake_leave(&req);
	UNTIL(w, state_of(c) == SK_CAPSULE_EXITED);
	settle(w, 5);
	assert_int_equal(req.status, 0);
	fake_over(&req);
}

static void the_server_stops(void **state)
{
	static const char *const what[] = { "start", "stop", "restart" };
	struct sk_http_req req = { 0 };
	struct sk_capsule *one = docker_running(*state, "one");
	struct sk_capsule *two = make(*state, "two", (struct sk_app){ 0 });

	for (size_t i = 0; i < ARRAY_SIZE(what); i++) {
		req.dying = true;
		(void)ask(&req, what[i], i ? "one" : "two", NULL);
		expect(&req, 409, "bad-state");
	}
	req.dying = true;
	(void)remove_it(&req, "one", PAIRS("force", "1"));
	expect(&req, 409, "bad-state");
	settle(*state, 5);
	assert_int_equal(state_of(one), SK_CAPSULE_RUNNING);
	assert_int_equal(state_of(two), SK_CAPSULE_CREATED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DOCKER_TEST(lists),
		DOCKER_TEST(lists_that_make_no_sense),
		DOCKER_TEST(no_such_container),
		DOCKER_TEST(life),
		DOCKER_TEST(what_fails_is_told),
		DOCKER_TEST(stops_that_make_no_sense),
		DOCKER_TEST(a_stop_without_patience),
		DOCKER_TEST(kills),
		DOCKER_TEST(removals),
		DOCKER_TEST(the_client_leaves),
		DOCKER_TEST(the_server_stops),
	};

	return cmocka_run_group_tests_name("engine/docker/containers", tests, NULL, NULL);
}
