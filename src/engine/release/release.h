/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/macros.h"
#include "model/manifest.h"
#include "store/store.h"

/** struct sk_release - a release's manifest and its name; both owned */
struct sk_release {
	struct sk_digest id;
	struct sk_manifest *manifest;
};
void sk_release_free(struct sk_release *r);
SK_DEFINE_CLEANUP(struct sk_release, sk_release_free);

/** sk_release_parse() - @content: the device tree inside the signature */
int sk_release_parse(const void *content, size_t len, struct sk_release **ret, struct sk_err *err);

/** sk_release_read() - from a release file, without a look at its signature: for one whose id is known already */
int sk_release_read(const void *der, size_t len, struct sk_release **ret, struct sk_err *err);

/** sk_release_matches() - 0, or "damaged" when @rel is not what its file's name says */
int sk_release_matches(const struct sk_release *rel, const struct sk_digest *id,
		       struct sk_err *err);

/**
 * sk_release_load() - from the store
 * No signature is checked: the file was verified when it came, and must still hash to its name.
 */
int sk_release_load(struct sk_store *store, const struct sk_digest *id, struct sk_release **ret,
		    struct sk_err *err);
