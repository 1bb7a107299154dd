/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"
#include "children.h"
#include "world.h"

/* How many removed files a process still has open. */
static unsigned removed_files(pid_t pid)
{
	_cleanup_free_ char *folder = sk_asprintf("/proc/%d/fd", (int)pid);
	DIR *d = opendir(folder);
	struct dirent *e;
	unsigned n = 0;

	assert_non_null(d);
	while ((e = readdir(d))) {
		char target[512];
		ssize_t len = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);

		target[SK_MAX(len, 0)] = '\0';
		n += strstr(target, w.dir) && strstr(target, " (deleted)");
	}
	(void)closedir(d);
	return n;
}

/* An image of that many MiB that nothing needs. */
static struct sk_digest big_image(size_t mib)
{
	_cleanup_free_ char *bytes = calloc(mib, 1 << 20);
	struct sk_staged *st = NULL;
	struct sk_digest d;

	(void)snprintf(bytes, 32, "image of %zu", mib);
	assert_int_equal(sk_digest_of(bytes, mib << 20, &d), 0);
	assert_int_equal(sk_staged_open(w.store, &d, mib << 20, &st, NULL), 0);
	assert_int_equal(sk_staged_write(st, bytes, mib << 20, NULL), 0);
	assert_int_equal(sk_staged_commit(st, NULL), 0);
	return d;
}

/*
 * Giving back the room of large files is not the loop's: they are gone at once, whatever the child does, and the loop
 * goes on meanwhile. Small ones are not worth one.
 */
static void room_of_large_images(void **state)
{
	const struct sk_digest a = big_image(5), b = big_image(6);
	pid_t child;

	children.hold = true;
	sk_claims_collect(w.claims);
	children.hold = false;
	assert_false(sk_store_has(w.store, &a));
	assert_false(sk_store_has(w.store, &b));
	assert_true(sk_claims_freeing(w.claims) > 0);
	child = sk_claims_freeing(w.claims);
	assert_int_equal(removed_files(child), 2);
	assert_int_equal(removed_files(getpid()), 0);
	go(&(struct spec){ "1.0", { "d1" } });
	go(&(struct spec){ "2.0", { "d2" } });
	assert_true(sk_claims_freeing(w.claims) > 0);
	assert_int_equal(kill(child, SIGCONT), 0);
	UNTIL(sk_claims_freeing(w.claims) == 0);
}

/* No child can be had, or the daemon ends before it does: it is only a matter of who waits. */
static void room_without_a_child(void **state)
{
	struct sk_digest a = big_image(5);

	children.none = true;
	sk_claims_collect(w.claims);
	children.none = false;
	assert_false(sk_store_has(w.store, &a));
	assert_int_equal(sk_claims_freeing(w.claims), 0);
	assert_int_equal(removed_files(getpid()), 0);
	/* Room that is short is made at once. */
	a = big_image(5);
	sk_claims_make_room(w.claims);
	assert_int_equal(sk_claims_freeing(w.claims), 0);
	assert_int_equal(removed_files(getpid()), 0);
	a = big_image(5);
	children.hold = true;
	sk_claims_collect(w.claims);
	children.hold = false;
	assert_true(sk_claims_freeing(w.claims) > 0);
}

static bool here(const char *name, const char *salt)
{
	struct sk_image_ref image = make_image(name, salt, false);

	return sk_store_has(w.store, &image.digest);
}

/* The two last good generations stay, with what they need; a bad one's images go. */
static void what_generations_need(void **state)
{
	go(&(struct spec){ "1.0", { "d1" } });
	go(&(struct spec){ "2.0", { "d2" } });
	go(&(struct spec){ "3.0", { "d3" } });
	assert_false(here("db.itb", "d1"));
	assert_true(here("db.itb", "d2"));
	assert_true(here("db.itb", "d3"));
	fake_fail_start = "db";
	go(&(struct spec){ "4.0", { "d4" } });
	fake_fail_start = NULL;
	sk_update_reconcile(w.u);
	run_until_idle();
	assert_false(here("db.itb", "d4"));
	assert_true(here("db.itb", "d3"));
	/* Over and over: nothing more goes. */
	sk_claims_collect(w.claims);
	sk_claims_collect(w.claims);
	assert_true(here("db.itb", "d2"));
	assert_true(here("db.itb", "d3"));
}

/* Images of a release that was sent but not applied yet stay, until the release goes. */
static void what_a_kept_release_needs(void **state)
{
	struct sk_digest id;

	go(&(struct spec){ "1.0", { "d1" } });
	assert_int_equal(intake(&(struct spec){ "2.0", { "d2" } }, &id, NULL), 0);
	sk_claims_collect(w.claims);
	assert_true(here("db.itb", "d2"));
	(void)make_image("web.itb", "nobody's", true);
	assert_int_equal(sk_intake_applied(w.intake, &id, NULL), 0);
	sk_claims_collect(w.claims);
	assert_false(here("db.itb", "d2"));
	assert_false(here("web.itb", "nobody's"));
	assert_true(here("db.itb", "d1"));
}

/* A capsule that no release made keeps its image. */
static void what_a_capsule_runs_from(void **state)
{
	struct sk_image_ref image = make_image("tool.itb", "t", true);
	struct sk_app app = { .name = (char *)"tool" };
	const struct sk_capsule_spec spec = { .app = &app, .image = image.digest };
	struct sk_capsule *c;

	go(&(struct spec){ "1.0", { "d1" } });
	assert_false(here("tool.itb", "t"));
	(void)make_image("tool.itb", "t", true);
	assert_int_equal(sk_engine_create(w.engine, &spec, &c, NULL), 0);
	sk_claims_collect(w.claims);
	assert_true(here("tool.itb", "t"));
}

static unsigned asked_again;

static bool is_the_one(void *arg, const struct sk_digest *d)
{
	return sk_digest_equal(arg, d);
}

static void note_collected(void *arg)
{
	asked_again++;
}

static void what_others_ask_for(void **state)
{
	struct sk_image_ref image = make_image("tool.itb", "t", true);

	const struct sk_claimant who = { .needs = is_the_one,
					 .collected = note_collected,
					 .arg = &image.digest };

	asked_again = 0;
	assert_int_equal(sk_claims_register(w.claims, &who, NULL), 0);
	sk_claims_collect(w.claims);
	assert_true(here("tool.itb", "t"));
	image.digest = (struct sk_digest){ { 0 } };
	sk_claims_collect(w.claims);
	assert_false(here("tool.itb", "t"));
	assert_int_equal(asked_again, 2);
}

/* A generation whose release cannot be read, and that nothing runs instead of: nothing goes at all. */
static void nothing_when_it_is_not_known(void **state)
{
	_cleanup_free_ char *path = NULL;
	FILE *f;

	go(&(struct spec){ "1.0", { "d1" } });
	path = release_path(&sk_generations_running(w.u->gens)->release);
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fclose(f);
	(void)make_image("tool.itb", "t", true);
	sk_claims_collect(w.claims);
	assert_true(here("tool.itb", "t"));
	assert_true(here("db.itb", "d1"));
}

static int not_known(void *arg, struct sk_marks *m, struct sk_err *err)
{
	return sk_err_set(err, -EIO, "io", "nobody can tell");
}

/* One claimant who cannot tell what it needs is enough, and there is a bound to how many there are. */
static void nothing_when_a_claimant_cannot_tell(void **state)
{
	const struct sk_claimant who = { .mark = not_known };
	struct sk_err err = SK_ERR_INIT;
	int n = 0;

	(void)make_image("tool.itb", "t", true);
	while (sk_claims_register(w.claims, &who, &err) == 0)
		n++;
	assert_string_equal(err.slug, "too-many");
	assert_in_range(n, 1, 16);
	sk_claims_collect(w.claims);
	assert_true(here("tool.itb", "t"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_generations_need),	    TEST(what_a_kept_release_needs),
		TEST(what_a_capsule_runs_from),	    TEST(what_others_ask_for),
		TEST(nothing_when_it_is_not_known), TEST(room_of_large_images),
		TEST(room_without_a_child),	    TEST(nothing_when_a_claimant_cannot_tell),
	};

	return cmocka_run_group_tests_name("engine/claims", tests, NULL, NULL);
}
