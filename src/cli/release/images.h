/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/err.h"
#include "model/manifest.h"

/** Where a release's image files are looked for, in this order. */
struct sk_image_places {
	char *const *named;   /* "NAME=FILE" */
	char *const *folders; /* each may hold NAME or the digest as a file name */
};

/**
 * sk_images_find() - the file of every image of @m
 * @ret_files: in the order of m->images; owned by the caller
 * Return: 0, "not-found" with the first that is missing, "bad-value" (--image for no image of @m)
 */
int sk_images_find(const struct sk_manifest *m, const struct sk_image_places *places,
		   char ***ret_files, struct sk_err *err);

/**
 * sk_images_check() - read all files: are they images that the manifest's apps can run?
 * @ret: name (borrowed from @m), digest and size of each; n_images rows, freed with free()
 * @progress: bytes read so far; may be NULL
 * Return: 0, "bad-image", "too-large", "io"
 */
int sk_images_check(const struct sk_manifest *m, char *const *files, struct sk_image_ref **ret,
		    void (*progress)(void *arg, uint64_t now, uint64_t total), void *arg,
		    struct sk_err *err);
