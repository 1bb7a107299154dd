/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "children.h"
#include "fake_http.h"
#include "world.h"

static int begin(void **state)
{
	children = (struct children){ 0 };
	return setup(state);
}

static unsigned call(struct sk_http_req *req)
{
	return fake_call(req, fake_route(sk_api_routes, "POST", "/skerry/v1/store/verify"), &w.api);
}

/* One bit of a file turns over. */
static void flip(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	unsigned char c;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &c, 1, 40), 1);
	c ^= 4;
	assert_int_equal(pwrite(fd, &c, 1, 40), 1);
}

static json_int_t checked(const json_t *of)
{
	return json_integer_value(json_object_get(of, "checked"));
}

/* The one that is damaged, or "none". */
static const char *damaged(const json_t *of)
{
	const json_t *list = json_object_get(of, "damaged");

	assert_true(json_is_array(list));
	assert_true(json_array_size(list) <= 1);
	return json_string_value(json_array_get(list, 0)) ?: "none";
}

static void assert_report(unsigned images, const char *image, unsigned releases,
			  const char *release, const char *record)
{
	struct sk_http_req req = { 0 };
	const json_t *r;

	assert_int_equal(call(&req), 0);
	UNTIL(req.status);
	assert_int_equal(req.status, 200);
	r = json_object_get(req.json, "releases");
	assert_int_equal(checked(req.json), images);
	assert_int_equal(checked(r), releases);
	assert_string_equal(damaged(req.json), image);
	assert_string_equal(damaged(r), release);
	r = json_object_get(req.json, "records");
	assert_true(checked(r) > 0);
	assert_string_equal(damaged(r), record);
	assert_null(w.api.scrub);
	fake_over(&req);
}

static void an_empty_store(void **state)
{
	struct sk_http_req req = { 0 };

	assert_int_equal(call(&req), 0);
	UNTIL(req.status);
	assert_int_equal(checked(req.json), 0);
	assert_string_equal(damaged(req.json), "none");
	fake_over(&req);
}

/* Each kind of file, found by its name; what was set aside is not counted any more. */
static void what_is_damaged_is_named(void **state)
{
	struct sk_image_ref ref;
	_cleanup_free_ char *image = NULL, *release = NULL, *record = NULL;
	struct sk_digest id;

	go(&(struct spec){ "1.0", { "d1", "w1" } });
	ref = make_image("web.itb", "w1", false);
	id = sk_generations_running(w.u->gens)->release;
	assert_report(2, "none", 1, "none", "none");
	image = sk_asprintf("%s/images/%s", w.store_dir, SK_DIGEST_STR(&ref.digest));
	flip(image);
	assert_report(2, SK_DIGEST_STR(&ref.digest), 1, "none", "none");
	assert_false(sk_store_has(w.store, &ref.digest));
	release = release_path(&id);
	flip(release);
	assert_report(1, "none", 1, SK_DIGEST_STR(&id), "none");
	assert_report(1, "none", 0, "none", "none");
	record = sk_asprintf("%s/records/generation-00000000000000000001", w.store_dir);
	flip(record);
	assert_report(1, "none", 0, "none", "generation-00000000000000000001");
	/* It is written again from what is known. */
	assert_report(1, "none", 0, "none", "none");
}

/* Two at once would only read everything twice. */
static void one_at_a_time(void **state)
{
	struct sk_http_req first = { 0 }, second = { 0 };

	children.hold = true;
	assert_int_equal(call(&first), 0);
	assert_int_equal(call(&second), 409);
	assert_string_equal(second.err.slug, "in-use");
	fake_over(&second);
	children_go_on();
	UNTIL(first.status);
	assert_int_equal(first.status, 200);
	fake_over(&first);
	assert_int_equal(children.n, 1);
	/* The next one is welcome. */
	children.hold = false;
	assert_int_equal(call(&second), 0);
	UNTIL(second.status);
	fake_over(&second);
}

/* The check goes on; the next one is told of it, and nobody is answered twice. */
static void the_peer_leaves(void **state)
{
	struct sk_http_req req = { 0 }, next = { 0 };

	children.hold = true;
	assert_int_equal(call(&req), 0);
	fake_leave(&req);
	assert_int_equal(call(&next), 409);
	fake_over(&next);
	children_go_on();
	UNTIL(!w.api.scrub);
	assert_int_equal(req.status, 0);
	fake_over(&req);
}

static void the_child_fails(void **state)
{
	struct sk_http_req req = { 0 };

	children.hold = true;
	assert_int_equal(call(&req), 0);
	assert_int_equal(kill(children.last, SIGKILL), 0);
	UNTIL(req.status);
	assert_string_equal(req.err.slug, "io");
	fake_over(&req);
	assert_null(w.api.scrub);
	children.none = true;
	assert_int_equal(call(&req), 500);
	assert_string_equal(req.err.slug, "child-failed");
	fake_over(&req);
	assert_null(w.api.scrub);
}

/* A disk that cannot be read: no report of a store that is whole. */
static void the_disk_fails(void **state)
{
	struct sk_http_req req = { 0 };

	halt();
	disk_plan = (struct fault_plan){ .fail_at = ~0u };
	w.mount = faulty_disk;
	boot();
	run_until_idle();
	go(&(struct spec){ "1.0", { "d1" } });
	disk_plan = (struct fault_plan){ .code = -EIO, .stay = true };
	assert_int_equal(call(&req), 0);
	UNTIL(req.status);
	disk_plan.fail_at = ~0u;
	assert_string_equal(req.err.slug, "io");
	fake_over(&req);
}

/* The server stops as the request comes: what was begun ends, with nobody to tell. */
static void the_server_stops(void **state)
{
	const struct sk_http_route *route =
		fake_route(sk_api_routes, "POST", "/skerry/v1/store/verify");
	struct sk_http_req req = { .dying = true };

	assert_int_equal(route->handler(&req, &w.api, NULL), -ESHUTDOWN);
	fake_over(&req);
	UNTIL(!w.api.scrub);
}

/* The daemon ends meanwhile; nothing of the request is left (LeakSanitizer). */
static void the_daemon_ends(void **state)
{
	struct sk_http_req req = { 0 };

	children.hold = true;
	assert_int_equal(call(&req), 0);
	fake_over(&req);
	halt();
	boot();
}

#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_store),  TEST(what_is_damaged_is_named), TEST(one_at_a_time),
		TEST(the_peer_leaves), TEST(the_child_fails),	       TEST(the_server_stops),
		TEST(the_daemon_ends), TEST(the_disk_fails),
	};

	return cmocka_run_group_tests_name("engine/claims/scrub", tests, NULL, NULL);
}
