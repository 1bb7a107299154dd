/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "engine/api/handlers.h"
#include "io/json.h"

#define WAIT_MAX_S  300u
#define WAITERS_MAX 32u

/** A request that waits for the next step. */
struct sk_api_waiter {
	struct sk_api_waiter *next;
	struct sk_api *api;
	struct sk_http_req *req;
	sd_event_source *timer;
};

static void waiter_free(struct sk_api_waiter *w)
{
	struct sk_api_waiter **at = &w->api->waiters;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	(void)sd_event_source_disable_unref(w->timer);
	free(w);
}

static void waiter_answer(struct sk_api_waiter *w)
{
	struct sk_http_req *req = w->req;
	const struct sk_api *api = w->api;

	waiter_free(w);
	if (sk_http_reply_json(req, 200, sk_api_progress_json(api)) < 0)
		sk_debug("no memory for an answer");
}

void sk_api_progress_changed(void *arg)
{
	struct sk_api *api = arg;

	while (api->waiters)
		waiter_answer(api->waiters);
}

void sk_api_progress_done(struct sk_api *api)
{
	while (api->waiters)
		waiter_free(api->waiters);
}

static int waiter_timeout(sd_event_source *s, uint64_t usec, void *arg)
{
	waiter_answer(arg);
	return 0;
}

static void waiter_left(struct sk_http_req *req, void *arg)
{
	waiter_free(arg);
}

static size_t count_waiters(const struct sk_api *api)
{
	size_t n = 0;

	for (const struct sk_api_waiter *w = api->waiters; w; w = w->next)
		n++;
	return n;
}

static int wait_for_step(struct sk_api *api, struct sk_http_req *req, uint64_t wait_s,
			 struct sk_err *err)
{
	struct sk_api_waiter *w;
	uint64_t now = 0;
	int r;

	if (count_waiters(api) >= WAITERS_MAX)
		return sk_err_set(err, -EAGAIN, "too-many", "too many wait for the update");
	w = calloc(1, sizeof(*w));
	if (!w)
		return sk_err_oom(err);
	*w = (struct sk_api_waiter){ .next = api->waiters, .api = api, .req = req };
	api->waiters = w;
	(void)sd_event_now(api->event, CLOCK_BOOTTIME, &now);
	r = sd_event_add_time(api->event, &w->timer, CLOCK_BOOTTIME, now + wait_s * 1000000, 0,
			      waiter_timeout, w);
	if (r >= 0)
		r = sk_http_suspend(req, UINT64_MAX, waiter_left, w);
	if (r < 0) {
		waiter_free(w);
		return sk_err_oom(err);
	}
	return 0;
}

int sk_api_progress(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_api *api = arg;
	uint64_t since = 0, wait_s = 0;
	int r = sk_api_number_query(req, "since", &since, err);

	if (r < 0)
		return r;
	r = sk_api_number_query(req, "wait", &wait_s, err);
	if (r < 0)
		return r;
	if (wait_s > 0 && since == sk_update_progress(api->update)->seq)
		return wait_for_step(api, req, SK_MIN(wait_s, WAIT_MAX_S), err);
	return sk_http_reply_json(req, 200, sk_api_progress_json(api));
}
