/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"
#include "hub/db/query.h"

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

int sk_device_add(struct sk_conn *c, const struct sk_device_new *n, int64_t *ret_id,
		  struct sk_err *err);
/** sk_device_known() - by its id alone, in whichever organisation. 1, 0. */
int sk_device_known(struct sk_conn *c, const char *uid, struct sk_device *ret, struct sk_err *err);
int sk_device_find(struct sk_conn *c, int64_t org, const char *uid, struct sk_device *ret,
		   struct sk_err *err);
/** sk_device_key() - public key as it enrolled (base64 DER). 1, 0. */
int sk_device_key(struct sk_conn *c, int64_t id, char ret[static SK_PUBLIC_KEY_MAX],
		  struct sk_err *err);
int sk_device_count_pending(struct sk_conn *c, int64_t org, const char *peer, int64_t *ret_org,
			    int64_t *ret_peer, struct sk_err *err);
/** Every change of status ends the device's session unless it stays accepted. */
int sk_device_set_status(struct sk_conn *c, const struct sk_device *d, const char *status,
			 int64_t deployment, struct sk_err *err);
int sk_device_set_name(struct sk_conn *c, const struct sk_device *d, const char *name,
		       struct sk_err *err);
/** sk_device_set_facts() - what it says of itself on every enrolment. */
int sk_device_set_facts(struct sk_conn *c, int64_t id, const char *name, const char *compatible,
			struct sk_err *err);
int sk_device_set_release(struct sk_conn *c, int64_t id, const char *release, const char *version,
			  struct sk_err *err);
int sk_device_set_seen(struct sk_conn *c, int64_t id, int64_t at_s, struct sk_err *err);
int sk_device_del(struct sk_conn *c, const struct sk_device *d, struct sk_err *err);

/** What to list; 0 and NULL: any. */
struct sk_device_filter {
	const char *status;
	int64_t project;
	int64_t deployment;
	const char *name; /* name, or prefix of the id */
};
int sk_device_list(struct sk_conn *c, int64_t org, const struct sk_device_filter *f,
		   const struct sk_page *p, json_t **ret, struct sk_err *err);
/** With "row", as in a list. */
int sk_device_show(struct sk_conn *c, int64_t org, int64_t id, json_t **ret, struct sk_err *err);

/* Sessions: one a device, hash only. */
struct sk_session {
	int64_t device;
	int64_t org;
	int64_t deployment;
	/* In the same look-up, because idle polls are most of the load: */
	bool has_work; /* an open job */
	bool crls_due; /* revocation lists that it has not looked at */
};
int sk_session_set(struct sk_conn *c, int64_t device, const struct sk_digest *hash,
		   int64_t expires_s, struct sk_err *err);
/** 1 when it is good at @now_s and its device accepted; 0. */
int sk_session_check(struct sk_conn *c, const struct sk_digest *hash, int64_t now_s,
		     struct sk_session *ret, struct sk_err *err);
/** sk_session_device() - public id of its device. 1, 0 when there is no such session (any more). */
int sk_session_device(struct sk_conn *c, const struct sk_digest *hash,
		      char ret[static SK_DIGEST_HEX + 1], struct sk_err *err);
int sk_session_end(struct sk_conn *c, int64_t device, struct sk_err *err);
