/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "engine/docker/docker.h"
#include "io/json.h"

#define BODY_MAX (1 << 20)

struct sk_capsule *sk_docker_find(struct sk_http_req *req, const struct sk_daemon *d,
				  struct sk_err *err)
{
	const char *ref = sk_http_param(req, "id");
	struct sk_capsule *c = sk_engine_find(d->engine, ref, err);

	if (!c && sk_err_is(err, "not-found"))
		sk_err_set(err, -ENOENT, "not-found", "No such container: %.200s", ref);
	return c;
}

/* --- list and inspect --- */

static bool name_or_id_fits(const json_t *filters, const struct sk_capsule_view *v)
{
	return sk_filter_has(filters, "id", v->id, false) &&
	       sk_filter_has(filters, "name", v->app->name, true);
}

static bool exit_code_fits(const json_t *filters, const struct sk_capsule_view *v)
{
	char code[16];

	(void)snprintf(code, sizeof(code), "%d", v->exit_code);
	return json_array_size(json_object_get(filters, "exited")) == 0 ||
	       (sk_streq(sk_docker_state(v), "exited") && sk_filter_is(filters, "exited", code));
}

static bool health_fits(const json_t *filters, const struct sk_capsule_view *v)
{
	static const char *const words[] = { [SK_HEALTH_UNKNOWN] = "none",
					     [SK_HEALTH_STARTING] = "starting",
					     [SK_HEALTH_HEALTHY] = "healthy",
					     [SK_HEALTH_UNHEALTHY] = "unhealthy" };

	return sk_filter_is(filters, "health", words[v->health]);
}

static bool ancestor_fits(const struct sk_daemon *d, const json_t *filters,
			  const struct sk_capsule_view *v)
{
	const json_t *list = json_object_get(filters, "ancestor");
	json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		struct sk_digest digest;

		if (sk_docker_image_find(d, json_string_value(item), &digest, NULL) == 0 &&
		    sk_digest_equal(&digest, &v->image))
			return true;
	}
	return json_array_size(list) == 0;
}

static bool container_fits(const struct sk_daemon *d, const json_t *filters, bool all,
			   const struct sk_capsule_view *v)
{
	const char *state = sk_docker_state(v);

	/* A filter by state or exit code looks at all of them. */
	all = all || json_object_get(filters, "status") || json_object_get(filters, "exited");
	return (all || sk_streq(state, "running") || sk_streq(state, "restarting")) &&
	       sk_filter_is(filters, "status", state) && name_or_id_fits(filters, v) &&
	       sk_filter_labels(filters, v->labels) && exit_code_fits(filters, v) &&
	       health_fits(filters, v) && ancestor_fits(d, filters, v);
}

/* Newest first, as Docker does; the engine hands them out oldest first. */
static int container_list(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	static const char *const known[] = { "id",     "name",	 "label",    "status",
					     "exited", "health", "ancestor", NULL };
	const char *limit_text = sk_http_query(req, "limit");
	_cleanup_json_ json_t *filters = NULL, *out = json_array();
	bool all = sk_http_query_true(req, "all");
	const struct sk_daemon *d = arg;
	struct sk_capsule *c;
	uint64_t limit = 0;
	int r = sk_filters_parse(sk_http_query(req, "filters"), known, &filters, err);

	if (r < 0)
		return r;
	if (limit_text && !sk_streq(limit_text, "-1") && sk_parse_u64(limit_text, &limit) < 0)
		return sk_err_set(err, -EINVAL, "bad-request", "limit is a number");
	for (size_t pos = 0; (c = sk_engine_next(d->engine, &pos));) {
		struct sk_capsule_view v;

		sk_capsule_view(c, &v);
		if (container_fits(d, filters, all || limit > 0, &v) &&
		    json_array_insert_new(out, 0, sk_docker_summary(&v)) < 0)
			return sk_err_oom(err);
	}
	while (limit > 0 && json_array_size(out) > limit)
		(void)json_array_remove(out, json_array_size(out) - 1);
	return sk_http_reply_json(req, 200, TAKE_PTR(out));
}

static int container_inspect(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const struct sk_capsule *c = sk_docker_find(req, arg, err);
	struct sk_capsule_view v;

	if (!c)
		return err->code;
	sk_capsule_view(c, &v);
	return sk_http_reply_json(req, 200, sk_docker_inspect(&v));
}

/* --- operations that end later --- */

struct op {
	struct sk_http_req *req; /* NULL: the client has left */
};

static void op_gone(struct sk_http_req *req, void *arg)
{
	((struct op *)arg)->req = NULL;
}

static void op_done(void *arg, const struct sk_err *err)
{
	struct op *op = arg;

	if (op->req && err)
		(void)sk_http_reply_err(op->req, err);
	else if (op->req)
		(void)sk_http_reply_empty(op->req, 204);
	free(op);
}

/*
 * The request waits for the operation. It is suspended first, so that whatever the engine calls back
 * finds it so; when the operation does not even begin, the failure is the answer.
 */
static struct op *op_new(struct sk_http_req *req, struct sk_err *err)
{
	struct op *op = calloc(1, sizeof(*op));

	if (!op) {
		sk_err_oom(err);
		return NULL;
	}
	op->req = req;
	if (sk_http_suspend(req, UINT64_MAX, op_gone, op) < 0) {
		free(op);
		sk_err_set(err, -ESHUTDOWN, "bad-state", "the daemon is stopping");
		return NULL;
	}
	return op;
}

static int op_began(struct op *op, int r, const struct sk_err *err)
{
	if (r < 0)
		op_done(op, err);
	return 0;
}

static bool container_is_up(const struct sk_capsule *c)
{
	struct sk_capsule_view v;

	sk_capsule_view(c, &v);
	return sk_streq(sk_docker_state(&v), "running") ||
	       sk_streq(sk_docker_state(&v), "restarting");
}

static int container_start(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_capsule *c = sk_docker_find(req, arg, err);
	struct op *op;

	if (!c)
		return err->code;
	if (container_is_up(c))
		return sk_http_reply_empty(req, 304);
	op = op_new(req, err);
	return op ? op_began(op, sk_capsule_start(c, op_done, op, err), err) : err->code;
}

/* ?t=SECONDS; -1 and absent: the capsule's own. */
static int get_grace(struct sk_http_req *req, uint64_t *ret_ms, struct sk_err *err)
{
	const char *t = sk_http_query(req, "t");
	uint64_t s;

	*ret_ms = UINT64_MAX;
	if (!t || !*t || sk_streq(t, "-1"))
		return 0;
	if (sk_parse_u64(t, &s) < 0 || s > 86400)
		return sk_err_set(err, -EINVAL, "bad-request",
				  "t is a number of seconds, at most 86400");
	*ret_ms = s * 1000;
	return 0;
}

/* Refused: the engine keeps no stop signal for a single stop. */
static int check_signal(struct sk_http_req *req, struct sk_err *err)
{
	const char *signal = sk_http_query(req, "signal");

	if (!signal || !*signal)
		return 0;
	return sk_err_set(err, -EOPNOTSUPP, "not-supported",
			  "stopping with another signal is not supported; use kill --signal");
}

static int container_stop(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_capsule *c = sk_docker_find(req, arg, err);
	uint64_t grace_ms;
	struct op *op;

	if (!c || check_signal(req, err) < 0 || get_grace(req, &grace_ms, err) < 0)
		return err->code;
	if (!container_is_up(c))
		return sk_http_reply_empty(req, 304);
	op = op_new(req, err);
	return op ? op_began(op, sk_capsule_stop(c, grace_ms, op_done, op, err), err) : err->code;
}

static int restart(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_capsule *c = sk_docker_find(req, arg, err);
	uint64_t grace_ms;
	struct op *op;

	if (!c || check_signal(req, err) < 0 || get_grace(req, &grace_ms, err) < 0)
		return err->code;
	op = op_new(req, err);
	return op ? op_began(op, sk_capsule_restart(c, grace_ms, op_done, op, err), err)
		  : err->code;
}

static int kill_it(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const char *name = sk_http_query(req, "signal");
	struct sk_capsule *c = sk_docker_find(req, arg, err);
	struct sk_capsule_view v;
	int r, signal = 9;

	if (!c)
		return err->code;
	if (name && *name && sk_signal_parse(name, &signal) < 0)
		return sk_err_set(err, -EINVAL, "bad-request", "invalid signal: %.32s", name);
	sk_capsule_view(c, &v);
	if (v.pid == 0)
		return sk_err_set(err, -ESRCH, "bad-state", "container %.12s is not running", v.id);
	r = sk_capsule_kill(c, signal, err);
	return r < 0 ? r : sk_http_reply_empty(req, 204);
}

static int remove_it(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_capsule *c = sk_docker_find(req, arg, err);
	bool force = sk_http_query_true(req, "force");
	struct sk_capsule_view v;
	struct op *op;

	if (!c)
		return err->code;
	sk_capsule_view(c, &v);
	if (v.generation > 0)
		return sk_err_set(err, -EPERM, "in-use",
				  "%s belongs to the release of generation %llu and goes only with "
				  "it; it may be stopped",
				  v.app->name, (unsigned long long)v.generation);
	if (sk_http_query_true(req, "link"))
		return sk_err_set(err, -EOPNOTSUPP, "not-supported", "links are not supported");
	if (!force && container_is_up(c))
		return sk_err_set(err, -EBUSY, "bad-state",
				  "cannot remove container \"/%s\": container is running: stop the "
				  "container before removing or force remove",
				  v.app->name);
	op = op_new(req, err);
	return op ? op_began(op, sk_capsule_remove(c, force, op_done, op, err), err) : err->code;
}

const struct sk_http_route sk_docker_container_routes[] = {
	{ "GET", "/containers/json", container_list },
	{ "POST", "/containers/create", sk_docker_create, BODY_MAX },
	{ "GET", "/containers/{id}/json", container_inspect },
	{ "POST", "/containers/{id}/start", container_start, BODY_MAX },
	{ "POST", "/containers/{id}/stop", container_stop, BODY_MAX },
	{ "POST", "/containers/{id}/restart", restart, BODY_MAX },
	{ "POST", "/containers/{id}/kill", kill_it, BODY_MAX },
	{ "DELETE", "/containers/{id}", remove_it },
	{ NULL },
};
