/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/str.h"
#include "docker_fixture.h"

static unsigned wait_for(struct sk_http_req *req, const char *id, const char *condition)
{
	return docker_ask(req, sk_docker_wait_routes, "POST", "/containers/{id}/wait", id,
			  condition ? PAIRS("condition", condition) : NULL);
}

static void expect(struct sk_http_req *req, const char *text)
{
	assert_int_equal(req->status, 200);
	assert_false(req->stream.open);
	assert_string_equal(req->stream.out.data, text);
	fake_over(req);
}

/* What does not run is told at once; what runs when it ends, with how. */
static void not_running(void **state)
{
	struct sk_http_req req = { 0 };
	struct world *w = *state;
	struct sk_capsule *c = make(w, "one", (struct sk_app){ 0 });

	(void)wait_for(&req, "one", NULL);
	expect(&req, "{\"StatusCode\":0}\n");
	(void)sk_capsule_start(c, NULL, NULL, NULL);
	UNTIL(w, state_of(c) == SK_CAPSULE_RUNNING);
	assert_int_equal(wait_for(&req, "one", "not-running"), 200);
	settle(w, 5);
	/* The head has left, and nothing else. */
	assert_true(req.stream.open);
	assert_int_equal(req.stream.out.len, 0);
	die(c, 7);
	UNTIL(w, !req.stream.open);
	expect(&req, "{\"StatusCode\":7}\n");
	(void)wait_for(&req, "one", "");
	expect(&req, "{\"StatusCode\":7}\n");
}

/* Asked for before it is started: the end to come counts, not the one that was. */
static void next_exit(void **state)
{
	struct sk_http_req req = { 0 };
	struct world *w = *state;
	struct sk_capsule *c = docker_running(w, "one"), *other = docker_running(w, "other");

	die(c, 3);
	UNTIL(w, state_of(c) == SK_CAPSULE_EXITED);
	settle(w, 5);
	(void)wait_for(&req, "one", "next-exit");
	assert_true(req.stream.open);
	/* Another one's end is none of its business. */
	die(other, 9);
	UNTIL(w, state_of(other) == SK_CAPSULE_EXITED);
	(void)sk_capsule_start(c, NULL, NULL, NULL);
	UNTIL(w, state_of(c) == SK_CAPSULE_RUNNING);
	assert_true(req.stream.open);
	die(c, 4);
	UNTIL(w, !req.stream.open);
	expect(&req, "{\"StatusCode\":4}\n");
}

static void removed(void **state)
{
	struct sk_http_req req = { 0 }, next = { 0 };
	struct world *w = *state;
	struct sk_capsule *c = docker_running(w, "one");

	(void)wait_for(&req, "one", "removed");
	die(c, 5);
	UNTIL(w, state_of(c) == SK_CAPSULE_EXITED);
	settle(w, 5);
	assert_true(req.stream.open);
	/* What is removed will not exit any more: nobody waits for ever. */
	(void)wait_for(&next, "one", "next-exit");
	assert_int_equal(sk_capsule_remove(c, false, NULL, NULL, NULL), 0);
	UNTIL(w, !req.stream.open && !next.stream.open);
	expect(&req, "{\"StatusCode\":5}\n");
	expect(&next, "{\"StatusCode\":5}\n");
}

/* Nothing is watched for them any more when it ends. */
static void clients_leave(void **state)
{
	struct sk_http_req req[3] = { 0 };
	struct world *w = *state;
	struct sk_capsule *c = docker_running(w, "one");

	for (int i = 0; i < 3; i++)
		(void)wait_for(&req[i], "one", "next-exit");
	fake_over(&req[1]);
	die(c, 1);
	UNTIL(w, !req[0].stream.open && !req[2].stream.open);
	expect(&req[0], "{\"StatusCode\":1}\n");
	expect(&req[2], "{\"StatusCode\":1}\n");
}

static void refused(void **state)
{
	static const char *const bad[] = { "running", "NEXT-EXIT", "\xff", "removed " };
	struct sk_http_req req = { 0 };
	const struct sk_http_route *r;
	struct sk_err err = SK_ERR_INIT;

	(void)docker_running(*state, "one");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(wait_for(&req, "one", bad[i]), 400);
		fake_over(&req);
	}
	assert_int_equal(wait_for(&req, "two", NULL), 404);
	fake_over(&req);
	/* No memory for an answer: nothing waits. */
	r = fake_route(sk_docker_wait_routes, "POST", "/containers/{id}/wait");
	req = (struct sk_http_req){ .params = PAIRS("id", "one"), .dying = true };
	assert_int_equal(r->handler(&req, &the_daemon, &err), -ENOMEM);
	fake_over(&req);
	die(sk_engine_find(the_daemon.engine, "one", NULL), 1);
	settle(*state, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DOCKER_TEST(not_running),   DOCKER_TEST(next_exit), DOCKER_TEST(removed),
		DOCKER_TEST(clients_leave), DOCKER_TEST(refused),
	};

	return cmocka_run_group_tests_name("engine/docker/wait", tests, NULL, NULL);
}
