/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/update/private.h"

#define WAIT_MAX_S  300u
#define WAITERS_MAX 32u

/** A request that waits for news. */
struct sk_update_waiter {
	struct sk_update_waiter *next;
	struct sk_update *u;
	struct sk_http_req *req;
	sd_event_source *timer;
};

static void unlink_waiter(struct sk_update_waiter *w)
{
	struct sk_update_waiter **at = &w->u->waiters;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	(void)sd_event_source_disable_unref(w->timer);
	free(w);
}

json_t *sk_update_news_json(const struct sk_update *u)
{
	const struct sk_update_news *n = &u->news;
	json_t *j = json_pack("{s:I, s:s, s:I}", "seq", (json_int_t)n->seq, "step", n->step,
			      "generation", (json_int_t)n->generation);

	if (j && !sk_digest_is_zero(&n->release)) {
		(void)json_object_set_new(j, "release", json_string(SK_DIGEST_STR(&n->release)));
		(void)json_object_set_new(j, "version", json_string(n->version));
	}
	if (j && n->reason[0])
		(void)json_object_set_new(j, "reason", json_string(n->reason));
	return j;
}

static void answer(struct sk_update_waiter *w)
{
	struct sk_http_req *req = w->req;
	struct sk_update *u = w->u;

	unlink_waiter(w);
	if (sk_http_reply_json(req, 200, sk_update_news_json(u)) < 0)
		sk_debug("no memory for an answer");
}

void sk_update_publish(struct sk_update *u, const char *step, const struct sk_generation *gen,
		       const char *reason)
{
	struct sk_update_news *n = &u->news;

	sk_update_missing_stale(u);
	n->step = step;
	n->seq++;
	n->generation = gen ? gen->number : 0;
	n->release = gen ? gen->release : (struct sk_digest){ 0 };
	(void)snprintf(n->version, sizeof(n->version), "%s", gen ? gen->version : "");
	(void)snprintf(n->reason, sizeof(n->reason), "%s", reason);
	while (u->waiters)
		answer(u->waiters);
}

void sk_update_publish_outcome(struct sk_update *u)
{
	const struct sk_generation *newest = NULL;
	size_t n;
	const struct sk_generation *all = sk_generations_all(u->gens, &n);

	for (size_t i = 0; i < n; i++)
		if ((all[i].state == SK_GEN_GOOD || all[i].state == SK_GEN_BAD) &&
		    (!newest || all[i].number > newest->number))
			newest = &all[i];
	if (!newest)
		sk_update_publish(u, "idle", NULL, "");
	else if (newest->state == SK_GEN_GOOD)
		sk_update_publish(u, "good", newest, "");
	else
		sk_update_publish(u, "bad", newest, newest->reason);
}

static int on_timeout(sd_event_source *s, uint64_t usec, void *arg)
{
	answer(arg);
	return 0;
}

static void on_gone(struct sk_http_req *req, void *arg)
{
	unlink_waiter(arg);
}

static size_t count_waiters(const struct sk_update *u)
{
	size_t n = 0;

	for (const struct sk_update_waiter *w = u->waiters; w; w = w->next)
		n++;
	return n;
}

static int wait_for_news(struct sk_update *u, struct sk_http_req *req, uint64_t wait_s,
			 struct sk_err *err)
{
	struct sk_update_waiter *w;
	uint64_t now = 0;
	int r;

	if (count_waiters(u) >= WAITERS_MAX)
		return sk_err_set(err, -EAGAIN, "too-many", "too many wait for the update");
	w = calloc(1, sizeof(*w));
	if (!w)
		return sk_err_oom(err);
	*w = (struct sk_update_waiter){ .next = u->waiters, .u = u, .req = req };
	u->waiters = w;
	(void)sd_event_now(u->event, CLOCK_BOOTTIME, &now);
	r = sd_event_add_time(u->event, &w->timer, CLOCK_BOOTTIME, now + wait_s * 1000000, 0,
			      on_timeout, w);
	if (r == 0)
		r = sk_http_suspend(req, UINT64_MAX, on_gone, w);
	if (r < 0) {
		unlink_waiter(w);
		return sk_err_oom(err);
	}
	return 0;
}

static int number_query(struct sk_http_req *req, const char *name, uint64_t *ret,
			struct sk_err *err)
{
	const char *s = sk_http_query(req, name);

	if (s && sk_parse_u64(s, ret) < 0)
		return sk_err_set(err, -EINVAL, "bad-request", "%s=%s is not a number", name, s);
	return 0;
}

int sk_update_route_news(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_update *u = sk_update_of(arg);
	uint64_t since = 0, wait_s = 0;
	int r = number_query(req, "since", &since, err);

	if (r == 0)
		r = number_query(req, "wait", &wait_s, err);
	if (r < 0)
		return r;
	if (wait_s > 0 && since == u->news.seq)
		return wait_for_news(u, req, SK_MIN(wait_s, WAIT_MAX_S), err);
	return sk_http_reply_json(req, 200, sk_update_news_json(u));
}

void sk_update_news_done(struct sk_update *u)
{
	/* The server is gone by now, and its requests with it. */
	while (u->waiters)
		unlink_waiter(u->waiters);
}
