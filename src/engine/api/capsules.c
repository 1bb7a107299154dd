/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "engine/api/api.h"
#include "io/json.h"

/*
 * /skerry/v1/capsules: all capsules of the device, by name; and /skerry/v1/halt, the end of all of them.
 * docs/reference/skerryd-api.yaml
 */

static json_t *time_or_null(int64_t s)
{
	char buf[32];

	return s > 0 ? json_string(sk_time_format(buf, s)) : json_null();
}

static json_t *str_or_null(const char *s)
{
	return s ? json_string(s) : json_null();
}

static const char *health_name(enum sk_health_state h)
{
	static const char *const names[] = { [SK_HEALTH_UNKNOWN] = "none",
					     [SK_HEALTH_STARTING] = "starting",
					     [SK_HEALTH_HEALTHY] = "healthy",
					     [SK_HEALTH_UNHEALTHY] = "unhealthy" };

	return names[h];
}

static json_t *capsule_json(const struct sk_capsule *c)
{
	struct sk_capsule_view v;

	sk_capsule_view(c, &v);
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:i, s:i, s:b, s:I, s:o, s:o, s:o, "
		"s:o, s:s}",
		"name", v.app->name, "id", v.id, "image", v.image_name ?: "", "image_digest",
		SK_DIGEST_STR(&v.image), "state", sk_capsule_state_name(v.state), "health",
		health_name(v.health), "health_output", str_or_null(v.health_output), "generation",
		(json_int_t)v.generation, "pid", (int)v.pid, "exit_code", v.exit_code, "oom_killed",
		v.oom_killed, "restarts", (json_int_t)v.restarts, "created",
		time_or_null(v.created_s), "started", time_or_null(v.started_s), "finished",
		time_or_null(v.finished_s), "error", str_or_null(v.error), "log", v.log_path ?: "");
}

static int get_capsules(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const struct sk_api *api = arg;
	_cleanup_json_ json_t *out = json_array();
	struct sk_capsule *c;

	for (size_t pos = 0; (c = sk_engine_next(api->engine, &pos));)
		if (json_array_append_new(out, capsule_json(c)) < 0)
			return sk_err_oom(err);
	return sk_http_reply_json(req, 200, TAKE_PTR(out));
}

static struct sk_capsule *capsule_of(struct sk_http_req *req, const struct sk_api *api,
				     struct sk_err *err)
{
	return sk_engine_find(api->engine, sk_http_param(req, "name"), err);
}

static int get_capsule(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const struct sk_capsule *c = capsule_of(req, arg, err);

	return c ? sk_http_reply_json(req, 200, capsule_json(c)) : err->code;
}

/* An operation that ends later: the answer is the capsule as it is then, if it is about one. */
struct op {
	struct sk_api *api;
	struct sk_http_req *req;    /* NULL: the client has left */
	char id[SK_DIGEST_HEX + 1]; /* "": it is about all of them */
};

static void op_left(struct sk_http_req *req, void *arg)
{
	((struct op *)arg)->req = NULL;
}

static void op_answer(void *arg, const struct sk_err *err)
{
	struct op *op = arg;
	const struct sk_capsule *c =
		op->id[0] ? sk_engine_find(op->api->engine, op->id, NULL) : NULL;

	if (op->req && err)
		(void)sk_http_reply_err(op->req, err);
	else if (op->req && c)
		(void)sk_http_reply_json(op->req, 200, capsule_json(c));
	else if (op->req)
		(void)sk_http_reply_empty(op->req, 204);
	free(op);
}

/* Suspends the request; NULL with @err. */
static struct op *op_begin(struct sk_http_req *req, struct sk_api *api, const char *id,
			   struct sk_err *err)
{
	struct op *op = calloc(1, sizeof(*op));

	if (!op) {
		(void)sk_err_oom(err);
		return NULL;
	}
	op->api = api;
	op->req = req;
	memcpy(op->id, id, SK_MIN(strlen(id), sizeof(op->id) - 1));
	if (sk_http_suspend(req, UINT64_MAX, op_left, op) < 0) {
		free(op);
		(void)sk_err_set(err, -ESHUTDOWN, "bad-state", "the daemon is stopping");
		return NULL;
	}
	return op;
}

typedef int (*op_fn)(struct sk_capsule *c, struct op *op, struct sk_err *err);

static int run_op(struct sk_http_req *req, void *arg, op_fn fn, struct sk_err *err)
{
	struct sk_capsule *c = capsule_of(req, arg, err);
	struct sk_capsule_view v;
	struct op *op;

	if (!c)
		return err->code;
	sk_capsule_view(c, &v);
	op = op_begin(req, arg, v.id, err);
	if (!op)
		return err->code;
	if (fn(c, op, err) < 0)
		op_answer(op, err);
	return 0;
}

static int op_start(struct sk_capsule *c, struct op *op, struct sk_err *err)
{
	return sk_capsule_start(c, op_answer, op, err);
}

static int op_stop(struct sk_capsule *c, struct op *op, struct sk_err *err)
{
	return sk_capsule_stop(c, UINT64_MAX, op_answer, op, err);
}

static int op_restart(struct sk_capsule *c, struct op *op, struct sk_err *err)
{
	return sk_capsule_restart(c, UINT64_MAX, op_answer, op, err);
}

static int op_prepare(struct sk_capsule *c, struct op *op, struct sk_err *err)
{
	return sk_capsule_prepare(c, op_answer, op, err);
}

static int post_start(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return run_op(req, arg, op_start, err);
}

static int post_stop(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return run_op(req, arg, op_stop, err);
}

static int post_restart(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return run_op(req, arg, op_restart, err);
}

static int post_prepare(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return run_op(req, arg, op_prepare, err);
}

static int post_halt(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const struct sk_api *api = arg;
	struct op *op = op_begin(req, arg, "", err);

	if (!op)
		return err->code;
	sk_update_halt(api->update);
	if (sk_engine_halt(api->engine, op_answer, op, err) < 0)
		op_answer(op, err);
	return 0;
}

const struct sk_http_route sk_api_capsule_routes[] = {
	{ "GET", "/skerry/v1/capsules", get_capsules, .flags = SK_API_ROUTE_AGENT },
	{ "GET", "/skerry/v1/capsules/{name}", get_capsule, .flags = SK_API_ROUTE_AGENT },
	{ "POST", "/skerry/v1/capsules/{name}/prepare", post_prepare, 64 },
	{ "POST", "/skerry/v1/capsules/{name}/start", post_start, 64 },
	{ "POST", "/skerry/v1/capsules/{name}/stop", post_stop, 64 },
	{ "POST", "/skerry/v1/capsules/{name}/restart", post_restart, 64 },
	{ "POST", "/skerry/v1/halt", post_halt, 64 },
	{ NULL },
};
