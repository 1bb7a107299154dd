/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/capsule/logs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "engine/docker/docker.h"

#define BUFFER_MAX  (256 * 1024)
#define PENDING_MAX (128 * 1024)
#define STREAM_TYPE "application/vnd.docker.multiplexed-stream"

/*
 * GET /containers/{id}/logs: frames of an 8-byte head (stream, three zeros, length big-endian) and a
 * line. When the reader is slow, the one line that had no room waits in @pending and the log stands
 * still until there is room.
 */
struct reader {
	struct sk_http_stream *stream;
	struct sk_logs *logs;
	struct sk_buf pending;
	bool timestamps;
	bool ended;
};

static void reader_free(struct reader *r)
{
	if (r->logs)
		sk_logs_close(r->logs);
	sk_buf_done(&r->pending);
	free(r);
}

static int frame(struct reader *r, const struct sk_log_line *l)
{
	char stamp[64] = "", when[32];
	unsigned char head[8] = { (unsigned char)l->stream };
	size_t len;

	if (r->timestamps) {
		(void)sk_time_format(when, l->time_s);
		when[strcspn(when, "Z")] = '\0';
		(void)snprintf(stamp, sizeof(stamp), "%s.%09" PRIu32 "Z ", when, l->time_ns);
	}
	len = strlen(stamp) + l->len;
	for (int i = 0; i < 4; i++)
		head[4 + i] = (unsigned char)(len >> (24 - 8 * i));
	return sk_buf_add(&r->pending, head, sizeof(head)) ?:
	       sk_buf_add(&r->pending, stamp, strlen(stamp)) ?:
	       sk_buf_add(&r->pending, l->text, l->len);
}

/* Return: is all of it on its way? */
static bool flush(struct reader *r)
{
	if (r->pending.len == 0)
		return true;
	if (sk_http_stream_write(r->stream, r->pending.data, r->pending.len) == -EAGAIN)
		return false;
	r->pending.len = 0;
	return true;
}

static int on_line(void *arg, const struct sk_log_line *l)
{
	struct reader *r = arg;

	if (frame(r, l) < 0) {
		r->pending.len = 0; /* without memory, or longer than any line may be: left out */
		return 0;
	}
	return flush(r) ? 0 : 1;
}

static void logs_finish(struct reader *r)
{
	sk_http_stream_end(r->stream);
	reader_free(r);
}

static void on_end(void *arg)
{
	struct reader *r = arg;

	r->ended = true;
	if (r->stream && flush(r))
		logs_finish(r);
}

static void on_writable(struct sk_http_stream *s, void *arg)
{
	struct reader *r = arg;

	if (!flush(r))
		return;
	if (r->ended)
		logs_finish(r);
	else
		sk_logs_resume(r->logs);
}

static void on_logs_gone(struct sk_http_stream *s, void *arg)
{
	reader_free(arg);
}

/* Seconds since 1970, a fraction allowed and cut off, or RFC 3339. */
static int get_time(struct sk_http_req *req, const char *name, int64_t *ret, struct sk_err *err)
{
	const char *s = sk_http_query(req, name);
	char whole[32];
	uint64_t v;

	*ret = 0;
	if (!s || !*s || sk_streq(s, "0"))
		return 0;
	if (sk_time_parse(s, ret) == 0)
		return 0;
	(void)snprintf(whole, sizeof(whole), "%.*s", (int)strcspn(s, "."), s);
	if (sk_parse_u64(whole, &v) < 0 || v > INT64_MAX / 2)
		return sk_err_set(err, -EINVAL, "bad-request",
				  "%s is a number of seconds since 1970 or a UTC time", name);
	*ret = (int64_t)v;
	return 0;
}

static int get_query(struct sk_http_req *req, struct sk_log_query *q, struct sk_err *err)
{
	const char *tail = sk_http_query(req, "tail");
	uint64_t n;

	*q = (struct sk_log_query){
		.follow = sk_http_query_true(req, "follow"),
		.stdout_ = sk_http_query_true(req, "stdout"),
		.stderr_ = sk_http_query_true(req, "stderr"),
		.tail = -1,
	};
	if (tail && *tail && !sk_streq(tail, "all")) {
		/* Docker takes a negative number, or nonsense, for "all". */
		if (sk_parse_u64(tail, &n) < 0 || n > INT64_MAX / 2)
			return sk_err_set(err, -EINVAL, "bad-request",
					  "tail is a number of lines or all");
		q->tail = (int64_t)n;
	}
	return get_time(req, "since", &q->since_s, err) < 0 ||
			       get_time(req, "until", &q->until_s, err) < 0
		       ? err->code
		       : 0;
}

static int serve(struct sk_http_req *req, struct sk_capsule *c, const struct sk_log_query *query,
		 struct sk_err *err)
{
	static const struct sk_http_stream_ops ops = { on_writable, on_logs_gone };
	struct reader *reader = calloc(1, sizeof(*reader));
	int r;

	if (!reader)
		return sk_err_oom(err);
	reader->pending.max = PENDING_MAX;
	reader->timestamps = sk_http_query_true(req, "timestamps");
	r = sk_http_reply_stream(req, 200, STREAM_TYPE, BUFFER_MAX, &ops, reader, &reader->stream);
	if (r < 0) {
		reader_free(reader);
		return sk_err_oom(err);
	}
	r = sk_logs_open(c, query, on_line, on_end, reader, &reader->logs, err);
	if (r < 0) {
		/* The head is promised already: what is wrong comes as a line of standard error. */
		struct sk_log_line line = { .stream = 2,
					    .text = err->text,
					    .len = strlen(err->text) };

		reader->timestamps = false;
		(void)on_line(reader, &line);
		logs_finish(reader);
	}
	return 0;
}

static int logs(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_capsule *c = sk_docker_find(req, arg, err);
	struct sk_log_query query;

	if (!c || get_query(req, &query, err) < 0)
		return err->code;
	if (!query.stdout_ && !query.stderr_)
		return sk_err_set(err, -EINVAL, "bad-request",
				  "Bad parameters: you must choose at least one stream");
	return serve(req, c, &query, err);
}

const struct sk_http_route sk_docker_log_routes[] = {
	{ "GET", "/containers/{id}/logs", logs },
	{ NULL },
};
