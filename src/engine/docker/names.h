/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/macros.h"
#include "store/store.h"

/*
 * Local image names ("nginx:latest") and the images they stand for: what `docker load` brought. Kept
 * as one record of the store, so a change is there as a whole or not at all.
 */
#define SK_NAMES_MAX	  256
#define SK_IMAGE_NAME_MAX 128 /* bytes, tag included */

struct sk_names;

/**
 * sk_names_open() - a damaged record costs the names, not the daemon's start: their images stay then,
 * as each may have had one
 */
int sk_names_open(struct sk_store *store, struct sk_names **ret, struct sk_err *err);
void sk_names_free(struct sk_names *n);
SK_DEFINE_CLEANUP(struct sk_names, sk_names_free);

/**
 * sk_names_normal() - the full form of a name: "nginx" is "nginx:latest", "docker.io/library/nginx" too
 * Refused ("bad-name"): characters that the Docker reference grammar has not, an empty part, too long.
 */
int sk_names_normal(const char *name, char buf[static SK_IMAGE_NAME_MAX + 1], struct sk_err *err);

/** Sets and removes; @name in normal form. "too-many", or the store's. Written before they return. */
int sk_names_set(struct sk_names *n, const char *name, const struct sk_digest *d,
		 struct sk_err *err);
int sk_names_del(struct sk_names *n, const char *name, struct sk_err *err);

/** sk_names_get() - by name in normal form. 0 or -ENOENT */
int sk_names_get(const struct sk_names *n, const char *name, struct sk_digest *ret);
/** Iterate: *pos starts at 0; false at the end. Borrowed until a change. */
bool sk_names_next(const struct sk_names *n, size_t *pos, const char **name, struct sk_digest *d);
/** Does any name stand for @d, or may one have done so? */
bool sk_names_has(const struct sk_names *n, const struct sk_digest *d);
