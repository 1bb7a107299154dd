/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"
#include "hub/db/query.h"

/** A release to add; strings borrowed. @compatible and @graph are JSON text. */
struct sk_release_new {
	int64_t org, project;
	const char *digest; /* the release's id: SHA-256 of the device tree inside, hex */
	const char *version;
	const char *file_digest;
	uint64_t file_size;
	int64_t expires_s;
	const char *created_by;
	const char *compatible;
	const char *graph;
};

struct sk_release_row {
	int64_t id;
	int64_t project;
	char digest[SK_DIGEST_HEX + 1];
	char version[SK_NAME_MAX + 1];
	char file_digest[SK_DIGEST_HEX + 1];
	uint64_t file_size;
};

int sk_release_add(struct sk_conn *c, const struct sk_release_new *n, int64_t *ret_id,
		   struct sk_err *err);
int sk_release_add_image(struct sk_conn *c, int64_t release, int64_t image, const char *name,
			 struct sk_err *err);
/** All: 1 found, 0 not. */
int sk_release_find(struct sk_conn *c, int64_t org, const char *project, const char *digest,
		    struct sk_release_row *ret, struct sk_err *err);
int sk_release_of_project(struct sk_conn *c, int64_t org, int64_t project, const char *digest,
			  struct sk_release_row *ret, struct sk_err *err);
int sk_release_get(struct sk_conn *c, int64_t org, int64_t id, struct sk_release_row *ret,
		   struct sk_err *err);
/** sk_release_of_device() - only a release that this device was given. */
int sk_release_of_device(struct sk_conn *c, int64_t device, const char *digest,
			 struct sk_release_row *ret, struct sk_err *err);
/** sk_release_image_of_device() - 1 when a release of this device names the (whole) image. */
int sk_release_image_of_device(struct sk_conn *c, int64_t device, const char *digest,
			       struct sk_err *err);
/** sk_release_missing() - number of its images that are not whole yet. */
int sk_release_missing(struct sk_conn *c, int64_t release, int64_t *ret, struct sk_err *err);
/** sk_release_show() - with its images; sk_release_list() without. */
int sk_release_show(struct sk_conn *c, int64_t org, int64_t id, json_t **ret, struct sk_err *err);
/** Newest first. */
int sk_release_list(struct sk_conn *c, int64_t org, int64_t project, const struct sk_page *p,
		    json_t **ret, struct sk_err *err);
int sk_release_graph(struct sk_conn *c, int64_t org, int64_t id, json_t **ret, struct sk_err *err);
/** sk_release_del() - 0, or "in-use": attached, on its way to a device, or running on one. */
int sk_release_del(struct sk_conn *c, int64_t org, int64_t id, struct sk_err *err);
/** sk_release_has_file() - 1 when some release of the organisation has this file. */
int sk_release_has_file(struct sk_conn *c, int64_t org, const char *file_digest,
			struct sk_err *err);
