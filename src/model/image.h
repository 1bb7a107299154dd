/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "model/manifest.h"

/*
 * A capsule image (.itb): a FIT whose tree is padded to 4 KiB, then one root file system at a file
 * offset that is a multiple of 4096 (external data: data-position, data-size) with its SHA-256 in
 * the tree, and a /skerry node with name, version, architecture and the run configuration (the
 * words of an app node). Pure: bytes in, facts out. The tree is hostile until it is read here.
 * Reference: docs/reference/capsule-image.md
 */
#define SK_IMAGE_TREE_MAX (1u << 20)
#define SK_IMAGE_ALIGN	  4096u

enum sk_rootfs_type { SK_ROOTFS_SQUASHFS, SK_ROOTFS_EROFS };

struct sk_image_info {
	enum sk_rootfs_type type;
	uint64_t rootfs_offset, rootfs_size; /* bytes within the file */
	struct sk_digest rootfs_digest;
	char *name;	   /* "nginx" */
	char *version;	   /* may be NULL */
	char *arch;	   /* "amd64", "arm64", "armhf" */
	int64_t created_s; /* SOURCE_DATE_EPOCH, or 0 */
	enum sk_kind kind;
	struct sk_run run;
};

/** sk_image_tree_size() - total size from the first 4096 bytes of a file, so that the rest can be read. "bad-image" */
int sk_image_tree_size(const void *head, size_t len, size_t *ret, struct sk_err *err);

/** sk_image_parse() - @file_size: of the whole image file; every offset is checked against it. "bad-image" */
int sk_image_parse(const void *tree, size_t len, uint64_t file_size, struct sk_image_info **ret,
		   struct sk_err *err);
void sk_image_info_free(struct sk_image_info *i);
SK_DEFINE_CLEANUP(struct sk_image_info, sk_image_info_free);

/** sk_image_build_tree() - the padded tree; the root file system follows at once. Same input, same bytes. */
int sk_image_build_tree(const struct sk_image_info *info, void **ret, size_t *ret_len,
			struct sk_err *err);

/** sk_run_from_oci() - the config object of an OCI or Docker image (Entrypoint, Cmd, Env, User, …). "bad-image" */
int sk_run_from_oci(const char *json, size_t len, struct sk_run *ret, char **ret_arch,
		    struct sk_err *err);
