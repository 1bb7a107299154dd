/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/intake/kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"

#define KEPT_RECORD "kept-releases"

struct sk_kept {
	struct sk_store *store;
	char **ids;
};

static int kept_save(struct sk_kept *k, struct sk_err *err)
{
	_cleanup_free_ char *text = sk_strv_join(k->ids, "\n");

	if (!text)
		return sk_err_oom(err);
	return sk_store_put_record(k->store, KEPT_RECORD, text, strlen(text), err);
}

static int kept_load(struct sk_kept *k, struct sk_err *err)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_strv_ char **ids = NULL;
	struct sk_err why = SK_ERR_INIT;
	size_t len;
	int r = sk_store_get_record(k->store, KEPT_RECORD, &text, &len, &why);

	if (r == -ENOMEM)
		return sk_err_oom(err);
	if (r == -ENOENT)
		return 0;
	if (r < 0) {
		sk_error("releases not applied yet are forgotten: %s", why.text);
		return 0;
	}
	if (sk_strv_split(text, '\n', &ids) < 0)
		return sk_err_oom(err);
	SK_STRV_FOREACH (id, ids) {
		struct sk_digest d;

		if (sk_digest_parse(*id, &d) == 0 && sk_strv_add(&k->ids, *id) < 0)
			return sk_err_oom(err);
	}
	return 0;
}

int sk_kept_open(struct sk_store *store, struct sk_kept **ret, struct sk_err *err)
{
	_cleanup_(sk_kept_freep) struct sk_kept *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return sk_err_oom(err);
	k->store = store;
	r = kept_load(k, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(k);
	return 0;
}

void sk_kept_free(struct sk_kept *k)
{
	if (!k)
		return;
	sk_strv_free(k->ids);
	free(k);
}

char *const *sk_kept_ids(const struct sk_kept *k)
{
	return k->ids;
}

static void kept_remove(struct sk_kept *k, const char *id)
{
	size_t n = sk_strv_len(k->ids);

	for (size_t i = 0; i < n; i++) {
		if (!sk_streq(k->ids[i], id))
			continue;
		free(k->ids[i]);
		memmove(&k->ids[i], &k->ids[i + 1], (n - i) * sizeof(*k->ids));
		return;
	}
}

int sk_kept_add(struct sk_kept *k, const struct sk_digest *id, unsigned max,
		bool (*in_use)(void *arg, const struct sk_digest *id), void *arg,
		struct sk_err *err)
{
	char hex[SK_DIGEST_HEX + 1];

	sk_digest_hex(id, hex);
	kept_remove(k, hex);
	if (sk_strv_add(&k->ids, hex) < 0)
		return sk_err_oom(err);
	while (sk_strv_len(k->ids) > max) {
		struct sk_digest old;
		int r;

		if (sk_digest_parse(k->ids[0], &old) == 0 && !in_use(arg, &old)) {
			r = sk_store_del_release(k->store, &old, err);
			if (r < 0)
				return r;
		}
		kept_remove(k, k->ids[0]);
	}
	return kept_save(k, err);
}

int sk_kept_drop(struct sk_kept *k, const struct sk_digest *id, struct sk_err *err)
{
	char hex[SK_DIGEST_HEX + 1];

	sk_digest_hex(id, hex);
	if (!sk_strv_has(k->ids, hex))
		return 0;
	kept_remove(k, hex);
	return kept_save(k, err);
}
