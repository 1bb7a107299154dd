/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/err.h"

/*
 * An HTTP/1.1 server over libmicrohttpd, driven either by an sd-event loop (skerryd: one thread)
 * or by threads of its own (hub). Routes are tables; handlers see a request and answer it at once,
 * later (suspended), or as a stream.
 */
struct sk_http;
struct sk_http_req;

/** A handler returns 0 once it answered or suspended, or a failure with @err filled. */
typedef int (*sk_http_handler)(struct sk_http_req *req, void *arg, struct sk_err *err);

/**
 * Receives the request body piece by piece (uploads). Called with len 0 once at the end, before
 * the handler. A failure stops the upload: the error is answered and the connection closed. -EAGAIN
 * (not with threads) means "not now": nothing of this piece was taken, and the peer has to wait until
 * sk_http_body_more(), after which the same bytes come again.
 */
typedef int (*sk_http_body_fn)(struct sk_http_req *req, void *arg, const void *data, size_t len,
			       struct sk_err *err);

/**
 * struct sk_http_route - one row of a route table
 * @method:    "GET", ... ; "GET" rows answer HEAD too
 * @pattern:   "/containers/{id}/start"; "{name}" is one path part, "{name*}" the rest of the path
 * @handler:   called when the whole request is here
 * @body_max:  most bytes of a buffered body; 0: no body is taken (a body is 413)
 * @on_body:   instead of buffering, receive the body as it comes (then @body_max bounds its sum)
 * @flags:     SK_HTTP_*; the program's own bits from SK_HTTP_USER up (e.g. "needs owner role")
 */
struct sk_http_route {
	const char *method;
	const char *pattern;
	sk_http_handler handler;
	uint64_t body_max;
	sk_http_body_fn on_body;
	unsigned flags;
};
#define SK_HTTP_USER 0x100u

struct sk_http_config {
	int listen_fd;	  /* bound and listening, TCP or UNIX; owned by the server from _new on */
	sd_event *event;  /* loop-driven when set */
	unsigned threads; /* else this many threads */
	const char *tls_cert_pem, *tls_key_pem; /* both for HTTPS */
	unsigned connections_max;
	unsigned per_ip_max;	 /* 0: no bound */
	unsigned idle_timeout_s; /* a connection without traffic is closed after this */
	unsigned
		request_timeout_s; /* a request's head and buffered body must be complete by then (slow loris) */
	size_t header_max_bytes; /* default 32 KiB */
	/* Called before the body of any routed request is taken; authentication and authorisation live here. */
	int (*authorize)(struct sk_http_req *req, unsigned route_flags, void *arg,
			 struct sk_err *err);
	/*
	 * May this answer go on? Asked by the connection's thread before each piece of a file leaves; false
	 * cuts the connection off. NULL: always (and the kernel may send the file by itself).
	 */
	bool (*go_on)(struct sk_http_req *req, void *arg);
	/* Shapes an error body; NULL: {"error": slug, "message": text}. Docker wants {"message"}. */
	json_t *(*error_body)(const struct sk_http_req *req, const struct sk_err *err);
	/*
	 * Most connections that peers of one kind may hold at once, so that they leave room for others;
	 * more are closed as they come. Kinds are the program's numbers. UNIX sockets only; may be NULL.
	 */
	unsigned (*peer_max)(uid_t uid, gid_t gid, unsigned *ret_kind, void *arg);
	/* Last chance to rewrite a path before routing, e.g. strip "/v1.41". Returns a pointer into @path. */
	const char *(*rewrite)(const char *path);
	void *arg; /* handed to handlers and callbacks */
	/* One for each table, handed to its handlers instead of @arg; borrowed. NULL: @arg for all. */
	void *const *table_args;
};

/** Tables are borrowed: an array of @n_tables pointers to arrays ended by a row with NULL method. */
int sk_http_new(const struct sk_http_config *config, const struct sk_http_route *const *tables,
		size_t n_tables, struct sk_http **ret, struct sk_err *err);
void sk_http_free(struct sk_http *h);
SK_DEFINE_CLEANUP(struct sk_http, sk_http_free);

/** Listening sockets. @mode and @gid: of the UNIX socket's file; an old one is replaced. */
int sk_http_listen_unix(const char *path, mode_t mode, gid_t gid, int *ret_fd, struct sk_err *err);
/** @address: "127.0.0.1:8443", "[::1]:0"; @ret_port: the port in use; may be NULL. */
int sk_http_listen_tcp(const char *address, int *ret_fd, uint16_t *ret_port, struct sk_err *err);

/* What came in. Strings live as long as the request; NULL when absent. */
const char *sk_http_method(const struct sk_http_req *req);
const char *sk_http_path(const struct sk_http_req *req);
/** The path as it came, before "rewrite"; decoded. */
const char *sk_http_full_path(const struct sk_http_req *req);
const char *sk_http_param(const struct sk_http_req *req, const char *name); /* "{id}" */
const char *sk_http_query(struct sk_http_req *req, const char *name);	    /* decoded */
const char *sk_http_header(struct sk_http_req *req, const char *name);
const char *sk_http_body(const struct sk_http_req *req, size_t *ret_len); /* NUL-terminated */
const char *sk_http_peer(struct sk_http_req *req);			  /* "192.0.2.1", "unix" */
/** Peer credentials on a UNIX socket. 0 or -EOPNOTSUPP. */
int sk_http_peer_cred(struct sk_http_req *req, uid_t *uid, gid_t *gid, pid_t *pid);
/** sk_http_body_json() - bounded parse; "bad-request" names the place of the mistake. New reference. */
int sk_http_body_json(struct sk_http_req *req, json_t **ret, struct sk_err *err);
/** sk_http_body_more() - go on with a body that was put off with -EAGAIN; otherwise does nothing */
void sk_http_body_more(struct sk_http_req *req);
bool sk_http_query_true(struct sk_http_req *req, const char *name); /* 1, true, True */

/*
 * Per-request data of the program, e.g. the authenticated user or an upload in progress. What was set
 * before is freed, unless it is the same: with @free_user NULL that takes it out of the request's hands.
 */
void sk_http_set_user(struct sk_http_req *req, void *user, void (*free_user)(void *));
void *sk_http_user(const struct sk_http_req *req);

/* Answers; exactly one per request. Each returns 0 or -ENOMEM. */
int sk_http_reply(struct sk_http_req *req, unsigned status, const char *type, const void *body,
		  size_t len);
int sk_http_reply_text(struct sk_http_req *req, unsigned status, const char *text);
int sk_http_reply_json(struct sk_http_req *req, unsigned status, json_t *steals);
int sk_http_reply_empty(struct sk_http_req *req, unsigned status);
int sk_http_reply_err(struct sk_http_req *req, const struct sk_err *e);
/** A file, by sendfile, with Range and ETag (`"<etag>"`) handled. Owns @fd. */
int sk_http_reply_fd(struct sk_http_req *req, int fd, const char *type, const char *etag);
/** Adds a header to the answer to come. */
int sk_http_add_header(struct sk_http_req *req, const char *name, const char *value);

/**
 * Later: sk_http_suspend() in a handler, then any of the reply functions from the loop (or any
 * thread). If the peer goes away first, @gone is called (once, maybe from a server thread) and the
 * request must not be touched afterwards. A suspended request not answered by @timeout_ms is
 * answered 204 by the server itself (UINT64_MAX: no time-out); @gone is called then too, so that the
 * program forgets the request.
 *
 * Suspend before others learn of the request. With threads, a reply and the peer's leaving may cross:
 * have @gone look the request up under the program's own lock before it touches @arg.
 * Return: 0, or a failure (the server stops) that the handler returns in its turn.
 */
int sk_http_suspend(struct sk_http_req *req, uint64_t timeout_ms,
		    void (*gone)(struct sk_http_req *req, void *arg), void *arg);

/**
 * Streams: headers leave at once; then sk_http_stream_write() any number of times, from the same
 * loop, and sk_http_stream_end(). Bytes are buffered up to @buffer_max; -EAGAIN when full, and
 * @writable is called when there is room again. @gone as above.
 */
struct sk_http_stream;
struct sk_http_stream_ops {
	void (*writable)(struct sk_http_stream *s, void *arg);
	void (*gone)(struct sk_http_stream *s, void *arg); /* @s is freed after this returns */
};
int sk_http_reply_stream(struct sk_http_req *req, unsigned status, const char *type,
			 size_t buffer_max, const struct sk_http_stream_ops *ops, void *arg,
			 struct sk_http_stream **ret);
int sk_http_stream_write(struct sk_http_stream *s, const void *data, size_t len);
void sk_http_stream_end(
	struct sk_http_stream *s); /* @s must not be used afterwards; gone() is not called */
