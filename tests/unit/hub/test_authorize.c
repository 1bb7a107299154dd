/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "hub/auth/principal.h"
#include "hub/db/audit.h"
#include "hub/db/devices.h"
#include "hub/db/orgs.h"
#include "hub/db/sessions.h"
#include "hub/db/tokens.h"
#include "hub/db/users.h"
#include "hub/domain/secret.h"
#include "temp.h"

/* Who may make a request, and whether a transfer under way may go on. The request is the test's own. */
static struct sk_err err;

static struct {
	char authorization[SK_SECRET_MAX + 16];
	struct sk_principal *user;
	void (*free_user)(void *user);
	int asked_to_log_in;
} req;
#define REQ ((struct sk_http_req *)&req)

const char *__wrap_sk_http_header(struct sk_http_req *r, const char *name);
const char *__wrap_sk_http_header(struct sk_http_req *r, const char *name)
{
	assert_string_equal(name, "Authorization");
	return req.authorization[0] ? req.authorization : NULL;
}

int __wrap_sk_http_add_header(struct sk_http_req *r, const char *name, const char *value);
int __wrap_sk_http_add_header(struct sk_http_req *r, const char *name, const char *value)
{
	req.asked_to_log_in += sk_streq(name, "WWW-Authenticate") && sk_streq(value, "Bearer");
	return 0;
}

void __wrap_sk_http_set_user(struct sk_http_req *r, void *user, void (*free_user)(void *));
void __wrap_sk_http_set_user(struct sk_http_req *r, void *user, void (*free_user)(void *))
{
	req.user = user;
	req.free_user = free_user;
}

void *__wrap_sk_http_user(const struct sk_http_req *r);
void *__wrap_sk_http_user(const struct sk_http_req *r)
{
	return req.user;
}

const char *__wrap_sk_http_method(const struct sk_http_req *r);
const char *__wrap_sk_http_method(const struct sk_http_req *r)
{
	return "POST";
}

const char *__wrap_sk_http_path(const struct sk_http_req *r);
const char *__wrap_sk_http_path(const struct sk_http_req *r)
{
	return "/a\x1b[2J";
}

const char *__wrap_sk_http_peer(struct sk_http_req *r);
const char *__wrap_sk_http_peer(struct sk_http_req *r)
{
	return "192.0.2.1";
}

struct world {
	struct temp temp;
	struct sk_hub *hub;
	int64_t org, device;
	char owner[SK_SECRET_MAX], viewer[SK_SECRET_MAX], newcomer[SK_SECRET_MAX],
		session[SK_SECRET_MAX];
	struct sk_digest session_hash;
};

static void add_user(struct world *w, struct sk_conn *c, const char *name, const char *role,
		     bool temporary, char token[static SK_SECRET_MAX])
{
	struct sk_digest hash;
	struct sk_user u;

	assert_int_equal(sk_secret_new("sku_", token, &hash, &err), 0);
	assert_int_equal(c->users->add(c, w->org, name, role, "hash", temporary, &err), 0);
	assert_int_equal(c->users->find(c, w->org, name, &u, &err), 1);
	assert_int_equal(c->tokens->add(c, w->org, u.id, "login", "login", &hash, sk_wall_s() + 900,
					NULL, &err),
			 0);
}

static void add_device(struct world *w, struct sk_conn *c)
{
	struct sk_device dev;

	assert_int_equal(c->devices->add(c,
					 &(struct sk_device_new){ .org = w->org,
								  .uid = "u",
								  .name = "n",
								  .public_key = "k",
								  .compatible = "[]",
								  .peer = "p" },
					 &w->device, &err),
			 0);
	assert_int_equal(c->devices->find_any(c, "u", &dev, &err), 1);
	assert_int_equal(c->devices->set_status(c, &dev, "accepted", 0, &err), 0);
	assert_int_equal(sk_secret_new("skd_", w->session, &w->session_hash, &err), 0);
	assert_int_equal(c->sessions->set(c, w->device, &w->session_hash, sk_wall_s() + 900, &err),
			 0);
}

static void start(struct world *w)
{
	struct sk_hub_config config;
	struct sk_conn *c;

	memset(w, 0, sizeof(*w));
	memset(&req, 0, sizeof(req));
	temp_make(&w->temp);
	sk_hub_config_defaults(&config);
	(void)snprintf(config.data, sizeof(config.data), "%s", w->temp.dir);
	assert_int_equal(sk_hub_new(&config, &w->hub, &err), 0);
	assert_int_equal(sk_db_begin(w->hub->db, &c, &err), 0);
	assert_int_equal(c->orgs->add(c, "acme", &w->org, &err), 0);
	add_user(w, c, "olga", "owner", false, w->owner);
	add_user(w, c, "vera", "user", false, w->viewer);
	add_user(w, c, "nils", "owner", true, w->newcomer);
	add_device(w, c);
	assert_int_equal(sk_db_commit(c, &err), 0);
}

static void drop_user(void)
{
	if (req.user)
		req.free_user(req.user);
	req.user = NULL;
}

static void stop(struct world *w)
{
	drop_user();
	sk_hub_free(w->hub);
	temp_done(&w->temp);
}
#define _cleanup_world_ _cleanup_(stop)

static int authorize(struct world *w, const char *token, unsigned flags)
{
	drop_user();
	req.asked_to_log_in = 0;
	(void)snprintf(req.authorization, sizeof(req.authorization), "Bearer %s", token);
	return sk_hub_authorize(REQ, flags, w->hub, &err);
}

static void refused(struct world *w, const char *token, unsigned flags)
{
	assert_int_equal(authorize(w, token, flags), -EACCES);
	assert_string_equal(err.slug, "unauthorized");
	assert_int_equal(req.asked_to_log_in, 1);
	assert_null(req.user);
}

static void who_has_no_token_is_asked_to_log_in(void **state)
{
	_cleanup_world_ struct world w;
	char unknown[SK_SECRET_MAX];
	struct sk_digest hash;

	start(&w);
	assert_int_equal(sk_hub_authorize(REQ, SK_HUB_PUBLIC, w.hub, &err), 0);
	assert_int_equal(sk_hub_authorize(REQ, 0, w.hub, &err), -EACCES);
	assert_int_equal(req.asked_to_log_in, 1);
	refused(&w, "", 0);
	refused(&w, "no token", 0);
	assert_int_equal(sk_secret_new("sku_", unknown, &hash, &err), 0);
	refused(&w, unknown, 0);
	refused(&w, unknown, SK_HUB_DEVICE);
	(void)snprintf(req.authorization, sizeof(req.authorization), "Basics %s", w.owner);
	assert_int_equal(sk_hub_authorize(REQ, 0, w.hub, &err), -EACCES);
}

static void a_user_is_known_by_the_token(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	assert_int_equal(authorize(&w, w.owner, SK_HUB_OWNER), 0);
	assert_string_equal(req.user->name, "olga");
	assert_true(req.user->org == w.org && req.user->user > 0 && req.user->token > 0);
	assert_true(req.user->owner);
	assert_false(req.user->is_device);
	assert_true(sk_principal_device(REQ) == 0);
	assert_int_equal(authorize(&w, w.viewer, 0), 0);
	assert_string_equal(req.user->name, "vera");
	assert_false(req.user->owner);
	refused(&w, w.owner, SK_HUB_DEVICE);
}

static void a_device_is_known_by_its_session_and_seen(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	refused(&w, w.session, 0);
	assert_true(sk_seen_get(w.hub->seen, w.device) == 0);
	assert_int_equal(authorize(&w, w.session, SK_HUB_DEVICE), 0);
	assert_true(req.user->is_device && req.user->org == w.org);
	assert_true(sk_principal_device(REQ) == w.device);
	assert_true(sk_seen_get(w.hub->seen, w.device) > 0);
}

static json_t *audit_of(struct world *w)
{
	struct sk_conn *c;
	json_t *list = NULL;

	assert_int_equal(sk_db_read(w->hub->db, &c, &err), 0);
	assert_int_equal(c->audit->list(c, w->org, &(struct sk_page){ INT32_MAX, 10 }, &list, &err),
			 0);
	return list;
}

static void what_a_user_may_not_do_is_refused_and_on_record(void **state)
{
	_cleanup_world_ struct world w;
	json_t *audit, *line;

	start(&w);
	assert_int_equal(authorize(&w, w.viewer, SK_HUB_OWNER), -EPERM);
	assert_string_equal(err.slug, "forbidden");
	assert_null(req.user);
	assert_int_equal(req.asked_to_log_in, 0);
	audit = audit_of(&w);
	assert_int_equal(json_array_size(audit), 1);
	line = json_array_get(audit, 0);
	assert_string_equal(json_string_value(json_object_get(line, "actor")), "user:vera");
	assert_string_equal(json_string_value(json_object_get(line, "action")), "request");
	assert_string_equal(json_string_value(json_object_get(line, "object")), "POST /a [2J");
	assert_string_equal(json_string_value(json_object_get(line, "outcome")), "forbidden");
	json_decref(audit);
	/* Nobody's token: nobody's record. */
	refused(&w, w.session, 0);
	audit = audit_of(&w);
	assert_int_equal(json_array_size(audit), 1);
	json_decref(audit);
}

static void a_first_password_is_good_for_another_only(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	assert_int_equal(authorize(&w, w.newcomer, 0), -EPERM);
	assert_string_equal(err.slug, "forbidden");
	assert_int_equal(authorize(&w, w.newcomer, SK_HUB_TEMPORARY), 0);
}

static int recheck(struct world *w)
{
	struct sk_conn *c;

	assert_int_equal(sk_db_read(w->hub->db, &c, &err), 0);
	return sk_hub_recheck(REQ, c, req.user, &err);
}

static void change(struct world *w, const char *what)
{
	struct sk_conn *c;
	struct sk_device dev;

	assert_int_equal(sk_db_begin(w->hub->db, &c, &err), 0);
	if (sk_streq(what, "role"))
		assert_int_equal(c->users->set_role(c, w->org, "olga", "user", &err), 1);
	else if (sk_streq(what, "user"))
		assert_int_equal(c->users->remove(c, w->org, "olga", &err), 1);
	else if (sk_streq(what, "session"))
		assert_int_equal(c->sessions->end(c, w->device, &err), 1);
	else if (c->devices->get(c, w->org, w->device, &dev, &err) == 1)
		assert_int_equal(c->devices->set_status(c, &dev, what, 0, &err), 0);
	else
		fail();
	assert_int_equal(sk_db_commit(c, &err), 0);
}

static void what_changed_during_the_body_counts(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	assert_int_equal(authorize(&w, w.owner, SK_HUB_OWNER), 0);
	assert_int_equal(recheck(&w), 0);
	change(&w, "role");
	assert_int_equal(recheck(&w), -EPERM);
	change(&w, "user");
	assert_int_equal(recheck(&w), -EACCES);
	assert_int_equal(authorize(&w, w.session, SK_HUB_DEVICE), 0);
	assert_int_equal(recheck(&w), 0);
	change(&w, "blocked");
	assert_int_equal(recheck(&w), -EACCES);
}

static bool goes_on(struct world *w)
{
	return sk_hub_go_on(REQ, w->hub);
}

static void a_users_transfer_ends_with_the_right_to_it(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	assert_true(goes_on(&w)); /* nobody's: it never needed a right */
	assert_int_equal(authorize(&w, w.owner, SK_HUB_OWNER), 0);
	assert_true(goes_on(&w));
	change(&w, "role");
	assert_true(goes_on(&w)); /* not looked at again until somebody's rights may have ended */
	atomic_fetch_add(&w.hub->rights, 1);
	assert_false(goes_on(&w));
}

static void a_transfer_is_looked_at_again_in_time(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	assert_int_equal(authorize(&w, w.owner, SK_HUB_OWNER), 0);
	assert_true(goes_on(&w));
	change(&w, "user");
	assert_true(req.user->checked_ms > 0);
	req.user->checked_ms = sk_mono_ms() > 60000 ? sk_mono_ms() - 60000 : 1;
	assert_int_equal(goes_on(&w), sk_mono_ms() < 10000);
}

static void a_devices_transfer_goes_on_while_it_is_accepted(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	assert_int_equal(authorize(&w, w.session, SK_HUB_DEVICE), 0);
	change(&w, "session"); /* it may have another by now */
	assert_true(goes_on(&w));
	change(&w, "blocked");
	atomic_fetch_add(&w.hub->rights, 1);
	assert_false(goes_on(&w));
}

static int freed;
static void count_free(void *data)
{
	freed++;
}

static void what_a_route_keeps_goes_with_the_request(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	freed = 0;
	assert_int_equal(authorize(&w, w.owner, 0), 0);
	sk_principal_set_data(req.user, &w, count_free);
	sk_principal_set_data(req.user, &freed, count_free);
	assert_int_equal(freed, 1);
	assert_ptr_equal(req.user->data, &freed);
	drop_user();
	assert_int_equal(freed, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_has_no_token_is_asked_to_log_in),
		cmocka_unit_test(a_user_is_known_by_the_token),
		cmocka_unit_test(a_device_is_known_by_its_session_and_seen),
		cmocka_unit_test(what_a_user_may_not_do_is_refused_and_on_record),
		cmocka_unit_test(a_first_password_is_good_for_another_only),
		cmocka_unit_test(what_changed_during_the_body_counts),
		cmocka_unit_test(a_users_transfer_ends_with_the_right_to_it),
		cmocka_unit_test(a_transfer_is_looked_at_again_in_time),
		cmocka_unit_test(a_devices_transfer_goes_on_while_it_is_accepted),
		cmocka_unit_test(what_a_route_keeps_goes_with_the_request),
	};

	return cmocka_run_group_tests_name("hub/authorize", tests, NULL, NULL);
}
