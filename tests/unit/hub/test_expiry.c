/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "hub/core/sweep.h"
#include "hub/db/expiry.h"
#include "hub/db/releases.h"
#include "hub/db/reports.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"
#include "temp.h"

/* What is over goes, slice by slice; what is not, or is still needed, stays. */
#define DAY_S 86400ll

static struct sk_err err;

struct world {
	struct temp temp;
	struct sk_db *db;
	struct sk_hub_config config;
	int64_t now_s;
};

static void run(struct world *w, const char *sql, int64_t a, int64_t b)
{
	struct sk_conn *c;
	sqlite3_stmt *q = NULL;

	assert_int_equal(sk_db_begin(w->db, &c, &err), 0);
	assert_int_equal(sqlite3_prepare_v2(sk_sqlite_of(c)->handle, sql, -1, &q, NULL), SQLITE_OK);
	(void)sqlite3_bind_int64(q, 1, a);
	(void)sqlite3_bind_int64(q, 2, b);
	if (sqlite3_step(q) != SQLITE_DONE)
		fail_msg("%s: %s", sql, sqlite3_errmsg(sk_sqlite_of(c)->handle));
	(void)sqlite3_finalize(q);
	assert_int_equal(sk_db_commit(c, &err), 0);
}

static int64_t count(struct world *w, const char *sql)
{
	struct sk_conn *c;
	sqlite3_stmt *q = NULL;
	int64_t n;

	assert_int_equal(sk_db_read(w->db, &c, &err), 0);
	assert_int_equal(sqlite3_prepare_v2(sk_sqlite_of(c)->handle, sql, -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	n = sqlite3_column_int64(q, 0);
	(void)sqlite3_finalize(q);
	return n;
}

static void start(struct world *w)
{
	temp_make(&w->temp);
	sk_hub_config_defaults(&w->config);
	w->now_s = sk_wall_s();
	assert_int_equal(sk_sqlite_open(temp_path(&w->temp, "hub.db"), &w->db, &err), 0);
	run(w, "INSERT INTO orgs (id, name, created_s) VALUES (1, 'acme', 1)", 0, 0);
	run(w,
	    "INSERT INTO users (id, org_id, name, role, password, created_s)"
	    " VALUES (1, 1, 'a', 'owner', 'x', 1)",
	    0, 0);
	run(w, "INSERT INTO projects VALUES (1, 1, 'p', 1)", 0, 0);
	run(w,
	    "INSERT INTO deployments (id, org_id, project_id, name, created_s)"
	    " VALUES (1, 1, 1, 'd', 1)",
	    0, 0);
	run(w,
	    "INSERT INTO devices (id, uid, org_id, deployment_id, status, name, public_key,"
	    " compatible, peer, enrolled_s) VALUES (1, 'u', 1, 1, 'accepted', 'n', 'k', '[]', 'p', 1)",
	    0, 0);
}

static void stop_world(struct world *w)
{
	sk_db_close(w->db);
	temp_done(&w->temp);
}
#define _cleanup_world_ _cleanup_(stop_world)

/* One whole round; the number of steps that it took. */
static unsigned sweep(struct world *w)
{
	struct sk_sweep s = { 0 };
	unsigned n = 0;

	do {
		sk_sweep_step(&s, &w->config, w->db, w->now_s);
		n++;
	} while (s.next_s == 0);
	return n;
}

static void what_is_over_goes(void **state)
{
	static const struct {
		const char *insert; /* ?1: when */
		const char *table;
		int64_t days;
	} cases[] = {
		{ "INSERT INTO tokens (org_id, user_id, name, kind, hash, created_s, expires_s)"
		  " VALUES (1, 1, 't', 'api', randomblob(32), 1, ?1)",
		  "tokens", 0 },
		{ "INSERT INTO enrolment_tokens (org_id, deployment_id, name, hash, created_s,"
		  " expires_s, uses_max) VALUES (1, 1, 't', randomblob(32), 1, ?1, 0)",
		  "enrolment_tokens", 30 },
		{ "INSERT INTO devices (uid, org_id, status, name, public_key, compatible, peer,"
		  " enrolled_s) VALUES (hex(randomblob(32)), 1, 'pending', 'n', 'k', '[]', 'p', ?1)",
		  "devices WHERE status = 'pending'", 30 },
		{ "INSERT INTO logs (device_id, capsule, at_s, text) VALUES (1, 'web', ?1, 'x')",
		  "logs", 30 },
		{ "INSERT INTO audit (org_id, at_s, actor, action, outcome)"
		  " VALUES (1, ?1, 'a', 'old', 'ok')",
		  "audit WHERE action = 'old'", 730 },
		{ "INSERT INTO jobs (org_id, device_id, kind, state, open, created_s, updated_s,"
		  " created_by) VALUES (1, 1, 'logs', 'done', 0, 1, ?1, 'a')",
		  "jobs", 180 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_world_ struct world w;
		char sql[128];

		start(&w);
		(void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", cases[i].table);
		run(&w, cases[i].insert, w.now_s - cases[i].days * DAY_S - 1, 0);
		run(&w, cases[i].insert, 5, 0);
		run(&w, cases[i].insert, w.now_s - cases[i].days * DAY_S, 0);
		run(&w, cases[i].insert, w.now_s + DAY_S, 0);
		assert_int_equal(count(&w, sql), 4);
		(void)sweep(&w);
		if (count(&w, sql) != 2)
			fail_msg("%s: %d", sql, (int)count(&w, sql));
	}
}

static void a_device_that_waited_in_vain_leaves_a_line(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	run(&w,
	    "INSERT INTO devices (uid, org_id, status, name, public_key, compatible, peer,"
	    " enrolled_s) VALUES ('old', 1, 'pending', 'n', 'k', '[]', 'p', 1),"
	    " ('barred', 1, 'rejected', 'n', 'k', '[]', 'p', 1),"
	    " ('blocked', 1, 'blocked', 'n', 'k', '[]', 'p', 1)",
	    0, 0);
	(void)sweep(&w);
	assert_int_equal(count(&w, "SELECT count(*) FROM audit WHERE action = 'device.expire'"
				   " AND object = 'old' AND actor = 'hub'"),
			 1);
	assert_int_equal(count(&w, "SELECT count(*) FROM audit"), 1);
	assert_int_equal(count(&w, "SELECT count(*) FROM devices"), 3); /* decisions stand */
}

static void sessions_that_expired_go(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	run(&w, "INSERT INTO sessions VALUES (1, x'00', ?1)", w.now_s, 0);
	(void)sweep(&w);
	assert_int_equal(count(&w, "SELECT count(*) FROM sessions"), 1);
	w.now_s++;
	(void)sweep(&w);
	assert_int_equal(count(&w, "SELECT count(*) FROM sessions"), 0);
}

/* Row ?1 of a release job of device 1, with the release ?2. */
#define RELEASE_JOB                                                                       \
	"INSERT INTO jobs (id, org_id, device_id, kind, state, open, release, created_s," \
	" updated_s, created_by) VALUES (?1, 1, 1, 'release', 'done', 0, ?2, 1, 1, 'a')"

static void what_a_device_needs_stays(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	/* It runs release 3, which two jobs gave it; later ones were tried and failed, or taken back. */
	for (int i = 1; i <= 30; i++)
		run(&w, RELEASE_JOB, i, i == 4 ? 3 : i);
	run(&w, "UPDATE jobs SET state = 'failed' WHERE id > 4", 0, 0);
	run(&w, "UPDATE jobs SET state = 'aborted', release = '3' WHERE id = 10", 0, 0);
	run(&w, "UPDATE devices SET release = '3'", 0, 0);
	run(&w,
	    "INSERT INTO jobs (id, org_id, device_id, kind, state, created_s, updated_s, created_by)"
	    " VALUES (31, 1, 1, 'logs', 'waiting', 1, 1, 'a')",
	    0, 0);
	run(&w,
	    "INSERT INTO job_events VALUES (1, 1, 1, 'done', 0, 0, NULL),"
	    " (2, 4, 1, 'done', 0, 0, NULL)",
	    0, 0);
	(void)sweep(&w);
	/* The newest eight, the newer ones that gave it what it runs and what it ran before, the open one. */
	assert_int_equal(count(&w, "SELECT count(*) FROM jobs"), 11);
	assert_int_equal(count(&w, "SELECT count(*) FROM jobs WHERE id IN"
				   " (2, 4, 23, 24, 25, 26, 27, 28, 29, 30, 31)"),
			 11);
	assert_int_equal(count(&w, "SELECT count(*) FROM job_events"), 1);
	(void)sweep(&w);
	assert_int_equal(count(&w, "SELECT count(*) FROM jobs"), 11);
}

/* Its images can still be fetched, however long ago it got its release. */
static void a_device_can_fetch_again_what_it_runs(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_release_row row;
	struct sk_conn *c;

	start(&w);
	run(&w, "INSERT INTO releases VALUES (1, 1, 1, 'dd', '1', 'ff', 1, 1, 0, 'x', '[]', '{}')",
	    0, 0);
	run(&w, "INSERT INTO images VALUES (1, 1, 'ii', 3, 1)", 0, 0);
	run(&w, "INSERT INTO release_images VALUES (1, 1, 'web')", 0, 0);
	for (int i = 1; i <= 20; i++)
		run(&w, RELEASE_JOB, i, 0);
	run(&w, "UPDATE jobs SET release = 'dd', release_id = 1 WHERE id = 1", 0, 0);
	run(&w, "UPDATE devices SET release = 'dd'", 0, 0);
	(void)sweep(&w);
	assert_int_equal(count(&w, "SELECT count(*) FROM jobs"), 9);
	assert_int_equal(sk_db_read(w.db, &c, &err), 0);
	assert_int_equal(c->releases->of_device(c, 1, "dd", &row, &err), 1);
	assert_int_equal(c->releases->image_of_device(c, 1, "ii", &err), 1);
}

/* Thousands, of which many stay: bounded in each transaction, and the walk comes to its end. */
static void in_small_slices(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_expiry_place place = { 0 };
	int64_t before = 0, after;
	unsigned slices = 0;
	int n;

	start(&w);
	for (int i = 1; i <= 3; i++)
		run(&w,
		    "INSERT INTO jobs (org_id, device_id, kind, state, open, created_s, updated_s,"
		    " created_by) WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c"
		    " WHERE x < 1000) SELECT 1, 1, iif(x % 2, 'logs', 'release'), 'done', 0, 1,"
		    " x / 7, 'a' FROM c",
		    0, 0);
	before = count(&w, "SELECT count(*) FROM jobs");
	for (;; slices++) {
		struct sk_conn *c;

		assert_int_equal(sk_db_begin(w.db, &c, &err), 0);
		n = c->expiry->remove_some(c, SK_EXPIRY_JOBS, w.now_s, &place, &err);
		assert_int_equal(sk_db_commit(c, &err), 0);
		after = count(&w, "SELECT count(*) FROM jobs");
		assert_uint_in_range(before - after, 0, 500);
		before = after;
		if (n == 0)
			break;
		assert_uint_in_range(n, 1, 500);
	}
	assert_int_equal(slices, 6);
	assert_int_equal(after, SK_JOBS_KEPT);
}

static void audit_goes_in_slices_and_never_early(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_expiry_place place = { 0 };
	struct sk_conn *c;

	start(&w);
	run(&w,
	    "INSERT INTO audit (org_id, at_s, actor, action, outcome) WITH RECURSIVE c(x) AS"
	    " (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1200) SELECT 1, x, 'a', 'b', 'ok' FROM c",
	    0, 0);
	assert_int_equal(sk_db_begin(w.db, &c, &err), 0);
	assert_int_equal(
		c->expiry->remove_some(c, SK_EXPIRY_AUDIT, w.now_s - 31 * DAY_S, &place, &err),
		500);
	assert_int_equal(sk_db_commit(c, &err), 0);
	(void)sweep(&w);
	assert_int_equal(count(&w, "SELECT count(*) FROM audit"), 0);
	/* Whatever the hub is told: the database does not lose the last 30 days. */
	run(&w,
	    "INSERT INTO audit (org_id, at_s, actor, action, outcome) VALUES (1, ?1, 'a', 'b', 'ok')",
	    w.now_s - 29 * DAY_S, 0);
	assert_int_equal(sk_db_begin(w.db, &c, &err), 0);
	assert_true(c->expiry->remove_some(c, SK_EXPIRY_AUDIT, w.now_s, &place, &err) < 0);
	sk_db_rollback(c);
	assert_int_equal(count(&w, "SELECT count(*) FROM audit"), 1);
}

/* A round that fails is tried again; the clock that goes back does not stop rounds. */
static void rounds(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_sweep s = { 0 };

	start(&w);
	for (int i = 0; i < SK_EXPIRIES; i++)
		sk_sweep_step(&s, &w.config, w.db, w.now_s);
	assert_int_equal(s.what, 0);
	assert_int_equal(s.next_s, w.now_s + 3600);
	sk_sweep_step(&s, &w.config, w.db, w.now_s + 3599);
	assert_int_equal(s.what, 0);
	sk_sweep_step(&s, &w.config, w.db, w.now_s + 3600);
	assert_int_equal(s.what, 1);
	s = (struct sk_sweep){ .next_s = w.now_s + 3600 };
	sk_sweep_step(&s, &w.config, w.db, w.now_s - 7200);
	assert_int_equal(s.what, 1);
}

static void logs_of_a_device_are_bounded(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_conn *c;
	char *text = malloc(512 * 1024 + 1);

	assert_non_null(text);
	memset(text, 'x', 512 * 1024);
	text[512 * 1024] = '\0';
	start(&w);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(sk_db_begin(w.db, &c, &err), 0);
		assert_int_equal(c->reports->add_logs(c, 1, NULL, "web", text, &err), 0);
		assert_int_equal(sk_db_commit(c, &err), 0);
	}
	assert_int_equal(count(&w, "SELECT count(*) FROM logs"), 16);
	assert_int_equal(count(&w, "SELECT min(id) FROM logs"), 25);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(sk_db_begin(w.db, &c, &err), 0);
		assert_int_equal(c->reports->add_logs(c, 1, NULL, "web", "short", &err), 0);
		assert_int_equal(sk_db_commit(c, &err), 0);
	}
	assert_int_equal(count(&w, "SELECT count(*) FROM logs"), SK_LOGS_KEPT);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_over_goes),
		cmocka_unit_test(a_device_that_waited_in_vain_leaves_a_line),
		cmocka_unit_test(sessions_that_expired_go),
		cmocka_unit_test(what_a_device_needs_stays),
		cmocka_unit_test(a_device_can_fetch_again_what_it_runs),
		cmocka_unit_test(in_small_slices),
		cmocka_unit_test(audit_goes_in_slices_and_never_early),
		cmocka_unit_test(rounds),
		cmocka_unit_test(logs_of_a_device_are_bounded),
	};

	return cmocka_run_group_tests_name("hub/expiry", tests, NULL, NULL);
}
