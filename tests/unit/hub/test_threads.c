/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "hub/auth/login.h"
#include "hub/core/hub.h"
#include "hub/db/devices.h"
#include "hub/db/orgs.h"
#include "hub/db/sessions.h"
#include "hub/domain/secret.h"
#include "hub/request/call.h"
#include "hub/routes.h"
#include "io/http/client.h"
#include "io/json.h"
#include "temp.h"

/*
 * What the hub's threads share, used by several at once. What is asserted are counts that a lost update
 * makes wrong; the test's other half is ThreadSanitizer (tools/tsan), which sees an access without its
 * lock whether it went wrong or not.
 */
#define THREADS 4
#define TIMES	400
#define DEVICES 8

static struct sk_err err;

struct world {
	struct temp temp;
	struct sk_hub *hub;
	int64_t device[DEVICES];
	char token[DEVICES][SK_SECRET_MAX];
	atomic_uint next; /* number of the thread that starts */
	atomic_uint suspended, ended, bad;
};

static void add_device(struct world *w, struct sk_conn *c, int64_t org, unsigned i)
{
	char uid[SK_DIGEST_HEX + 1];
	struct sk_digest hash;
	struct sk_device_new n = { .org = org,
				   .uid = uid,
				   .name = "n",
				   .public_key = "k",
				   .compatible = "[]",
				   .peer = "p" };

	(void)snprintf(uid, sizeof(uid), "%064u", i);
	assert_int_equal(c->devices->add(c, &n, &w->device[i], &err), 0);
	assert_int_equal(
		c->devices->set_status(c, &(struct sk_device){ .id = w->device[i], .org = org },
				       "accepted", 0, &err),
		0);
	assert_int_equal(sk_secret_new("skd_", w->token[i], &hash, &err), 0);
	assert_int_equal(c->sessions->set(c, w->device[i], &hash, sk_wall_s() + 3600, &err), 0);
}

static void start(struct world *w)
{
	struct sk_hub_config config;
	struct sk_conn *c;
	int64_t org;

	memset(w, 0, sizeof(*w));
	temp_make(&w->temp);
	sk_hub_config_defaults(&config);
	(void)snprintf(config.data, sizeof(config.data), "%s/data", w->temp.dir);
	assert_int_equal(sk_hub_new(&config, &w->hub, &err), 0);
	assert_int_equal(sk_db_begin(w->hub->db, &c, &err), 0);
	assert_int_equal(c->orgs->add(c, "acme", &org, &err), 0);
	for (unsigned i = 0; i < DEVICES; i++)
		add_device(w, c, org, i);
	assert_int_equal(sk_db_commit(c, &err), 0);
	assert_int_equal(sk_hub_start(w->hub, &err), 0);
}

static void stop(struct world *w)
{
	sk_hub_free(w->hub);
	temp_done(&w->temp);
}
#define _cleanup_world_ _cleanup_(stop)

static void run_threads(struct world *w, void *(*fn)(void *))
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fn, w), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(w->bad, 0);
}

/* --- polls --- */

static int suspend(void *poll, struct sk_waiters *waiters)
{
	atomic_fetch_add(&((struct world *)poll)->suspended, 1);
	return 0;
}

static void end(void *poll, enum sk_poll_end why, json_t *job)
{
	atomic_fetch_add(&((struct world *)poll)->ended, 1);
}

static const struct sk_poll_ops polls = { .suspend = suspend, .end = end };

static void poll_once(struct world *w, int64_t device)
{
	uint64_t epoch = sk_waiters_epoch(w->hub->waiters);
	struct sk_err e;

	if (sk_waiters_add(w->hub->waiters,
			   &(struct sk_poll){ &polls, w, { 1, 1, device }, UINT64_MAX }, epoch,
			   &e) < 0)
		w->bad++;
}

static void *poll_and_wake(void *arg)
{
	struct world *w = arg;
	unsigned me = w->next++;

	for (unsigned i = 0; i < TIMES; i++) {
		int64_t device = w->device[(i + me) % DEVICES];

		poll_once(w, device);
		(void)sk_waiters_has(w->hub->waiters, device);
		switch ((i + me) % 5) {
		case 0:
			sk_waiters_drop(w->hub->waiters, device);
			break;
		case 1:
			sk_waiters_touch(w->hub->waiters);
			break;
		case 2:
			(void)sk_waiters_end(w->hub->waiters, device, SK_POLL_NOTHING, NULL);
			break;
		case 3:
			sk_hub_wake(w->hub, 0, device);
			break;
		default:
			sk_hub_wake_crls(w->hub, 1);
			break;
		}
	}
	return NULL;
}

/* Each poll that was suspended ends exactly once. */
static void every_poll_ends_once(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	run_threads(&w, poll_and_wake);
	sk_waiters_expire(w.hub->waiters, UINT64_MAX);
	assert_true(w.suspended > 0);
	assert_int_equal(w.suspended, w.ended);
	assert_int_equal(sk_waiters_count(w.hub->waiters), 0);
}

/* --- what is counted and remembered --- */

static void *count_and_remember(void *arg)
{
	struct world *w = arg;
	unsigned me = w->next++;
	char challenge[SK_CHALLENGE_MAX], key[32];
	struct sk_err e;

	for (unsigned i = 0; i < TIMES; i++) {
		struct sk_audit a = { 1, "user:a", "x", NULL, NULL, "forbidden", 0 };

		(void)snprintf(key, sizeof(key), "%u/%u", me, i);
		(void)sk_limiter_hit(w->hub->logins, "all", 1);
		(void)sk_limiter_hit(w->hub->logins, key, 1);
		sk_seen_mark(w->hub->seen, w->device[i % DEVICES] + (int64_t)i * THREADS + me,
			     i + 1);
		(void)sk_seen_get(w->hub->seen, i);
		(void)sk_refusals_hit(w->hub->refusals, &a, 1);
		if (sk_challenge_new(w->hub->challenges, i, challenge, &e) < 0 ||
		    sk_challenge_use(w->hub->challenges, challenge, i, &e) < 0 ||
		    sk_challenge_use(w->hub->challenges, challenge, i, &e) == 0)
			w->bad++;
		if (i % 100 == 0 && (sk_seen_flush(w->hub->seen, w->hub->db, &e) < 0 ||
				     sk_refusals_flush(w->hub->refusals, w->hub->db, 1, &e) < 0))
			w->bad++;
	}
	return NULL;
}

static void nothing_is_counted_twice_or_lost(void **state)
{
	_cleanup_world_ struct world w;

	start(&w);
	run_threads(&w, count_and_remember);
	assert_int_equal(sk_limiter_count(w.hub->logins, "all", 1), THREADS * TIMES);
}

/* --- requests --- */

static json_t *ask(struct sk_http_client *c, const char *method, const char *path, long *ret_status)
{
	_cleanup_http_call_ struct sk_http_call call = SK_HTTP_CALL(.method = method, .path = path);
	struct sk_err e = SK_ERR_INIT;

	(void)sk_http_call(c, &call, &e);
	*ret_status = call.status;
	return call.answer.len ? json_loadb(call.answer.data, call.answer.len, 0, NULL) : NULL;
}

static struct sk_http_client *client(struct world *w, unsigned device)
{
	struct sk_http_client *c = NULL;
	struct sk_err e;
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/sock", w->temp.dir);
	if (sk_http_client_new(&(struct sk_http_client_config){ .base_url = "http://skerry",
								.unix_socket = path },
			       &c, &e) < 0 ||
	    sk_http_client_set_bearer(c, w->token[device]) < 0)
		abort();
	return c;
}

/* A device that polls, reports and fetches what it may not, while others have its polls woken. */
static void *be_devices(void *arg)
{
	struct world *w = arg;
	unsigned me = w->next++;
	_cleanup_(sk_http_client_freep) struct sk_http_client *c = client(w, me % DEVICES);

	for (unsigned i = 0; i < TIMES / 20; i++) {
		static const struct {
			const char *method, *path;
			long status;
		} calls[] = {
			{ "GET", "/device/v1/work", 204 },
			{ "GET", "/device/v1/crls", 200 },
			{ "GET", "/device/v1/images/00", 404 },
			{ "GET", "/device/v1/work?wait=1", 204 },
			{ "GET", "/api/v1/me", 401 },
		};
		size_t n = (i + me) % ARRAY_SIZE(calls);
		long status;

		if (i % 3 == 0)
			sk_hub_wake(w->hub, 0, 0);
		if (i % 3 == 1)
			(void)sk_waiters_end(w->hub->waiters, w->device[(me + 1) % THREADS],
					     SK_POLL_NOTHING, NULL);
		json_decref(ask(c, calls[n].method, calls[n].path, &status));
		if (status != calls[n].status)
			w->bad++;
	}
	return NULL;
}

static void devices_all_at_once(void **state)
{
	_cleanup_world_ struct world w;
	struct sk_http_config http = { .threads = THREADS,
				       .connections_max = 16,
				       .authorize = sk_hub_authorize,
				       .go_on = sk_hub_go_on };
	struct sk_http *server = NULL;

	start(&w);
	http.arg = w.hub;
	assert_int_equal(sk_http_listen_unix(temp_path(&w.temp, "sock"), 0600, (gid_t)-1,
					     &http.listen_fd, &err),
			 0);
	assert_int_equal(sk_http_new(&http, sk_hub_routes, sk_hub_n_routes, &server, &err), 0);
	run_threads(&w, be_devices);
	sk_http_free(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_poll_ends_once),
		cmocka_unit_test(nothing_is_counted_twice_or_lost),
		cmocka_unit_test(devices_all_at_once),
	};

	return cmocka_run_group_tests_name("hub/threads", tests, NULL, NULL);
}
