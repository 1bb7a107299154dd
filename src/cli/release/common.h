/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/digest.h"
#include "base/err.h"
#include "cli/cmd.h"
#include "model/manifest.h"

/** A release as the commands hold it: the signed bytes and what they say. */
struct sk_release {
	char *skr;
	size_t skr_len;
	bool is_bundle;
	struct sk_digest id;
	struct sk_manifest *manifest; /* pinned */
};

/**
 * sk_release_open() - read a .skr or .skb and its manifest, without believing it
 * "not-found", "bad-release", "bad-manifest"
 */
int sk_release_open(const char *path, struct sk_release *ret, struct sk_err *err);
void sk_release_done(struct sk_release *r);

/** sk_release_images_json() - [{name, digest, size_bytes}]. New reference. */
json_t *sk_release_images_json(const struct sk_manifest *m);

/** sk_release_total() - bytes of all images, each digest once */
uint64_t sk_release_total(const struct sk_manifest *m);

/** For sk_cli_progress() as a callback: @arg is a struct sk_progress. */
struct sk_progress {
	struct sk_cli *cli;
	const char *what;
};
void sk_release_progress(void *arg, uint64_t now, uint64_t total);

/** sk_release_bundle() - find the images of @rel in @folders and @named, write @path */
int sk_release_bundle(struct sk_cli *cli, const struct sk_release *rel, const char *path,
		      char *const *folders, char *const *named, struct sk_err *err);
