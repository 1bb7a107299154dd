/* SPDX-License-Identifier: Apache-2.0 */

/* The capsules of the engine: finding them, and what has to be kept for them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "engine/capsule/capsule.h"

static int liveliness(const struct sk_capsule *c)
{
	if (c->state >= SK_CAP_STARTING && c->state <= SK_CAP_STOPPING)
		return 2;
	return c->goal != SK_CAP_GOAL_GONE;
}

/* While a release replaces another, an app has two capsules: the one that runs is meant. */
static struct sk_capsule *find_name(struct sk_engine *e, const char *name, bool releases_only)
{
	struct sk_capsule *best = NULL;

	for (size_t i = 0; i < e->n; i++) {
		struct sk_capsule *c = e->v[i];

		if (!sk_streq(c->app.name, name) || (releases_only && c->generation == 0))
			continue;
		if (!best || liveliness(c) >= liveliness(best))
			best = c;
	}
	return best;
}

struct sk_capsule *sk_engine_app(struct sk_engine *e, const char *name)
{
	return find_name(e, name, true);
}

struct sk_capsule *sk_engine_find(struct sk_engine *e, const char *ref, struct sk_err *err)
{
	struct sk_capsule *found = find_name(e, ref, false);
	size_t len = strlen(ref), n = 0;

	if (found)
		return found;
	for (size_t i = 0; len > 0 && len <= SK_CAPSULE_ID_LEN && i < e->n; i++) {
		if (strncmp(e->v[i]->id, ref, len) != 0)
			continue;
		found = e->v[i];
		n++;
	}
	if (n == 1)
		return found;
	if (n > 1)
		(void)sk_err_set(err, -EINVAL, "bad-request",
				 "\"%.64s\" is the start of more than one capsule's id", ref);
	else
		(void)sk_err_set(err, -ENOENT, "not-found", "there is no capsule \"%.64s\"", ref);
	return NULL;
}

struct sk_capsule *sk_engine_next(struct sk_engine *e, size_t *pos)
{
	return *pos < e->n ? e->v[(*pos)++] : NULL;
}

int sk_engine_add(struct sk_engine *e, struct sk_capsule *c)
{
	struct sk_capsule **v = reallocarray(e->v, e->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	e->v = v;
	e->v[e->n++] = c;
	return 0;
}

static bool has_image(void *arg, const struct sk_digest *digest)
{
	const struct sk_engine *e = arg;

	for (size_t i = 0; i < e->n; i++)
		if (sk_digest_equal(&e->v[i]->image.digest, digest))
			return true;
	return false;
}

void sk_engine_sweep_images(struct sk_engine *e)
{
	for (size_t i = 0; i < e->kinds.n; i++) {
		struct sk_runtime *rt = &e->kinds.v[i];

		if (rt->ops->sweep)
			rt->ops->sweep(rt, has_image, e);
	}
}

/* Take @c off the list; it is freed once all of its events have reached their subscribers. */
static void forget(struct sk_capsule *c)
{
	struct sk_engine *e = c->e;

	if (c->forgotten)
		return;
	c->forgotten = true;
	for (size_t i = 0; i < e->n; i++)
		if (e->v[i] == c) {
			memmove(&e->v[i], &e->v[i + 1], (e->n - i - 1) * sizeof(*e->v));
			e->n--;
			break;
		}
	sk_engine_sweep_images(e);
	sk_engine_release(c, sk_capsule_free);
}

void sk_list_observe(struct sk_capsule *c, const struct sk_capsule_change *change)
{
	if (change->what == SK_CHANGE_MOVED && c->state == SK_CAP_GONE)
		forget(c);
}
