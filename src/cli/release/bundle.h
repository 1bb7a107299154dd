/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/digest.h"
#include "base/err.h"
#include "model/manifest.h"

/*
 * Release files as people carry them: NAME.skr alone, or NAME.skb, a tar of "release.skr" and then
 * "images/<sha256>" for each image, in the manifest's order, each once.
 * Reference: docs/reference/release.md, "Bundle"
 */

/** sk_release_read() - the .skr bytes of either kind of file. "not-found", "bad-release", "io" */
int sk_release_read(const char *path, char **ret, size_t *ret_len, bool *ret_is_bundle,
		    struct sk_err *err);

/** An image within a bundle, while sk_bundle_each() is at it. */
struct sk_bundle_image {
	struct sk_digest digest; /* as named; nobody has checked the bytes */
	uint64_t size_bytes;
	struct archive *archive;
};

/**
 * sk_bundle_each() - hand out a bundle's images one by one
 * @each: reads the bytes with sk_bundle_image_read() (or leaves them); not 0 ends the walk
 * Return: 0, what @each returned, or "bad-release" (not such a tar), "io"
 */
int sk_bundle_each(const char *path,
		   int (*each)(void *arg, struct sk_bundle_image *image, struct sk_err *err),
		   void *arg, struct sk_err *err);
/** Bytes read, 0 at the end, -errno ("bad-release" when cut off, "io"). */
ssize_t sk_bundle_image_read(struct sk_bundle_image *image, void *buf, size_t size,
			     struct sk_err *err);

/** What goes into a bundle: the image files in the order of the manifest's images. */
struct sk_bundle_source {
	const void *skr;
	size_t skr_len;
	const struct sk_manifest *manifest; /* pinned */
	char *const *files;		    /* manifest->n_images paths */
};

/**
 * sk_bundle_write() - the same input gives the same bytes
 * Every image is hashed again while it is copied: "digest-mismatch" when it changed meanwhile.
 * @progress: called with bytes so far; may be NULL
 */
int sk_bundle_write(const char *path, const struct sk_bundle_source *from,
		    void (*progress)(void *arg, uint64_t now, uint64_t total), void *arg,
		    struct sk_err *err);
