/* SPDX-License-Identifier: Apache-2.0 */

/* /skerry/v1/capsules and the end of all of them, over the engine with a runtime that only pretends. */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "base/str.h"
#include "engine/api/api.h"
#include "engine_world.h"
#include "fake_http.h"

static unsigned update_halts;

void sk_update_halt(struct sk_update *u)
{
	update_halts++;
}

static struct sk_api of(struct world *w)
{
	update_halts = 0;
	return (struct sk_api){ .engine = w->e };
}

static unsigned ask(struct sk_http_req *req, struct sk_api *d, const char *method,
		    const char *pattern, const char *name)
{
	*req = (struct sk_http_req){ .params = PAIRS("name", name), .dying = req->dying };
	return fake_call(req, fake_route(sk_api_capsule_routes, method, pattern), d);
}

static const char *const ops[] = {
	"/skerry/v1/capsules/{name}/prepare",
	"/skerry/v1/capsules/{name}/start",
	"/skerry/v1/capsules/{name}/stop",
	"/skerry/v1/capsules/{name}/restart",
};

static void lists_and_shows(void **state)
{
	struct sk_http_req req = { 0 };
	struct world *w = *state;
	struct sk_api d = of(w);

	assert_int_equal(ask(&req, &d, "GET", "/skerry/v1/capsules", ""), 200);
	assert_int_equal(json_array_size(req.json), 0);
	fake_over(&req);
	(void)make(w, "one", (struct sk_app){ 0 });
	(void)make(w, "two", (struct sk_app){ .keep_logs = true });
	assert_int_equal(ask(&req, &d, "GET", "/skerry/v1/capsules", ""), 200);
	assert_int_equal(json_array_size(req.json), 2);
	fake_over(&req);
	assert_int_equal(ask(&req, &d, "GET", "/skerry/v1/capsules/{name}", "two"), 200);
	assert_string_equal(fake_str(&req, "name"), "two");
	assert_string_equal(fake_str(&req, "state"), "created");
	assert_string_equal(fake_str(&req, "health"), "none");
	assert_string_equal(fake_str(&req, "image"), "x.itb");
	assert_string_equal(fake_str(&req, "image_digest"), SK_DIGEST_STR(&w->image));
	assert_int_equal(fake_int(&req, "generation"), 1);
	assert_true(json_is_null(json_object_get(req.json, "started")));
	assert_true(json_is_string(json_object_get(req.json, "created")));
	fake_over(&req);
}

static void one_that_is_not_there(void **state)
{
	static const char *const names[] = { "", "x", "..", "\xff", "0000000000000000" };
	struct sk_http_req req = { 0 };
	struct world *w = *state;
	struct sk_api d = of(w);

	(void)make(w, "one", (struct sk_app){ 0 });
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(ask(&req, &d, "GET", "/skerry/v1/capsules/{name}", names[i]), 404);
		fake_over(&req);
		for (size_t k = 0; k < ARRAY_SIZE(ops); k++) {
			assert_int_equal(ask(&req, &d, "POST", ops[k], names[i]), 404);
			assert_false(req.suspended);
			fake_over(&req);
		}
	}
	settle(w, 5);
	assert_int_equal(fakes.prepares, 0);
}

/* Each is answered once it is so, with the capsule as it is then. */
static void operations(void **state)
{
	static const char *const states[] = { "prepared", "running", "exited", "running" };
	struct sk_http_req req = { 0 };
	struct world *w = *state;
	struct sk_api d = of(w);

	(void)make(w, "one", (struct sk_app){ 0 });
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		assert_int_equal(ask(&req, &d, "POST", ops[i], "one"), 0);
		UNTIL(w, req.status);
		assert_int_equal(req.status, 200);
		assert_string_equal(fake_str(&req, "state"), states[i]);
		fake_over(&req);
	}
	assert_int_equal(fakes.starts, 2);
}

static void failures_are_told(void **state)
{
	struct sk_http_req req = { 0 };
	struct world *w = *state;
	struct sk_api d = of(w);

	(void)make(w, "one", (struct sk_app){ 0 });
	fakes.fail_start = true;
	assert_int_equal(ask(&req, &d, "POST", ops[1], "one"), 0);
	UNTIL(w, req.status);
	assert_string_equal(req.err.slug, "child-failed");
	fake_over(&req);
	fakes.fail_start = false;
	fakes.fail_prepare = true;
	assert_int_equal(ask(&req, &d, "POST", ops[0], "one"), 0);
	UNTIL(w, req.status);
	assert_string_equal(req.err.slug, "bad-image");
	fake_over(&req);
}

/* One asks for the opposite of what another waits for: each gets an answer of its own. */
static void two_at_odds(void **state)
{
	struct sk_http_req first = { 0 }, second = { 0 };
	struct world *w = *state;
	struct sk_api d = of(w);

	(void)make(w, "one", (struct sk_app){ 0 });
	assert_int_equal(ask(&first, &d, "POST", ops[1], "one"), 0);
	assert_int_equal(ask(&second, &d, "POST", ops[2], "one"), 0);
	UNTIL(w, first.status && second.status);
	assert_int_equal(first.status, 409);
	assert_int_equal(second.status, 200);
	assert_string_equal(fake_str(&second, "state"), "created");
	fake_over(&first);
	fake_over(&second);
	assert_int_equal(live(), 0);
}

/* What was asked for is done all the same. */
static void the_peer_leaves(void **state)
{
	struct sk_http_req req = { 0 };
	struct world *w = *state;
	struct sk_api d = of(w);
	struct sk_capsule *c = make(w, "one", (struct sk_app){ 0 });

	assert_int_equal(ask(&req, &d, "POST", ops[1], "one"), 0);
	fake_leave(&req);
	UNTIL(w, state_of(c) == SK_CAPSULE_RUNNING);
	settle(w, 5);
	assert_int_equal(req.status, 0);
	fake_over(&req);
}

/* A capsule that is removed while somebody waits for its stop: there is nothing more to show. */
static void it_is_gone_by_then(void **state)
{
	struct sk_http_req req = { 0 };
	struct world *w = *state;
	struct sk_api d = of(w);
	struct sk_app app = { .name = S("one") };
	struct sk_capsule_spec spec = {
		.app = &app, .image = w->image, .image_name = "x", .auto_remove = true
	};
	struct sk_capsule *c;

	assert_int_equal(sk_engine_create(w->e, &spec, &c, NULL), 0);
	(void)sk_capsule_start(c, NULL, NULL, NULL);
	UNTIL(w, state_of(c) == SK_CAPSULE_RUNNING);
	assert_int_equal(ask(&req, &d, "POST", ops[2], "one"), 0);
	UNTIL(w, req.status);
	assert_true(req.status == 200 || req.status == 204);
	fake_over(&req);
	UNTIL(w, !sk_engine_find(w->e, "one", NULL));
}

/* The server stops: told so, and nothing is begun. */
static void the_server_stops(void **state)
{
	struct sk_http_req req = { .dying = true };
	struct world *w = *state;
	struct sk_api d = of(w);
	struct sk_capsule *c = make(w, "one", (struct sk_app){ 0 });

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		req.dying = true;
		assert_int_equal(ask(&req, &d, "POST", ops[i], "one"), 409);
		assert_string_equal(req.err.slug, "bad-state");
		fake_over(&req);
	}
	req.dying = true;
	assert_int_equal(ask(&req, &d, "POST", "/skerry/v1/halt", ""), 409);
	fake_over(&req);
	assert_int_equal(update_halts, 0);
	settle(w, 5);
	assert_int_equal(fakes.prepares, 0);
	(void)sk_capsule_start(c, NULL, NULL, NULL);
	UNTIL(w, state_of(c) == SK_CAPSULE_RUNNING);
}

/* Answered when all are down, to all who asked; from then on nothing starts, and each is told why. */
static void halt(void **state)
{
	struct sk_http_req req[2] = { 0 }, later_ = { 0 };
	struct world *w = *state;
	struct sk_api d = of(w);
	struct sk_capsule *c[2] = { make(w, "one", (struct sk_app){ 0 }),
				    make(w, "two", (struct sk_app){ 0 }) };

	for (int i = 0; i < 2; i++) {
		(void)sk_capsule_start(c[i], NULL, NULL, NULL);
		UNTIL(w, state_of(c[i]) == SK_CAPSULE_RUNNING);
	}
	fakes.hold_clean = true;
	for (int i = 0; i < 2; i++)
		assert_int_equal(ask(&req[i], &d, "POST", "/skerry/v1/halt", ""), 0);
	assert_int_equal(update_halts, 2);
	UNTIL(w, fakes.cleans == 2);
	/* What they leave behind is still to be given back. */
	settle(w, 5);
	assert_int_equal(req[0].status, 0);
	for (int i = 0; i < UNITS; i++)
		if (fakes.v[i].u)
			later(&fakes.v[i], CLEAN);
	UNTIL(w, req[0].status && req[1].status);
	assert_int_equal(req[0].status, 204);
	assert_int_equal(req[1].status, 204);
	assert_int_equal(live(), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		if (i == 2)
			continue;
		assert_int_equal(ask(&later_, &d, "POST", ops[i], "one"), 409);
		assert_non_null(strstr(later_.err.text, "all capsules are stopped"));
		fake_over(&later_);
	}
	fake_over(&req[0]);
	fake_over(&req[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lists_and_shows),	  TEST(one_that_is_not_there), TEST(operations),
		TEST(failures_are_told),  TEST(two_at_odds),	       TEST(the_peer_leaves),
		TEST(it_is_gone_by_then), TEST(the_server_stops),      TEST(halt),
	};

	return cmocka_run_group_tests_name("engine/api/capsules", tests, NULL, NULL);
}
