/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "engine/api/handlers.h"
#include "engine/capsule/logs.h"

/*
 * The last lines of a capsule's log as plain text: for the link to the hub and for `skerry capsule
 * logs`. Following and multiplexing are the Docker API's.
 */
#define TEXT_MAX     (1u << 20)
#define TAIL_DEFAULT 200
#define TAIL_MAX     10000

/** A log on its way into an answer. */
struct reading {
	struct sk_http_req *req; /* NULL once the peer went away */
	struct sk_logs *logs;
	struct sk_buf text;
};

static int reading_line(void *arg, const struct sk_log_line *line)
{
	struct reading *rd = arg;
	struct sk_buf *b = &rd->text;

	/* The newest lines matter: make room by forgetting the oldest. */
	if (line->len > TEXT_MAX / 2)
		return 0;
	while (b->len + line->len > TEXT_MAX) {
		const char *nl = memchr(b->data, '\n', b->len);

		sk_buf_drop(b, nl ? (size_t)(nl + 1 - b->data) : b->len);
	}
	(void)sk_buf_add(b, line->text, line->len);
	return 0;
}

static void reading_free(struct reading *rd)
{
	if (rd->logs)
		sk_logs_close(rd->logs);
	sk_buf_done(&rd->text);
	free(rd);
}

static void reading_end(void *arg)
{
	struct reading *rd = arg;

	if (rd->req)
		(void)sk_http_reply(rd->req, 200, "text/plain; charset=utf-8", rd->text.data ?: "",
				    rd->text.len);
	reading_free(rd);
}

static void reading_left(struct sk_http_req *req, void *arg)
{
	reading_free(arg);
}

int sk_api_logs(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const struct sk_api *api = arg;
	const char *name = sk_http_param(req, "name"), *tail_text = sk_http_query(req, "tail");
	struct sk_log_query query = { .stdout_ = true, .stderr_ = true };
	struct sk_capsule *c;
	struct reading *rd;
	uint64_t tail = TAIL_DEFAULT;
	int r;

	if (tail_text && sk_parse_u64(tail_text, &tail) < 0)
		return sk_err_set(err, -EINVAL, "bad-request", "tail=%s is not a number",
				  tail_text);
	query.tail = (int64_t)SK_MIN(tail, (uint64_t)TAIL_MAX);
	c = sk_engine_find(api->engine, name, err);
	if (!c)
		return err->code ?: -ENOENT;
	rd = calloc(1, sizeof(*rd));
	if (!rd)
		return sk_err_oom(err);
	rd->req = req;
	rd->text = SK_BUF(TEXT_MAX);
	r = sk_http_suspend(req, UINT64_MAX, reading_left, rd);
	if (r < 0) {
		reading_free(rd);
		return r;
	}
	r = sk_logs_open(c, &query, reading_line, reading_end, rd, &rd->logs, err);
	if (r == 0)
		return 0;
	reading_free(rd);
	(void)sk_http_reply_err(req, err);
	return 0;
}
