/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "engine/update/private.h"

void sk_release_free(struct sk_release *r)
{
	if (!r)
		return;
	sk_manifest_free(r->manifest);
	free(r);
}

/* @content: the device tree inside the signature. */
static int parse(const void *content, size_t len, struct sk_release **ret, struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = calloc(1, sizeof(*rel));
	int r;

	if (!rel || sk_digest_of(content, len, &rel->id) < 0)
		return sk_err_oom(err);
	r = sk_manifest_parse(content, len, &rel->manifest, NULL, err);
	if (r == 0)
		r = sk_manifest_pinned(rel->manifest, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(rel);
	return 0;
}

int sk_update_read(const void *der, size_t len, struct sk_release **ret, struct sk_err *err)
{
	_cleanup_free_ void *content = NULL;
	size_t content_len;
	int r = sk_cms_peek(der, len, SK_MANIFEST_SIZE_MAX, &content, &content_len, err);

	return r < 0 ? r : parse(content, content_len, ret, err);
}

int sk_update_verify(struct sk_update *u, const void *der, size_t len, struct sk_release **ret,
		     struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	_cleanup_free_ void *content = NULL;
	_cleanup_free_ char *signer = NULL;
	struct sk_device_facts facts;
	size_t content_len;
	int r;

	if (!u->trust)
		return sk_err_set(err, -ENOENT, "not-found", "no roots of trust were read");
	sk_update_facts(u, &facts);
	r = sk_cms_verify(der, len, SK_MANIFEST_SIZE_MAX, u->trust, facts.now_s, &content,
			  &content_len, &signer, err);
	if (r < 0)
		return r;
	r = parse(content, content_len, &rel, err);
	if (r == 0)
		r = sk_release_suits(rel->manifest, &facts, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(rel);
	return 0;
}

int sk_update_load(struct sk_update *u, const struct sk_digest *id, struct sk_release **ret,
		   struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	_cleanup_free_ char *der = NULL;
	size_t len;
	int r;

	r = sk_store_get_release(u->store, id, &der, &len, err);
	if (r == 0)
		r = sk_update_read(der, len, &rel, err);
	if (r < 0)
		return r;
	if (!sk_digest_equal(&rel->id, id))
		return sk_err_set(err, -EBADMSG, "damaged",
				  "release %s is damaged on disk; load it again",
				  SK_DIGEST_STR(id));
	*ret = TAKE_PTR(rel);
	return 0;
}

int sk_update_recheck(struct sk_update *u, const struct sk_digest *id, struct sk_release **ret,
		      struct sk_err *err)
{
	_cleanup_(sk_release_freep) struct sk_release *rel = NULL;
	_cleanup_free_ char *der = NULL;
	size_t len;
	int r;

	r = sk_update_trust(u, err);
	if (r == 0)
		r = sk_store_get_release(u->store, id, &der, &len, err);
	if (r == 0)
		r = sk_update_verify(u, der, len, &rel, err);
	if (r < 0)
		return r;
	if (!sk_digest_equal(&rel->id, id))
		return sk_err_set(err, -EBADMSG, "damaged",
				  "release %s is damaged on disk; load it again",
				  SK_DIGEST_STR(id));
	*ret = TAKE_PTR(rel);
	return 0;
}
