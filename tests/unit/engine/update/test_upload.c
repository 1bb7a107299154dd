/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "children.h"
#include "dts.h"
#include "fake_http.h"
#include "world.h"

/* What is sealed in the loop, and what a child seals. */
#define SMALL 10000
#define LARGE (600 << 10)

/* --- an image, and the request that brings it --- */

struct image {
	char *bytes;
	size_t len;
	struct sk_digest digest;
	char hex[SK_DIGEST_HEX + 1];
	const char *params[3];
};
static struct image small, large;

/* A release here names both. */
static void expect_images(void)
{
	const struct sk_image_ref images[] = {
		{ .name = (char *)"small.itb", .digest = small.digest, .size_bytes = SMALL },
		{ .name = (char *)"large.itb", .digest = large.digest, .size_bytes = LARGE },
	};
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	_cleanup_free_ void *dtb = NULL, *pinned = NULL;
	_cleanup_free_ unsigned char *der = NULL;
	struct sk_err err = SK_ERR_INIT;
	size_t len;

	dtb = dts_compile("/ { release { project = \"p\"; version = \"1.0\"; "
			  "compatible = \"acme,box\"; }; apps { "
			  "s { image = \"small.itb\"; }; l { image = \"large.itb\"; }; }; };",
			  &len);
	if (sk_manifest_pin(dtb, len, images, 2, 1000, &pinned, &len, &err) < 0)
		fail_msg("%s", err.text);
	der = pki_sign(pinned, len, &w.signer, EVP_sha256(), NULL, 0, &len);
	if (sk_intake_take(w.intake, der, len, &rel, &err) < 0)
		fail_msg("%s", err.text);
}

static struct image make(size_t len)
{
	struct image im = { .bytes = malloc(len), .len = len };

	for (size_t i = 0; i < len; i++)
		im.bytes[i] = (char)(i * 31 + i / 251);
	assert_int_equal(sk_digest_of(im.bytes, len, &im.digest), 0);
	(void)snprintf(im.hex, sizeof(im.hex), "%s", SK_DIGEST_STR(&im.digest));
	return im;
}

static int begin(void **state)
{
	int r = setup(state);

	children = (struct children){ 0 };
	disk_plan = (struct fault_plan){ .fail_at = ~0u };
	small = make(SMALL);
	large = make(LARGE);
	expect_images();
	return r;
}

static int end(void **state)
{
	free(small.bytes);
	free(large.bytes);
	return teardown(state);
}

static struct sk_http_req put(struct image *im, const void *bytes, size_t len)
{
	im->params[0] = "digest";
	im->params[1] = im->hex;
	return (struct sk_http_req){
		.params = im->params, .body = bytes, .len = len, .piece = 4096
	};
}

static const struct sk_http_route *route(void)
{
	return fake_route(sk_api_routes, "PUT", "/skerry/v1/images/{digest}");
}

static unsigned call(struct sk_http_req *req)
{
	return fake_call(req, route(), &w.api);
}

static void assert_refused(struct sk_http_req *req, unsigned status, const char *slug)
{
	assert_int_equal(req->status, status);
	assert_string_equal(req->err.slug, slug);
	fake_over(req);
}

static void assert_answer(struct sk_http_req *req, uint64_t offset, bool complete)
{
	assert_int_equal(req->status, 200);
	assert_int_equal(fake_int(req, "offset"), offset);
	assert_int_equal(json_is_true(json_object_get(req->json, "complete")), complete);
	fake_over(req);
}

static bool stored(const struct image *im)
{
	return sk_store_has(w.store, &im->digest);
}

/* --- what is refused, and when --- */

static void refused_before_a_byte_is_taken(void **state)
{
	static const char *const bad[] = { "", "zz", "../../etc/passwd" };
	struct sk_digest nobody = { { 9 } };
	struct image other = { .digest = nobody };
	struct sk_http_req req;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		(void)snprintf(other.hex, sizeof(other.hex), "%s", bad[i]);
		req = put(&other, "x", 1);
		(void)call(&req);
		assert_refused(&req, 400, "bad-request");
	}
	(void)snprintf(other.hex, sizeof(other.hex), "%s", SK_DIGEST_STR(&nobody));
	req = put(&other, "x", 1);
	(void)call(&req);
	assert_refused(&req, 404, "not-found");
	req = put(&small, small.bytes, SMALL);
	req.query = PAIRS("offset", "1e3");
	(void)call(&req);
	assert_refused(&req, 400, "bad-request");
	req = put(&small, small.bytes, SMALL);
	req.query = PAIRS("offset", "1");
	(void)call(&req);
	assert_refused(&req, 409, "bad-state");
	req = put(&small, small.bytes, SMALL);
	req.headers = PAIRS("Content-Length", "10001");
	(void)call(&req);
	assert_refused(&req, 413, "too-large");
	assert_int_equal(sk_store_part_bytes(w.store, &small.digest), 0);
	assert_int_equal(sk_uploads_len(sk_intake_uploads(w.intake)), 0);
}

/* The length was not announced, and the body does not end where the image does. */
static void more_than_the_release_says(void **state)
{
	_cleanup_free_ char *more = calloc(1, SMALL + 1);
	struct sk_http_req req = put(&small, more, SMALL + 1);

	memcpy(more, small.bytes, SMALL);
	(void)call(&req);
	assert_refused(&req, 413, "too-large");
	assert_false(stored(&small));
	assert_int_equal(sk_uploads_len(sk_intake_uploads(w.intake)), 0);
	/* What is left is at most a beginning of it: the rest completes the right one. */
	{
		size_t have = sk_store_part_bytes(w.store, &small.digest);
		char offset[24];

		(void)snprintf(offset, sizeof(offset), "%zu", have);
		assert_true(have <= SMALL);
		req = put(&small, small.bytes + have, SMALL - have);
		req.query = PAIRS("offset", offset);
		(void)call(&req);
		assert_answer(&req, SMALL, true);
	}
	assert_true(stored(&small));
}

/* The link breaks, or the body is shorter than the image: what came stays, and is where the next one goes on. */
static void a_body_that_ends_in_the_middle(void **state)
{
	struct sk_http_req req = put(&small, small.bytes, 5000);

	assert_int_equal(fake_body(&req, route(), &w.api), 0);
	assert_true(sk_uploads_has(sk_intake_uploads(w.intake), &small.digest));
	assert_false(sk_uploads_has(sk_intake_uploads(w.intake), &large.digest));
	fake_leave(&req);
	fake_over(&req);
	assert_int_equal(sk_uploads_len(sk_intake_uploads(w.intake)), 0);
	assert_int_equal(sk_store_part_bytes(w.store, &small.digest), 5000);
	/* From the beginning again, or from beyond: told where to go on. */
	for (int i = 0; i < 2; i++) {
		req = put(&small, small.bytes, 100);
		req.query = i ? PAIRS("offset", "5001") : NULL;
		(void)call(&req);
		assert_non_null(strstr(req.err.text, "5000 bytes"));
		assert_refused(&req, 409, "bad-state");
	}
	req = put(&small, small.bytes + 5000, 1000);
	req.query = PAIRS("offset", "5000");
	(void)call(&req);
	assert_answer(&req, 6000, false);
	assert_false(stored(&small));
	req = put(&small, NULL, 0);
	req.query = PAIRS("offset", "6000");
	(void)call(&req);
	assert_answer(&req, 6000, false);
	/* One byte more than is missing is announced. */
	req = put(&small, small.bytes + 6000, 4000);
	req.query = PAIRS("offset", "6000");
	req.headers = PAIRS("Content-Length", "4001");
	(void)call(&req);
	assert_refused(&req, 413, "too-large");
	req = put(&small, small.bytes + 6000, 4000);
	req.query = PAIRS("offset", "6000");
	req.headers = PAIRS("Content-Length", "4000");
	(void)call(&req);
	assert_answer(&req, SMALL, true);
	assert_true(stored(&small));
}

/* Nothing of it is stored, in the loop or in the child, and the right one can come at once. */
static void changed_on_the_way(void **state)
{
	struct image *const both[] = { &small, &large };

	for (size_t i = 0; i < 2; i++) {
		struct image *im = both[i];
		struct sk_http_req req = put(im, im->bytes, im->len);

		im->bytes[im->len / 2] ^= 1;
		(void)call(&req);
		UNTIL(req.status);
		assert_refused(&req, 400, "digest-mismatch");
		assert_false(stored(im));
		assert_int_equal(sk_uploads_len(sk_intake_uploads(w.intake)), 0);
		assert_int_equal(sk_store_part_bytes(w.store, &im->digest), 0);
		im->bytes[im->len / 2] ^= 1;
		req = put(im, im->bytes, im->len);
		(void)call(&req);
		UNTIL(req.status);
		assert_answer(&req, im->len, true);
		assert_true(stored(im));
	}
	assert_int_equal(children.n, 2);
}

/* What is here is not written again, whatever comes under its name. */
static void here_already(void **state)
{
	struct sk_http_req req = put(&small, small.bytes, SMALL);

	(void)call(&req);
	assert_answer(&req, SMALL, true);
	req = put(&small, "something else", 14);
	req.query = PAIRS("offset", "77");
	req.headers = PAIRS("Content-Length", "99999999");
	(void)call(&req);
	assert_answer(&req, SMALL, true);
	assert_int_equal(sk_store_verify_image(w.store, &small.digest, NULL), 0);
}

/* Two bring the same: the second is sent away, and does not harm the first. */
static void twice_at_once(void **state)
{
	struct sk_http_req first = put(&small, small.bytes, 5000), second;

	assert_int_equal(fake_body(&first, route(), &w.api), 0);
	second = put(&small, small.bytes, SMALL);
	(void)call(&second);
	assert_refused(&second, 409, "in-use");
	assert_true(sk_uploads_has(sk_intake_uploads(w.intake), &small.digest));
	first.body = small.bytes + 5000;
	(void)call(&first);
	assert_answer(&first, SMALL, true);
	assert_true(stored(&small));
}

/* --- the disk --- */

/* Brings the rest of @im; the status. */
static unsigned bring(struct image *im, char slug[static SK_ERR_SLUG_MAX])
{
	size_t have = sk_store_part_bytes(w.store, &im->digest);
	struct sk_http_req req = put(im, im->bytes + have, im->len - have);
	char offset[24];
	unsigned status;

	(void)snprintf(offset, sizeof(offset), "%zu", have);
	req.query = PAIRS("offset", offset);
	(void)call(&req);
	UNTIL(req.status);
	status = req.status;
	(void)snprintf(slug, SK_ERR_SLUG_MAX, "%s", req.err.slug);
	fake_over(&req);
	return status;
}

/*
 * Each operation of the disk fails in turn. Nothing is listed then; and once the disk works again, the rest
 * makes it whole.
 */
static void the_disk_fails(int code, const char *want)
{
	char slug[SK_ERR_SLUG_MAX];
	unsigned at, failed = 0;

	halt();
	w.mount = faulty_disk;
	boot();
	run_until_idle();
	expect_images();
	for (at = 0;; at++) {
		unsigned status;

		assert_true(at < 100);
		disk_plan = (struct fault_plan){ .fail_at = at, .code = code, .read_only = true };
		status = bring(&small, slug);
		assert_int_equal(sk_uploads_len(sk_intake_uploads(w.intake)), 0);
		/* No operation is left that could fail. */
		if (disk_plan.seen <= at)
			break;
		disk_plan.fail_at = ~0u;
		if (status != 200) {
			failed++;
			assert_string_equal(slug, want);
			assert_false(stored(&small));
			assert_int_equal(bring(&small, slug), 200);
		}
		assert_int_equal(sk_store_verify_image(w.store, &small.digest, NULL), 0);
		assert_int_equal(sk_store_remove(w.store, &small.digest, NULL), 0);
	}
	/* Opening, each write, its fsync, sealing and listing. */
	assert_true(failed >= 6);
	disk_plan.fail_at = ~0u;
}

static void no_room(void **state)
{
	the_disk_fails(-ENOSPC, "no-space");
}

static void the_disk_is_broken(void **state)
{
	the_disk_fails(-EIO, "io");
}

/* --- sealed by a child --- */

static void on_started(void *arg, const struct sk_err *err)
{
	assert_null(err);
}

static void a_large_one_is_sealed_by_a_child(void **state)
{
	struct sk_http_req req = put(&large, large.bytes, LARGE), again;
	struct sk_app app = { .name = (char *)"big" };
	struct sk_capsule_spec spec = { .app = &app, .image = large.digest };
	struct sk_capsule *c;

	/* It runs from a copy that was found damaged. */
	assert_int_equal(sk_engine_create(w.engine, &spec, &c, NULL), 0);
	assert_int_equal(sk_capsule_start(c, on_started, NULL, NULL), 0);
	UNTIL(fake_running("big", NULL) == 1);
	children.hold = true;
	assert_int_equal(call(&req), 0);
	assert_int_equal(children.n, 1);
	assert_true(sk_uploads_has(sk_intake_uploads(w.intake), &large.digest));
	/* Nobody else may write to it meanwhile. */
	again = put(&large, NULL, 0);
	again.query = PAIRS("offset", "614400");
	(void)call(&again);
	assert_refused(&again, 409, "in-use");
	children_go_on();
	UNTIL(req.status);
	assert_answer(&req, LARGE, true);
	assert_true(stored(&large));
	assert_int_equal(sk_uploads_len(sk_intake_uploads(w.intake)), 0);
	assert_string_equal(fake_trace.data, "create big;start big;restart big;");
}

/* Who sent it does not wait: it is stored all the same. */
static void the_peer_leaves_meanwhile(void **state)
{
	struct sk_http_req req = put(&large, large.bytes, LARGE);

	children.hold = true;
	assert_int_equal(call(&req), 0);
	fake_leave(&req);
	assert_true(sk_uploads_has(sk_intake_uploads(w.intake), &large.digest));
	children_go_on();
	UNTIL(sk_uploads_len(sk_intake_uploads(w.intake)) == 0);
	assert_true(stored(&large));
	assert_int_equal(req.status, 0);
	fake_over(&req);
}

/* Out of memory, say: told, nothing listed; and what came need not come again. */
static void the_child_is_killed(void **state)
{
	struct sk_http_req req = put(&large, large.bytes, LARGE);

	children.hold = true;
	assert_int_equal(call(&req), 0);
	assert_int_equal(kill(children.last, SIGKILL), 0);
	UNTIL(req.status);
	assert_true(req.status >= 500);
	fake_over(&req);
	assert_false(stored(&large));
	assert_int_equal(sk_uploads_len(sk_intake_uploads(w.intake)), 0);
	assert_int_equal(sk_store_part_bytes(w.store, &large.digest), LARGE);
	children.hold = false;
	req = put(&large, NULL, 0);
	req.query = PAIRS("offset", "614400");
	assert_int_equal(call(&req), 0);
	UNTIL(req.status);
	assert_answer(&req, LARGE, true);
	assert_true(stored(&large));
}

static void no_child_can_be_had(void **state)
{
	struct sk_http_req req = put(&large, large.bytes, LARGE);
	char slug[SK_ERR_SLUG_MAX];

	children.none = true;
	assert_true(call(&req) >= 500);
	assert_string_equal(req.err.slug, "child-failed");
	fake_over(&req);
	assert_int_equal(sk_uploads_len(sk_intake_uploads(w.intake)), 0);
	assert_false(stored(&large));
	/* The server stops just then. */
	children.none = false;
	req = put(&large, NULL, 0);
	req.query = PAIRS("offset", "614400");
	req.dying = true;
	assert_int_equal(route()->on_body(&req, &w.api, NULL, 0, NULL), 0);
	assert_int_equal(route()->handler(&req, &w.api, NULL), -ESHUTDOWN);
	fake_over(&req);
	assert_int_equal(sk_uploads_len(sk_intake_uploads(w.intake)), 0);
	assert_int_equal(children.n, 0);
	assert_int_equal(bring(&large, slug), 200);
}

static off_t part_size(const struct image *im)
{
	_cleanup_free_ char *path = sk_asprintf("%s/staging/%s.part", w.store_dir, im->hex);
	struct stat st;

	return stat(path, &st) < 0 ? -1 : st.st_size;
}

/* The daemon ends with one on its way and one being sealed: what came of both is there for the next one. */
static void the_daemon_ends(void **state)
{
	struct sk_http_req one = put(&small, small.bytes, 5000),
			   two = put(&large, large.bytes, LARGE);

	children.hold = true;
	assert_int_equal(fake_body(&one, route(), &w.api), 0);
	assert_int_equal(call(&two), 0);
	fake_over(&one);
	fake_over(&two);
	halt();
	assert_int_equal(part_size(&small), 5000);
	assert_int_equal(part_size(&large), LARGE);
	boot();
}

/* --- what follows --- */

/* A damaged image comes back while a capsule runs from it: that one changes to it, no other. */
static void a_repaired_image_is_used(void **state)
{
	struct sk_image_ref ref = make_image("web.itb", "w1", false);
	struct image im = { .digest = ref.digest, .len = ref.size_bytes };
	char slug[SK_ERR_SLUG_MAX];
	uint64_t size;
	int fd;

	go(&(struct spec){ "1.0", { "d1", "w1" } });
	im.bytes = malloc(im.len);
	(void)snprintf(im.hex, sizeof(im.hex), "%s", SK_DIGEST_STR(&ref.digest));
	assert_int_equal(sk_store_image_fd(w.store, &ref.digest, &fd, &size, NULL), 0);
	assert_int_equal(pread(fd, im.bytes, im.len, 0), im.len);
	(void)close(fd);
	assert_int_equal(sk_store_remove(w.store, &ref.digest, NULL), 0);
	sk_buf_done(&fake_trace);
	fake_trace = SK_BUF(1 << 20);
	assert_int_equal(bring(&im, slug), 200);
	assert_string_equal(fake_trace.data, "restart web;");
	/* It was here already: nothing has changed, nothing is restarted. */
	UNTIL(fake_running("web", NULL) == 1);
	assert_int_equal(bring(&im, slug), 200);
	assert_string_equal(fake_trace.data, "restart web;");
	free(im.bytes);
}

#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(refused_before_a_byte_is_taken),
		TEST(more_than_the_release_says),
		TEST(a_body_that_ends_in_the_middle),
		TEST(changed_on_the_way),
		TEST(here_already),
		TEST(twice_at_once),
		TEST(no_room),
		TEST(the_disk_is_broken),
		TEST(a_large_one_is_sealed_by_a_child),
		TEST(the_peer_leaves_meanwhile),
		TEST(the_child_is_killed),
		TEST(no_child_can_be_had),
		TEST(the_daemon_ends),
		TEST(a_repaired_image_is_used),
	};

	return cmocka_run_group_tests_name("engine/update/upload", tests, NULL, NULL);
}
