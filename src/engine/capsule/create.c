/* SPDX-License-Identifier: Apache-2.0 */

/* A new capsule: checked, copied, on record. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/str.h"
#include "engine/capsule/app.h"
#include "engine/capsule/capsule.h"

static int capsule_free_slot(const struct sk_engine *e, unsigned *ret)
{
	for (unsigned s = 0; s < SK_CAPSULES_MAX; s++) {
		bool used = false;

		for (size_t i = 0; !used && i < e->n; i++)
			used = e->v[i]->slot == s;
		if (!used) {
			*ret = s;
			return 0;
		}
	}
	return -ENOSPC;
}

/* @c: has the name already */
static int name_taken(const struct sk_capsule *c, const struct sk_capsule_spec *spec,
		      struct sk_err *err)
{
	if (spec->generation && !c->generation)
		return sk_err_set(err, -EEXIST, "already-exists",
				  "the release's app \"%s\" has the name of a container that was "
				  "made on this device (%.12s); remove that one: docker rm -f %s",
				  c->app.name, c->id, c->app.name);
	return sk_err_set(err, -EEXIST, "already-exists", "there is a capsule \"%s\" already",
			  c->app.name);
}

static int check_spec(struct sk_engine *e, const struct sk_capsule_spec *spec, struct sk_err *err)
{
	const char *name = spec->app->name;
	int r;

	if (!name || !sk_name_ok(name))
		return sk_err_set(err, -EINVAL, "bad-name", "\"%.64s\" cannot name a capsule",
				  name ? name : "");
	r = sk_runtimes_find(&e->kinds, spec->app, NULL, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < e->n; i++) {
		const struct sk_capsule *c = e->v[i];
		bool both = c->generation && spec->generation && c->generation != spec->generation;

		if (sk_streq(c->app.name, name) && !both)
			return name_taken(c, spec, err);
	}
	if (!sk_store_has(e->store, &spec->image))
		return sk_err_set(err, -ENOENT, "not-found", "%s: its image %s is not in the store",
				  name, SK_DIGEST_STR(&spec->image));
	return 0;
}

static int make_id(char id[static SK_CAPSULE_ID_LEN + 1])
{
	struct sk_digest d;

	if (getrandom(d.bytes, sizeof(d.bytes), 0) != sizeof(d.bytes))
		return -errno;
	(void)sk_digest_hex(&d, id);
	return 0;
}

static int copy_spec(struct sk_capsule *c, const struct sk_capsule_spec *spec, struct sk_err *err)
{
	json_t *app = sk_app_to_json(spec->app);
	int r;

	if (!app)
		return sk_err_set(err, -EINVAL, "bad-value", "%s: its texts are not UTF-8",
				  spec->app->name);
	r = sk_app_from_json(app, &c->app, err);
	json_decref(app);
	if (r < 0)
		return r;
	c->image.name = strdup(spec->image_name ? spec->image_name : "");
	c->image.digest = spec->image;
	c->image.pinned = true;
	c->app.image = &c->image;
	c->labels = spec->labels ? sk_strv_copy(spec->labels) : NULL;
	c->generation = spec->generation;
	c->tty = spec->tty;
	c->open_stdin = spec->open_stdin;
	c->auto_remove = spec->auto_remove;
	c->created_s = sk_wall_s();
	return c->image.name && (c->labels || !spec->labels || !*spec->labels) ? 0
									       : sk_err_oom(err);
}

int sk_engine_create(struct sk_engine *e, const struct sk_capsule_spec *spec,
		     struct sk_capsule **ret, struct sk_err *err)
{
	struct sk_capsule *c;
	int r = check_spec(e, spec, err);

	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return sk_err_oom(err);
	c->e = e;
	c->after = SK_CAP_EV_CLEANED;
	r = copy_spec(c, spec, err);
	if (r == 0 && capsule_free_slot(e, &c->slot) < 0)
		r = sk_err_set(err, -ENOSPC, "too-many", "there are %d capsules already",
			       SK_CAPSULES_MAX);
	if (r == 0 && make_id(c->id) < 0)
		r = sk_err_set(err, -EIO, "io", "no random numbers");
	r = r ?: sk_capsule_open(c, err);
	if (r == 0 && sk_engine_add(e, c) < 0)
		r = sk_err_oom(err);
	if (r < 0) {
		sk_capsule_free(c);
		return r;
	}
	sk_log_remove(c->log_path);
	sk_record_save(c);
	sk_engine_emit(c, "create");
	*ret = c;
	return 0;
}
