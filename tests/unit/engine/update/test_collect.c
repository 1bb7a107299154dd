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
	sk_update_collect(w.u);
	children.hold = false;
	assert_false(sk_store_has(w.store, &a));
	assert_false(sk_store_has(w.store, &b));
	assert_non_null(w.u->freeing);
	child = sk_child_pid(w.u->freeing->child);
	assert_int_equal(removed_files(child), 2);
	assert_int_equal(removed_files(getpid()), 0);
	go(&(struct spec){ "1.0", { "d1" } });
	go(&(struct spec){ "2.0", { "d2" } });
	assert_non_null(w.u->freeing);
	assert_int_equal(kill(child, SIGCONT), 0);
	UNTIL(!w.u->freeing);
}

/* No child can be had, or the daemon ends before it does: it is only a matter of who waits. */
static void room_without_a_child(void **state)
{
	struct sk_digest a = big_image(5);

	children.none = true;
	sk_update_collect(w.u);
	children.none = false;
	assert_false(sk_store_has(w.store, &a));
	assert_null(w.u->freeing);
	assert_int_equal(removed_files(getpid()), 0);
	/* Room that is short is made at once. */
	a = big_image(5);
	sk_update_make_room(w.u);
	assert_null(w.u->freeing);
	assert_int_equal(removed_files(getpid()), 0);
	a = big_image(5);
	children.hold = true;
	sk_update_collect(w.u);
	children.hold = false;
	assert_non_null(w.u->freeing);
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
	sk_update_collect(w.u);
	sk_update_collect(w.u);
	assert_true(here("db.itb", "d2"));
	assert_true(here("db.itb", "d3"));
}

/* Images of a release that was sent but not applied yet stay, until the release goes. */
static void what_a_kept_release_needs(void **state)
{
	struct sk_digest id;

	go(&(struct spec){ "1.0", { "d1" } });
	assert_int_equal(intake(&(struct spec){ "2.0", { "d2" } }, &id, NULL), 0);
	sk_update_collect(w.u);
	assert_true(here("db.itb", "d2"));
	(void)make_image("web.itb", "nobody's", true);
	assert_int_equal(sk_update_kept_drop(w.u, &id, NULL), 0);
	sk_update_collect(w.u);
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
	sk_update_collect(w.u);
	assert_true(here("tool.itb", "t"));
}

static bool is_the_one(void *arg, const struct sk_digest *d)
{
	return sk_digest_equal(arg, d);
}

static void what_others_ask_for(void **state)
{
	struct sk_image_ref image = make_image("tool.itb", "t", true);

	w.u->keep_image = is_the_one;
	w.u->keep_arg = &image.digest;
	sk_update_collect(w.u);
	assert_true(here("tool.itb", "t"));
	w.u->keep_image = NULL;
	sk_update_collect(w.u);
	assert_false(here("tool.itb", "t"));
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
	sk_update_collect(w.u);
	assert_true(here("tool.itb", "t"));
	assert_true(here("db.itb", "d1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_generations_need),	    TEST(what_a_kept_release_needs),
		TEST(what_a_capsule_runs_from),	    TEST(what_others_ask_for),
		TEST(nothing_when_it_is_not_known), TEST(room_of_large_images),
		TEST(room_without_a_child),
	};

	return cmocka_run_group_tests_name("engine/update/collect", tests, NULL, NULL);
}
