/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/buf.h"
#include "base/digest.h"
#include "io/http/server.h"

/*
 * The HTTP server's side of a handler, without sockets: what a request brings is set by the test, what is
 * answered can be looked at. A second answer to a request fails the test, and so does an answer to one
 * whose peer has left.
 */

/** What goes out as a stream; the test says how much room there is. */
struct sk_http_stream {
	struct sk_http_stream_ops ops;
	void *arg;
	struct sk_buf out;
	size_t room;
	bool open; /* neither ended by the program nor given up by the peer */
};

/**
 * struct sk_http_req - all but the first part is filled in by what the handler does
 * @params, @query, @headers: "name", "value", ..., NULL
 * @piece:      the body is handed on in so many bytes at a time; 0: at once
 * @remote:     not over a UNIX socket
 * @dying:      the server stops: nothing can wait or stream any more
 */
struct sk_http_req {
	const char *const *params, *const *query, *const *headers;
	const char *method, *path;
	const void *body;
	size_t len, piece;
	uid_t uid;
	gid_t gid;
	bool remote, dying;

	unsigned status; /* 0: none yet */
	struct sk_err err;
	json_t *json;
	struct sk_buf text; /* of an answer that is not JSON */
	char added[4][2][96];
	unsigned n_added;
	bool suspended, left;
	void (*gone)(struct sk_http_req *req, void *arg);
	void *gone_arg, *user;
	void (*free_user)(void *);
	struct sk_http_stream stream;
};

#define PAIRS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/** The row of a table; fails the test when there is none. */
const struct sk_http_route *fake_route(const struct sk_http_route *table, const char *method,
				       const char *pattern);
/**
 * fake_call() - what the server does with a request that is here as a whole
 * Return: the status, or 0: it is to be answered later
 */
unsigned fake_call(struct sk_http_req *req, const struct sk_http_route *route, void *arg);
/** Only as much of the body as @req has; the peer is about to send more. 0, or the status of a refusal. */
unsigned fake_body(struct sk_http_req *req, const struct sk_http_route *route, void *arg);
/** The peer goes away; the request is over. */
void fake_leave(struct sk_http_req *req);
/** The reader of a stream took all that was sent. */
void fake_read(struct sk_http_req *req, size_t room);
/** The request is over and forgotten, so that @req can be used again. */
void fake_over(struct sk_http_req *req);
/** Of a JSON answer; "" or 0 when it is not there. */
const char *fake_str(const struct sk_http_req *req, const char *key);
json_int_t fake_int(const struct sk_http_req *req, const char *key);
