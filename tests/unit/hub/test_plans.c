/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

#include "hub/db/audit.h"
#include "hub/db/crls.h"
#include "hub/db/deployments.h"
#include "hub/db/devices.h"
#include "hub/db/enrolments.h"
#include "hub/db/expiry.h"
#include "hub/db/jobs.h"
#include "hub/db/releases.h"
#include "hub/db/reports.h"
#include "hub/db/sessions.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"
#include "hub/db/tokens.h"
#include "temp.h"

/*
 * No statement that devices or pages of lists cause may walk through a table that grows with the
 * fleet: every statement that runs is caught as it runs, and SQLite is asked how it does it.
 */
static struct sk_err err;
static sqlite3 *asked; /* another connection to the same file */
static unsigned seen;
static const char *wanted; /* an index that one of the statements must use */

static const char *const growing[] = { "devices",     "v",	  "sessions",	"s",
				       "jobs",	      "j",	  "job_events", "logs",
				       "audit",	      "tokens",	  "t",		"device_crls",
				       "inventory",   "releases", "r",		"release_images",
				       "ri",	      "images",	  "i",		"enrolment_tokens",
				       "deployments", "d",	  NULL };

/*
 * "SCAN v" or "SCAN jobs USING INDEX ...", of a table that grows; json_each() and constants do not.
 * A sort, and the rest of a table behind a row of any organisation's, are walks too.
 */
static bool walks(const char *detail)
{
	size_t len;

	if (strncmp(detail, "SCAN ", 5) != 0)
		return strstr(detail, "USE TEMP B-TREE FOR ORDER BY") ||
		       strstr(detail, "PRIMARY KEY (rowid>?)") ||
		       strstr(detail, "PRIMARY KEY (rowid<?)");
	len = strcspn(detail + 5, " ");
	for (size_t i = 0; growing[i]; i++)
		if (strlen(growing[i]) == len && strncmp(growing[i], detail + 5, len) == 0)
			return true;
	return false;
}

static int on_statement(unsigned what, void *arg, void *stmt, void *text)
{
	_cleanup_free_ char *sql = NULL;
	sqlite3_stmt *plan = NULL;

	/* Cascades and triggers come as comments. */
	if (!text || strncmp(text, "--", 2) == 0)
		return 0;
	if (asprintf(&sql, "EXPLAIN QUERY PLAN %s", (const char *)text) < 0)
		abort();
	if (sqlite3_prepare_v2(asked, sql, -1, &plan, NULL) != SQLITE_OK)
		return 0; /* COMMIT and the like */
	while (sqlite3_step(plan) == SQLITE_ROW) {
		const char *detail = (const char *)sqlite3_column_text(plan, 3);

		if (wanted && strstr(detail, wanted))
			wanted = NULL;
		if (walks(detail))
			fail_msg("%s\nin: %s", detail, (const char *)text);
	}
	(void)sqlite3_finalize(plan);
	seen++;
	return 0;
}

struct world {
	struct temp temp;
	struct sk_db *db;
	struct sk_conn *c;
	int64_t org, device;
};

static void run(struct world *w, const char *sql)
{
	if (sqlite3_exec(sk_sqlite_of(w->c)->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(sk_sqlite_of(w->c)->handle));
}

static void open_world(struct world *w)
{
	temp_make(&w->temp);
	w->org = w->device = 1;
	assert_int_equal(sk_sqlite_open(temp_path(&w->temp, "hub.db"), &w->db, &err), 0);
	assert_int_equal(sk_db_begin(w->db, &w->c, &err), 0);
	run(w, "INSERT INTO orgs (id, name, created_s) VALUES (1, 'acme', 1)");
	run(w, "INSERT INTO users (id, org_id, name, role, password, created_s)"
	       " VALUES (1, 1, 'a', 'owner', 'x', 1)");
	run(w, "INSERT INTO projects VALUES (1, 1, 'p', 1)");
	run(w, "INSERT INTO releases VALUES (1, 1, 1, 'dd', '1', 'ff', 1, 1, 0, 'x', '[]', '{}')");
	run(w, "INSERT INTO deployments (id, org_id, project_id, name, release_id, created_s)"
	       " VALUES (1, 1, 1, 'd', 1, 1)");
	run(w,
	    "INSERT INTO devices (id, uid, org_id, deployment_id, status, name, public_key,"
	    " compatible, peer, enrolled_s) VALUES (1, 'u', 1, 1, 'accepted', 'n', 'k', '[]', 'p', 1)");
	assert_int_equal(sk_db_commit(w->c, &err), 0);
	assert_int_equal(sqlite3_open(w->temp.path, &asked), SQLITE_OK);
	assert_int_equal(sk_db_begin(w->db, &w->c, &err), 0);
	(void)sqlite3_trace_v2(sk_sqlite_of(w->c)->handle, SQLITE_TRACE_STMT, on_statement, NULL);
	seen = 0;
}

static void close_world(struct world *w)
{
	(void)sqlite3_trace_v2(sk_sqlite_of(w->c)->handle, 0, NULL, NULL);
	sk_db_rollback(w->c);
	sk_db_close(w->db);
	assert_int_equal(sqlite3_close(asked), SQLITE_OK);
	temp_done(&w->temp);
}
#define _cleanup_world_ _cleanup_(close_world)

static void drop(json_t **j)
{
	json_decref(*j);
	*j = NULL;
}

static void a_poll(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_digest hash = { { 1 } };
	struct sk_session s;
	json_t *job = NULL;

	open_world(&w);
	assert_int_equal(w.c->sessions->set(w.c, w.device, &hash, INT64_MAX, &err), 0);
	assert_int_equal(w.c->sessions->check(w.c, &hash, 1, &s, &err), 1);
	assert_int_equal(w.c->jobs->next(w.c, w.device, NULL, &job, &err), 0);
	assert_int_equal(w.c->devices->set_seen(w.c, w.device, 5, &err), 0);
	assert_int_equal(seen, 4);
}

static void what_a_device_does_with_a_job(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_release_row row;
	struct sk_job j;
	int64_t id, n;

	open_world(&w);
	assert_int_equal(w.c->jobs->add(w.c,
					&(struct sk_job_new){ .org = 1,
							      .device = 1,
							      .kind = "release",
							      .release = 1,
							      .deployment = 1,
							      .rollout = 1,
							      .by = "x" },
					&id, &err),
			 0);
	assert_int_equal(w.c->jobs->of_device(w.c, 1, "none", &j, &err), 0);
	assert_int_equal(w.c->jobs->count_open(w.c, 1, &n, &err), 0);
	assert_int_equal(w.c->jobs->last_not_done(w.c, 1, &err), 1);
	assert_int_equal(w.c->releases->of_device(w.c, 1, "dd", &row, &err), 1);
	assert_int_equal(w.c->releases->image_of_device(w.c, 1, "none", &err), 0);
	j = (struct sk_job){ .id = id, .org = 1, .device = 1, .state = "done" };
	assert_int_equal(w.c->jobs->save(w.c, &j, NULL, true, &err), 0);
	assert_int_equal(w.c->devices->set_release(w.c, 1, "dd", "1", &err), 0);
	assert_true(seen >= 10);
}

static void what_a_device_tells(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_crl_report crl = { "00", "root", 1, NULL };
	json_t *offer = NULL;

	open_world(&w);
	assert_int_equal(w.c->reports->set_inventory(w.c, 1, "{}", &err), 0);
	assert_int_equal(w.c->reports->add_logs(w.c, 1, NULL, "web", "text", &err), 0);
	assert_int_equal(w.c->crls->offer(w.c, 1, &offer, &err), 0);
	assert_int_equal(w.c->crls->set_device(w.c, 1, 1, 1, &crl, 1, &err), 0);
	drop(&offer);
	assert_true(seen >= 7);
}

static void a_device_comes_in(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_digest hash = { { 2 } };
	struct sk_token_owner owner;
	struct sk_enrolment e;
	struct sk_device dev;
	char key[SK_PUBLIC_KEY_MAX];
	int64_t org, peer;

	open_world(&w);
	assert_int_equal(w.c->devices->find_any(w.c, "u", &dev, &err), 1);
	assert_int_equal(w.c->devices->find(w.c, 1, "u", &dev, &err), 1);
	assert_int_equal(w.c->devices->public_key(w.c, 1, key, &err), 1);
	assert_int_equal(w.c->devices->count_pending(w.c, 1, "p", &org, &peer, &err), 0);
	assert_int_equal(w.c->devices->update_enrolment(w.c, 1, "n", "[]", &err), 0);
	assert_int_equal(w.c->enrolments->use(w.c, &hash, 1, &e, &err), 0);
	assert_int_equal(w.c->tokens->check(w.c, &hash, 1, &owner, &err), 0);
	assert_int_equal(w.c->sessions->end(w.c, 1, &err), 0);
	assert_int_equal(w.c->devices->remove(w.c, &dev, &err), 0);
	assert_true(seen >= 10);
}

static void pages_of_lists(void **state)
{
	_cleanup_world_ struct world w;
	const struct sk_page up = { 0, 501 }, down = { INT64_MAX, 501 };
	const struct {
		struct sk_device_filter f;
		const char *index;
	} of_devices[] = {
		{ { 0 }, "INDEX devices_of_org (" },
		{ { .status = "pending" }, "INDEX devices_org (org_id=? AND status=?" },
		{ { .deployment = 1 }, "INDEX devices_deployment (deployment_id=?" },
	};
	const struct {
		struct sk_job_filter f;
		const char *index;
	} of_jobs[] = {
		{ { 0 }, "INDEX jobs_org (" },
		{ { .device = 1 }, "INDEX jobs_device (device_id=?" },
		{ { .deployment = 1, .rollout = 1 }, "INDEX jobs_of_rollout (deployment_id=?" },
	};
	json_t *list = NULL;

	open_world(&w);
	for (size_t i = 0; i < ARRAY_SIZE(of_devices); i++, drop(&list)) {
		wanted = of_devices[i].index;
		assert_int_equal(w.c->devices->list(w.c, 1, &of_devices[i].f, &up, &list, &err), 0);
		assert_null(wanted);
	}
	for (size_t i = 0; i < ARRAY_SIZE(of_jobs); i++, drop(&list)) {
		wanted = of_jobs[i].index;
		assert_int_equal(w.c->jobs->list(w.c, 1, &of_jobs[i].f, &down, &list, &err), 0);
		assert_null(wanted);
	}
	assert_int_equal(w.c->audit->list(w.c, 1, &down, &list, &err), 0);
	drop(&list);
	assert_int_equal(w.c->releases->list(w.c, 1, 1, &down, &list, &err), 0);
	drop(&list);
	assert_int_equal(w.c->deployments->list(w.c, 1, 0, &up, &list, &err), 0);
	drop(&list);
	assert_int_equal(w.c->enrolments->list(w.c, 1, 1, &up, &list, &err), 0);
	drop(&list);
	assert_int_equal(w.c->tokens->list(w.c, 1, 0, &up, &list, &err), 0);
	drop(&list);
	assert_int_equal(w.c->reports->list_logs(w.c, 1, NULL, NULL, &down, &list, &err), 0);
	drop(&list);
	assert_int_equal(seen, 12);
}

static void what_is_over(void **state)
{
	_cleanup_world_ struct world w;

	open_world(&w);
	for (unsigned what = 0; what < SK_EXPIRIES; what++) {
		struct sk_expiry_place place = { 0 };

		/* Jobs: only when there is one, the second statement too. */
		if (what == SK_EXPIRY_JOBS)
			run(&w,
			    "INSERT INTO jobs (org_id, device_id, kind, state, open, created_s,"
			    " updated_s, created_by) VALUES (1, 1, 'logs', 'done', 0, 1, 1, 'a')");
		assert_true(w.c->expiry->remove_some(w.c, (enum sk_expiry)what, 100, &place,
						     &err) >= 0);
	}
	assert_true(seen >= SK_EXPIRIES + 2);
}

/* That the net has no hole: a statement that does walk is caught. */
static void the_net_holds(void **state)
{
	assert_true(walks("SCAN v"));
	assert_true(walks("SCAN jobs USING INDEX jobs_org"));
	assert_true(walks("USE TEMP B-TREE FOR ORDER BY"));
	assert_true(walks("SEARCH t USING INTEGER PRIMARY KEY (rowid>?)"));
	assert_false(walks("SCAN CONSTANT ROW"));
	assert_false(walks("SEARCH v USING INTEGER PRIMARY KEY (rowid=?)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_poll),
		cmocka_unit_test(what_a_device_does_with_a_job),
		cmocka_unit_test(what_a_device_tells),
		cmocka_unit_test(a_device_comes_in),
		cmocka_unit_test(pages_of_lists),
		cmocka_unit_test(what_is_over),
		cmocka_unit_test(the_net_holds),
	};

	return cmocka_run_group_tests_name("hub/plans", tests, NULL, NULL);
}
