/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "engine/docker/docker.h"
#include "io/json.h"

#define BUFFER_MAX (256 * 1024) /* a reader that falls behind by more misses events */

/* GET /events: what happens from now on, one JSON object per line. */
struct events {
	struct sk_http_stream *stream;
	struct sk_engine_watch *watch;
	json_t *filters;
};

static void events_free(struct events *e)
{
	if (e->watch)
		sk_engine_unwatch(e->watch);
	json_decref(e->filters);
	free(e);
}

static json_t *event_json(const struct sk_capsule_view *v, const char *event)
{
	json_t *attributes = sk_docker_labels(v->labels);
	int64_t now_s = sk_wall_s();

	(void)json_object_set_new(attributes, "name", json_string(v->app->name));
	(void)json_object_set_new(attributes, "image", json_string(v->image_name ?: ""));
	if (sk_streq(event, "die"))
		(void)json_object_set_new(attributes, "exitCode", json_sprintf("%d", v->exit_code));
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s, s:o}, s:I, s:I}", "status", event,
			 "id", v->id, "from", v->image_name ?: "", "Type", "container", "Action",
			 event, "scope", "local", "Actor", "ID", v->id, "Attributes", attributes,
			 "time", (json_int_t)now_s, "timeNano", (json_int_t)now_s * 1000000000);
}

static bool event_fits(const json_t *filters, const struct sk_capsule_view *v, const char *event)
{
	const json_t *containers = json_object_get(filters, "container");
	json_t *item;
	size_t i;

	if (!sk_filter_is(filters, "type", "container") || !sk_filter_is(filters, "event", event) ||
	    !sk_filter_labels(filters, v->labels) ||
	    !sk_filter_is(filters, "image", v->image_name ?: ""))
		return false;
	json_array_foreach (containers, i, item)
		if (sk_streq(json_string_value(item), v->app->name) ||
		    sk_str_starts(v->id, json_string_value(item)))
			return true;
	return json_array_size(containers) == 0;
}

static void on_capsule_event(void *arg, struct sk_capsule *c, const char *event)
{
	struct events *e = arg;
	_cleanup_free_ char *text = NULL, *line = NULL;
	struct sk_capsule_view v;
	json_t *obj;

	sk_capsule_view(c, &v);
	if (!event_fits(e->filters, &v, event))
		return;
	obj = event_json(&v, event);
	text = obj ? json_dumps(obj, JSON_COMPACT) : NULL;
	json_decref(obj);
	line = text ? sk_asprintf("%s\n", text) : NULL;
	if (line)
		(void)sk_http_stream_write(e->stream, line, strlen(line));
}

static void on_events_gone(struct sk_http_stream *s, void *arg)
{
	events_free(arg);
}

static int events(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	static const char *const known[] = { "type", "event", "container", "image", "label", NULL };
	static const struct sk_http_stream_ops ops = { .gone = on_events_gone };
	struct sk_daemon *d = arg;
	struct events *e;
	int r;

	if (sk_http_query(req, "since") || sk_http_query(req, "until"))
		return sk_err_set(err, -EOPNOTSUPP, "not-supported",
				  "since and until are not supported: events are not kept");
	e = calloc(1, sizeof(*e));
	if (!e)
		return sk_err_oom(err);
	r = sk_filters_parse(sk_http_query(req, "filters"), known, &e->filters, err);
	if (r == 0 && (sk_engine_watch(d->engine, on_capsule_event, e, &e->watch) < 0 ||
		       sk_http_reply_stream(req, 200, "application/json", BUFFER_MAX, &ops, e,
					    &e->stream) < 0))
		r = sk_err_oom(err);
	if (r < 0)
		events_free(e);
	return r;
}

const struct sk_http_route sk_docker_event_routes[] = {
	{ "GET", "/events", events },
	{ NULL },
};
