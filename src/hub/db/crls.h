/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "hub/db/db.h"
#include "io/crypto/crl_info.h"

/*
 * Revocation lists on their way to the devices. The hub only carries them: it keeps the newest of
 * each root, and devices take what their own roots signed.
 */
#define SK_CRLS_MAX 32 /* of one organisation, and of one device */

/** What a device says of one root; strings borrowed. */
struct sk_crl_report {
	const char *issuer_id, *issuer;
	int64_t number;	     /* 0: it has no list of this root */
	const char *refused; /* why it did not take the hub's, or NULL */
};

struct sk_crl_repo {
	/**
	 * Keep a list; 1, or 0 when it is there already
	 * "bad-state" when the hub has a newer one of this root, or another one with the same number;
	 * "too-many" beyond SK_CRLS_MAX roots.
	 */
	int (*put)(struct sk_conn *c, int64_t org, const struct sk_crl_info *info, const char *by,
		   struct sk_err *err);
	/** Every accepted device of the organisation is to look at the lists. */
	int (*announce)(struct sk_conn *c, int64_t org, struct sk_err *err);
	/** Each with the number of accepted devices that have it (or a newer one). */
	int (*list)(struct sk_conn *c, int64_t org, json_t **ret, struct sk_err *err);
	/** With the list itself ("pem"); *ret = NULL when there is none. */
	int (*show)(struct sk_conn *c, int64_t org, const char *issuer_id, json_t **ret,
		    struct sk_err *err);
	/** 1, or 0 when there is none. */
	int (*remove)(struct sk_conn *c, int64_t org, const char *issuer_id, struct sk_err *err);
	/** All of them, as files. Owned by the caller. */
	int (*pems)(struct sk_conn *c, int64_t org, char ***ret, struct sk_err *err);
	/** For a device: {version, crls: [{issuer, issuer_id, number}]}; in a transaction, so that they agree. */
	int (*offer)(struct sk_conn *c, int64_t org, json_t **ret, struct sk_err *err);
	/**
	 * What a device has now; takes the place of what it said before
	 * @version: of the offer that it looked at: it is told again when that is not the newest
	 */
	int (*set_device)(struct sk_conn *c, int64_t org, int64_t device, int64_t version,
			  const struct sk_crl_report *v, size_t n, struct sk_err *err);
};
