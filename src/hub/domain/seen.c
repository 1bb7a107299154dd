/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/domain/seen.h"

#include <pthread.h>
#include <stdlib.h>

#include "hub/db/devices.h"

#define DEVICES_MAX   (16 * 1024 * 1024) /* those beyond are simply not tracked */
#define SLOTS_MIN     1024
#define FLUSH_AT_ONCE 2000 /* who else writes waits for one batch only */

struct slot {
	int64_t device; /* 0: free */
	uint32_t at_s;
	bool dirty;
};

/*
 * A table of slots, at most seven eighths of them in use; the place of a device is where its id falls,
 * or the next free one behind it. Nothing is ever taken out: a device that was removed keeps its slot
 * until the hub starts anew. Only accepted devices get one.
 */
struct sk_seen {
	pthread_mutex_t lock;
	struct slot *slots;
	size_t size; /* a power of two, or 0 */
	size_t used;
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
	free(s->slots);
	free(s);
}

/* The slot of a device, or the free one that it would get. There is always a free one. */
static struct slot *slot_at(struct slot *slots, size_t size, int64_t device)
{
	size_t i = (size_t)device & (size - 1);

	while (slots[i].device && slots[i].device != device)
		i = (i + 1) & (size - 1);
	return &slots[i];
}

static bool grow(struct sk_seen *s)
{
	size_t size = s->size ? s->size * 2 : SLOTS_MIN;
	struct slot *slots = calloc(size, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < s->size; i++)
		if (s->slots[i].device)
			*slot_at(slots, size, s->slots[i].device) = s->slots[i];
	free(s->slots);
	s->slots = slots;
	s->size = size;
	return true;
}

/* NULL when there is no room for a device that has no slot yet. */
static struct slot *slot_for(struct sk_seen *s, int64_t device)
{
	struct slot *slot = s->size ? slot_at(s->slots, s->size, device) : NULL;

	if (slot && slot->device)
		return slot;
	if (s->used >= DEVICES_MAX || (s->used >= s->size / 8 * 7 && !grow(s)))
		return NULL;
	slot = slot_at(s->slots, s->size, device);
	slot->device = device;
	s->used++;
	return slot;
}

void sk_seen_mark(struct sk_seen *s, int64_t device, int64_t at_s)
{
	struct slot *slot;

	if (device <= 0)
		return;
	(void)pthread_mutex_lock(&s->lock);
	slot = slot_for(s, device);
	if (slot) {
		slot->dirty = slot->dirty || slot->at_s != (uint32_t)at_s;
		slot->at_s = (uint32_t)at_s;
	}
	(void)pthread_mutex_unlock(&s->lock);
}

int64_t sk_seen_get(struct sk_seen *s, int64_t device)
{
	int64_t at = 0;

	(void)pthread_mutex_lock(&s->lock);
	if (s->size)
		at = slot_at(s->slots, s->size, device)->at_s;
	(void)pthread_mutex_unlock(&s->lock);
	return at;
}

/*
 * Next changed device from *pos on, taken off the list; 0 at the end. When the table grew meanwhile, one
 * that moved to a place before *pos is left for the next flush.
 */
static int64_t take_dirty(struct sk_seen *s, size_t *pos, int64_t *ret_at_s)
{
	int64_t found = 0;

	(void)pthread_mutex_lock(&s->lock);
	for (; !found && *pos < s->size; (*pos)++)
		if (s->slots[*pos].dirty) {
			s->slots[*pos].dirty = false;
			*ret_at_s = s->slots[*pos].at_s;
			found = s->slots[*pos].device;
		}
	(void)pthread_mutex_unlock(&s->lock);
	return found;
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
