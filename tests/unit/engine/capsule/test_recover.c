/* SPDX-License-Identifier: Apache-2.0 */

/* What the daemon finds after it was killed at any instruction, after a boot, and on a disk that is damaged. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "engine/capsule/capsule.h"
#include "engine_world.h"

/* --- removing that fails --- */

static int rm_fails;

int __real_sk_rm_rf(int dirfd, const char *path);
int __wrap_sk_rm_rf(int dirfd, const char *path);
int __wrap_sk_rm_rf(int dirfd, const char *path)
{
	return rm_fails ? rm_fails : __real_sk_rm_rf(dirfd, path);
}

/* --- what lies on the disk and in memory --- */

static char id_of_one[SK_CAPSULE_ID_LEN + 1];

static char *path_of(const struct world *w, const char *where, const char *id, const char *suffix)
{
	return sk_asprintf("%s/%s/%s%s", w->dir, where, id, suffix);
}

static bool exists(const struct world *w, const char *where, const char *id, const char *suffix)
{
	_cleanup_free_ char *path = path_of(w, where, id, suffix);

	return access(path, F_OK) == 0;
}

static void folder(const struct world *w, const char *where, const char *id, const char *suffix)
{
	_cleanup_free_ char *path = path_of(w, where, id, suffix);
	_cleanup_free_ char *inside = sk_asprintf("%s/upper/etc", path);

	assert_int_equal(sk_mkdir_p(AT_FDCWD, inside, 0755), 0);
}

static void write_text(const struct world *w, const char *where, const char *id, const char *suffix,
		       const char *text, size_t len)
{
	_cleanup_free_ char *path = path_of(w, where, id, suffix);

	assert_int_equal(sk_file_write(AT_FDCWD, path, text, len, 0600), 0);
}

static void remove_path(const struct world *w, const char *where, const char *id,
			const char *suffix)
{
	_cleanup_free_ char *path = path_of(w, where, id, suffix);

	assert_int_equal(__real_sk_rm_rf(AT_FDCWD, path), 0);
}

/* "one", with its record on disk and in memory; the daemon is gone. Its record's text, owned by the caller. */
static char *one_on_record(struct world *w, struct sk_app app, bool runs)
{
	struct sk_capsule *c = make(w, "one", app);
	_cleanup_free_ char *path = NULL;
	struct sk_capsule_view v;
	char *text = NULL;
	size_t len;

	if (runs) {
		assert_int_equal(sk_capsule_start(c, NULL, NULL, NULL), 0);
		UNTIL(w, state_of(c) == SK_CAPSULE_RUNNING);
	}
	sk_capsule_view(c, &v);
	(void)snprintf(id_of_one, sizeof(id_of_one), "%s", v.id);
	sk_engine_free(w->e);
	path = path_of(w, "state", id_of_one, "/record.json");
	assert_int_equal(sk_file_read(AT_FDCWD, path, 1 << 20, &text, &len), 0);
	return text;
}

static struct sk_capsule *one(struct world *w)
{
	return sk_engine_find(w->e, id_of_one, NULL);
}

/* The machine was switched off: what is in memory is gone. */
static void boot(struct world *w)
{
	_cleanup_free_ char *run = sk_asprintf("%s/run", w->dir);

	assert_int_equal(__real_sk_rm_rf(AT_FDCWD, run), 0);
	fakes.found = SK_RUNTIME_NOTHING;
	open_world(w);
}

/* --- half-made and half-removed --- */

#define ID(c) "c" c "00000000000000000000000000000000000000000000000000000000000000"

/* A folder and nothing more, of one that was being made; one that was being removed; what is nobody's is left alone. */
static void halves_go(void **state)
{
	struct world *w = *state;

	free(one_on_record(w, (struct sk_app){ 0 }, false));
	folder(w, "state", ID("1"), "");
	folder(w, "state", ID("2"), ".gone");
	folder(w, "state", "lost+found", "");
	folder(w, "state", "short.gone", "");
	open_world(w);
	assert_false(exists(w, "state", ID("1"), ""));
	assert_false(exists(w, "state", ID("2"), ".gone"));
	assert_true(exists(w, "state", "lost+found", ""));
	assert_true(exists(w, "state", "short.gone", ""));
	assert_non_null(one(w));
}

/* What cannot be removed is in nobody's way. */
static void halves_that_stay(void **state)
{
	struct world *w = *state;

	free(one_on_record(w, (struct sk_app){ 0 }, false));
	folder(w, "state", ID("1"), "");
	folder(w, "state", ID("2"), ".gone");
	rm_fails = -EIO;
	open_world(w);
	rm_fails = 0;
	assert_non_null(one(w));
	assert_true(exists(w, "state", ID("1"), ""));
	assert_null(sk_engine_find(w->e, ID("1"), NULL));
}

/* Killed after the record was in memory and before it was on disk: it is whole all the same. */
static void only_in_memory(void **state)
{
	struct world *w = *state;

	free(one_on_record(w, (struct sk_app){ 0 }, true));
	remove_path(w, "state", id_of_one, "");
	fakes.found = SK_RUNTIME_RUNNING;
	open_world(w);
	assert_non_null(one(w));
	assert_int_equal(state_of(one(w)), SK_CAPSULE_RUNNING);
	assert_int_equal(fakes.starts, 1);
}

/* A container that no record knows is ended, once; the daemon may end in the middle of that. */
static void leftovers_are_cleaned(void **state)
{
	struct world *w = *state;

	free(one_on_record(w, (struct sk_app){ 0 }, true));
	folder(w, "run/capsules", ID("1"), "");
	folder(w, "run/capsules", "something", "");
	fakes.found = SK_RUNTIME_RUNNING;
	open_world(w);
	assert_int_equal(fakes.cleans, 1);
	sk_engine_free(w->e);
	open_world(w);
	assert_int_equal(fakes.cleans, 2);
	settle(w, 5);
	assert_int_equal(state_of(one(w)), SK_CAPSULE_RUNNING);
}

/* --- damage --- */

/* Wherever a record ends: that one is left out, its files stay to be looked at, and all others run. */
static void a_record_that_is_cut(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *text = NULL;

	(void)make(w, "two", (struct sk_app){ 0 });
	text = one_on_record(w, (struct sk_app){ 0 }, false);
	for (size_t len = 0; len < strlen(text); len += 1 + strlen(text) / 40) {
		remove_path(w, "run/records", id_of_one, ".json");
		write_text(w, "state", id_of_one, "/record.json", text, len);
		open_world(w);
		assert_null(one(w));
		assert_non_null(sk_engine_find(w->e, "two", NULL));
		sk_engine_free(w->e);
		assert_true(exists(w, "state", id_of_one, "/record.json"));
		/* What is in memory makes good for it. */
		write_text(w, "run/records", id_of_one, ".json", text, strlen(text));
		open_world(w);
		assert_non_null(one(w));
		sk_engine_free(w->e);
	}
	open_world(w);
}

/* @text with the value of @key replaced. Owned by the caller. */
static char *with(const char *text, const char *key, const char *value)
{
	_cleanup_free_ char *quoted = sk_asprintf("\"%s\":", key);
	const char *at = strstr(text, quoted), *end;

	assert_non_null(at);
	at += strlen(quoted);
	end = at + strcspn(at, ",}");
	return sk_asprintf("%.*s%s%s", (int)(at - text), text, value, end);
}

/* Numbers that would be an index, a state or a size elsewhere. */
static void values_that_lie(void **state)
{
	static const char *const rows[][2] = {
		{ "slot", "1024" },
		{ "slot", "-1" },
		{ "slot", "4294967296" },
		{ "slot", "\"0\"" },
		{ "goal", "99" },
		{ "goal", "-1" },
		{ "exit_code", "-1" },
		{ "exit_code", "1e300" },
		{ "restarts", "4294967296" },
		{ "created_s", "-5" },
		{ "generation", "-1" },
		{ "image", "\"../../etc\"" },
		{ "image", "null" },
		{ "tty", "7" },
		{ "app", "[]" },
		{ "labels", "[1]" },
		{ "backoff_count", "-1" },
		{ "started_mono_ms", "99999999999999999999" },
	};
	struct world *w = *state;
	_cleanup_free_ char *text = NULL;

	(void)make(w, "two", (struct sk_app){ 0 });
	text = one_on_record(w, (struct sk_app){ 0 }, false);
	remove_path(w, "run/records", id_of_one, ".json");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *bad = with(text, rows[i][0], rows[i][1]);

		write_text(w, "state", id_of_one, "/record.json", bad, strlen(bad));
		open_world(w);
		if (one(w))
			fail_msg("%s is taken as %s", rows[i][1], rows[i][0]);
		assert_non_null(sk_engine_find(w->e, "two", NULL));
		sk_engine_free(w->e);
	}
	write_text(w, "state", id_of_one, "/record.json", text, strlen(text));
	open_world(w);
	assert_non_null(one(w));
}

/* Two that say they have the same slot, which is users and log file: the second is left out. */
static void one_slot_for_two(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *text = one_on_record(w, (struct sk_app){ 0 }, false);
	size_t n = 0, pos = 0;

	folder(w, "state", ID("1"), "");
	write_text(w, "state", ID("1"), "/record.json", text, strlen(text));
	open_world(w);
	while (sk_engine_next(w->e, &pos))
		n++;
	assert_int_equal(n, 1);
	assert_true(exists(w, "state", ID("1"), "/record.json"));
}

/* --- what was going on --- */

/* The same boot: what is wanted stays wanted, and what is found decides how to get there. */
static void what_is_found(void **state)
{
	static const struct {
		enum sk_runtime_found found;
		bool again; /* started once more, by the policy */
		int cleans;
	} rows[] = {
		{ SK_RUNTIME_RUNNING, false, 0 },
		{ SK_RUNTIME_ENDED, true, 1 },
		{ SK_RUNTIME_LEFTOVERS, true, 1 },
	};
	const struct sk_app app = { .restart = SK_RESTART_ALWAYS,
				    .backoff_min_ms = 1,
				    .backoff_max_ms = 1 };
	struct world *w = *state;

	free(one_on_record(w, app, true));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int starts = fakes.starts;

		fakes.found = rows[i].found;
		fakes.cleans = 0;
		open_world(w);
		UNTIL(w, state_of(one(w)) == SK_CAPSULE_RUNNING);
		settle(w, 5);
		assert_int_equal(fakes.starts - starts, rows[i].again);
		assert_int_equal(fakes.cleans, rows[i].cleans);
		sk_engine_free(w->e);
	}
	open_world(w);
}

/* With what it ended, or 137 where nobody saw it: as if it had been killed. */
static void how_it_ended(void **state)
{
	static const struct {
		enum sk_runtime_found found;
		int code;
	} rows[] = { { SK_RUNTIME_ENDED, 9 }, { SK_RUNTIME_LEFTOVERS, 137 } };
	struct world *w = *state;
	struct sk_capsule_view v;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		free(one_on_record(w, (struct sk_app){ 0 }, true));
		fakes.found = rows[i].found;
		open_world(w);
		UNTIL(w, state_of(one(w)) == SK_CAPSULE_EXITED);
		sk_capsule_view(one(w), &v);
		assert_int_equal(v.exit_code, rows[i].code);
		assert_true(v.finished_s > 0);
		assert_int_equal(sk_capsule_remove(one(w), false, NULL, NULL, NULL), 0);
		UNTIL(w, !one(w));
	}
}

/* The monitor had ended unseen, and so had the runtime's own traces. */
static void nothing_is_found(void **state)
{
	struct world *w = *state;
	struct sk_capsule_view v;

	free(one_on_record(w, (struct sk_app){ 0 }, true));
	fakes.found = SK_RUNTIME_NOTHING;
	open_world(w);
	sk_capsule_view(one(w), &v);
	assert_true(v.finished_s >= v.started_s && v.started_s > 0);
}

/* After a boot: a user's comes back if its policy says so; a release's is the update machine's to start. */
static void after_a_boot(void **state)
{
	static const struct {
		enum sk_restart restart;
		bool release, up;
	} rows[] = {
		{ SK_RESTART_ALWAYS, false, true },
		{ SK_RESTART_ON_FAILURE, false, true },
		{ SK_RESTART_NO, false, false },
		{ SK_RESTART_ALWAYS, true, false },
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sk_app app = { .restart = rows[i].restart, .keep_logs = rows[i].release };
		int starts;

		free(one_on_record(w, app, true));
		starts = fakes.starts;
		boot(w);
		assert_non_null(one(w));
		if (rows[i].up)
			UNTIL(w, state_of(one(w)) == SK_CAPSULE_RUNNING);
		settle(w, 5);
		assert_int_equal(fakes.starts - starts, rows[i].up);
		assert_int_equal(live(), rows[i].up);
		assert_int_equal(sk_capsule_remove(one(w), true, NULL, NULL, NULL), 0);
		UNTIL(w, !one(w));
	}
}

/* One that a user had stopped stays so, over a boot too. */
static void what_was_stopped_stays_so(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c = make(w, "one", (struct sk_app){ .restart = SK_RESTART_ALWAYS });
	struct sk_capsule_view v;

	(void)sk_capsule_start(c, NULL, NULL, NULL);
	UNTIL(w, state_of(c) == SK_CAPSULE_RUNNING);
	(void)sk_capsule_stop(c, 0, NULL, NULL, NULL);
	UNTIL(w, state_of(c) == SK_CAPSULE_EXITED);
	sk_capsule_view(c, &v);
	(void)snprintf(id_of_one, sizeof(id_of_one), "%s", v.id);
	sk_engine_free(w->e);
	boot(w);
	settle(w, 5);
	assert_int_equal(fakes.starts, 1);
	assert_int_equal(state_of(one(w)), SK_CAPSULE_EXITED);
}

/* Killed in the middle of a removal: it is finished, whatever is found of it. */
static void a_removal_goes_on(void **state)
{
	struct world *w = *state;
	struct sk_capsule *c;

	free(one_on_record(w, (struct sk_app){ 0 }, true));
	fakes.found = SK_RUNTIME_RUNNING;
	open_world(w);
	c = one(w);
	fakes.hold_clean = true;
	assert_int_equal(sk_capsule_remove(c, true, NULL, NULL, NULL), 0);
	UNTIL(w, fakes.cleans == 1);
	sk_engine_free(w->e);
	fakes.hold_clean = false;
	fakes.found = SK_RUNTIME_LEFTOVERS;
	open_world(w);
	UNTIL(w, !one(w));
	assert_false(exists(w, "state", id_of_one, ""));
	assert_false(exists(w, "run/records", id_of_one, ".json"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(halves_go),
		TEST(halves_that_stay),
		TEST(only_in_memory),
		TEST(leftovers_are_cleaned),
		TEST(a_record_that_is_cut),
		TEST(values_that_lie),
		TEST(one_slot_for_two),
		TEST(what_is_found),
		TEST(how_it_ended),
		TEST(nothing_is_found),
		TEST(after_a_boot),
		TEST(what_was_stopped_stays_so),
		TEST(a_removal_goes_on),
	};

	return cmocka_run_group_tests_name("engine/capsule/recover", tests, NULL, NULL);
}
