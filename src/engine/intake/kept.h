/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/macros.h"
#include "store/store.h"

/*
 * The releases that were verified and kept but not applied yet: a record of their ids, oldest first. Of their
 * files, those that neither the record nor a generation names are removed by the next collection.
 */
struct sk_kept;

/** sk_kept_open() - a damaged record costs the releases in it, which can be loaded again, and not the start */
int sk_kept_open(struct sk_store *store, struct sk_kept **ret, struct sk_err *err);
void sk_kept_free(struct sk_kept *k);
SK_DEFINE_CLEANUP(struct sk_kept, sk_kept_free);

/** Ids in hex, oldest first; borrowed until a change. NULL is none. */
char *const *sk_kept_ids(const struct sk_kept *k);
/**
 * sk_kept_add() - @id is the newest now, also when it was here before
 * Beyond @max the oldest goes, and with it its file unless @in_use says that a generation has it.
 */
int sk_kept_add(struct sk_kept *k, const struct sk_digest *id, unsigned max,
		bool (*in_use)(void *arg, const struct sk_digest *id), void *arg,
		struct sk_err *err);
/** sk_kept_drop() - the release was applied: its generation keeps it from now on. Unknown is fine. */
int sk_kept_drop(struct sk_kept *k, const struct sk_digest *id, struct sk_err *err);
