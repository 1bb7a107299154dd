/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"
#include "hub/db/query.h"
#include "hub/hub.h"
#include "io/http/server.h"

/* Whom a route is for; sk_hub_authorize() checks it before any of the body is taken. */
#define SK_HUB_PUBLIC	 (SK_HTTP_USER << 0) /* anybody */
#define SK_HUB_DEVICE	 (SK_HTTP_USER << 1) /* a device's session */
#define SK_HUB_OWNER	 (SK_HTTP_USER << 2) /* a user with the role owner; else any user */
#define SK_HUB_TEMPORARY (SK_HTTP_USER << 3) /* also while the password is a temporary one */

#define SK_HUB_BODY_MAX (64 * 1024)

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
	uint64_t rights;	     /* of the hub, then */
	uint64_t checked_ms;	     /* monotonic; 0: not yet */
	char uid[SK_DIGEST_HEX + 1]; /* of the device: rows and sessions come and go */
	struct sk_upload *upload;
	bool upload_complete;
	uint64_t upload_offset;
};

int sk_hub_authorize(struct sk_http_req *req, unsigned flags, void *arg, struct sk_err *err);
/**
 * sk_hub_recheck() - may @p still do this, as the database is now?
 * A body takes its time: meanwhile the session, the token, the role or the device itself may have
 * gone, and its row's number may have become somebody else's.
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

/**
 * struct sk_call - a request while it is carried out
 * The function that does so fills @status and @answer, @object for the audit log, and what is to be
 * woken once the change is on disk.
 */
struct sk_call {
	struct sk_hub *hub;
	struct sk_http_req *req;
	struct sk_principal *who; /* NULL on public routes */
	void *data;		  /* of sk_call_change_prepared() */
	struct sk_conn *db;
	json_t *body;	 /* an object */
	unsigned status; /* default 200 with an answer, 204 without */
	json_t *answer;
	char object[192];
	char by[SK_NAME_MAX + 8];
	int64_t audit_org;  /* where there is no @who */
	const char *action; /* may be changed, e.g. to tell two outcomes apart */
	int64_t wake_deployment, wake_device;
	bool wake_crls; /* every device of the organisation is to look at its revocation lists */
	bool end_poll;	/* of wake_device, even if it got nothing to do */
	int64_t drop_device;		      /* its session ended: so does its poll */
	bool rights_ended;		      /* transfers under way are to be looked at */
	char removed_file[SK_DIGEST_HEX + 1]; /* a release was removed: clean up its files */
};
typedef int (*sk_call_fn)(struct sk_call *call, struct sk_err *err);

/** sk_call_read() - run @fn on this thread's reading connection, and answer. */
int sk_call_read(struct sk_http_req *req, void *arg, sk_call_fn fn, struct sk_err *err);

/**
 * sk_call_change() - run @fn in a write transaction, with the audit record in the same one
 * @action: "project.create"; NULL: not audited (what devices report all the time)
 * A failure is audited too, once the organisation is known. Answered only when it is on disk.
 */
int sk_call_change(struct sk_http_req *req, void *arg, const char *action, sk_call_fn fn,
		   struct sk_err *err);

/** sk_call_change_raw() - the same for a body that is not JSON; call->body is an empty object. */
int sk_call_change_raw(struct sk_http_req *req, void *arg, const char *action, sk_call_fn fn,
		       struct sk_err *err);

/**
 * struct sk_call_steps - a change of which a part takes long: hashing a password, checking a signature
 * @raw:     the body is not JSON
 * @action:  as for sk_call_change()
 * @prepare: on this thread's reading connection, before the transaction, so that nobody waits for it;
 *           what it read may have changed when @run runs. May be NULL
 * @run:     in the transaction
 * @data:    for both: call->data
 */
struct sk_call_steps {
	bool raw;
	const char *action;
	sk_call_fn prepare, run;
	void *data;
};
int sk_call_change_prepared(struct sk_http_req *req, void *arg, const struct sk_call_steps *steps,
			    struct sk_err *err);

void sk_call_object(struct sk_call *call, const char *fmt, ...) SK_PRINTF(2, 3);

/**
 * Which page of a list is asked for: ?limit=, and ?after= for lists in the order in which things were
 * made, ?before= for those with the newest first. One row more than asked for is fetched, to know
 * whether there is a next page.
 * @limit_max: most rows of an answer, and how many without ?limit=
 */
int sk_call_page_after(struct sk_call *call, int limit_max, struct sk_page *ret,
		       struct sk_err *err);
int sk_call_page_before(struct sk_call *call, int limit_max, struct sk_page *ret,
			struct sk_err *err);
#define SK_PAGE_MAX 500

/**
 * sk_call_list() - answer {"<name>": list}; steals @list
 * @p: the page that was fetched: its rows lose "row", and the answer says how to go on ("next")
 */
int sk_call_list(struct sk_call *call, const char *name, json_t *list, const struct sk_page *p,
		 struct sk_err *err);
/** sk_call_none() - "not-found": there is no <what> "<name>". */
int sk_call_none(const char *what, const char *name, struct sk_err *err);
/** sk_call_name() - a body member that must be a name. */
int sk_call_name(const struct sk_call *call, const char *key, const char **ret, struct sk_err *err);
/** A numeric query member (default 0). */
int sk_call_query_u64(struct sk_call *call, const char *key, uint64_t *ret, struct sk_err *err);
/** sk_call_expiry() - "expires_in_s" of the body, as a time; bounded. */
int sk_call_expiry(const struct sk_call *call, uint64_t default_s, uint64_t max_s, int64_t *ret_s,
		   struct sk_err *err);
