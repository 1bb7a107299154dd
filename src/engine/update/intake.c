/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/log.h"
#include "base/str.h"
#include "engine/update/private.h"

/*
 * Releases that were verified and kept but not applied yet. Their ids stand in a record, oldest
 * first; release files that neither the record nor a generation names are collected some day.
 */
#define KEPT_RECORD "kept-releases"

/* Beside the images: what ext4 needs for them, records, and some room to breathe. */
#define SPACE_RESERVE_BYTES (UINT64_C(2) << 20)

uint64_t sk_update_free_bytes(const struct sk_update *u)
{
	struct statvfs fs;

	if (statvfs(u->store_dir, &fs) < 0)
		return 0;
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}

static int save_kept(struct sk_update *u, struct sk_err *err)
{
	_cleanup_free_ char *text = sk_strv_join(u->kept, "\n");

	if (!text)
		return sk_err_oom(err);
	return sk_store_put_record(u->store, KEPT_RECORD, text, strlen(text), err);
}

int sk_update_kept_load(struct sk_update *u, struct sk_err *err)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_strv_ char **ids = NULL;
	size_t len;
	struct sk_err why = SK_ERR_INIT;
	int r = sk_store_get_record(u->store, KEPT_RECORD, &text, &len, &why);

	if (r == -ENOMEM)
		return sk_err_oom(err);
	if (r < 0) {
		/* They can be loaded again, which is better than a device that does not start. */
		if (r != -ENOENT)
			sk_error("releases not applied yet are forgotten: %s", why.text);
		return 0;
	}
	if (sk_strv_split(text, '\n', &ids) < 0)
		return sk_err_oom(err);
	SK_STRV_FOREACH (id, ids) {
		struct sk_digest d;

		if (sk_digest_parse(*id, &d) == 0 && sk_strv_add(&u->kept, *id) < 0)
			return sk_err_oom(err);
	}
	return 0;
}

static void remove_kept(struct sk_update *u, const char *id)
{
	size_t n = sk_strv_len(u->kept);

	for (size_t i = 0; i < n; i++) {
		if (!sk_streq(u->kept[i], id))
			continue;
		free(u->kept[i]);
		memmove(&u->kept[i], &u->kept[i + 1], (n - i) * sizeof(*u->kept));
		return;
	}
}

int sk_update_kept_drop(struct sk_update *u, const struct sk_digest *id, struct sk_err *err)
{
	char hex[SK_DIGEST_HEX + 1];

	sk_digest_hex(id, hex);
	if (!sk_strv_has(u->kept, hex))
		return 0;
	remove_kept(u, hex);
	return save_kept(u, err);
}

static bool has_generation(const struct sk_update *u, const struct sk_digest *id)
{
	size_t n;
	const struct sk_generation *all = sk_generations_all(u->gens, &n);

	for (size_t i = 0; i < n; i++)
		if (all[i].state != SK_GEN_BAD && sk_digest_equal(&all[i].release, id))
			return true;
	return false;
}

/* An arrival counts as the newest, also when it was here before. */
static int note_kept(struct sk_update *u, const struct sk_digest *id, struct sk_err *err)
{
	char hex[SK_DIGEST_HEX + 1];

	sk_digest_hex(id, hex);
	remove_kept(u, hex);
	if (sk_strv_add(&u->kept, hex) < 0)
		return sk_err_oom(err);
	while (sk_strv_len(u->kept) > u->releases_max) {
		struct sk_digest old;
		int r;

		if (sk_digest_parse(u->kept[0], &old) == 0 && !has_generation(u, &old)) {
			r = sk_store_del_release(u->store, &old, err);
			if (r < 0)
				return r;
		}
		remove_kept(u, u->kept[0]);
	}
	return save_kept(u, err);
}

/* Bytes still to come for images that are not here, each digest once. */
static uint64_t missing_bytes(struct sk_update *u, const struct sk_manifest *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->n_images; i++) {
		const struct sk_image_ref *image = &m->images[i];
		bool seen = false;

		for (size_t j = 0; j < i; j++)
			seen = seen || sk_digest_equal(&m->images[j].digest, &image->digest);
		if (!seen && !sk_store_has(u->store, &image->digest))
			sum += image->size_bytes -
			       SK_MIN(image->size_bytes,
				      sk_store_part_bytes(u->store, &image->digest));
	}
	return sum;
}

static int check_space(struct sk_update *u, const struct sk_manifest *m, struct sk_err *err)
{
	uint64_t need = missing_bytes(u, m), free_bytes = sk_update_free_bytes(u);
	char need_text[32], free_text[32];

	if (need == 0 || need + SPACE_RESERVE_BYTES <= free_bytes)
		return 0;
	/* Old images may stand in the way. The room has to be there before the answer is. */
	sk_update_make_room(u);
	free_bytes = sk_update_free_bytes(u);
	if (need + SPACE_RESERVE_BYTES <= free_bytes)
		return 0;
	return sk_err_set(
		err, -ENOSPC, "no-space",
		"release %s %s needs %s for its images, and %s are free; nothing was stored",
		m->project, m->version, sk_format_size(need_text, need),
		sk_format_size(free_text, free_bytes));
}

static void forget_claims(struct sk_update *u)
{
	if (u->claimed)
		sk_map_free(u->claimed);
	u->claimed = NULL;
	sk_update_missing_stale(u);
}

/* Its file was damaged and is whole again: its generation can run. */
static void take_back(struct sk_update *u, const struct sk_digest *id)
{
	struct sk_err err = SK_ERR_INIT;
	bool any = false;
	size_t n;
	const struct sk_generation *all = sk_generations_all(u->gens, &n);

	for (size_t i = 0; i < n; i++) {
		if (!sk_digest_equal(&all[i].release, id) ||
		    !sk_generations_is_aside(u->gens, all[i].number))
			continue;
		sk_generations_set_aside(u->gens, all[i].number, false);
		any = true;
	}
	if (!any || u->state != SK_UPD_IDLE)
		return;
	if (sk_update_load_target(u, &err) < 0)
		sk_error("cannot load the running release: %s", err.text);
	else
		sk_update_reconcile(u);
}

/*
 * A generation whose release file was lost gets it back: that very manifest was verified when it came, and
 * its digest is in the record. It may return, whatever was revoked or overtaken since, as it might have stayed.
 */
static int read_again(struct sk_update *u, const void *der, size_t len, struct sk_release **ret)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	int r = sk_update_read(der, len, &rel, NULL);

	if (r == 0 && !has_generation(u, &rel->id))
		r = -ENOENT;
	if (r == 0)
		*ret = TAKE_PTR(rel);
	return r;
}

static int check(struct sk_update *u, const void *der, size_t len, struct sk_release **ret,
		 bool *ret_verified, struct sk_err *err)
{
	int r = sk_update_verify(u, der, len, ret, err);

	*ret_verified = r == 0;
	return r == 0 || r == -ENOMEM || read_again(u, der, len, ret) < 0 ? r : 0;
}

int sk_update_check(struct sk_update *u, const void *der, size_t len, struct sk_release **ret,
		    struct sk_err *err)
{
	bool verified;

	return check(u, der, len, ret, &verified, err);
}

/* One that is not verified takes the place of nothing but a lost one: a whole file keeps its signature. */
static int put(struct sk_update *u, const struct sk_digest *id, const void *der, size_t len,
	       bool verified, struct sk_err *err)
{
	if (!verified && sk_store_verify_release(u->store, id, NULL) == 0)
		return 0;
	return sk_store_put_release(u->store, id, der, len, err);
}

int sk_update_intake(struct sk_update *u, const void *der, size_t len, struct sk_release **ret,
		     struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	bool verified = false;
	int r = sk_update_trust(u, err);

	if (r == 0)
		r = check(u, der, len, &rel, &verified, err);
	if (r == 0)
		r = check_space(u, rel->manifest, err);
	if (r == 0)
		r = put(u, &rel->id, der, len, verified, err);
	if (r == 0 && !has_generation(u, &rel->id))
		r = note_kept(u, &rel->id, err);
	forget_claims(u);
	if (r < 0)
		return r;
	take_back(u, &rel->id);
	*ret = TAKE_PTR(rel);
	return 0;
}

int sk_update_claim(struct sk_map *claims, const struct sk_manifest *m)
{
	for (size_t i = 0; i < m->n_images; i++) {
		const struct sk_image_ref *image = &m->images[i];
		uint64_t *size = malloc(sizeof(*size));
		int r;

		if (!size)
			return -ENOMEM;
		*size = image->size_bytes;
		r = sk_map_add(claims, SK_DIGEST_STR(&image->digest), size);
		if (r < 0)
			free(size);
		if (r < 0 && r != -EEXIST)
			return r;
	}
	return 0;
}

struct claims {
	struct sk_update *u;
	int failure;
};

static int claim_release(void *arg, const struct sk_digest *id, uint64_t size_bytes)
{
	struct claims *c = arg;
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;

	/* One that cannot be read claims nothing; it can be loaded again. */
	if (sk_update_load(c->u, id, &rel, NULL) < 0)
		return 0;
	c->failure = sk_update_claim(c->u->claimed, rel->manifest);
	return c->failure;
}

/* All release files of the store were verified when they came. */
static int collect_claims(struct sk_update *u, struct sk_err *err)
{
	struct claims c = { .u = u };

	if (u->claimed)
		return 0;
	u->claimed = sk_map_new(free);
	if (!u->claimed)
		return sk_err_oom(err);
	(void)sk_store_list_releases(u->store, claim_release, &c);
	if (c.failure == 0)
		return 0;
	forget_claims(u);
	return sk_err_oom(err);
}

int sk_update_claimed(struct sk_update *u, const struct sk_digest *d, uint64_t *ret_size_bytes,
		      struct sk_err *err)
{
	const uint64_t *size;
	int r = collect_claims(u, err);

	if (r < 0)
		return r;
	size = sk_map_get(u->claimed, SK_DIGEST_STR(d));
	if (!size)
		return sk_err_set(err, -ENOENT, "not-found",
				  "no release here names image %s; load the release first",
				  SK_DIGEST_STR(d));
	*ret_size_bytes = *size;
	return 0;
}
