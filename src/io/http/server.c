/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http/server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "io/http/server_internal.h"

#define HEADER_MAX_DEFAULT (32 * 1024)
/* TLS 1.2 and 1.3, forward secrecy, authenticated encryption: no RSA key exchange, no CBC. */
#define TLS_PRIORITIES                                                        \
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM" \
	":+AES-256-GCM:+CHACHA20-POLY1305:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:%SERVER_PRECEDENCE"

/* --- connections --- */

static void start_head_deadline(struct sk_http_req *r, unsigned idle_s)
{
	unsigned s = r->h->config.request_timeout_s;

	sk_http_deadline(r, s > 0 ? sk_mono_ms() + (s + (uint64_t)idle_s) * 1000 : 0);
}

/* h->lock held. Has this kind of peers as many connections as it may have? */
static bool too_many_of_kind(const struct sk_http *h, struct sk_http_req *r)
{
	unsigned max, n = 0;
	uid_t uid;
	gid_t gid;
	pid_t pid;

	if (!h->config.peer_max || sk_http_peer_cred(r, &uid, &gid, &pid) < 0)
		return false;
	max = h->config.peer_max(uid, gid, &r->kind, h->config.arg);
	for (const struct sk_http_req *c = h->conns; c; c = c->next)
		n += c->kind == r->kind;
	return n >= max;
}

static struct sk_http_req *conn_new(struct sk_http *h, struct MHD_Connection *mhd)
{
	struct sk_http_req *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->h = h;
	r->mhd = mhd;
	r->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	pthread_mutex_lock(&h->lock);
	/* MHD sees the end of it and cleans up. */
	if (too_many_of_kind(h, r))
		(void)shutdown(r->fd, SHUT_RDWR);
	r->next = h->conns;
	if (r->next)
		r->next->prev = r;
	h->conns = r;
	pthread_mutex_unlock(&h->lock);
	start_head_deadline(r, 0);
	return r;
}

static void conn_free(struct sk_http_req *r)
{
	pthread_mutex_lock(&r->h->lock);
	if (r->next)
		r->next->prev = r->prev;
	if (r->prev)
		r->prev->next = r->next;
	else
		r->h->conns = r->next;
	pthread_mutex_unlock(&r->h->lock);
	sk_http_req_free(r);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **at,
			  enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		*at = conn_new(cls, mhd);
	else if (*at)
		conn_free(TAKE_PTR(*at));
}

/* The request line is here, as it came. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct sk_http_req *r = info ? info->socket_context : NULL;

	if (!r)
		return NULL;
	r->uri_error = sk_http_req_set_uri(r, uri);
	r->phase = PHASE_HEAD;
	return r;
}

/*
 * The peer of a suspended request has left, or its time is over: the program, which still holds it, is told
 * once.
 */
static void report_gone(struct sk_http_req *r)
{
	void (*gone)(struct sk_http_req * req, void *arg) = NULL;

	pthread_mutex_lock(&r->h->lock);
	if (r->phase == PHASE_LEAVING || r->phase == PHASE_EXPIRED)
		gone = TAKE_PTR(r->gone);
	pthread_mutex_unlock(&r->h->lock);
	if (gone)
		gone(r, r->gone_arg);
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **at,
			 enum MHD_RequestTerminationCode why)
{
	struct sk_http_stream *stream;
	struct sk_http_req *r = *at;

	if (!r)
		return;
	*at = NULL;
	report_gone(r);
	pthread_mutex_lock(&r->h->lock);
	stream = TAKE_PTR(r->stream);
	pthread_mutex_unlock(&r->h->lock);
	if (stream)
		sk_http_stream_over(stream);
	sk_http_req_reset(r);
	start_head_deadline(r, r->h->config.idle_timeout_s);
}

/* --- a request, call by call of MHD --- */

static enum MHD_Result queue(struct sk_http_req *r)
{
	struct MHD_Response *response = TAKE_PTR(r->response);
	enum MHD_Result ok;

	r->phase = PHASE_ANSWERED;
	if (!response)
		return MHD_NO;
	ok = MHD_queue_response(r->mhd, r->status, response);
	MHD_destroy_response(response);
	return ok;
}

static bool body_expected(struct sk_http_req *r, uint64_t *ret_len)
{
	const char *len = sk_http_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);

	*ret_len = 0;
	if (sk_http_header(r, MHD_HTTP_HEADER_TRANSFER_ENCODING))
		*ret_len = UINT64_MAX;
	else if (len && sk_parse_u64(len, ret_len) < 0)
		*ret_len = UINT64_MAX;
	return *ret_len > 0;
}

/*
 * Refuse before the body is read. A peer that waits for "100 Continue" gets the answer at once; a short body is
 * read and dropped, so that the connection lives on; with any other body the answer is sent and the connection
 * closed.
 */
static enum MHD_Result refuse_request(struct sk_http_req *r, unsigned status,
				      const struct sk_err *e)
{
	uint64_t len;

	if (!body_expected(r, &len) || len <= DRAIN_MAX) {
		r->phase = PHASE_DRAIN;
		return sk_http_reply_err_status(r, status, e) < 0 ? MHD_NO : MHD_YES;
	}
	if (sk_http_header(r, MHD_HTTP_HEADER_EXPECT))
		return sk_http_reply_err_status(r, status, e) < 0 ? MHD_NO : queue(r);
	r->phase = PHASE_LINGER;
	sk_http_deadline(r, sk_mono_ms() + LINGER_MS);
	return sk_http_refuse_raw(r, status, e) < 0 ? MHD_NO : MHD_YES;
}

static enum MHD_Result refuse_slug(struct sk_http_req *r, const struct sk_err *e)
{
	return refuse_request(r, (unsigned)sk_err_http_status(e->slug), e);
}

struct header_check {
	unsigned host, length, encoding, authorization, type;
};

static enum MHD_Result count_header(void *cls, enum MHD_ValueKind kind, const char *name,
				    const char *value)
{
	struct header_check *c = cls;

	switch (name[0] | 0x20) {
	case 'h':
		c->host += strcasecmp(name, "host") == 0;
		break;
	case 'c':
		c->length += strcasecmp(name, "content-length") == 0;
		c->type += strcasecmp(name, "content-type") == 0;
		break;
	case 't':
		c->encoding += strcasecmp(name, "transfer-encoding") == 0;
		break;
	case 'a':
		c->authorization += strcasecmp(name, "authorization") == 0;
		break;
	default:
		break;
	}
	return MHD_YES;
}

/* Another reader might take an ambiguous request for a different one: refuse it. */
static bool headers_ok(struct sk_http_req *r)
{
	struct header_check c = { 0 };

	(void)MHD_get_connection_values(r->mhd, MHD_HEADER_KIND, count_header, &c);
	return c.host <= 1 && c.length + c.encoding <= 1 && c.authorization <= 1 && c.type <= 1;
}

static int check_head(struct sk_http_req *r, struct sk_err *err)
{
	if (r->uri_error == -ENOMEM)
		return sk_err_oom(err);
	if (r->uri_error < 0)
		return sk_err_set(err, -EINVAL, "bad-request",
				  "the request's path or query is malformed or too long");
	if (!headers_ok(r))
		return sk_err_set(err, -EINVAL, "bad-request",
				  "a header that may stand only once stands there twice");
	return 0;
}

static void *handler_arg(const struct sk_http_req *r)
{
	const struct sk_http_config *c = &r->h->config;

	return c->table_args ? c->table_args[sk_router_table_of(r->h->router, r->route)] : c->arg;
}

static enum MHD_Result no_route(struct sk_http_req *r, int why, const char *allow)
{
	struct sk_err err = SK_ERR_INIT;

	if (why == -ENOENT) {
		sk_err_set(&err, why, "not-found", "page not found");
		return refuse_request(r, MHD_HTTP_NOT_FOUND, &err);
	}
	(void)sk_http_add_header(r, MHD_HTTP_HEADER_ALLOW, allow);
	sk_err_set(&err, why, "bad-request", "the method is not allowed here; allowed: %s", allow);
	return refuse_request(r, MHD_HTTP_METHOD_NOT_ALLOWED, &err);
}

static int refuse_too_large(const struct sk_http_req *r, struct sk_err *err)
{
	return sk_err_set(err, -EFBIG, "too-large",
			  r->route->body_max > 0 ? "the request's body is larger than %llu bytes"
						 : "this request takes no body",
			  (unsigned long long)r->route->body_max);
}

static enum MHD_Result on_head(struct sk_http_req *r, const char *method)
{
	const struct sk_http_config *c = &r->h->config;
	struct sk_err err = SK_ERR_INIT;
	char allow[64];
	uint64_t len;
	int why;

	r->is_head = sk_streq(method, "HEAD");
	if (check_head(r, &err) < 0)
		return refuse_slug(r, &err);
	why = sk_router_find(r->h->router, method, r->cut, &r->params, &r->route, allow);
	if (why < 0)
		return no_route(r, why, allow);
	if (c->authorize && c->authorize(r, r->route->flags, c->arg, &err) < 0)
		return refuse_slug(r, &err);
	if (body_expected(r, &len) && len != UINT64_MAX && len > r->route->body_max) {
		(void)refuse_too_large(r, &err);
		return refuse_slug(r, &err);
	}
	r->body.max = r->route->body_max;
	r->phase = PHASE_BODY;
	/* An upload may take its time; the idle time-out still holds. */
	if (r->route->on_body)
		sk_http_deadline(r, 0);
	return MHD_YES;
}

static int take_body(struct sk_http_req *r, const char *data, size_t len, struct sk_err *err)
{
	int failed;

	if (len > r->route->body_max - r->body_seen)
		return refuse_too_large(r, err);
	if (r->route->on_body)
		failed = r->route->on_body(r, handler_arg(r), data, len, err);
	else
		failed = sk_buf_add(&r->body, data, len) < 0 ? sk_err_oom(err) : 0;
	if (failed >= 0)
		r->body_seen += len;
	return failed;
}

/* MHD keeps the bytes and offers them again when the connection goes on. */
static enum MHD_Result hold_body(struct sk_http_req *r)
{
	int failed;

	pthread_mutex_lock(&r->h->lock);
	failed = sk_http_park(r, 0);
	if (failed == 0)
		r->phase = PHASE_HELD;
	pthread_mutex_unlock(&r->h->lock);
	return failed < 0 ? MHD_NO : MHD_YES;
}

void sk_http_body_more(struct sk_http_req *req)
{
	pthread_mutex_lock(&req->h->lock);
	if (req->phase == PHASE_HELD) {
		req->phase = PHASE_BODY;
		sk_http_unpark(req);
	}
	pthread_mutex_unlock(&req->h->lock);
}

/* Some of the body was taken already: nothing but a raw answer is possible. */
static enum MHD_Result on_request_body(struct sk_http_req *r, const char *data, size_t *len)
{
	struct sk_err err = SK_ERR_INIT;
	size_t n = *len;
	int failed;

	*len = 0;
	if (r->phase != PHASE_BODY)
		return MHD_YES;
	failed = take_body(r, data, n, &err);
	if (failed >= 0)
		return MHD_YES;
	if (failed == -EAGAIN) {
		*len = n;
		return hold_body(r);
	}
	r->phase = PHASE_LINGER;
	sk_http_deadline(r, sk_mono_ms() + LINGER_MS);
	return sk_http_refuse_raw(r, (unsigned)sk_err_http_status(err.slug), &err) < 0 ? MHD_NO
										       : MHD_YES;
}

static enum MHD_Result after_handler(struct sk_http_req *r, int failed, struct sk_err *err)
{
	/* Once suspended it may have been answered already, by another thread. */
	bool suspended = r->phase != PHASE_HANDLER;

	if (!failed && !suspended && !r->response)
		failed = sk_err_set(err, -EPROTO, "internal", "the request got no answer");
	if (failed && err->code == 0)
		sk_err_set(err, failed, failed == -ENOMEM ? "out-of-memory" : "internal",
			   "the request failed: %s", strerror(-failed));
	if (failed && sk_http_reply_err(r, err) < 0)
		return MHD_NO;
	return suspended ? MHD_YES : queue(r);
}

static enum MHD_Result on_whole(struct sk_http_req *r)
{
	struct sk_err err = SK_ERR_INIT;
	int failed = 0;

	sk_http_deadline(r, 0);
	r->phase = PHASE_HANDLER;
	if (r->route->on_body)
		failed = r->route->on_body(r, handler_arg(r), NULL, 0, &err);
	if (failed >= 0)
		failed = r->route->handler(r, handler_arg(r), &err);
	return after_handler(r, failed < 0 ? failed : 0, &err);
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *mhd, const char *url,
				 const char *method, const char *version, const char *data,
				 size_t *len, void **at)
{
	struct sk_http_req *r = *at;

	if (!r)
		return MHD_NO;
	if (r->phase == PHASE_HEAD)
		return on_head(r, method);
	if (*len > 0)
		return on_request_body(r, data, len);
	switch ((enum phase)r->phase) {
	case PHASE_BODY:
		return on_whole(r);
	case PHASE_EXPIRED:
		report_gone(r);
		return queue(r);
	case PHASE_DRAIN:
	case PHASE_ANSWERED:
		return queue(r);
	case PHASE_SUSPENDED:
		return MHD_YES;
	case PHASE_IDLE:
	case PHASE_HEAD:
	case PHASE_HELD:
	case PHASE_LINGER:
	case PHASE_HANDLER:
	case PHASE_LEAVING:
	default:
		return MHD_NO;
	}
}

int sk_http_suspend(struct sk_http_req *req, uint64_t timeout_ms,
		    void (*gone)(struct sk_http_req *req, void *arg), void *arg)
{
	uint64_t deadline = timeout_ms == UINT64_MAX ? 0 : sk_mono_ms() + timeout_ms;
	int r;

	pthread_mutex_lock(&req->h->lock);
	req->gone = gone;
	req->gone_arg = arg;
	r = sk_http_park(req, deadline);
	if (r == 0)
		req->phase = PHASE_SUSPENDED;
	pthread_mutex_unlock(&req->h->lock);
	return r;
}

/* --- the daemon --- */

/* Paths and queries are decoded in route.c, which refuses what MHD lets pass. */
static size_t keep_escapes(void *cls, struct MHD_Connection *mhd, char *s)
{
	return strlen(s);
}

static void on_log(void *cls, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_log(void *cls, const char *fmt, va_list ap)
{
	char text[256];

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	sk_debug("http: %s", text);
}

static int on_ready(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct sk_http *h = arg;

	(void)MHD_run(h->daemon);
	return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *arg)
{
	return on_ready(NULL, -1, 0, arg);
}

/* Before the loop sleeps: MHD says when it wants to be called at the latest. */
static int on_prepare(sd_event_source *s, void *arg)
{
	struct sk_http *h = arg;
	MHD_UNSIGNED_LONG_LONG ms;
	uint64_t now;
	int r;

	if (MHD_get_timeout(h->daemon, &ms) == MHD_NO)
		return sd_event_source_set_enabled(h->timer, SD_EVENT_OFF);
	r = sd_event_now(h->config.event, CLOCK_MONOTONIC, &now);
	if (r >= 0)
		r = sd_event_source_set_time(h->timer, now + ms * 1000);
	return r < 0 ? r : sd_event_source_set_enabled(h->timer, SD_EVENT_ONESHOT);
}

static int attach(struct sk_http *h, struct sk_err *err)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	sd_event *e = h->config.event;
	int r = sd_event_add_io(e, &h->io, info->epoll_fd, EPOLLIN, on_ready, h);

	if (r >= 0)
		r = sd_event_add_time(e, &h->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, h);
	if (r >= 0)
		r = sd_event_source_set_prepare(h->io, on_prepare);
	if (r < 0)
		return sk_err_set(err, r, "internal", "cannot attach the HTTP server: %s",
				  strerror(-r));
	return 0;
}

static unsigned daemon_flags(const struct sk_http_config *c)
{
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;

	if (!c->event)
		flags |= MHD_USE_EPOLL_INTERNAL_THREAD;
	if (c->tls_cert_pem)
		flags |= MHD_USE_TLS;
	return flags;
}

static int start_daemon(struct sk_http *h, struct sk_err *err)
{
	const struct sk_http_config *c = &h->config;
	struct MHD_OptionItem o[16];
	size_t n = 0;

	o[n++] = (struct MHD_OptionItem){ MHD_OPTION_CONNECTION_MEMORY_LIMIT,
					  (intptr_t)c->header_max_bytes, NULL };
	if (c->connections_max > 0)
		o[n++] = (struct MHD_OptionItem){ MHD_OPTION_CONNECTION_LIMIT,
						  (intptr_t)c->connections_max, NULL };
	if (!c->event && c->threads > 1)
		o[n++] = (struct MHD_OptionItem){ MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)c->threads,
						  NULL };
	if (c->tls_cert_pem) {
		o[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0,
						  (void *)(uintptr_t)c->tls_cert_pem };
		o[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0,
						  (void *)(uintptr_t)c->tls_key_pem };
		o[n++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0,
						  (void *)(uintptr_t)TLS_PRIORITIES };
	}
	o[n] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
	/* The logger comes first, so that it hears about the options too. */
	h->daemon = MHD_start_daemon(
		daemon_flags(c), 0, NULL, NULL, on_access, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, h,
		MHD_OPTION_LISTEN_SOCKET, c->listen_fd, MHD_OPTION_URI_LOG_CALLBACK, on_uri, h,
		MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, h, MHD_OPTION_NOTIFY_CONNECTION,
		on_connection, h, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
		MHD_OPTION_CONNECTION_TIMEOUT, c->idle_timeout_s,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, c->per_ip_max, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_ARRAY, o, MHD_OPTION_END);
	if (!h->daemon)
		return sk_err_set(
			err, -EIO, "io",
			c->tls_cert_pem
				? "cannot start the HTTPS server; are certificate and key a "
				  "pair of PEM files?"
				: "cannot start the HTTP server");
	return 0;
}

int sk_http_new(const struct sk_http_config *config, const struct sk_http_route *const *tables,
		size_t n_tables, struct sk_http **ret, struct sk_err *err)
{
	_cleanup_(sk_http_freep) struct sk_http *h = calloc(1, sizeof(*h));
	int r;

	if (!h) {
		(void)close(config->listen_fd);
		return sk_err_oom(err);
	}
	h->config = *config;
	h->watch_fd = h->timer_fd = h->wake_fd = -1;
	pthread_mutex_init(&h->lock, NULL);
	if (h->config.header_max_bytes == 0)
		h->config.header_max_bytes = HEADER_MAX_DEFAULT;
	r = sk_router_new(tables, n_tables, &h->router, err);
	if (r == 0)
		r = sk_http_watch_start(h, err);
	if (r == 0)
		r = start_daemon(h, err);
	if (r == 0 && config->event)
		r = attach(h, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(h);
	return 0;
}

static void close_fds(const struct sk_http *h)
{
	const int fds[] = { h->watch_fd, h->timer_fd, h->wake_fd };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		sk_closep(&fds[i]);
}

void sk_http_free(struct sk_http *h)
{
	if (!h)
		return;
	h->io = sd_event_source_disable_unref(h->io);
	h->timer = sd_event_source_disable_unref(h->timer);
	sk_http_watch_stop(h);
	if (h->daemon)
		MHD_stop_daemon(h->daemon); /* closes listen_fd */
	else
		(void)close(h->config.listen_fd);
	close_fds(h);
	sk_router_free(h->router);
	pthread_mutex_destroy(&h->lock);
	free(h);
}
