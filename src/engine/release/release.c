/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/release/release.h"

#include <errno.h>
#include <stdlib.h>

#include "io/crypto/cms.h"

void sk_release_free(struct sk_release *r)
{
	if (!r)
		return;
	sk_manifest_free(r->manifest);
	free(r);
}

int sk_release_parse(const void *content, size_t len, struct sk_release **ret, struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = calloc(1, sizeof(*rel));
	int r;

	if (!rel || sk_digest_of(content, len, &rel->id) < 0)
		return sk_err_oom(err);
	r = sk_manifest_parse(content, len, &rel->manifest, NULL, err);
	if (r < 0)
		return r;
	r = sk_manifest_pinned(rel->manifest, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(rel);
	return 0;
}

int sk_release_read(const void *der, size_t len, struct sk_release **ret, struct sk_err *err)
{
	_cleanup_free_ void *content = NULL;
	size_t content_len;
	int r = sk_cms_peek(der, len, SK_MANIFEST_SIZE_MAX, &content, &content_len, err);

	return r < 0 ? r : sk_release_parse(content, content_len, ret, err);
}

int sk_release_matches(const struct sk_release *rel, const struct sk_digest *id, struct sk_err *err)
{
	if (sk_digest_equal(&rel->id, id))
		return 0;
	return sk_err_set(err, -EBADMSG, "damaged", "release %s is damaged on disk; load it again",
			  SK_DIGEST_STR(id));
}

int sk_release_load(struct sk_store *store, const struct sk_digest *id, struct sk_release **ret,
		    struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	_cleanup_free_ char *der = NULL;
	size_t len;
	int r;

	r = sk_store_get_release(store, id, &der, &len, err);
	if (r < 0)
		return r;
	r = sk_release_read(der, len, &rel, err);
	if (r < 0)
		return r;
	r = sk_release_matches(rel, id, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(rel);
	return 0;
}
