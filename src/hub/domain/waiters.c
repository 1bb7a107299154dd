/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/domain/waiters.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define BUCKETS 16384u

struct waiter {
	struct waiter *next;
	struct sk_http_req *req;
	struct sk_waiting who;
	uint64_t until_ms;
};

/*
 * The lock is held while a request is suspended or answered, so a request in the table is always
 * one that may be answered. Order of locks: this one, then the HTTP server's.
 */
struct sk_waiters {
	pthread_mutex_t lock;
	int64_t (*device_of)(const struct sk_http_req *req);
	uint64_t epoch;
	size_t count;
	struct waiter *buckets[BUCKETS];
};

struct sk_waiters *sk_waiters_new(int64_t (*device_of)(const struct sk_http_req *req))
{
	struct sk_waiters *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	(void)pthread_mutex_init(&w->lock, NULL);
	w->device_of = device_of;
	return w;
}

void sk_waiters_free(struct sk_waiters *w)
{
	for (size_t i = 0; i < BUCKETS; i++)
		while (w->buckets[i]) {
			struct waiter *next = w->buckets[i]->next;

			free(w->buckets[i]);
			w->buckets[i] = next;
		}
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}

static struct waiter **place_of(struct sk_waiters *w, int64_t device)
{
	struct waiter **at = &w->buckets[(uint64_t)device % BUCKETS];

	while (*at && (*at)->who.device != device)
		at = &(*at)->next;
	return at;
}

static struct waiter *unlink_at(struct sk_waiters *w, struct waiter **at)
{
	struct waiter *x = *at;

	*at = x->next;
	w->count--;
	return x;
}

uint64_t sk_waiters_epoch(struct sk_waiters *w)
{
	uint64_t epoch;

	(void)pthread_mutex_lock(&w->lock);
	epoch = w->epoch;
	(void)pthread_mutex_unlock(&w->lock);
	return epoch;
}

void sk_waiters_touch(struct sk_waiters *w)
{
	(void)pthread_mutex_lock(&w->lock);
	w->epoch++;
	(void)pthread_mutex_unlock(&w->lock);
}

/* The peer went away. A newer poll of the same device may be in the table: that one stays. */
static void gone(struct sk_http_req *req, void *arg)
{
	struct sk_waiters *w = arg;
	struct waiter **at;

	(void)pthread_mutex_lock(&w->lock);
	at = place_of(w, w->device_of(req));
	if (*at && (*at)->req == req)
		free(unlink_at(w, at));
	(void)pthread_mutex_unlock(&w->lock);
}

static int add_locked(struct sk_waiters *w, struct waiter *x, struct sk_err *err)
{
	struct waiter **at = place_of(w, x->who.device);

	if (*at) {
		struct waiter *old = unlink_at(w, at);

		(void)sk_http_reply_empty(old->req, 204);
		free(old);
	}
	if (sk_http_suspend(x->req, UINT64_MAX, gone, w) < 0)
		return sk_err_oom(err);
	x->next = *at;
	*at = x;
	w->count++;
	return 0;
}

int sk_waiters_add(struct sk_waiters *w, struct sk_http_req *req, const struct sk_waiting *who,
		   uint64_t until_ms, uint64_t epoch, struct sk_err *err)
{
	struct waiter *x = malloc(sizeof(*x));
	int r;

	if (!x)
		return sk_err_oom(err);
	*x = (struct waiter){ NULL, req, *who, until_ms };
	(void)pthread_mutex_lock(&w->lock);
	r = w->epoch != epoch ? 1 : add_locked(w, x, err);
	(void)pthread_mutex_unlock(&w->lock);
	if (r != 0)
		free(x);
	return r;
}

static bool is_meant(const struct sk_waiting *who, const struct sk_waiting *meant)
{
	return (!meant->org || who->org == meant->org) &&
	       (!meant->deployment || who->deployment == meant->deployment) &&
	       (!meant->device || who->device == meant->device);
}

size_t sk_waiters_list(struct sk_waiters *w, const struct sk_waiting *meant,
		       struct sk_waiting **ret)
{
	size_t n = 0;

	(void)pthread_mutex_lock(&w->lock);
	*ret = calloc(w->count + 1, sizeof(**ret));
	for (size_t i = 0; *ret && i < BUCKETS; i++)
		for (const struct waiter *x = w->buckets[i]; x; x = x->next)
			if (is_meant(&x->who, meant))
				(*ret)[n++] = x->who;
	(void)pthread_mutex_unlock(&w->lock);
	return n;
}

int sk_waiters_answer(struct sk_waiters *w, int64_t device, json_t *steals)
{
	struct waiter **at;
	int found = 0;

	(void)pthread_mutex_lock(&w->lock);
	at = place_of(w, device);
	if (*at) {
		struct waiter *x = unlink_at(w, at);

		if (steals)
			(void)sk_http_reply_json(x->req, 200, json_incref(steals));
		else
			(void)sk_http_reply_empty(x->req, 204);
		free(x);
		found = 1;
	}
	(void)pthread_mutex_unlock(&w->lock);
	json_decref(steals);
	return found;
}

void sk_waiters_drop(struct sk_waiters *w, int64_t device)
{
	struct sk_err err;
	struct waiter **at;

	(void)sk_err_set(&err, -EACCES, "unauthorized", "the session has ended");
	(void)pthread_mutex_lock(&w->lock);
	w->epoch++; /* a poll that was let in already must not start to wait */
	at = place_of(w, device);
	if (*at) {
		struct waiter *x = unlink_at(w, at);

		(void)sk_http_reply_err(x->req, &err);
		free(x);
	}
	(void)pthread_mutex_unlock(&w->lock);
}

void sk_waiters_expire(struct sk_waiters *w, uint64_t now_ms)
{
	(void)pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct waiter **at = &w->buckets[i]; *at;) {
			if ((*at)->until_ms > now_ms) {
				at = &(*at)->next;
				continue;
			}
			struct waiter *x = unlink_at(w, at);

			(void)sk_http_reply_empty(x->req, 204);
			free(x);
		}
	(void)pthread_mutex_unlock(&w->lock);
}

size_t sk_waiters_count(struct sk_waiters *w)
{
	size_t n;

	(void)pthread_mutex_lock(&w->lock);
	n = w->count;
	(void)pthread_mutex_unlock(&w->lock);
	return n;
}

bool sk_waiters_has(struct sk_waiters *w, int64_t device)
{
	bool has;

	(void)pthread_mutex_lock(&w->lock);
	has = *place_of(w, device) != NULL;
	(void)pthread_mutex_unlock(&w->lock);
	return has;
}
