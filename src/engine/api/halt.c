/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "engine/daemon.h"

/* /skerry/v1/halt: the machine goes down. docs/reference/skerryd-api.yaml */

struct wait {
	struct sk_http_req *req; /* NULL: the client has left */
};

static void gone(struct sk_http_req *req, void *arg)
{
	((struct wait *)arg)->req = NULL;
}

static void halted(void *arg, const struct sk_err *err)
{
	struct wait *w = arg;

	if (w->req)
		(void)sk_http_reply_empty(w->req, 204);
	free(w);
}

static int halt(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const struct sk_daemon *d = arg;
	struct wait *w = calloc(1, sizeof(*w));

	if (!w)
		return sk_err_oom(err);
	w->req = req;
	if (sk_http_suspend(req, UINT64_MAX, gone, w) < 0) {
		free(w);
		return sk_err_set(err, -ESHUTDOWN, "bad-state", "the daemon is stopping");
	}
	sk_update_halt(d->update);
	if (sk_engine_halt(d->engine, halted, w, err) < 0) {
		if (w->req)
			(void)sk_http_reply_err(w->req, err);
		free(w);
	}
	return 0;
}

const struct sk_http_route sk_api_halt_routes[] = {
	{ "POST", "/skerry/v1/halt", halt, 64 },
	{ NULL },
};
