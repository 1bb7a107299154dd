/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/domain/waiters.h"

#include <pthread.h>
#include <stdlib.h>

#define BUCKETS 16384u

struct waiter {
	struct waiter *next;
	struct sk_poll poll;
};

/*
 * The lock is held while a poll is suspended or answered, so a poll in the table is always one that
 * may be answered. Order of locks: this one, then the HTTP server's.
 */
struct sk_waiters {
	pthread_mutex_t lock;
	uint64_t epoch;
	size_t count;
	struct waiter *buckets[BUCKETS];
};

struct sk_waiters *sk_waiters_new(void)
{
	struct sk_waiters *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	(void)pthread_mutex_init(&w->lock, NULL);
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

static struct waiter **waiters_place(struct sk_waiters *w, int64_t device)
{
	struct waiter **at = &w->buckets[(uint64_t)device % BUCKETS];

	while (*at && (*at)->poll.who.device != device)
		at = &(*at)->next;
	return at;
}

static struct waiter *waiters_unlink(struct sk_waiters *w, struct waiter **at)
{
	struct waiter *x = *at;

	*at = x->next;
	w->count--;
	return x;
}

/* Takes it out of the table and answers it. */
static void waiters_end_at(struct sk_waiters *w, struct waiter **at, enum sk_poll_end why,
			   json_t *job)
{
	struct waiter *x = waiters_unlink(w, at);

	x->poll.ops->end(x->poll.poll, why, job);
	free(x);
}

static int waiters_end_device(struct sk_waiters *w, int64_t device, enum sk_poll_end why,
			      json_t *job)
{
	struct waiter **at = waiters_place(w, device);

	if (!*at)
		return 0;
	waiters_end_at(w, at, why, job);
	return 1;
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

void sk_waiters_gone(struct sk_waiters *w, int64_t device, const void *poll)
{
	struct waiter **at;

	(void)pthread_mutex_lock(&w->lock);
	at = waiters_place(w, device);
	if (*at && (*at)->poll.poll == poll)
		free(waiters_unlink(w, at));
	(void)pthread_mutex_unlock(&w->lock);
}

static int waiters_add_locked(struct sk_waiters *w, struct waiter *x, struct sk_err *err)
{
	struct waiter **at;

	(void)waiters_end_device(w, x->poll.who.device, SK_POLL_NOTHING, NULL);
	if (x->poll.ops->suspend(x->poll.poll, w) < 0)
		return sk_err_oom(err);
	at = waiters_place(w, x->poll.who.device);
	x->next = *at;
	*at = x;
	w->count++;
	return 0;
}

int sk_waiters_add(struct sk_waiters *w, const struct sk_poll *poll, uint64_t epoch,
		   struct sk_err *err)
{
	struct waiter *x = malloc(sizeof(*x));
	int r;

	if (!x)
		return sk_err_oom(err);
	*x = (struct waiter){ .poll = *poll };
	(void)pthread_mutex_lock(&w->lock);
	r = w->epoch != epoch ? 1 : waiters_add_locked(w, x, err);
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
			if (is_meant(&x->poll.who, meant))
				(*ret)[n++] = x->poll.who;
	(void)pthread_mutex_unlock(&w->lock);
	return n;
}

int sk_waiters_end(struct sk_waiters *w, int64_t device, enum sk_poll_end why, json_t *job)
{
	int found;

	(void)pthread_mutex_lock(&w->lock);
	found = waiters_end_device(w, device, why, job);
	(void)pthread_mutex_unlock(&w->lock);
	return found;
}

void sk_waiters_drop(struct sk_waiters *w, int64_t device)
{
	(void)pthread_mutex_lock(&w->lock);
	w->epoch++; /* a poll that was let in already must not start to wait */
	(void)waiters_end_device(w, device, SK_POLL_SESSION_ENDED, NULL);
	(void)pthread_mutex_unlock(&w->lock);
}

void sk_waiters_expire(struct sk_waiters *w, uint64_t now_ms)
{
	(void)pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct waiter **at = &w->buckets[i]; *at;)
			if ((*at)->poll.until_ms > now_ms)
				at = &(*at)->next;
			else
				waiters_end_at(w, at, SK_POLL_NOTHING, NULL);
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
	has = *waiters_place(w, device) != NULL;
	(void)pthread_mutex_unlock(&w->lock);
	return has;
}
