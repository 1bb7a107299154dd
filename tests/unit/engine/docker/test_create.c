/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "docker_fixture.h"

/* An image "demo:1" with an entry point and arguments of its own. */
static void add_image(struct world *w)
{
	char *command[] = { S("/entry"), NULL }, *arguments[] = { S("a"), S("b"), NULL };
	struct sk_image_info info = { .rootfs_size = 4096,
				      .name = S("demo"),
				      .arch = S("amd64"),
				      .run = { .command = command, .arguments = arguments } };
	_cleanup_free_ char *tree = NULL, *all = NULL;
	struct sk_staged *st = NULL;
	struct sk_digest d;
	size_t len;

	assert_int_equal(sk_image_build_tree(&info, (void **)&tree, &len, NULL), 0);
	all = calloc(1, len + 4096);
	memcpy(all, tree, len);
	assert_int_equal(sk_digest_of(all, len + 4096, &d), 0);
	assert_int_equal(sk_staged_open(w->store, &d, len + 4096, &st, NULL), 0);
	assert_int_equal(sk_staged_write(st, all, len + 4096, NULL), 0);
	assert_int_equal(sk_staged_commit(st, NULL), 0);
	assert_int_equal(sk_names_set(the_daemon.names, "demo:1", &d, NULL), 0);
}

static unsigned create(struct sk_http_req *req, const char *name, const char *body, size_t len)
{
	*req = (struct sk_http_req){ .query = name ? PAIRS("name", name) : NULL,
				     .body = body,
				     .len = len };
	return fake_call(req, fake_route(sk_docker_container_routes, "POST", "/containers/create"),
			 &the_daemon);
}

static unsigned create_text(struct sk_http_req *req, const char *name, const char *body)
{
	return create(req, name, body, strlen(body));
}

static size_t how_many(struct world *w)
{
	size_t n = 0, pos = 0;

	while (sk_engine_next(w->e, &pos))
		n++;
	return n;
}

#define PLAIN "{\"Image\":\"demo:1\"}"

/* It is answered at once, and made ready for its start meanwhile. */
static void a_plain_one(void **state)
{
	struct sk_http_req req;
	struct world *w = *state;
	struct sk_capsule_view v;
	struct sk_capsule *c;

	add_image(w);
	assert_int_equal(create_text(&req, "web", PLAIN), 201);
	c = sk_engine_find(w->e, fake_str(&req, "Id"), NULL);
	assert_non_null(c);
	assert_ptr_equal(c, sk_engine_find(w->e, "web", NULL));
	assert_true(json_is_array(json_object_get(req.json, "Warnings")));
	fake_over(&req);
	UNTIL(w, state_of(c) == SK_CAPSULE_PREPARED);
	sk_capsule_view(c, &v);
	assert_string_equal(v.image_name, "demo:1");
	assert_int_equal(v.generation, 0);
	assert_string_equal(v.app->run.command[0], "/entry");
	assert_string_equal(v.app->run.arguments[1], "b");
}

/* Docker's rule: arguments take the place of the image's, and an entry point does away with them. */
static void entry_points(void **state)
{
	struct sk_http_req req;
	struct world *w = *state;
	struct sk_capsule_view v;

	add_image(w);
	assert_int_equal(create_text(&req, "one", "{\"Image\":\"demo:1\",\"Cmd\":[\"c\"]}"), 201);
	fake_over(&req);
	sk_capsule_view(sk_engine_find(w->e, "one", NULL), &v);
	assert_string_equal(v.app->run.command[0], "/entry");
	assert_string_equal(v.app->run.arguments[0], "c");
	assert_null(v.app->run.arguments[1]);
	assert_int_equal(
		create_text(&req, "two", "{\"Image\":\"demo:1\",\"Entrypoint\":[\"/other\"]}"),
		201);
	fake_over(&req);
	sk_capsule_view(sk_engine_find(w->e, "two", NULL), &v);
	assert_string_equal(v.app->run.command[0], "/other");
	assert_true(!v.app->run.arguments || !v.app->run.arguments[0]);
}

/* Wherever the body ends: nothing is made of a part of it. */
static void a_body_that_ends_early(void **state)
{
	static const char body[] = "{\"Image\":\"demo:1\",\"Cmd\":[\"a\",\"b\"],\"Labels\":{\"k\":"
				   "\"v\"},\"HostConfig\":{\"Binds\":[\"data:/d\"]}}";
	struct sk_http_req req;
	struct world *w = *state;

	add_image(w);
	for (size_t len = 0; len < sizeof(body) - 1; len++) {
		assert_int_equal(create(&req, "web", body, len), 400);
		assert_string_equal(req.err.slug, "bad-request");
		fake_over(&req);
	}
	assert_int_equal(how_many(w), 0);
	assert_int_equal(create(&req, "web", body, sizeof(body) - 1), 201);
	fake_over(&req);
}

static void refused(void **state)
{
	static const struct {
		const char *name, *body;
		unsigned status;
	} rows[] = {
		{ "web", "[]", 400 },
		{ "web", "{}", 400 },
		{ "web", "{\"Image\":7}", 400 },
		{ "web", "{\"Image\":\"nothing:1\"}", 404 },
		{ "web", "{\"Image\":\"sha256:12\"}", 404 },
		{ "web", "{\"Image\":\"../../etc/passwd\"}", 404 },
		{ "a b", PLAIN, 400 },
		{ "/", PLAIN, 400 },
		{ "//web", PLAIN, 400 },
		{ "..", PLAIN, 400 },
		{ "-rm", PLAIN, 400 },
		{ "a/b", PLAIN, 400 },
		{ "\xff", PLAIN, 400 },
		{ "web", "{\"Image\":\"demo:1\",\"HostConfig\":{\"Privileged\":true}}", 501 },
	};
	struct sk_http_req req;
	struct world *w = *state;
	char name[300];

	add_image(w);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (create_text(&req, rows[i].name, rows[i].body) != rows[i].status)
			fail_msg("%s %s: %u %s", rows[i].name, rows[i].body, req.status,
				 req.err.text);
		fake_over(&req);
	}
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(create_text(&req, name, PLAIN), 400);
	fake_over(&req);
	/* An image of the store that is none of ours (the world's own): its head is read, and it is said so. */
	(void)snprintf(name, sizeof(name), "{\"Image\":\"sha256:%s\"}", SK_DIGEST_STR(&w->image));
	assert_int_equal(create_text(&req, "web", name), 400);
	assert_string_equal(req.err.slug, "bad-image");
	fake_over(&req);
	assert_int_equal(how_many(w), 0);
	settle(w, 5);
	assert_int_equal(fakes.prepares, 0);
}

static void names(void **state)
{
	struct sk_http_req req;
	struct world *w = *state;

	add_image(w);
	/* With the stroke that Docker's own clients put before it. */
	assert_int_equal(create_text(&req, "/web", PLAIN), 201);
	fake_over(&req);
	assert_non_null(sk_engine_find(w->e, "web", NULL));
	assert_int_equal(create_text(&req, "web", PLAIN), 409);
	assert_string_equal(req.err.slug, "already-exists");
	fake_over(&req);
	/* Without one they get their own, each another. */
	for (int i = 0; i < 5; i++) {
		assert_int_equal(create_text(&req, i % 2 ? "" : NULL, PLAIN), 201);
		fake_over(&req);
	}
	assert_int_equal(how_many(w), 6);
}

/* What cannot be made ready now is told at the start. */
static void it_cannot_be_prepared(void **state)
{
	struct sk_http_req req;
	struct world *w = *state;
	struct sk_capsule *c;

	add_image(w);
	fakes.fail_prepare = true;
	assert_int_equal(create_text(&req, "web", PLAIN), 201);
	fake_over(&req);
	c = sk_engine_find(w->e, "web", NULL);
	settle(w, 5);
	assert_int_equal(state_of(c), SK_CAPSULE_CREATED);
	assert_int_equal(sk_capsule_start(c, on_done, w, NULL), 0);
	UNTIL(w, w->done[0]);
	assert_string_equal(w->done, "bad-image ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DOCKER_TEST(a_plain_one),
		DOCKER_TEST(entry_points),
		DOCKER_TEST(a_body_that_ends_early),
		DOCKER_TEST(refused),
		DOCKER_TEST(names),
		DOCKER_TEST(it_cannot_be_prepared),
	};

	return cmocka_run_group_tests_name("engine/docker/create", tests, NULL, NULL);
}
