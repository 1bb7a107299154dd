/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "base/str.h"
#include "hub/db/crls.h"
#include "hub/db/devices.h"
#include "hub/db/orgs.h"
#include "hub/db/sessions.h"
#include "hub/db/sqlite/query.h"
#include "hub/db/sqlite/sqlite.h"
#include "temp.h"

static struct sk_err err;
static char issuer[] = "root", pem[] = "-----BEGIN X509 CRL-----\n";

/** A database in a write transaction that is thrown away: two organisations, a device of each. */
struct world {
	struct temp t;
	struct sk_db *db;
	struct sk_conn *c;
	int64_t org[2], device[2];
	struct sk_digest session[2];
};

static void add_side(struct world *w, int i)
{
	char name[8], uid[8];
	struct sk_device dev;

	(void)snprintf(name, sizeof(name), "org%d", i);
	(void)snprintf(uid, sizeof(uid), "u%d", i);
	assert_int_equal(w->c->orgs->add(w->c, name, &w->org[i], &err), 0);
	assert_int_equal(w->c->devices->add(w->c,
					    &(struct sk_device_new){ .org = w->org[i],
								     .uid = uid,
								     .name = "n",
								     .public_key = "k",
								     .compatible = "[]",
								     .peer = "p" },
					    &w->device[i], &err),
			 0);
	assert_int_equal(w->c->devices->find_any(w->c, uid, &dev, &err), 1);
	assert_int_equal(w->c->devices->set_status(w->c, &dev, "accepted", 0, &err), 0);
	w->session[i] = (struct sk_digest){ { (uint8_t)(i + 1) } };
	assert_int_equal(w->c->sessions->set(w->c, w->device[i], &w->session[i], 100, &err), 0);
}

static void world_make(struct world *w)
{
	temp_make(&w->t);
	assert_int_equal(sk_sqlite_open(temp_path(&w->t, "hub.db"), &w->db, &err), 0);
	assert_int_equal(sk_db_begin(w->db, &w->c, &err), 0);
	add_side(w, 0);
	add_side(w, 1);
}

static void world_done(struct world *w)
{
	sk_db_rollback(w->c);
	sk_db_close(w->db);
	temp_done(&w->t);
}
#define _cleanup_world_ _cleanup_(world_done)

/* The list @number of root @root. */
static struct sk_crl_info list(uint8_t root, int64_t number)
{
	return (struct sk_crl_info){
		.issuer = issuer,
		.issuer_id = { { root } },
		.number = number,
		.to_s = INT64_MIN,
		.digest = { { root, (uint8_t)number, (uint8_t)(number >> 8) } },
		.pem = pem,
	};
}

static int put(struct world *w, int side, struct sk_crl_info info)
{
	return w->c->crls->put(w->c, w->org[side], &info, "user:a", &err);
}

static bool is_due(struct world *w, int side)
{
	struct sk_session s;

	assert_int_equal(w->c->sessions->check(w->c, &w->session[side], 1, &s, &err), 1);
	return s.crls_due;
}

static int64_t version_of(struct world *w, int side)
{
	json_t *offer = NULL;
	int64_t version;

	assert_int_equal(w->c->crls->offer(w->c, w->org[side], &offer, &err), 0);
	version = json_integer_value(json_object_get(offer, "version"));
	json_decref(offer);
	return version;
}

static void only_newer_ones(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_crl_info five = list(1, 5), four = list(1, 4), six = list(1, 6), other = five;

	world_make(&w);
	assert_int_equal(put(&w, 0, five), 1);
	assert_int_equal(put(&w, 0, five), 0);
	assert_int_equal(put(&w, 0, four), -EBUSY);
	other.digest.bytes[9] = 1;
	assert_int_equal(put(&w, 0, other), -EBUSY);
	assert_string_equal(err.slug, "bad-state");
	assert_int_equal(put(&w, 0, six), 1);
	assert_int_equal(put(&w, 1, four),
			 1); /* another organisation's numbers are nothing to it */
	six.number = INT64_MAX;
	six.digest.bytes[9] = 2;
	assert_int_equal(put(&w, 0, six), -EINVAL); /* nothing could ever follow it */
}

static void roots_are_bounded(void **state)
{
	_cleanup_world_ struct world w;

	world_make(&w);
	for (uint8_t i = 0; i < SK_CRLS_MAX; i++)
		assert_int_equal(put(&w, 0, list(i, 1)), 1);
	assert_int_equal(put(&w, 0, list(SK_CRLS_MAX, 1)), -EAGAIN);
	assert_int_equal(put(&w, 0, list(3, 2)), 1); /* no new root */
}

static void only_its_own_devices_are_told(void **state)
{
	_cleanup_world_ struct world w;

	world_make(&w);
	assert_int_equal(w.c->crls->announce(w.c, w.org[0], &err), 0);
	assert_true(is_due(&w, 0));
	assert_false(is_due(&w, 1));
}

static void told_again_when_it_looked_at_an_older_offer(void **state)
{
	_cleanup_world_ struct world w;
	int64_t seen;

	world_make(&w);
	assert_int_equal(w.c->crls->announce(w.c, w.org[0], &err), 0);
	seen = version_of(&w, 0);
	assert_int_equal(w.c->crls->announce(w.c, w.org[0], &err), 0);
	assert_int_equal(w.c->crls->set_device(w.c, w.org[0], w.device[0], seen, NULL, 0, &err), 0);
	assert_true(is_due(&w, 0));
	assert_int_equal(
		w.c->crls->set_device(w.c, w.org[0], w.device[0], version_of(&w, 0), NULL, 0, &err),
		0);
	assert_false(is_due(&w, 0));
}

static int64_t have_it(struct world *w, int side)
{
	json_t *all = NULL;
	int64_t n;

	assert_int_equal(w->c->crls->list(w->c, w->org[side], &all, &err), 0);
	n = json_integer_value(json_object_get(json_array_get(all, 0), "devices"));
	json_decref(all);
	return n;
}

static void counts_who_has_it(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_crl_info info = list(1, 5);
	char id[SK_DIGEST_HEX + 1];
	struct sk_crl_report rep = { .issuer_id = id, .issuer = "root", .number = 4 };

	world_make(&w);
	(void)sk_digest_hex(&info.issuer_id, id);
	assert_int_equal(put(&w, 0, info), 1);
	assert_int_equal(have_it(&w, 0), 0);
	for (rep.number = 4; rep.number < 7; rep.number++) {
		assert_int_equal(
			w.c->crls->set_device(w.c, w.org[0], w.device[0], 0, &rep, 1, &err), 0);
		assert_int_equal(have_it(&w, 0), rep.number >= 5);
	}
	/* The other organisation's device has it as well: nobody here hears of that. */
	assert_int_equal(w.c->crls->set_device(w.c, w.org[1], w.device[1], 0, &rep, 1, &err), 0);
	assert_int_equal(have_it(&w, 0), 1);
	assert_int_equal(w.c->crls->set_device(w.c, w.org[0], w.device[0], 0, NULL, 0, &err), 0);
	assert_int_equal(have_it(&w, 0), 0);
}

static void another_organisation_cannot_delete_it(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_crl_info info = list(1, 5);
	char id[SK_DIGEST_HEX + 1];
	json_t *shown = NULL;

	world_make(&w);
	(void)sk_digest_hex(&info.issuer_id, id);
	assert_int_equal(put(&w, 0, info), 1);
	assert_int_equal(w.c->crls->remove(w.c, w.org[1], id, &err), 0);
	assert_int_equal(w.c->crls->show(w.c, w.org[1], id, &shown, &err), 0);
	assert_null(shown);
	assert_int_equal(w.c->crls->remove(w.c, w.org[0], id, &err), 1);
	assert_int_equal(w.c->crls->remove(w.c, w.org[0], id, &err), 0);
}

/* A full disk in any statement: a failure with its reason, and nothing of it afterwards. */
static void full_disk(void **state)
{
	_cleanup_temp_ struct temp t;
	_cleanup_(sk_db_closep) struct sk_db *db = NULL;
	struct sk_crl_info info = list(1, 1);
	_cleanup_free_ char *large = calloc(1, 400001);
	struct sk_conn *c;
	int64_t org, n = -1;

	temp_make(&t);
	memset(large, 'x', 400000);
	info.pem = large;
	assert_int_equal(sk_sqlite_open(temp_path(&t, "hub.db"), &db, &err), 0);
	assert_int_equal(sk_db_begin(db, &c, &err), 0);
	assert_int_equal(c->orgs->add(c, "acme", &org, &err), 0);
	assert_int_equal(sk_db_commit(c, &err), 0);
	assert_int_equal(sk_db_begin(db, &c, &err), 0);
	assert_int_equal(
		sqlite3_exec(sk_sqlite_of(c)->handle, "PRAGMA max_page_count=50", NULL, NULL, NULL),
		0);
	assert_true(c->crls->put(c, org, &info, "user:a", &err) < 0);
	assert_string_equal(err.slug, "no-space");
	sk_db_rollback(c);
	assert_int_equal(sk_db_begin(db, &c, &err), 0);
	assert_int_equal(sk_sql_int(c, &n, &err, "SELECT count(*) FROM crls", SK_NO_BINDS), 1);
	assert_int_equal(n, 0);
	sk_db_rollback(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_newer_ones),
		cmocka_unit_test(roots_are_bounded),
		cmocka_unit_test(only_its_own_devices_are_told),
		cmocka_unit_test(told_again_when_it_looked_at_an_older_offer),
		cmocka_unit_test(counts_who_has_it),
		cmocka_unit_test(another_organisation_cannot_delete_it),
		cmocka_unit_test(full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
