/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/macros.h"
#include "io/http/route.h"
#include "io/http/server.h"

/* What the files server.c, request.c, reply.c, stream.c and park.c share. */

#define QUERY_MAX	  32	      /* name=value pairs of one request */
#define URI_MAX		  (16 * 1024) /* bytes, encoded */
#define HEADERS_ADDED_MAX 8	      /* sk_http_add_header() per answer */
#define DRAIN_MAX	  (64 * 1024) /* a refused body up to this is read, to keep the connection */
#define LINGER_MS	  2000 /* a longer one is read this long, so that the peer sees why */

/** Where a request stands. Written by the connection's thread, SUSPENDED and later under h->lock. */
enum phase {
	PHASE_IDLE, /* between requests */
	PHASE_HEAD, /* the request line is here */
	PHASE_BODY, /* the body goes to a buffer or to on_body */
	PHASE_HELD, /* suspended within the body: the program has no room for more of it now */
	PHASE_DRAIN, /* refused: the short body is thrown away, then the answer in @response leaves */
	PHASE_LINGER,	 /* refused and answered; closes soon */
	PHASE_HANDLER,	 /* in the handler */
	PHASE_SUSPENDED, /* a reply or the peer's leaving ends it */
	PHASE_LEAVING,	 /* the peer left: replies go nowhere, gone() is due */
	PHASE_EXPIRED,	 /* nobody replied in time: 204 leaves, gone() is due */
	PHASE_ANSWERED,	 /* @response is queued, or about to be */
};

struct pair {
	const char *name;
	const char *value;
};

/**
 * struct sk_http_req - one connection and the request on it
 * Lives as long as the connection, so that a request costs no allocation beyond its answer.
 */
struct sk_http_req {
	struct sk_http *h;
	struct sk_http_req *prev, *next; /* under h->lock */
	struct MHD_Connection *mhd;
	int fd;
	unsigned kind; /* of peer, as the program said */
	bool watched;  /* under h->lock: in h->watch_fd for the peer's hang-up */
	_Atomic uint64_t
		deadline_ms; /* then it is cut off, or answered 204 if suspended; 0: never */
	char peer[64];	     /* filled when asked for */

	_Atomic enum phase phase;
	bool is_head;
	const struct sk_http_route *route;
	char *arena; /* path, its cut copy, query */
	size_t arena_size;
	char *path, *cut;
	struct sk_route_params params;
	struct pair query[QUERY_MAX];
	size_t n_query;
	int uri_error; /* -errno of reading the request line, reported once the head is here */
	struct sk_buf body;
	uint64_t body_seen;

	void *user;
	void (*free_user)(void *);

	struct pair added[HEADERS_ADDED_MAX]; /* owned strings */
	size_t n_added;
	struct MHD_Response *response;
	unsigned status;

	void (*gone)(struct sk_http_req *req, void *arg);
	void *gone_arg;
	struct sk_http_stream *stream;
};

struct sk_http {
	struct sk_http_config config;
	struct sk_router *router;
	struct MHD_Daemon *daemon;
	sd_event_source *io, *timer, *watch_io;

	pthread_mutex_t lock; /* connection list, suspensions, streams */
	struct sk_http_req *conns;
	bool stopping;
	int watch_fd; /* epoll: hang-ups of suspended connections, timer_fd, wake_fd */
	int timer_fd;
	int wake_fd;		   /* the loop: a connection goes on; the watcher: stop */
	_Atomic uint64_t armed_ms; /* when timer_fd fires; UINT64_MAX: not at all */
	pthread_t watcher;
	bool has_watcher;
};

/* park.c: deadlines, and hang-ups of those whom MHD does not look at because they are suspended */
int sk_http_watch_start(struct sk_http *h, struct sk_err *err);
void sk_http_watch_stop(struct sk_http *h);
void sk_http_deadline(struct sk_http_req *r, uint64_t deadline_ms);
/** Both with h->lock held. _park() suspends the connection in MHD; _unpark() makes it go on. */
int sk_http_park(struct sk_http_req *r, uint64_t deadline_ms);
void sk_http_unpark(struct sk_http_req *r);

/* request.c */
int sk_http_req_set_uri(struct sk_http_req *r, const char *uri);
void sk_http_req_reset(struct sk_http_req *r);
void sk_http_req_free(struct sk_http_req *r);

/* reply.c */
int sk_http_reply_err_status(struct sk_http_req *r, unsigned status, const struct sk_err *e);
char *sk_http_error_text(const struct sk_http_req *r, const struct sk_err *e);
int sk_http_answer(struct sk_http_req *r, unsigned status, struct MHD_Response *steals);
int sk_http_refuse_raw(struct sk_http_req *r, unsigned status, const struct sk_err *e);

/* stream.c: the request is over */
void sk_http_stream_over(struct sk_http_stream *s);
void sk_http_stream_hang_up(struct sk_http_stream *s); /* h->lock held */
