/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The words of an image's tree, shared by its reader (image.c) and its writer (image_build.c). */

#define SK_IMAGE_FORMAT 1u

/* NULL-terminated. The latter two are indexed by their enums. */
extern const char *const sk_image_arch_names[];
extern const char *const sk_image_rootfs_names[];
extern const char *const sk_image_kind_names[];

/** Position of @s in @words, or -1. */
int sk_image_word_index(const char *const *words, const char *s);
