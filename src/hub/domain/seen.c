/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/domain/seen.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "hub/db/devices.h"

#define DEVICES_MAX   (16 * 1024 * 1024) /* rows beyond are simply not tracked */
#define FLUSH_AT_ONCE 2000		 /* who else writes waits for one batch only */

/* Devices' row numbers are small and dense: an array, five bytes a device. */
struct sk_seen {
	pthread_mutex_t lock;
	uint32_t *at_s;
	bool *dirty;
	size_t size;
};

struct sk_seen *sk_seen_new(void)
{
	struct sk_seen *s = calloc(1, sizeof(*s));

	if (s)
		(void)pthread_mutex_init(&s->lock, NULL);
	return s;
}

void sk_seen_free(struct sk_seen *s)
{
	(void)pthread_mutex_destroy(&s->lock);
	free(s->at_s);
	free(s->dirty);
	free(s);
}

static bool grow(struct sk_seen *s, size_t need)
{
	size_t size = SK_MAX(s->size * 2, (size_t)1024);
	uint32_t *at_s;
	bool *dirty;

	while (size <= need)
		size *= 2;
	at_s = reallocarray(s->at_s, size, sizeof(*at_s));
	if (at_s)
		s->at_s = at_s;
	dirty = reallocarray(s->dirty, size, sizeof(*dirty));
	if (dirty)
		s->dirty = dirty;
	if (!at_s || !dirty)
		return false;
	memset(s->at_s + s->size, 0, (size - s->size) * sizeof(*at_s));
	memset(s->dirty + s->size, 0, (size - s->size) * sizeof(*dirty));
	s->size = size;
	return true;
}

void sk_seen_mark(struct sk_seen *s, int64_t device, int64_t at_s)
{
	size_t i = (size_t)device;

	if (device <= 0 || device > DEVICES_MAX)
		return;
	(void)pthread_mutex_lock(&s->lock);
	if (i < s->size || grow(s, i)) {
		s->dirty[i] = s->dirty[i] || s->at_s[i] != (uint32_t)at_s;
		s->at_s[i] = (uint32_t)at_s;
	}
	(void)pthread_mutex_unlock(&s->lock);
}

int64_t sk_seen_get(struct sk_seen *s, int64_t device)
{
	int64_t at = 0;

	(void)pthread_mutex_lock(&s->lock);
	if (device > 0 && (size_t)device < s->size)
		at = s->at_s[device];
	(void)pthread_mutex_unlock(&s->lock);
	return at;
}

/* Next changed device from *pos on, taken off the list; 0 at the end. */
static int64_t take_dirty(struct sk_seen *s, size_t *pos, int64_t *ret_at_s)
{
	int64_t found = 0;

	(void)pthread_mutex_lock(&s->lock);
	for (; !found && *pos < s->size; (*pos)++)
		if (s->dirty[*pos]) {
			s->dirty[*pos] = false;
			*ret_at_s = s->at_s[*pos];
			found = (int64_t)*pos;
		}
	(void)pthread_mutex_unlock(&s->lock);
	return found;
}

void sk_seen_forget(struct sk_seen *s, int64_t device)
{
	(void)pthread_mutex_lock(&s->lock);
	if (device > 0 && (size_t)device < s->size) {
		s->at_s[device] = 0;
		s->dirty[device] = false;
	}
	(void)pthread_mutex_unlock(&s->lock);
}

/* Number written; 0 when there is nothing more to write. */
static int flush_some(struct sk_seen *s, struct sk_db *db, size_t *pos, struct sk_err *err)
{
	struct sk_conn *c = NULL;
	int64_t device, at_s = 0;
	int n = 0, r = 0;

	while (r == 0 && n < FLUSH_AT_ONCE && (device = take_dirty(s, pos, &at_s)) > 0) {
		if (!c)
			r = sk_db_begin(db, &c, err);
		if (r == 0)
			r = c->devices->set_seen(c, device, at_s, err);
		n++;
	}
	if (!c)
		return r;
	r = sk_db_end(c, r, err);
	return r < 0 ? r : n;
}

int sk_seen_flush(struct sk_seen *s, struct sk_db *db, struct sk_err *err)
{
	size_t pos = 0;
	int r, n = 0;

	while ((r = flush_some(s, db, &pos, err)) > 0)
		n += r;
	return r < 0 ? r : n;
}
