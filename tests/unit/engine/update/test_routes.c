/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "children.h"
#include "fake_http.h"
#include "world.h"

static const struct spec one = { "1.0", { "d1", "w1" } };

static int begin(void **state)
{
	children = (struct children){ 0 };
	return setup(state);
}

/* One request, answered at last. */
static unsigned ask(struct sk_http_req *req, const char *method, const char *pattern)
{
	(void)fake_call(req, fake_route(sk_api_routes, method, pattern), &w.api);
	UNTIL(req->status);
	return req->status;
}

static unsigned ask_for(struct sk_http_req *req, const char *method, const char *pattern,
			const char *name, const char *value)
{
	*req = (struct sk_http_req){ .params = PAIRS(name, value) };
	return ask(req, method, pattern);
}

/* What is no digest, and one that nobody has: nothing is changed, and it is said what is wrong. */
static void names_of_nothing(void **state)
{
	static const struct {
		const char *method, *pattern, *name;
	} rows[] = {
		{ "GET", "/skerry/v1/releases/{id}", "id" },
		{ "POST", "/skerry/v1/releases/{id}/apply", "id" },
		{ "GET", "/skerry/v1/images/{digest}", "digest" },
	};
	static const char *const bad[] = { "", "1", "../../../etc/shadow", "%00",
					   "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"
					   "zzzzzzzzz" };
	struct sk_digest nobody = { { 9 } };
	struct sk_http_req req;

	go(&one);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
			assert_int_equal(ask_for(&req, rows[i].method, rows[i].pattern,
						 rows[i].name, bad[k]),
					 400);
			assert_string_equal(req.err.slug, "bad-request");
			fake_over(&req);
		}
		assert_int_equal(ask_for(&req, rows[i].method, rows[i].pattern, rows[i].name,
					 SK_DIGEST_STR(&nobody)),
				 404);
		fake_over(&req);
	}
	expect_running(&one);
}

static void overwrite(const char *path)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "?", 1, 40), 1);
}

/* One damaged release file hides none of the others, and is never shown itself. */
static void a_damaged_release(void **state)
{
	_cleanup_free_ char *path = NULL;
	struct sk_digest first, second;
	struct sk_http_req req = { 0 };

	assert_int_equal(intake(&one, &first, NULL), 0);
	assert_int_equal(intake(&(struct spec){ "2.0", { "d1" } }, &second, NULL), 0);
	assert_int_equal(ask(&req, "GET", "/skerry/v1/releases"), 200);
	assert_int_equal(json_array_size(req.json), 2);
	fake_over(&req);
	path = release_path(&first);
	overwrite(path);
	assert_int_equal(ask(&req, "GET", "/skerry/v1/releases"), 200);
	assert_int_equal(json_array_size(req.json), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(req.json, 0), "id")),
			    SK_DIGEST_STR(&second));
	fake_over(&req);
	assert_true(ask_for(&req, "GET", "/skerry/v1/releases/{id}", "id", SK_DIGEST_STR(&first)) >=
		    400);
	fake_over(&req);
	assert_true(ask_for(&req, "POST", "/skerry/v1/releases/{id}/apply", "id",
			    SK_DIGEST_STR(&first)) >= 400);
	fake_over(&req);
	assert_null(sk_generations_running(w.u->gens));
	assert_int_equal(
		ask_for(&req, "GET", "/skerry/v1/releases/{id}", "id", SK_DIGEST_STR(&second)),
		200);
	assert_string_equal(fake_str(&req, "version"), "2.0");
	fake_over(&req);
}

static void apply_is_answered_before_it_is_done(void **state)
{
	struct sk_http_req req;
	struct sk_digest id;

	assert_int_equal(intake(&one, &id, NULL), 0);
	assert_int_equal(
		ask_for(&req, "POST", "/skerry/v1/releases/{id}/apply", "id", SK_DIGEST_STR(&id)),
		202);
	assert_int_equal(fake_int(&req, "generation"), 1);
	fake_over(&req);
	assert_int_equal(fake_running("db", NULL), 0);
	run_until_idle();
	expect_running(&one);
}

/* Not here, here in part, here: where the rest is to be sent from. */
static void an_image(void **state)
{
	struct spec s = { "1.0", { "d1" }, .no_images = true };
	struct sk_image_ref ref = make_image("db.itb", "d1", false);
	struct sk_staged *st = NULL;
	struct sk_http_req req;
	struct sk_digest id;

	assert_int_equal(intake(&s, &id, NULL), 0);
	for (int round = 0; round < 3; round++) {
		uint64_t offset = round == 0 ? 0 : round == 1 ? 7 : ref.size_bytes;

		assert_int_equal(ask_for(&req, "GET", "/skerry/v1/images/{digest}", "digest",
					 SK_DIGEST_STR(&ref.digest)),
				 200);
		assert_int_equal(fake_int(&req, "size_bytes"), ref.size_bytes);
		assert_int_equal(fake_int(&req, "offset"), offset);
		assert_int_equal(json_is_true(json_object_get(req.json, "have")), round == 2);
		fake_over(&req);
		req = (struct sk_http_req){ 0 };
		assert_int_equal(ask(&req, "GET", "/skerry/v1/images"), 200);
		assert_int_equal(json_array_size(req.json), round == 2);
		fake_over(&req);
		if (round == 0) {
			assert_int_equal(
				sk_staged_open(w.store, &ref.digest, ref.size_bytes, &st, NULL), 0);
			assert_int_equal(sk_staged_write(st, "\xd0\x0d\xfe\xed...", 7, NULL), 0);
			sk_staged_drop(TAKE_PTR(st));
			assert_int_equal(
				sk_staged_open(w.store, &ref.digest, ref.size_bytes, &st, NULL), 0);
			assert_int_equal(sk_staged_write(st, "1234567", 7, NULL), 0);
			sk_staged_close(TAKE_PTR(st));
		} else if (round == 1) {
			assert_int_equal(
				sk_staged_open(w.store, &ref.digest, ref.size_bytes, &st, NULL), 0);
			sk_staged_drop(TAKE_PTR(st));
			(void)make_image("db.itb", "d1", true);
		}
	}
}

/* --- revocation lists --- */

static unsigned put_crl(const struct pki_crl_spec *spec, size_t cut, bool *ret_changed,
			char slug[static SK_ERR_SLUG_MAX])
{
	X509_CRL *crl = pki_crl(spec);
	struct sk_http_req req = { 0 };
	unsigned status;
	char *pem;

	pem = pki_pem_crl(crl, &req.len);
	req.body = pem;
	req.len -= SK_MIN(cut, req.len);
	status = ask(&req, "PUT", "/skerry/v1/trust/crl");
	*ret_changed = json_is_true(json_object_get(req.json, "changed"));
	(void)snprintf(slug, SK_ERR_SLUG_MAX, "%s", req.err.slug);
	fake_over(&req);
	free(pem);
	X509_CRL_free(crl);
	return status;
}

static json_int_t number_in_force(void)
{
	struct sk_http_req req = { 0 };
	json_int_t n;

	assert_int_equal(ask(&req, "GET", "/skerry/v1/trust"), 200);
	n = json_integer_value(
		json_object_get(json_array_get(json_object_get(req.json, "crls"), 0), "number"));
	fake_over(&req);
	return n;
}

/* A newer one counts at once; an older one, a stranger's, a cut one and nonsense change nothing. */
static void lists(void **state)
{
	const struct pki_who *issuers[] = { &w.ca, &w.stranger };
	struct pki_crl_spec spec = { .issuer = issuers[0], .number = 5 };
	struct sk_err err = SK_ERR_INIT;
	char slug[SK_ERR_SLUG_MAX];
	struct sk_http_req req;
	struct sk_digest id;
	bool changed;

	assert_int_equal(number_in_force(), 0);
	assert_int_equal(put_crl(&spec, 0, &changed, slug), 200);
	assert_true(changed);
	assert_int_equal(number_in_force(), 5);
	for (spec.number = 4; spec.number <= 5; spec.number++) {
		assert_int_equal(put_crl(&spec, 0, &changed, slug), 200);
		assert_false(changed);
	}
	spec.number = 9;
	spec.issuer = issuers[1];
	assert_int_equal(put_crl(&spec, 0, &changed, slug), 403);
	assert_string_equal(slug, "untrusted");
	spec.issuer = issuers[0];
	for (size_t cut = 30; cut < 500; cut += 60) {
		assert_int_equal(put_crl(&spec, cut, &changed, slug), 400);
		assert_false(changed);
	}
	req = (struct sk_http_req){ .body = "\0\0\0", .len = 3 };
	assert_int_equal(ask(&req, "PUT", "/skerry/v1/trust/crl"), 400);
	fake_over(&req);
	assert_int_equal(number_in_force(), 5);
	assert_int_equal(intake(&one, &id, &err), 0);
	spec.revoked[0] = w.signer.cert;
	assert_int_equal(put_crl(&spec, 0, &changed, slug), 200);
	assert_true(changed);
	assert_int_equal(number_in_force(), 9);
	assert_int_equal(intake(&(struct spec){ "2.0", { "d1" } }, &id, &err), -EKEYREJECTED);
}

static void trust_that_cannot_be_read(void **state)
{
	_cleanup_free_ char *path = sk_asprintf("%s/ca.pem", w.trust);
	struct sk_http_req req = { 0 };

	assert_int_equal(sk_file_write(AT_FDCWD, path, "x", 1, 0644), 0);
	assert_true(ask(&req, "GET", "/skerry/v1/trust") >= 400);
	fake_over(&req);
	/* All else is answered as before. */
	assert_int_equal(ask(&req, "GET", "/skerry/v1/status"), 200);
	fake_over(&req);
	assert_int_equal(ask(&req, "GET", "/skerry/v1/generations"), 200);
	fake_over(&req);
}

#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_of_nothing),
		TEST(a_damaged_release),
		TEST(apply_is_answered_before_it_is_done),
		TEST(an_image),
		TEST(lists),
		TEST(trust_that_cannot_be_read),
	};

	return cmocka_run_group_tests_name("engine/update/routes", tests, NULL, NULL);
}
