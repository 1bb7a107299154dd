/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "fake_http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "io/json.h"

#define TEXT_MAX (1 << 20)

/* --- what came in --- */

static const char *look_up(const char *const *pairs, const char *name)
{
	for (; pairs && *pairs; pairs += 2)
		if (sk_streq(pairs[0], name))
			return pairs[1];
	return NULL;
}

const char *sk_http_param(const struct sk_http_req *req, const char *name)
{
	return look_up(req->params, name);
}

const char *sk_http_query(struct sk_http_req *req, const char *name)
{
	return look_up(req->query, name);
}

bool sk_http_query_true(struct sk_http_req *req, const char *name)
{
	const char *v = sk_http_query(req, name);

	return v && (sk_streq(v, "1") || sk_streq(v, "true") || sk_streq(v, "True"));
}

const char *sk_http_header(struct sk_http_req *req, const char *name)
{
	return look_up(req->headers, name);
}

const char *sk_http_method(const struct sk_http_req *req)
{
	return req->method;
}

void sk_http_body_more(struct sk_http_req *req)
{
}

const char *sk_http_path(const struct sk_http_req *req)
{
	return req->path;
}

const char *sk_http_full_path(const struct sk_http_req *req)
{
	return req->path;
}

const char *sk_http_body(const struct sk_http_req *req, size_t *ret_len)
{
	if (ret_len)
		*ret_len = req->len;
	return req->len ? req->body : "";
}

int sk_http_body_json(struct sk_http_req *req, json_t **ret, struct sk_err *err)
{
	if (req->len == 0)
		return sk_err_set(err, -EINVAL, "bad-request", "a JSON body is expected");
	return sk_json_parse(req->body, req->len, ret, err);
}

int sk_http_peer_cred(struct sk_http_req *req, uid_t *uid, gid_t *gid, pid_t *pid)
{
	if (req->remote)
		return -EOPNOTSUPP;
	*uid = req->uid;
	*gid = req->gid;
	*pid = 1;
	return 0;
}

void sk_http_set_user(struct sk_http_req *req, void *user, void (*free_user)(void *))
{
	if (req->user && req->user != user && req->free_user)
		req->free_user(req->user);
	req->user = user;
	req->free_user = free_user;
}

void *sk_http_user(const struct sk_http_req *req)
{
	return req->user;
}

/* --- what goes out --- */

static void answered(struct sk_http_req *req, unsigned status)
{
	assert_false(req->left);
	assert_int_equal(req->status, 0);
	req->status = status;
	req->gone = NULL;
}

int sk_http_reply(struct sk_http_req *req, unsigned status, const char *type, const void *body,
		  size_t len)
{
	answered(req, status);
	req->text.max = TEXT_MAX;
	return sk_buf_add(&req->text, body, len);
}

int sk_http_reply_text(struct sk_http_req *req, unsigned status, const char *text)
{
	return sk_http_reply(req, status, "text/plain", text, strlen(text));
}

int sk_http_reply_json(struct sk_http_req *req, unsigned status, json_t *steals)
{
	if (!steals)
		return -ENOMEM;
	answered(req, status);
	req->json = steals;
	return 0;
}

int sk_http_reply_empty(struct sk_http_req *req, unsigned status)
{
	answered(req, status);
	return 0;
}

int sk_http_reply_err(struct sk_http_req *req, const struct sk_err *e)
{
	answered(req, (unsigned)sk_err_http_status(e->slug));
	req->err = *e;
	return 0;
}

int sk_http_add_header(struct sk_http_req *req, const char *name, const char *value)
{
	if (req->n_added == ARRAY_SIZE(req->added))
		return -E2BIG;
	(void)snprintf(req->added[req->n_added][0], sizeof(req->added[0][0]), "%s", name);
	(void)snprintf(req->added[req->n_added++][1], sizeof(req->added[0][1]), "%s", value);
	return 0;
}

int sk_http_suspend(struct sk_http_req *req, uint64_t timeout_ms,
		    void (*gone)(struct sk_http_req *req, void *arg), void *arg)
{
	assert_false(req->suspended);
	if (req->dying)
		return -ESHUTDOWN;
	req->suspended = true;
	req->gone = gone;
	req->gone_arg = arg;
	return 0;
}

int sk_http_reply_stream(struct sk_http_req *req, unsigned status, const char *type,
			 size_t buffer_max, const struct sk_http_stream_ops *ops, void *arg,
			 struct sk_http_stream **ret)
{
	if (req->dying)
		return -ENOMEM;
	answered(req, status);
	req->stream = (struct sk_http_stream){
		.ops = *ops, .arg = arg, .out = SK_BUF(TEXT_MAX), .room = buffer_max, .open = true
	};
	*ret = &req->stream;
	return 0;
}

int sk_http_stream_write(struct sk_http_stream *s, const void *data, size_t len)
{
	assert_true(s->open);
	if (len > s->room)
		return -EAGAIN;
	s->room -= len;
	return sk_buf_add(&s->out, data, len);
}

void sk_http_stream_end(struct sk_http_stream *s)
{
	assert_true(s->open);
	s->open = false;
}

/* --- the server's part --- */

const struct sk_http_route *fake_route(const struct sk_http_route *table, const char *method,
				       const char *pattern)
{
	for (; table->method; table++)
		if (sk_streq(table->method, method) && sk_streq(table->pattern, pattern))
			return table;
	fail_msg("there is no %s %s", method, pattern);
	return NULL;
}

static unsigned refuse(struct sk_http_req *req, int r, struct sk_err *err)
{
	assert_int_equal(err->code, r);
	assert_true(sk_err_slug_known(err->slug));
	assert_true(err->text[0]);
	(void)sk_http_reply_err(req, err);
	return req->status;
}

unsigned fake_body(struct sk_http_req *req, const struct sk_http_route *route, void *arg)
{
	struct sk_err err = SK_ERR_INIT;

	for (size_t at = 0, n; at < req->len; at += n) {
		int r;

		n = SK_MIN(req->piece ?: req->len, req->len - at);
		r = route->on_body(req, arg, (const char *)req->body + at, n, &err);
		if (r < 0)
			return refuse(req, r, &err);
	}
	return 0;
}

unsigned fake_call(struct sk_http_req *req, const struct sk_http_route *route, void *arg)
{
	struct sk_err err = SK_ERR_INIT;
	int r = 0;

	assert_true(req->len <= route->body_max);
	if (route->on_body) {
		if (fake_body(req, route, arg))
			return req->status;
		r = route->on_body(req, arg, NULL, 0, &err);
	}
	if (r == 0)
		r = route->handler(req, arg, &err);
	if (r < 0)
		return refuse(req, r, &err);
	assert_true(req->suspended || req->status);
	return req->status;
}

static void let_go(struct sk_http_req *req)
{
	void *user = req->user;

	req->user = NULL;
	if (user && req->free_user)
		req->free_user(user);
}

void fake_leave(struct sk_http_req *req)
{
	if (req->stream.open && req->stream.ops.gone)
		req->stream.ops.gone(&req->stream, req->stream.arg);
	req->stream.open = false;
	if (req->suspended && !req->status && req->gone)
		req->gone(req, req->gone_arg);
	req->left = true;
	let_go(req);
}

void fake_read(struct sk_http_req *req, size_t room)
{
	req->stream.room = room;
	if (req->stream.open && req->stream.ops.writable)
		req->stream.ops.writable(&req->stream, req->stream.arg);
}

void fake_over(struct sk_http_req *req)
{
	if (!req->left)
		fake_leave(req);
	json_decref(req->json);
	sk_buf_done(&req->text);
	sk_buf_done(&req->stream.out);
	*req = (struct sk_http_req){ 0 };
}

const char *fake_str(const struct sk_http_req *req, const char *key)
{
	return json_string_value(json_object_get(req->json, key)) ?: "";
}

json_int_t fake_int(const struct sk_http_req *req, const char *key)
{
	return json_integer_value(json_object_get(req->json, key));
}
