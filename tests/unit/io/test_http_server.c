/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "io/http/server.h"

/*
 * The server with real sockets, once in an event loop over a UNIX socket and once with threads of
 * its own: both must answer alike. The client writes bytes; no library mends what it sends.
 */
static char folder[] = "/tmp/skerry-http-XXXXXX";
static char path[64];

static struct {
	struct sk_http *http;
	sd_event *event;
	pthread_t loop;
	int stop_fd;
	bool looping, few_peers;
	_Atomic uint64_t uploaded;
	_Atomic int gone, freed;
	pthread_mutex_t lock;
	struct sk_http_req *waiting;
	struct sk_http_stream *stream;
	_Atomic int writable;
	struct sk_http_req *held; /* its body waits */
	_Atomic int offered, room, held_freed;
} t = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- what is served --- */

static int hello(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_http_reply_text(req, 200, "hello");
}

static int echo(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	size_t len;
	const char *body = sk_http_body(req, &len);

	return sk_http_reply(req, 200, "application/octet-stream", body, len);
}

static int show(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const char *q = sk_http_query(req, "q"), *h = sk_http_header(req, "X-Thing");
	_cleanup_free_ char *s =
		sk_asprintf("%s %s [%s] q=%s h=%s", sk_http_method(req), sk_http_path(req),
			    sk_http_param(req, "name"), q ? q : "-", h ? h : "-");

	(void)sk_http_add_header(req, "X-More", "yes");
	return sk_http_reply_text(req, 201, s);
}

static int fails(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_err_set(err, -EPERM, "forbidden", "no \"%s\"", "way");
}

static int silent(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return 0;
}

static int json(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	json_t *v;
	int r = sk_http_body_json(req, &v, err);

	return r < 0 ? r : sk_http_reply_json(req, 200, v);
}

static int on_piece(struct sk_http_req *req, void *arg, const void *data, size_t len,
		    struct sk_err *err)
{
	if (len > 0 && memchr(data, '!', len))
		return sk_err_set(err, -EINVAL, "bad-archive", "an exclamation mark");
	t.uploaded += len;
	return 0;
}

static int uploaded(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	return sk_http_reply_json(req, 200, json_integer((json_int_t)t.uploaded));
}

static void held_free(void *user)
{
	t.held = NULL;
	t.held_freed++;
}

/* PUT /slow: takes one piece for each POST /room. */
static int on_slow_piece(struct sk_http_req *req, void *arg, const void *data, size_t len,
			 struct sk_err *err)
{
	t.offered++;
	sk_http_set_user(req, &t, held_free);
	t.held = req;
	if (len > 0 && t.room == 0)
		return -EAGAIN;
	if (len > 0)
		t.room--;
	for (size_t i = 0; i < len; i++)
		assert_int_equal(((const char *)data)[i], 'a' + (t.uploaded + i) % 26);
	return on_piece(req, arg, data, len, err);
}

static int room(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	t.room++;
	if (t.held)
		sk_http_body_more(t.held);
	return sk_http_reply_empty(req, 204);
}

static int file(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	int fd = open(folder, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, "0123456789", 10), 10);
	return sk_http_reply_fd(req, fd, "text/plain", "e1");
}

static void on_gone(struct sk_http_req *req, void *arg)
{
	pthread_mutex_lock(&t.lock);
	if (t.waiting == req)
		t.waiting = NULL;
	pthread_mutex_unlock(&t.lock);
	t.gone++;
}

static int later(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	const char *ms = sk_http_query(req, "ms");
	int r;

	pthread_mutex_lock(&t.lock);
	r = sk_http_suspend(req, ms ? (uint64_t)atoi(ms) : UINT64_MAX, on_gone, NULL);
	t.waiting = r == 0 ? req : NULL;
	pthread_mutex_unlock(&t.lock);
	return r;
}

static int wake(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	struct sk_http_req *waiting;

	pthread_mutex_lock(&t.lock);
	waiting = TAKE_PTR(t.waiting);
	if (waiting)
		sk_http_reply_text(waiting, 200, "woken");
	pthread_mutex_unlock(&t.lock);
	return sk_http_reply_empty(req, waiting ? 204 : 404);
}

static void stream_writable(struct sk_http_stream *s, void *arg)
{
	t.writable++;
}

static void stream_gone(struct sk_http_stream *s, void *arg)
{
	t.stream = NULL;
	t.gone++;
}

static int stream(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	static const struct sk_http_stream_ops ops = { stream_writable, stream_gone };

	return sk_http_reply_stream(req, 200, "text/plain", 4096, &ops, NULL, &t.stream);
}

/* POST /feed: the body goes into the stream; an empty one ends it. 503 when it is full. */
static int feed(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	size_t len;
	const char *body = sk_http_body(req, &len);
	int r = 0;

	if (!t.stream)
		return sk_http_reply_empty(req, 404);
	if (len == 0)
		sk_http_stream_end(TAKE_PTR(t.stream));
	else
		r = sk_http_stream_write(t.stream, body, len);
	return sk_http_reply_empty(req, r == -EAGAIN ? 503 : 204);
}

static void free_user(void *user)
{
	t.freed++;
	free(user);
}

static int authorize(struct sk_http_req *req, unsigned flags, void *arg, struct sk_err *err)
{
	sk_http_set_user(req, strdup("somebody"), free_user);
	if (flags & SK_HTTP_USER)
		return sk_err_set(err, -EPERM, "forbidden", "for others");
	return 0;
}

static int whoami(struct sk_http_req *req, void *arg, struct sk_err *err)
{
	uid_t uid = 12345;
	gid_t gid;
	pid_t pid = 0;
	int r = sk_http_peer_cred(req, &uid, &gid, &pid);

	if (r < 0)
		return sk_http_reply_text(req, 200, sk_http_peer(req));
	assert_int_equal(pid, getpid());
	assert_int_equal(uid, getuid());
	assert_string_equal(sk_http_user(req), "somebody");
	return sk_http_reply_text(req, 200, sk_http_peer(req));
}

static const struct sk_http_route routes[] = {
	{ "GET", "/hello", hello },
	{ "POST", "/hello", hello },
	{ "GET", "/forbidden", hello, 0, NULL, SK_HTTP_USER },
	{ "PUT", "/forbidden", echo, 1000, NULL, SK_HTTP_USER },
	{ "POST", "/echo", echo, 1000 },
	{ "GET", "/show/{name*}", show },
	{ "GET", "/fails", fails },
	{ "GET", "/silent", silent },
	{ "POST", "/json", json, 1000 },
	{ "PUT", "/upload", uploaded, 1 << 20, on_piece },
	{ "PUT", "/slow", uploaded, 1 << 20, on_slow_piece },
	{ "POST", "/room", room },
	{ "GET", "/file", file },
	{ "GET", "/later", later },
	{ "POST", "/wake", wake },
	{ "GET", "/stream", stream },
	{ "POST", "/feed", feed, 8192 },
	{ "GET", "/whoami", whoami },
	{ NULL },
};
static const struct sk_http_route *const tables[] = { routes };

static const char *rewrite(const char *p)
{
	return sk_str_starts(p, "/v1.41/") ? p + strlen("/v1.41") : p;
}

/* One kind of peers, which may have three connections. */
static unsigned three(uid_t uid, gid_t gid, unsigned *ret_kind, void *arg)
{
	assert_int_equal(uid, getuid());
	*ret_kind = 7;
	return 3;
}

/* --- the server --- */

static void *run_loop(void *arg)
{
	assert_true(sd_event_loop(t.event) >= 0);
	return NULL;
}

static int on_stop(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	return sd_event_exit(t.event, 0);
}

static void start(bool looping, unsigned request_timeout_s, unsigned connections_max)
{
	struct sk_http_config c = { .connections_max = connections_max,
				    .idle_timeout_s = 30,
				    .request_timeout_s = request_timeout_s,
				    .header_max_bytes = 16384,
				    .authorize = authorize,
				    .rewrite = rewrite,
				    .peer_max = t.few_peers ? three : NULL,
				    .threads = 2 };
	struct sk_err err = SK_ERR_INIT;

	t.gone = t.freed = t.writable = 0;
	t.uploaded = 0;
	t.looping = looping;
	assert_int_equal(sk_http_listen_unix(path, 0600, (gid_t)-1, &c.listen_fd, &err), 0);
	if (looping) {
		assert_true(sd_event_new(&t.event) >= 0);
		c.event = t.event;
		t.stop_fd = eventfd(0, EFD_CLOEXEC);
		assert_true(sd_event_add_io(t.event, NULL, t.stop_fd, POLLIN, on_stop, NULL) >= 0);
	}
	assert_int_equal(sk_http_new(&c, tables, 1, &t.http, &err), 0);
	if (looping)
		assert_int_equal(pthread_create(&t.loop, NULL, run_loop, NULL), 0);
}

static void stop_server(void)
{
	if (t.looping) {
		assert_int_equal(eventfd_write(t.stop_fd, 1), 0);
		pthread_join(t.loop, NULL);
	}
	sk_http_free(t.http);
	if (t.looping) {
		sd_event_unref(t.event);
		close(t.stop_fd);
	}
	t.waiting = NULL;
	t.stream = NULL;
}

static int setup_loop(void **state)
{
	start(true, 30, 2000);
	return 0;
}

static int setup_threads(void **state)
{
	start(false, 30, 2000);
	return 0;
}

static int teardown(void **state)
{
	stop_server();
	return 0;
}

/* --- the client --- */

static int dial(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void put(int fd, const char *s)
{
	size_t len = strlen(s);

	while (len > 0) {
		ssize_t n = send(fd, s, len, MSG_NOSIGNAL);

		if (n < 0) /* it may have had enough of us already */
			return;
		s += n;
		len -= (size_t)n;
	}
}

/* Reads until @until stands in what came, or to the end of the connection. */
static const char *get(int fd, const char *until)
{
	static char buf[256 * 1024];
	size_t len = 0;

	buf[0] = '\0';
	while (len < sizeof(buf) - 1 && !(until && strstr(buf, until))) {
		ssize_t n = recv(fd, buf + len, sizeof(buf) - 1 - len, 0);

		if (n <= 0)
			break;
		len += (size_t)n;
		buf[len] = '\0';
	}
	return buf;
}

/* One request on a connection of its own, which ends with the answer. */
static const char *ask(const char *request)
{
	int fd = dial();
	const char *answer;

	put(fd, request);
	answer = get(fd, NULL);
	close(fd);
	return answer;
}

#define HOST  "Host: x\r\n"
#define CLOSE HOST "Connection: close\r\n"

static void expect(const char *request, const char *status, const char *part)
{
	const char *answer = ask(request);

	if (strncmp(answer, status, strlen(status)) != 0 || !strstr(answer, part))
		print_message("request: %s\nanswer: %s\n", request, answer);
	assert_memory_equal(answer, status, strlen(status));
	assert_non_null(strstr(answer, part));
}

/* --- tests --- */

static void answers(void **state)
{
	expect("GET /hello HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200", "\r\n\r\nhello");
	expect("GET /v1.41/hello HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200", "hello");
	expect("GET /show/a%2Fb/c?q=x%26y+z&r HTTP/1.1\r\nX-Thing: t\r\n" CLOSE "\r\n",
	       "HTTP/1.1 201", "GET /show/a/b/c [a/b/c] q=x&y z h=t");
	expect("GET /show/x HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 201", "X-More: yes");
	expect("GET /fails HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 403",
	       "{\"error\":\"forbidden\",\"message\":\"no \\\"way\\\"\"}");
	expect("GET /silent HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 500", "internal");
	expect("GET /whoami HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200", "unix");
	assert_int_equal(t.freed, 7);
}

static void heads(void **state)
{
	const char *a = ask("HEAD /hello HTTP/1.1\r\n" CLOSE "\r\n");

	assert_non_null(strstr(a, "Content-Length: 5"));
	assert_null(strstr(a, "\r\n\r\nh"));
	expect("HEAD /show/x HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 201", "X-More");
	expect("HEAD /stream HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200", "\r\n\r\n");
	assert_int_equal(t.gone, 1);
}

static void no_such_route(void **state)
{
	expect("GET /nowhere HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 404", "page not found");
	expect("DELETE /hello HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 405", "Allow: GET, HEAD, POST");
	expect("GET /echo HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 405", "Allow: POST");
}

static void malformed(void **state)
{
	static const char *const requests[] = {
		"GET /show/%zz HTTP/1.1\r\n" CLOSE "\r\n",
		"GET /show/%00 HTTP/1.1\r\n" CLOSE "\r\n",
		"GET /show/../hello HTTP/1.1\r\n" CLOSE "\r\n",
		"GET /show/%2e%2e/hello HTTP/1.1\r\n" CLOSE "\r\n",
		"GET /show/x?q=%f HTTP/1.1\r\n" CLOSE "\r\n",
		"GET /show/x?q=%ff HTTP/1.1\r\n" CLOSE "\r\n",
		"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
		"POST /echo HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n" CLOSE "\r\nab",
		"POST /echo HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n" CLOSE
		"\r\n0\r\n\r\n",
		"GET /hello HTTP/1.1\r\nAuthorization: a\r\nAuthorization: b\r\n" CLOSE "\r\n",
		"GET /hello HTTP/1.1\r\nConnection: close\r\n\r\n", /* no Host */
		"POST /echo HTTP/1.1\r\nContent-Length: -1\r\n" CLOSE "\r\n",
		"POST /echo HTTP/1.1\r\nContent-Length: 1x\r\n" CLOSE "\r\na",
		"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" CLOSE "\r\nxyz\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		expect(requests[i], "HTTP/1.1 400", "");
	/* Not HTTP at all: closed, with or without a word. */
	assert_null(strstr(ask("\x16\x03\x01\x02\x01\r\n\r\n"), " 200 "));
	expect("GET /hello HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200", "hello");
}

static void huge_heads(void **state)
{
	char *big = malloc(40000);

	memset(big, 'a', 39999);
	big[39999] = '\0';
	memcpy(big, "GET /", 5);
	assert_null(strstr(ask(big), " 200 "));
	memcpy(big, "GET /hello HTTP/1.1\r\nX: ", 24);
	memcpy(big + 39990, "\r\n\r\n", 5);
	expect(big, "HTTP/1.1 431", "");
	free(big);
	expect("GET /hello HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200", "hello");
}

static void too_many_queries(void **state)
{
	char request[512] = "GET /show/x?";

	for (int i = 0; i < 40; i++)
		strcat(request, "a=b&");
	strcat(request, " HTTP/1.1\r\n" CLOSE "\r\n");
	expect(request, "HTTP/1.1 400", "bad-request");
}

static void bodies(void **state)
{
	expect("POST /echo HTTP/1.1\r\nContent-Length: 3\r\n" CLOSE "\r\nabc", "HTTP/1.1 200",
	       "\r\n\r\nabc");
	expect("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" CLOSE
	       "\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
	       "HTTP/1.1 200", "\r\n\r\nabc");
	expect("POST /echo HTTP/1.1\r\nContent-Length: 0\r\n" CLOSE "\r\n", "HTTP/1.1 200",
	       "Content-Length: 0");
	expect("POST /json HTTP/1.1\r\nContent-Length: 7\r\n" CLOSE "\r\n{\"a\":1}", "HTTP/1.1 200",
	       "{\"a\":1}");
	expect("POST /json HTTP/1.1\r\nContent-Length: 6\r\n" CLOSE "\r\n{\"a\":1", "HTTP/1.1 400",
	       "line 1");
	expect("POST /json HTTP/1.1\r\nContent-Length: 0\r\n" CLOSE "\r\n", "HTTP/1.1 400",
	       "JSON body");
	/* A route without a body takes an empty one of either form. */
	expect("POST /hello HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" CLOSE "\r\n0\r\n\r\n",
	       "HTTP/1.1 200", "hello");
}

static void bodies_too_large(void **state)
{
	static char big[65536];
	int fd = dial();

	/* A short one costs the connection nothing. */
	put(fd, "POST /hello HTTP/1.1\r\nContent-Length: 3\r\n" HOST "\r\nabc");
	assert_non_null(strstr(get(fd, "no body\"}"), "HTTP/1.1 413"));
	put(fd, "GET /hello HTTP/1.1\r\n" CLOSE "\r\n");
	assert_non_null(strstr(get(fd, NULL), "hello"));
	close(fd);

	/* Waiting for a go-ahead: refused before any of it is sent. */
	expect("POST /echo HTTP/1.1\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n" CLOSE
	       "\r\n",
	       "HTTP/1.1 413", "too-large");
	/* Not waiting: told, though the rest is on its way. */
	expect("POST /echo HTTP/1.1\r\nContent-Length: 5000000000\r\n" CLOSE "\r\nabcdefghij",
	       "HTTP/1.1 413", "too-large");
	/* The size shows only as it comes. */
	fd = dial();
	put(fd,
	    "PUT /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" CLOSE "\r\nffffffffff\r\n");
	memset(big, 'x', sizeof(big) - 1);
	for (int i = 0; i < 20; i++)
		put(fd, big);
	assert_non_null(strstr(get(fd, NULL), "HTTP/1.1 413"));
	close(fd);
	expect("POST /hello HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" CLOSE "\r\n3\r\nabc\r\n",
	       "HTTP/1.1 413", "no body");
}

static void continues(void **state)
{
	int fd = dial();

	put(fd,
	    "POST /echo HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n" CLOSE "\r\n");
	assert_memory_equal(get(fd, "\r\n\r\n"), "HTTP/1.1 100", 12);
	put(fd, "abc");
	assert_non_null(strstr(get(fd, NULL), "\r\n\r\nabc"));
	close(fd);
}

static void forbidden(void **state)
{
	expect("GET /forbidden HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 403", "for others");
	expect("PUT /forbidden HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n" CLOSE
	       "\r\nabc",
	       "HTTP/1.1 ", "for others");
}

static void upload(void **state)
{
	static char big[300000];
	int fd = dial();

	memset(big, 'x', sizeof(big) - 1);
	put(fd, "PUT /upload HTTP/1.1\r\nContent-Length: 299999\r\n" CLOSE "\r\n");
	put(fd, big);
	assert_non_null(strstr(get(fd, NULL), "\r\n\r\n299999"));
	close(fd);

	/* It fails in the middle: the reason arrives although the body does not end. */
	fd = dial();
	big[200000] = '!';
	put(fd, "PUT /upload HTTP/1.1\r\nContent-Length: 900000\r\n" CLOSE "\r\n");
	put(fd, big);
	assert_non_null(strstr(get(fd, NULL), "exclamation"));
	close(fd);

	/* The peer leaves in the middle. */
	fd = dial();
	put(fd, "PUT /upload HTTP/1.1\r\nContent-Length: 900000\r\n" CLOSE "\r\nabc");
	close(fd);
	expect("GET /hello HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200", "hello");
}

static void wait_for(_Atomic int *what, int value)
{
	for (int i = 0; i < 2000 && *what != value; i++)
		usleep(5000);
	assert_int_equal(*what, value);
}

static int offered_after(int before)
{
	for (int i = 0; i < 2000 && t.offered == before; i++)
		usleep(5000);
	return t.offered;
}

static void upload_held(void **state)
{
	static char big[100000];
	int fd = dial(), seen;
	const char *a;

	for (size_t i = 0; i < sizeof(big) - 1; i++)
		big[i] = (char)('a' + i % 26);
	t.offered = t.room = t.held_freed = 0;
	put(fd, "PUT /slow HTTP/1.1\r\nContent-Length: 99999\r\n" CLOSE "\r\n");
	put(fd, big);
	seen = offered_after(0);
	/* It is not asked again before there is room, and others are answered meanwhile. */
	for (int i = 0; i < 3; i++)
		expect("GET /hello HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200", "hello");
	assert_int_equal(t.offered, seen);
	assert_int_equal(t.uploaded, 0);
	while (t.held_freed == 0)
		expect("POST /room HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 204", "");
	a = get(fd, NULL);
	assert_non_null(strstr(a, "\r\n\r\n99999"));
	close(fd);

	/* The peer leaves while it waits; room comes too late. */
	t.offered = t.room = t.held_freed = 0;
	fd = dial();
	put(fd, "PUT /slow HTTP/1.1\r\nContent-Length: 99999\r\n" CLOSE "\r\nabc");
	(void)offered_after(0);
	close(fd);
	wait_for(&t.held_freed, 1);
	expect("POST /room HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 204", "");

	/* One waits when the server stops. */
	t.offered = t.room = t.held_freed = 0;
	fd = dial();
	put(fd, "PUT /slow HTTP/1.1\r\nContent-Length: 99999\r\n" CLOSE "\r\nabc");
	(void)offered_after(0);
	stop_server();
	assert_int_equal(t.held_freed, 1);
	close(fd);
	start(t.looping, 30, 2000);
}

static void files(void **state)
{
	static const struct {
		const char *header, *status, *part;
	} cases[] = {
		{ "", "HTTP/1.1 200", "\r\n\r\n0123456789" },
		{ "", "HTTP/1.1 200", "\"e1\"" },
		{ "Range: bytes=2-4\r\n", "HTTP/1.1 206", "\r\n\r\n234" },
		{ "Range: bytes=2-4\r\n", "HTTP/1.1 206", "Content-Range: bytes 2-4/10" },
		{ "Range: bytes=8-\r\n", "HTTP/1.1 206", "\r\n\r\n89" },
		{ "Range: bytes=-3\r\n", "HTTP/1.1 206", "\r\n\r\n789" },
		{ "Range: bytes=-99\r\n", "HTTP/1.1 206", "\r\n\r\n0123456789" },
		{ "Range: bytes=8-99\r\n", "HTTP/1.1 206", "\r\n\r\n89" },
		{ "Range: bytes=10-\r\n", "HTTP/1.1 416", "bytes */10" },
		{ "Range: bytes=-0\r\n", "HTTP/1.1 416", "bytes */10" },
		{ "Range: bytes=4-2\r\n", "HTTP/1.1 200", "\r\n\r\n0123456789" },
		{ "Range: bytes=1-2,4-5\r\n", "HTTP/1.1 200", "\r\n\r\n0123456789" },
		{ "Range: bytes=99999999999999999999-\r\n", "HTTP/1.1 200", "0123456789" },
		{ "Range: lines=1-2\r\n", "HTTP/1.1 200", "\r\n\r\n0123456789" },
		{ "If-Range: \"e1\"\r\nRange: bytes=9-\r\n", "HTTP/1.1 206", "\r\n\r\n9" },
		{ "If-Range: \"old\"\r\nRange: bytes=9-\r\n", "HTTP/1.1 200", "0123456789" },
		{ "If-None-Match: \"e1\"\r\n", "HTTP/1.1 304", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char request[256];

		(void)snprintf(request, sizeof(request), "GET /file HTTP/1.1\r\n%s%s\r\n",
			       cases[i].header, CLOSE);
		expect(request, cases[i].status, cases[i].part);
	}
}

static void pipelined(void **state)
{
	int fd = dial();
	const char *a;

	put(fd,
	    "GET /hello HTTP/1.1\r\n" HOST "\r\nPOST /echo HTTP/1.1\r\nContent-Length: 3\r\n" HOST
	    "\r\nabcGET /show/x HTTP/1.1\r\n" CLOSE "\r\n");
	a = get(fd, NULL);
	assert_non_null(strstr(a, "\r\n\r\nhelloHTTP/1.1 200"));
	assert_non_null(strstr(a, "\r\n\r\nabcHTTP/1.1 201"));
	close(fd);
}

static void suspended(void **state)
{
	int fd = dial();

	put(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
	while (strncmp(ask("POST /wake HTTP/1.1\r\n" CLOSE "\r\n"), "HTTP/1.1 204", 12) != 0)
		usleep(5000);
	assert_non_null(strstr(get(fd, "woken"), "HTTP/1.1 200"));
	/* The connection lives on. */
	put(fd, "GET /later?ms=50 HTTP/1.1\r\n" HOST "\r\n");
	assert_memory_equal(get(fd, "\r\n\r\n"), "HTTP/1.1 204", 12);
	wait_for(&t.gone, 1);
	put(fd, "GET /hello HTTP/1.1\r\n" CLOSE "\r\n");
	assert_non_null(strstr(get(fd, NULL), "hello"));
	close(fd);
}

static bool is_waiting(void)
{
	bool yes;

	pthread_mutex_lock(&t.lock);
	yes = t.waiting != NULL;
	pthread_mutex_unlock(&t.lock);
	return yes;
}

static void suspended_and_gone(void **state)
{
	int fd = dial();

	put(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
	while (!is_waiting())
		usleep(1000);
	close(fd);
	wait_for(&t.gone, 1);
	assert_false(is_waiting());
	/* One is left when the server stops: that must work too. */
	fd = dial();
	put(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
	while (!is_waiting())
		usleep(1000);
	stop_server();
	assert_int_equal(t.gone, 2);
	close(fd);
	start(t.looping, 30, 2000);
}

static void streamed(void **state)
{
	int fd = dial();

	put(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
	/* The head leaves at once, before there is anything to send. */
	assert_non_null(strstr(get(fd, "\r\n\r\n"), "HTTP/1.1 200"));
	expect("POST /feed HTTP/1.1\r\nContent-Length: 3\r\n" CLOSE "\r\none", "HTTP/1.1 204", "");
	assert_non_null(strstr(get(fd, "one"), "3\r\none"));
	expect("POST /feed HTTP/1.1\r\nContent-Length: 3\r\n" CLOSE "\r\ntwo", "HTTP/1.1 204", "");
	assert_non_null(strstr(get(fd, "two"), "two"));
	expect("POST /feed HTTP/1.1\r\nContent-Length: 0\r\n" CLOSE "\r\n", "HTTP/1.1 204", "");
	assert_non_null(strstr(get(fd, "0\r\n\r\n"), "0\r\n\r\n"));
	put(fd, "GET /hello HTTP/1.1\r\n" CLOSE "\r\n");
	assert_non_null(strstr(get(fd, NULL), "hello"));
	close(fd);
	assert_int_equal(t.gone, 0);
}

static void streamed_and_gone(void **state)
{
	int fd = dial();

	put(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
	(void)get(fd, "\r\n\r\n");
	close(fd);
	wait_for(&t.gone, 1);
	expect("POST /feed HTTP/1.1\r\nContent-Length: 1\r\n" CLOSE "\r\nx", "HTTP/1.1 404", "");
}

/* A reader that does not read: the buffer fills, the writer is told, and again when there is room. */
static void streamed_slowly(void **state)
{
	char request[4300] = "POST /feed HTTP/1.1\r\nContent-Length: 4096\r\n" CLOSE "\r\n";
	int fd = dial(), small = 4096, i;
	size_t len = strlen(request);

	memset(request + len, 'y', 4096);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	put(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
	(void)get(fd, "\r\n\r\n");
	for (i = 0; i < 2000; i++)
		if (strncmp(ask(request), "HTTP/1.1 503", 12) == 0)
			break;
	assert_true(i < 2000);
	/* Read all that is there: the writer hears of it. */
	while (t.writable == 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		char buf[65536];

		/* It may have come by the time all is read, or a moment later. */
		if (poll(&p, 1, 10) == 1)
			assert_true(recv(fd, buf, sizeof(buf), 0) > 0);
	}
	close(fd);
	wait_for(&t.gone, 1);
}

static void many_idle(void **state)
{
	int fds[1000];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = dial();
	expect("GET /hello HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200", "hello");
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		put(fds[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
		assert_non_null(strstr(get(fds[i], "hello"), "hello"));
		close(fds[i]);
	}
}

/* Who has as many as he may is not let in, and has not shut the door for others: see skerryd. */
static void few_of_a_kind(void **state)
{
	bool looping = t.looping;
	int fds[3], more;

	stop_server();
	t.few_peers = true;
	start(looping, 30, 2000);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial();
		put(fds[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
		assert_non_null(strstr(get(fds[i], "hello"), "hello"));
	}
	more = dial();
	(void)send(more, "GET /hello HTTP/1.1\r\n\r\n", 23, MSG_NOSIGNAL);
	assert_string_equal(get(more, NULL), "");
	close(more);
	close(fds[0]);
	/* When it is seen that one has left is the server's business. */
	for (int i = 0; i < 400; i++) {
		static const char ask[] = "GET /hello HTTP/1.1\r\n" CLOSE "\r\n";
		const char *text;

		more = dial();
		(void)send(more, ask, strlen(ask), MSG_NOSIGNAL);
		text = get(more, NULL);
		close(more);
		if (strstr(text, "hello"))
			break;
		assert_true(i < 399);
		(void)usleep(20000);
	}
	close(fds[1]);
	close(fds[2]);
	stop_server();
	t.few_peers = false;
	start(looping, 30, 2000);
}

/* A byte now and then does not keep a connection: the time-out counts from its start. */
static void drip(bool looping, const char *head)
{
	int fd;

	stop_server();
	start(looping, 1, 2000);
	fd = dial();
	put(fd, head);
	for (int i = 0; i < 400; i++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, 25) > 0)
			break;
		put(fd, "x");
		assert_true(i < 399);
	}
	(void)get(fd, NULL);
	close(fd);
	stop_server();
	start(looping, 30, 2000);
}

static void slow_loris(void **state)
{
	drip(t.looping, "GET /hello HTTP/1.1\r\nX: ");
	drip(t.looping, "POST /echo HTTP/1.1\r\nContent-Length: 900\r\n" HOST "\r\n");
}

static void listening(void **state)
{
	struct sk_err err = SK_ERR_INIT;
	char far[300];
	uint16_t port = 0;
	int fd;

	assert_int_equal(sk_http_listen_tcp("127.0.0.1:0", &fd, &port, &err), 0);
	assert_int_not_equal(port, 0);
	close(fd);
	assert_int_equal(sk_http_listen_tcp("[::1]:0", &fd, NULL, &err), 0);
	close(fd);
	assert_int_equal(sk_http_listen_tcp("localhost:1", &fd, NULL, &err), -EINVAL);
	assert_int_equal(sk_http_listen_tcp("127.0.0.1", &fd, NULL, &err), -EINVAL);
	assert_int_equal(sk_http_listen_tcp(":1", &fd, NULL, &err), -EINVAL);
	assert_int_equal(sk_http_listen_tcp("127.0.0.1:", &fd, NULL, &err), -EINVAL);
	memset(far, 'a', sizeof(far) - 1);
	far[sizeof(far) - 1] = '\0';
	assert_int_equal(sk_http_listen_unix(far, 0600, (gid_t)-1, &fd, &err), -ENAMETOOLONG);
	assert_int_equal(sk_http_listen_unix("/nowhere/x", 0600, (gid_t)-1, &fd, &err), -ENOENT);
	assert_string_equal(err.slug, "io");
}

#define BOTH(f)                                                   \
	cmocka_unit_test_setup_teardown(f, setup_loop, teardown), \
		cmocka_unit_test_setup_teardown(f, setup_threads, teardown)
/* Streams are fed from the loop's own thread. */
#define LOOP(f) cmocka_unit_test_setup_teardown(f, setup_loop, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		BOTH(answers),
		BOTH(heads),
		BOTH(no_such_route),
		BOTH(malformed),
		BOTH(huge_heads),
		BOTH(too_many_queries),
		BOTH(bodies),
		BOTH(bodies_too_large),
		BOTH(continues),
		BOTH(forbidden),
		BOTH(upload),
		LOOP(upload_held),
		BOTH(files),
		BOTH(pipelined),
		BOTH(suspended),
		BOTH(suspended_and_gone),
		LOOP(streamed),
		LOOP(streamed_and_gone),
		LOOP(streamed_slowly),
		BOTH(many_idle),
		BOTH(few_of_a_kind),
		BOTH(slow_loris),
		cmocka_unit_test(listening),
	};
	int r;

	/* For a look at one of them: test_io_http_server 'susp*' */
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	(void)signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(folder))
		return 1;
	(void)snprintf(path, sizeof(path), "%s/s", folder);
	r = cmocka_run_group_tests_name("io/http_server", tests, NULL, NULL);
	(void)unlink(path);
	(void)rmdir(folder);
	return r;
}
