/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/request/call.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "hub/db/audit.h"
#include "io/json.h"

void sk_call_object(struct sk_call *call, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(call->object, sizeof(call->object), fmt, ap);
	va_end(ap);
	/* A text cut within a character is not UTF-8, and could not be shown. */
	sk_text_clean(call->object, "");
}

static int call_start(struct sk_call *call, struct sk_http_req *req, void *arg, bool raw,
		      struct sk_err *err)
{
	size_t len = 0;

	*call = (struct sk_call){ .hub = arg, .req = req, .who = sk_http_user(req) };
	if (call->who && call->who->is_device)
		(void)snprintf(call->by, sizeof(call->by), "device");
	else if (call->who)
		(void)snprintf(call->by, sizeof(call->by), "user:%s", call->who->name);
	if (!raw)
		(void)sk_http_body(req, &len);
	if (len > 0) {
		int r = sk_http_body_json(req, &call->body, err);

		if (r < 0)
			return r;
	} else {
		call->body = json_object();
	}
	if (!json_is_object(call->body))
		return sk_err_set(err, -EINVAL, "bad-request", "the body is not a JSON object");
	return 0;
}

static void call_done(struct sk_call *call)
{
	json_decref(call->body);
	json_decref(call->answer);
}

static int call_answer(struct sk_call *call, struct sk_err *err)
{
	int r;

	if (call->answer)
		r = sk_http_reply_json(call->req, call->status ? call->status : 200,
				       TAKE_PTR(call->answer));
	else
		r = sk_http_reply_empty(call->req, call->status ? call->status : 204);
	return r < 0 ? sk_err_oom(err) : 0;
}

int sk_call_read(struct sk_http_req *req, void *arg, sk_call_fn fn, struct sk_err *err)
{
	_cleanup_(call_done) struct sk_call call = { 0 };
	int r = call_start(&call, req, arg, false, err);

	if (r < 0)
		return r;
	r = sk_db_begin_read(call.hub->db, &call.db, err);
	if (r < 0)
		return r;
	r = fn(&call, err);
	sk_db_end_read(call.db);
	return r < 0 ? r : call_answer(&call, err);
}

static struct sk_audit call_line(const struct sk_call *call, const char *outcome)
{
	return (struct sk_audit){
		.org = call->audit_org ? call->audit_org
		       : call->who     ? call->who->org
				       : 0,
		.actor = call->by,
		.action = call->action,
		.object = call->object[0] ? call->object : NULL,
		.peer = sk_http_peer(call->req),
		.outcome = outcome,
	};
}

static int call_audit(struct sk_call *call, struct sk_err *err)
{
	struct sk_audit a = call_line(call, "ok");

	if (!call->action || a.org == 0)
		return 0;
	return call->db->audit->add(call->db, &a, err);
}

static void call_audit_failure(struct sk_call *call, const struct sk_err *err)
{
	struct sk_audit a = call_line(call, err->slug);

	if (call->action && a.org != 0)
		sk_hub_refused(call->hub, &a);
}

static int call_change(struct sk_call *call, sk_call_fn fn, struct sk_err *err)
{
	int r = sk_db_begin(call->hub->db, &call->db, err);

	if (r < 0)
		return r;
	if (call->who)
		r = sk_hub_recheck(call->req, call->db, call->who, err);
	if (r == 0)
		r = fn(call, err);
	if (r >= 0)
		r = call_audit(call, err);
	return sk_db_end(call->db, r, err);
}

/* What follows once the change is on disk; a failure here does not fail the request. */
static void call_finish(struct sk_call *call)
{
	struct sk_err err = SK_ERR_INIT;

	if (call->rights_ended)
		atomic_fetch_add(&call->hub->rights, 1);
	if (call->drop_device)
		sk_waiters_drop(call->hub->waiters, call->drop_device);
	if (call->wake_deployment || call->wake_device)
		sk_hub_wake(call->hub, call->wake_deployment, call->wake_device);
	if (call->wake_crls)
		sk_hub_wake_crls(call->hub, call->who->org);
	if (call->end_poll)
		(void)sk_waiters_end(call->hub->waiters, call->wake_device, SK_POLL_NOTHING, NULL);
	if (call->removed_file[0] &&
	    sk_hub_collect(call->hub, call->who->org, call->removed_file, &err) < 0)
		sk_warning("cleaning up after %s: %s", call->action, err.text);
}

static int call_prepare(struct sk_call *call, sk_call_fn fn, struct sk_err *err)
{
	int r;

	if (!fn)
		return 0;
	r = sk_db_begin_read(call->hub->db, &call->db, err);
	if (r < 0)
		return r;
	r = fn(call, err);
	sk_db_end_read(call->db);
	return r;
}

int sk_call_change_prepared(struct sk_http_req *req, void *arg, const struct sk_call_steps *steps,
			    struct sk_err *err)
{
	_cleanup_(call_done) struct sk_call call = { 0 };
	int r = call_start(&call, req, arg, steps->raw, err);

	call.action = steps->action;
	call.data = steps->data;
	if (r == 0)
		r = call_prepare(&call, steps->prepare, err);
	if (r >= 0)
		r = call_change(&call, steps->run, err);
	if (r < 0) {
		call_audit_failure(&call, err);
		return r;
	}
	call_finish(&call);
	return call_answer(&call, err);
}

int sk_call_change(struct sk_http_req *req, void *arg, const char *action, sk_call_fn fn,
		   struct sk_err *err)
{
	return sk_call_change_prepared(req, arg,
				       &(struct sk_call_steps){ .action = action, .run = fn }, err);
}

int sk_call_change_raw(struct sk_http_req *req, void *arg, const char *action, sk_call_fn fn,
		       struct sk_err *err)
{
	return sk_call_change_prepared(
		req, arg, &(struct sk_call_steps){ .raw = true, .action = action, .run = fn }, err);
}

int sk_call_none(const char *what, const char *name, struct sk_err *err)
{
	return sk_err_set(err, -ENOENT, "not-found", "there is no %s \"%s\"", what, name);
}
