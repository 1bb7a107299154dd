/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "engine/docker/docker.h"
#include "io/json.h"

#define BUFFER_MAX 1024

/*
 * POST /containers/{id}/wait. The headers leave at once: the CLI starts the container only when it has
 * seen them, and would wait for ever otherwise.
 */
enum condition { NOT_RUNNING, NEXT_EXIT, REMOVED };

struct wait {
	struct sk_http_stream *stream;
	struct sk_engine_watch *watch;
	enum condition condition;
	char id[SK_DIGEST_HEX + 1];
};

static void wait_free(struct wait *w)
{
	if (w->watch)
		sk_engine_unwatch(w->watch);
	free(w);
}

static void wait_finish(struct wait *w, int exit_code)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "{\"StatusCode\":%d}\n", exit_code);

	(void)sk_http_stream_write(w->stream, text, (size_t)n);
	sk_http_stream_end(w->stream);
	wait_free(w);
}

static void on_wait_event(void *arg, struct sk_capsule *c, const char *event)
{
	struct wait *w = arg;
	struct sk_capsule_view v;

	sk_capsule_view(c, &v);
	if (!sk_streq(v.id, w->id))
		return;
	/* What is removed will not exit any more. */
	if (sk_streq(event, "destroy") || (w->condition != REMOVED && sk_streq(event, "die")))
		wait_finish(w, v.exit_code);
}

static void on_wait_gone(struct sk_http_stream *s, void *arg)
{
	wait_free(arg);
}

static int get_condition(struct sk_http_req *req, enum condition *ret, struct sk_err *err)
{
	const char *s = sk_http_query(req, "condition");

	if (!s || !*s || sk_streq(s, "not-running"))
		*ret = NOT_RUNNING;
	else if (sk_streq(s, "next-exit"))
		*ret = NEXT_EXIT;
	else if (sk_streq(s, "removed"))
		*ret = REMOVED;
	else
		return sk_err_set(err, -EINVAL, "bad-request", "invalid condition: \"%.32s\"", s);
	return 0;
}

static int wait_route(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	static const struct sk_http_stream_ops ops = { .gone = on_wait_gone };
	struct sk_daemon *d = arg;
	const struct sk_capsule *c = sk_docker_find(req, d, err);
	struct sk_capsule_view v;
	struct wait *w;

	if (!c)
		return err->code;
	w = calloc(1, sizeof(*w));
	if (!w)
		return sk_err_oom(err);
	sk_capsule_view(c, &v);
	(void)snprintf(w->id, sizeof(w->id), "%s", v.id);
	if (get_condition(req, &w->condition, err) < 0) {
		wait_free(w);
		return err->code;
	}
	if (sk_engine_watch(d->engine, on_wait_event, w, &w->watch) < 0 ||
	    sk_http_reply_stream(req, 200, "application/json", BUFFER_MAX, &ops, w, &w->stream) <
		    0) {
		wait_free(w);
		return sk_err_oom(err);
	}
	if (w->condition == NOT_RUNNING && !sk_streq(sk_docker_state(&v), "running") &&
	    !sk_streq(sk_docker_state(&v), "restarting"))
		wait_finish(w, v.exit_code);
	return 0;
}

const struct sk_http_route sk_docker_wait_routes[] = {
	{ "POST", "/containers/{id}/wait", wait_route, 1 << 16 },
	{ NULL },
};
