/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/device/poll.h"

#include <errno.h>

#include "hub/auth/principal.h"
#include "io/http/server.h"

json_t *sk_device_poll_crls(void)
{
	return json_pack("{s:b}", "crls", 1);
}

static void poll_gone(struct sk_http_req *req, void *arg)
{
	sk_waiters_gone(arg, sk_principal_device(req), req);
}

static int poll_suspend(void *poll, struct sk_waiters *w)
{
	return sk_http_suspend(poll, UINT64_MAX, poll_gone, w);
}

static void poll_end(void *poll, enum sk_poll_end why, json_t *job)
{
	struct sk_err err;

	switch (why) {
	case SK_POLL_JOB:
		(void)sk_http_reply_json(poll, 200, json_pack("{s:O}", "job", job));
		return;
	case SK_POLL_CRLS:
		(void)sk_http_reply_json(poll, 200, sk_device_poll_crls());
		return;
	case SK_POLL_SESSION_ENDED:
		(void)sk_err_set(&err, -EACCES, "unauthorized", "the session has ended");
		(void)sk_http_reply_err(poll, &err);
		return;
	case SK_POLL_NOTHING:
	default:
		(void)sk_http_reply_empty(poll, 204);
		return;
	}
}

const struct sk_poll_ops sk_device_poll = { .suspend = poll_suspend, .end = poll_end };
