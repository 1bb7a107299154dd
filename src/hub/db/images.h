/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/db.h"

/*
 * Images that an organisation's releases name. An image belongs to one organisation even when
 * another has the same bytes: who knows a digest cannot get at what others uploaded.
 */
struct sk_image_row {
	int64_t id;
	uint64_t size_bytes;
	bool complete;
};

struct sk_image_repo {
	/** A release names this image; finds or adds it. "bad-release": other size. */
	int (*ensure)(struct sk_conn *c, int64_t org, const char *digest, uint64_t size_bytes,
		      int64_t *ret_id, struct sk_err *err);
	/** 1 found, 0 not. */
	int (*find)(struct sk_conn *c, int64_t org, const char *digest, struct sk_image_row *ret,
		    struct sk_err *err);
	int (*set_complete)(struct sk_conn *c, int64_t org, const char *digest, bool complete,
			    struct sk_err *err);
	/** Forget images that no release names; *ret lists their digests. */
	int (*prune)(struct sk_conn *c, int64_t org, json_t **ret, struct sk_err *err);
	/** {org, digest, size_bytes, complete} of every organisation, for the start. */
	int (*list_all)(struct sk_conn *c, json_t **ret, struct sk_err *err);
};
