/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/str.h"
#include "children.h"
#include "fake_http.h"
#include "world.h"

#define WAITING_MAX 16

/* A release that needs no image but one that is not here; each of another version. */
struct post {
	struct sk_http_req req;
	unsigned char *der;
	char version[16];
};
static struct post posts[WAITING_MAX + 1];

static int begin(void **state)
{
	children = (struct children){ 0 };
	return setup(state);
}

static const struct sk_http_route *route(void)
{
	return fake_route(sk_api_routes, "POST", "/skerry/v1/releases");
}

static unsigned post(struct post *p, unsigned number, bool stranger)
{
	struct spec s = { p->version, { "d1" }, .no_images = true, .stranger = stranger };
	size_t len;

	(void)snprintf(p->version, sizeof(p->version), "1.%u", number);
	p->der = make_release(&s, &len);
	p->req = (struct sk_http_req){ .body = p->der, .len = len };
	return fake_call(&p->req, route(), &w.api);
}

static void over(struct post *p)
{
	fake_over(&p->req);
	free(p->der);
	p->der = NULL;
}

static void a_good_one_is_taken(void **state)
{
	struct post *p = &posts[0];

	assert_int_equal(post(p, 1, false), 0);
	assert_int_equal(children.n, 1);
	/* Nothing of it before the child has said yes. */
	assert_int_equal(releases_here(), 0);
	UNTIL(p->req.status);
	assert_int_equal(p->req.status, 200);
	assert_string_equal(fake_str(&p->req, "version"), "1.1");
	assert_int_equal(releases_here(), 1);
	assert_int_equal(sk_intake_checking(w.intake), 0);
	over(p);
}

/* The child's own words reach the peer. */
static void a_bad_one_is_refused(void **state)
{
	struct post *p = &posts[0];
	struct sk_http_req req;

	assert_int_equal(post(p, 1, true), 0);
	UNTIL(p->req.status);
	assert_int_equal(p->req.status, 403);
	assert_string_equal(p->req.err.slug, "untrusted");
	over(p);
	/* Wherever it is cut. */
	assert_int_equal(post(p, 1, false), 0);
	UNTIL(p->req.status);
	for (size_t len = 0; len < p->req.len; len += 1 + p->req.len / 8) {
		req = (struct sk_http_req){ .body = p->der, .len = len };
		assert_int_equal(fake_call(&req, route(), &w.api), 0);
		UNTIL(req.status);
		assert_true(req.status >= 400 && req.status < 500);
		fake_over(&req);
	}
	over(p);
	assert_int_equal(releases_here(), 1);
}

/*
 * The daemon does not believe the child: between its verdict and the taking the signer may be revoked, and a
 * child that was taken over says what it likes.
 */
static void what_passed_is_checked_again(void **state)
{
	struct pki_crl_spec spec = { .issuer = &w.ca, .number = 7, .revoked = { w.signer.cert } };
	X509_CRL *crl = pki_crl(&spec);
	struct post *p = &posts[0];

	children.hold = true;
	assert_int_equal(post(p, 1, false), 0);
	pki_write_crl(w.trust, crl);
	X509_CRL_free(crl);
	children_go_on();
	UNTIL(p->req.status);
	assert_string_equal(p->req.err.slug, "revoked");
	assert_int_equal(releases_here(), 0);
	over(p);
}

/* What a stranger sent is read with no right that a child can do without, and not for ever. */
static void with_few_rights(void **state)
{
	children.hold = true;
	assert_int_equal(post(&posts[0], 0, false), 0);
	assert_true(children.task.confined);
	assert_int_equal(children.task.uid, PRECHECK_UID);
	assert_int_equal(children.task.gid, PRECHECK_UID);
	assert_int_equal(children.task.caps, 0);
	assert_int_equal(children.task.n_keep, 0);
	assert_true(children.task.limit_as_bytes > 0 && children.task.limit_as_bytes <= 1u << 30);
	assert_true(children.task.limit_cpu_s > 0 && children.task.limit_cpu_s <= 10);
	children_go_on();
	UNTIL(posts[0].req.status);
	assert_int_equal(posts[0].req.status, 200);
	over(&posts[0]);
}

/* Each waits for those before it; the sixteen that may wait are all answered, one more is sent away. */
static void one_at_a_time(void **state)
{
	struct post *last = &posts[WAITING_MAX];

	children.hold = true;
	for (unsigned i = 0; i < WAITING_MAX; i++)
		assert_int_equal(post(&posts[i], i, i % 4 == 1), 0);
	assert_int_equal(children.n, 1);
	assert_int_equal(post(last, 99, false), 429);
	assert_string_equal(last->req.err.slug, "too-many");
	over(last);
	for (unsigned i = 0; i < WAITING_MAX; i++) {
		assert_int_equal(children.n, i + 1);
		children_go_on();
		UNTIL(posts[i].req.status);
		/* At most so many releases are kept; the others are refused for another reason. */
		if (i % 4 == 1)
			assert_string_equal(posts[i].req.err.slug, "untrusted");
		else
			assert_int_equal(posts[i].req.status, 200);
		for (unsigned k = i + 1; k < WAITING_MAX; k++)
			assert_int_equal(posts[k].req.status, 0);
		over(&posts[i]);
	}
	assert_int_equal(sk_intake_checking(w.intake), 0);
}

/* The one that is looked at, and one that waits: their children and places go with them. */
static void peers_leave(void **state)
{
	children.hold = true;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(post(&posts[i], i, false), 0);
	fake_leave(&posts[2].req);
	assert_int_equal(children.n, 1);
	fake_leave(&posts[0].req);
	assert_int_equal(children.n, 2);
	children.hold = false;
	children_go_on();
	UNTIL(posts[1].req.status && posts[3].req.status);
	assert_int_equal(posts[1].req.status, 200);
	assert_int_equal(posts[3].req.status, 200);
	assert_int_equal(children.n, 3);
	assert_int_equal(releases_here(), 2);
	for (unsigned i = 0; i < 4; i++)
		over(&posts[i]);
}

/* A file that makes the parser take all memory or time ends its child, and holds up nobody. */
static void the_child_is_killed(void **state)
{
	children.hold = true;
	assert_int_equal(post(&posts[0], 0, false), 0);
	assert_int_equal(post(&posts[1], 1, false), 0);
	children.hold = false;
	assert_int_equal(kill(children.last, SIGKILL), 0);
	UNTIL(posts[0].req.status && posts[1].req.status);
	assert_true(posts[0].req.status >= 500);
	assert_int_equal(posts[1].req.status, 200);
	assert_int_equal(releases_here(), 1);
	over(&posts[0]);
	over(&posts[1]);
}

/* Without a child nothing is looked at by the daemon itself: all who wait are told, not only the first. */
static void no_child_can_be_had(void **state)
{
	children.hold = true;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(post(&posts[i], i, false), 0);
	children.none = true;
	assert_int_equal(kill(children.last, SIGKILL), 0);
	UNTIL(posts[2].req.status);
	for (unsigned i = 0; i < 3; i++) {
		assert_string_equal(posts[i].req.err.slug, "child-failed");
		over(&posts[i]);
	}
	assert_int_equal(sk_intake_checking(w.intake), 0);
	assert_int_equal(post(&posts[0], 5, false), 500);
	over(&posts[0]);
	assert_int_equal(releases_here(), 0);
}

/* Without trust that can be read nothing is even looked at. */
static void no_trust(void **state)
{
	_cleanup_free_ char *path = sk_asprintf("%s/ca.pem", w.trust);
	struct post *p = &posts[0];

	assert_int_equal(sk_file_write(AT_FDCWD, path, "x", 1, 0644), 0);
	assert_true(post(p, 1, false) >= 400);
	assert_int_equal(children.n, 0);
	assert_int_equal(sk_intake_checking(w.intake), 0);
	over(p);
}

static void the_server_stops(void **state)
{
	struct sk_http_req req = { .body = "x", .len = 1, .dying = true };

	assert_int_equal(route()->handler(&req, &w.api, NULL), -ESHUTDOWN);
	assert_int_equal(sk_intake_checking(w.intake), 0);
	fake_over(&req);
}

/* The requests are given up first, then the daemon's own things; none is answered, none is left (LeakSanitizer). */
static void the_daemon_ends(void **state)
{
	children.hold = true;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(post(&posts[i], i, false), 0);
	for (unsigned i = 0; i < 3; i++) {
		fake_leave(&posts[i].req);
		assert_int_equal(posts[i].req.status, 0);
		over(&posts[i]);
	}
	assert_int_equal(sk_intake_checking(w.intake), 0);
}

#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_good_one_is_taken),
		TEST(a_bad_one_is_refused),
		TEST(what_passed_is_checked_again),
		TEST(with_few_rights),
		TEST(one_at_a_time),
		TEST(peers_leave),
		TEST(the_child_is_killed),
		TEST(no_child_can_be_had),
		TEST(no_trust),
		TEST(the_server_stops),
		TEST(the_daemon_ends),
	};

	return cmocka_run_group_tests_name("engine/intake/precheck", tests, NULL, NULL);
}
