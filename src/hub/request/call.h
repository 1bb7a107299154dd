/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"
#include "hub/auth/principal.h"
#include "hub/core/hub.h"
#include "hub/db/db.h"
#include "io/http/server.h"

#define SK_HUB_BODY_MAX (64 * 1024)

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
	const char *action; /* may be changed, e.g. where there are two outcomes */
	int64_t wake_deployment, wake_device;
	bool wake_crls; /* every device of the organisation is to look at its revocation lists */
	bool end_poll;	/* of wake_device, even if it got nothing to do */
	int64_t drop_device;		      /* its session ended: so does its poll */
	bool rights_ended;		      /* transfers under way are to be looked at */
	char removed_file[SK_DIGEST_HEX + 1]; /* a release was removed: clean up its files */
};
typedef int (*sk_call_fn)(struct sk_call *call, struct sk_err *err);

/** sk_call_read() - run @fn in a read transaction, and answer: what it reads is one state of the database. */
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
 * @prepare: in a read transaction, before the one that writes, so that nobody waits for it; what it
 *           read may have changed when @run runs. May be NULL
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

/** sk_call_none() - "not-found": there is no <what> "<name>". */
int sk_call_none(const char *what, const char *name, struct sk_err *err);
