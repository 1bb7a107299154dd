/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"
#include "hub/db/db.h"

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

struct sk_release_repo {
	int (*add)(struct sk_conn *c, const struct sk_release_new *n, int64_t *ret_id,
		   struct sk_err *err);
	int (*add_image)(struct sk_conn *c, int64_t release, int64_t image, const char *name,
			 struct sk_err *err);
	/** All: 1 found, 0 not. */
	int (*find)(struct sk_conn *c, int64_t org, const char *project, const char *digest,
		    struct sk_release_row *ret, struct sk_err *err);
	int (*of_project)(struct sk_conn *c, int64_t org, int64_t project, const char *digest,
			  struct sk_release_row *ret, struct sk_err *err);
	int (*get)(struct sk_conn *c, int64_t org, int64_t id, struct sk_release_row *ret,
		   struct sk_err *err);
	/** Only a release that this device was given. */
	int (*of_device)(struct sk_conn *c, int64_t device, const char *digest,
			 struct sk_release_row *ret, struct sk_err *err);
	/** 1 when a release of this device names the (whole) image. */
	int (*image_of_device)(struct sk_conn *c, int64_t device, const char *digest,
			       struct sk_err *err);
	/** Number of its images that are not whole yet. */
	int (*missing)(struct sk_conn *c, int64_t release, int64_t *ret, struct sk_err *err);
	/** With its images; sk_release_list() without. */
	int (*show)(struct sk_conn *c, int64_t org, int64_t id, json_t **ret, struct sk_err *err);
	/** Newest first. */
	int (*list)(struct sk_conn *c, int64_t org, int64_t project, const struct sk_page *p,
		    json_t **ret, struct sk_err *err);
	int (*graph)(struct sk_conn *c, int64_t org, int64_t id, json_t **ret, struct sk_err *err);
	/** 0, or "in-use": attached, on its way to a device, or running on one. */
	int (*remove)(struct sk_conn *c, int64_t org, int64_t id, struct sk_err *err);
	/** 1 when some release of the organisation has this file. */
	int (*has_file)(struct sk_conn *c, int64_t org, const char *file_digest,
			struct sk_err *err);
};
