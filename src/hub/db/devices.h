/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"
#include "hub/db/db.h"

#define SK_DEVICE_NAME_MAX 63
#define SK_PUBLIC_KEY_MAX  512

/** A device as the hub's logic sees it. */
struct sk_device {
	int64_t id;
	int64_t org;
	int64_t deployment; /* 0: none yet */
	char uid[SK_DIGEST_HEX + 1];
	char status[16];
	char release[SK_DIGEST_HEX + 1]; /* last one it reported as good; "" for none */
};

/** A device that asks to be let in; strings borrowed. @deployment 0: pending. */
struct sk_device_new {
	int64_t org, deployment;
	const char *uid, *name, *public_key, *compatible, *peer;
};

/** What to list; 0 and NULL: any. */
struct sk_device_filter {
	const char *status;
	int64_t project;
	int64_t deployment;
	const char *name; /* name, or prefix of the id */
};

struct sk_device_repo {
	int (*add)(struct sk_conn *c, const struct sk_device_new *n, int64_t *ret_id,
		   struct sk_err *err);
	/** By its id alone, in whichever organisation. 1, 0. */
	int (*find_any)(struct sk_conn *c, const char *uid, struct sk_device *ret,
			struct sk_err *err);
	int (*find)(struct sk_conn *c, int64_t org, const char *uid, struct sk_device *ret,
		    struct sk_err *err);
	int (*get)(struct sk_conn *c, int64_t org, int64_t id, struct sk_device *ret,
		   struct sk_err *err);
	/** Public key as it enrolled (base64 DER). 1, 0. */
	int (*public_key)(struct sk_conn *c, int64_t id, char ret[static SK_PUBLIC_KEY_MAX],
			  struct sk_err *err);
	int (*count_pending)(struct sk_conn *c, int64_t org, const char *peer, int64_t *ret_org,
			     int64_t *ret_peer, struct sk_err *err);
	/** Every change of status ends the device's session unless it stays accepted. */
	int (*set_status)(struct sk_conn *c, const struct sk_device *d, const char *status,
			  int64_t deployment, struct sk_err *err);
	int (*set_name)(struct sk_conn *c, const struct sk_device *d, const char *name,
			struct sk_err *err);
	/** What it says of itself on every enrolment. */
	int (*update_enrolment)(struct sk_conn *c, int64_t id, const char *name,
				const char *compatible, struct sk_err *err);
	int (*set_release)(struct sk_conn *c, int64_t id, const char *release, const char *version,
			   struct sk_err *err);
	int (*set_seen)(struct sk_conn *c, int64_t id, int64_t at_s, struct sk_err *err);
	int (*remove)(struct sk_conn *c, const struct sk_device *d, struct sk_err *err);
	int (*list)(struct sk_conn *c, int64_t org, const struct sk_device_filter *f,
		    const struct sk_page *p, json_t **ret, struct sk_err *err);
	/** With "row", as in a list. */
	int (*show)(struct sk_conn *c, int64_t org, int64_t id, json_t **ret, struct sk_err *err);
};
