/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "engine/release/release.h"
#include "engine/update/generations.h"
#include "store/store.h"

/*
 * What generations need and the store has no more, as it was found damaged and taken out of use: the link to
 * the hub fetches it again. Of the running generation, and of those that would be gone back to.
 */
struct sk_missing;

/** @store and @gens must outlive the object. */
int sk_missing_new(struct sk_store *store, const struct sk_generations *gens,
		   struct sk_missing **ret, struct sk_err *err);
void sk_missing_free(struct sk_missing *m);
SK_DEFINE_CLEANUP(struct sk_missing, sk_missing_free);

/** sk_missing_forget() - generations or release files have changed: what is needed is read anew */
void sk_missing_forget(struct sk_missing *m);
/**
 * sk_missing_images() - calls @each for every image that is missing
 * @running: its manifest is known although its file may be damaged; NULL for none
 */
void sk_missing_images(struct sk_missing *m, const struct sk_release *running,
		       void (*each)(void *arg, const struct sk_digest *d, uint64_t size_bytes),
		       void *arg);
/** sk_missing_releases() - the same for release files */
void sk_missing_releases(const struct sk_missing *m,
			 void (*each)(void *arg, const struct sk_digest *id), void *arg);
