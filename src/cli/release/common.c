/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/release/common.h"

#include <errno.h>

#include "base/str.h"
#include "cli/release/bundle.h"
#include "cli/release/images.h"
#include "io/crypto/cms.h"
#include "model/release.h"

void sk_release_done(struct sk_release *r)
{
	free(r->skr);
	sk_manifest_freep(&r->manifest);
	*r = (struct sk_release){ 0 };
}

static int read_manifest(struct sk_release *rel, struct sk_err *err)
{
	_cleanup_free_ void *dtb = NULL;
	size_t len;
	int r = sk_cms_peek(rel->skr, rel->skr_len, SK_MANIFEST_SIZE_MAX, &dtb, &len, err);

	if (r == 0)
		r = sk_manifest_parse(dtb, len, &rel->manifest, NULL, err);
	if (r == 0)
		r = sk_manifest_pinned(rel->manifest, err);
	if (r == 0 && sk_digest_of(dtb, len, &rel->id) < 0)
		r = sk_err_oom(err);
	return r;
}

int sk_release_open(const char *path, struct sk_release *ret, struct sk_err *err)
{
	struct sk_release rel = { 0 };
	int r = sk_release_read(path, &rel.skr, &rel.skr_len, &rel.is_bundle, err);

	if (r < 0)
		return r;
	r = read_manifest(&rel, err);
	if (r < 0) {
		sk_release_done(&rel);
		(void)sk_err_prefix(err, "%s", path);
		return r;
	}
	*ret = rel;
	return 0;
}

json_t *sk_release_images_json(const struct sk_manifest *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->n_images; i++)
		(void)json_array_append_new(
			list, json_pack("{s:s, s:s, s:I}", "name", m->images[i].name, "digest",
					SK_DIGEST_STR(&m->images[i].digest), "size_bytes",
					(json_int_t)m->images[i].size_bytes));
	return list;
}

uint64_t sk_release_total(const struct sk_manifest *m)
{
	uint64_t total = 0;

	for (size_t i = 0; i < m->n_images; i++) {
		bool seen = false;

		for (size_t j = 0; j < i && !seen; j++)
			seen = sk_digest_equal(&m->images[j].digest, &m->images[i].digest);
		total += seen ? 0 : m->images[i].size_bytes;
	}
	return total;
}

void sk_release_progress(void *arg, uint64_t now, uint64_t total)
{
	const struct sk_progress *p = arg;

	sk_cli_progress(p->cli, p->what, now, total);
}

int sk_release_bundle(struct sk_cli *cli, const struct sk_release *rel, const char *path,
		      char *const *folders, char *const *named, struct sk_err *err)
{
	const struct sk_image_places places = { .named = named, .folders = folders };
	struct sk_progress progress = { .cli = cli, .what = "bundling" };
	_cleanup_strv_ char **files = NULL;
	struct sk_bundle_source from = { .skr = rel->skr,
					 .skr_len = rel->skr_len,
					 .manifest = rel->manifest };
	int r = sk_images_find(rel->manifest, &places, &files, err);

	if (r < 0)
		return r;
	from.files = files;
	r = sk_bundle_write(path, &from, sk_release_progress, &progress, err);
	sk_cli_progress_end(cli);
	return r;
}
