/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/digest.h"
#include "base/str.h"
#include "hub/core/hub.h"
#include "hub/db/db.h"
#include "io/http/server.h"

/* Whom a route is for; sk_hub_authorize() checks it before any of the body is taken. */
#define SK_HUB_PUBLIC	 (SK_HTTP_USER << 0) /* anybody */
#define SK_HUB_DEVICE	 (SK_HTTP_USER << 1) /* a device's session */
#define SK_HUB_OWNER	 (SK_HTTP_USER << 2) /* a user with the role owner; else any user */
#define SK_HUB_TEMPORARY (SK_HTTP_USER << 3) /* also while the password is a temporary one */

/** Who makes a request; hangs on it from the authorisation to its end. */
struct sk_principal {
	unsigned flags; /* of the route */
	struct sk_digest token_hash;
	bool is_device;
	int64_t org;
	/* a user */
	int64_t user;
	int64_t token;
	bool owner;
	char name[SK_NAME_MAX + 1];
	/* a device */
	int64_t device;
	int64_t deployment;
	bool has_work;
	bool crls_due;
	uint64_t epoch; /* of the waiters, from before the session was looked up */
	/* a transfer in progress: when it was last seen to be allowed */
	uint64_t rights;     /* of the hub, then */
	uint64_t checked_ms; /* monotonic; 0: not yet */
	/* of the route, e.g. an upload in progress */
	void *data;
	void (*data_free)(void *data);
};

int sk_hub_authorize(struct sk_http_req *req, unsigned flags, void *arg, struct sk_err *err);
/**
 * sk_hub_recheck() - may @p still do this, as the database is now?
 * A body takes its time: meanwhile the session, the token, the role or the device itself may have
 * gone.
 */
int sk_hub_recheck(struct sk_http_req *req, struct sk_conn *c, const struct sk_principal *p,
		   struct sk_err *err);
/**
 * sk_hub_go_on() - may a transfer under way go on?
 * For each piece of it, so it only looks into the database when somebody's rights may have ended
 * since the last time, or after some seconds. A device may have got a new session meanwhile; what
 * counts is that it is still there and accepted.
 */
bool sk_hub_go_on(struct sk_http_req *req, void *arg);
/** sk_principal_device() - internal id of the device that makes a request. */
int64_t sk_principal_device(const struct sk_http_req *req);

/** sk_principal_set_data() - what a route keeps between pieces of a body; frees what was there. */
void sk_principal_set_data(struct sk_principal *p, void *data, void (*data_free)(void *data));
