/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "io/http/client.h"
#include "io/json.h"

/*
 * A peer that knows nothing of HTTP: it keeps what arrives and answers with fixed bytes, so that
 * every wrong answer can be given.
 */
struct peer {
	int listen_fd;
	char url[64];
	char *unix_path;
	const char *answers[4]; /* one per request, in turn over connections; NULL: close at once */
	size_t n_answers;
	size_t body_wanted; /* close after so many bytes of a body, 0: read it whole */
	struct sk_buf got;
	unsigned connections;
	pthread_t thread;
};

static size_t content_length(const char *head)
{
	const char *at = strcasestr(head, "content-length:");

	return at ? strtoul(at + 15, NULL, 10) : 0;
}

static bool request_complete(const struct sk_buf *b, size_t from)
{
	const char *start = b->data ? b->data + from : NULL;
	const char *end = start ? strstr(start, "\r\n\r\n") : NULL;

	if (!end)
		return false;
	if (strcasestr(start, "transfer-encoding: chunked"))
		return strstr(end, "\r\n0\r\n\r\n") != NULL;
	return b->len - (size_t)(end + 4 - b->data) >= content_length(start);
}

static bool read_request(struct peer *p, int fd)
{
	size_t from = p->got.len;
	char buf[65536];
	ssize_t n;
	bool told = false;

	while (!request_complete(&p->got, from)) {
		if (p->body_wanted && p->got.len - from > p->body_wanted)
			return false;
		if (!told && p->got.data && strstr(p->got.data + from, "100-continue")) {
			told = true;
			assert_true(write(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25) == 25);
		}
		n = read(fd, buf, sizeof(buf));
		if (n <= 0)
			return false;
		assert_int_equal(sk_buf_add(&p->got, buf, (size_t)n), 0);
	}
	return true;
}

static void *serve(void *arg)
{
	struct peer *p = arg;
	size_t i = 0;

	while (i < p->n_answers) {
		int fd = accept(p->listen_fd, NULL, NULL);

		if (fd < 0)
			break;
		p->connections++;
		while (i < p->n_answers && read_request(p, fd)) {
			const char *answer = p->answers[i++];

			if (!answer)
				break;
			if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
				break;
			if (strstr(answer, "Connection: close") ||
			    (!strcasestr(answer, "content-length") && !strstr(answer, " 204 ")))
				break; /* its end is the end of the connection */
		}
		if (p->body_wanted)
			i = p->n_answers;
		close(fd);
	}
	return NULL;
}

static void peer_start(struct peer *p, bool on_unix)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(in);

	for (p->n_answers = 0; p->n_answers < 4 && p->answers[p->n_answers];)
		p->n_answers++;
	if (p->n_answers == 0)
		p->n_answers = 1;
	p->got = SK_BUF(16 << 20);
	p->listen_fd = socket(on_unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
	if (on_unix) {
		p->unix_path = sk_asprintf("/tmp/skerry-test-%d.sock", getpid());
		(void)unlink(p->unix_path);
		(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", p->unix_path);
		assert_int_equal(bind(p->listen_fd, (void *)&un, sizeof(un)), 0);
		(void)snprintf(p->url, sizeof(p->url), "http://skerry");
	} else {
		assert_int_equal(bind(p->listen_fd, (void *)&in, sizeof(in)), 0);
		assert_int_equal(getsockname(p->listen_fd, (void *)&in, &len), 0);
		(void)snprintf(p->url, sizeof(p->url), "http://127.0.0.1:%u", ntohs(in.sin_port));
	}
	assert_int_equal(listen(p->listen_fd, 4), 0);
	assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
}

static void peer_stop(struct peer *p)
{
	(void)shutdown(p->listen_fd, SHUT_RDWR);
	assert_int_equal(pthread_join(p->thread, NULL), 0);
	close(p->listen_fd);
	if (p->unix_path)
		(void)unlink(p->unix_path);
	free(p->unix_path);
	sk_buf_done(&p->got);
}

static struct sk_http_client *client_of(const struct peer *p, const char *bearer)
{
	struct sk_http_client_config config = { .base_url = p->url,
						.unix_socket = p->unix_path,
						.bearer = bearer,
						.connect_timeout_ms = 5000 };
	struct sk_http_client *c = NULL;

	assert_int_equal(sk_http_client_new(&config, &c, NULL), 0);
	return c;
}

static void json_over_unix_socket(void **state)
{
	struct peer p = { .answers = { "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"a\": 1}",
				       "HTTP/1.1 204 No Content\r\n\r\n" } };
	_cleanup_(sk_http_client_freep) struct sk_http_client *c = NULL;
	_cleanup_json_ json_t *answer = NULL, *body = json_pack("{s:s}", "k", "v");
	json_t *none = (json_t *)1;
	uint64_t a = 0;

	peer_start(&p, true);
	c = client_of(&p, "tok");
	assert_int_equal(sk_http_call_json(c, "POST", "/x?y=1", body, &answer, NULL), 0);
	assert_int_equal(sk_json_get_u64(answer, "a", &a, NULL), 0);
	assert_int_equal(a, 1);
	assert_non_null(strstr(p.got.data, "POST /x?y=1 HTTP/1.1\r\n"));
	assert_non_null(strstr(p.got.data, "Authorization: Bearer tok\r\n"));
	assert_non_null(strstr(p.got.data, "Content-Type: application/json\r\n"));
	assert_non_null(strstr(p.got.data, "{\"k\":\"v\"}"));
	assert_int_equal(sk_http_call_json(c, "GET", "/y", NULL, &none, NULL), 0);
	assert_null(none);
	assert_null(strstr(strstr(p.got.data, "GET /y"), "Content-Type"));
	assert_int_equal(p.connections, 1); /* kept alive */
	peer_stop(&p);
}

static void failures_carry_the_servers_words(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 507 X\r\nContent-Length: 45\r\n\r\n"
		"{\"error\": \"no-space\", \"message\": \"\\u001b[2J\"}",
		"HTTP/1.1 404 X\r\nContent-Length: 25\r\n\r\n{\"message\": \"no such it\"}",
		"HTTP/1.1 409 X\r\nContent-Length: 5\r\n\r\n<bad>",
		"HTTP/1.1 500 X\r\nContent-Length: 17\r\n\r\n{\"error\": \"zork\"}",
	};
	static const struct {
		int code;
		const char *slug, *text;
	} want[] = {
		{ -ENOSPC, "no-space", " [2J" }, /* no escape sequence reaches a terminal */
		{ -ENOENT, "not-found", "no such it" },
		{ -EBUSY, "bad-state", "answered 409 to GET /x" },
		{ -EREMOTEIO, "internal", "answered 500" },
	};
	struct peer p = { 0 };
	_cleanup_(sk_http_client_freep) struct sk_http_client *c = NULL;
	struct sk_err err;

	memcpy(p.answers, answers, sizeof(answers));
	peer_start(&p, false);
	c = client_of(&p, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		err = SK_ERR_INIT;
		assert_int_equal(sk_http_call_json(c, "GET", "/x", NULL, NULL, &err), want[i].code);
		assert_string_equal(err.slug, want[i].slug);
		assert_non_null(strstr(err.text, want[i].text));
	}
	peer_stop(&p);
}

static void answers_are_bounded(void **state)
{
	struct peer p = { .answers = { "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n12345678901",
				       "HTTP/1.1 200 OK\r\n\r\n12345678901" } };
	_cleanup_(sk_http_client_freep) struct sk_http_client *c = NULL;
	struct sk_err err = SK_ERR_INIT;

	peer_start(&p, false);
	c = client_of(&p, NULL);
	for (int i = 0; i < 2; i++) {
		_cleanup_http_call_ struct sk_http_call call =
			SK_HTTP_CALL(.method = "GET", .path = "/", .answer_max = 10);

		assert_int_equal(sk_http_call(c, &call, &err), -EFBIG);
		assert_string_equal(err.slug, "too-large");
		assert_true(call.answer.len <= 10);
	}
	peer_stop(&p);
}

static void answers_cut_short_fail(void **state)
{
	struct peer p = { .answers = { "HTTP/1.1 200 OK\r\nConnection: close\r\n"
				       "Content-Length: 9\r\n\r\n[1,",
				       "HTTP/1.1 20", "garbage\r\n\r\n" } };
	_cleanup_(sk_http_client_freep) struct sk_http_client *c = NULL;
	struct sk_err err = SK_ERR_INIT;

	peer_start(&p, false);
	c = client_of(&p, NULL);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sk_http_call_json(c, "GET", "/", NULL, NULL, &err), -EHOSTUNREACH);
		assert_string_equal(err.slug, "unreachable");
	}
	peer_stop(&p);
}

static void nobody_there(void **state)
{
	struct sk_http_client_config config = { .base_url = "http://skerry",
						.unix_socket = "/nonexistent/sock" };
	_cleanup_(sk_http_client_freep) struct sk_http_client *c = NULL;
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(sk_http_client_new(&config, &c, NULL), 0);
	assert_int_equal(sk_http_call_json(c, "GET", "/", NULL, NULL, &err), -EHOSTUNREACH);
	assert_string_equal(err.slug, "unreachable");
	assert_non_null(strstr(err.text, "/nonexistent/sock"));
}

static void only_http_addresses(void **state)
{
	struct sk_http_client_config config = { .base_url = "file:///etc/shadow" };
	struct sk_http_client *c = NULL;
	struct sk_err err = SK_ERR_INIT;

	assert_int_equal(sk_http_client_new(&config, &c, &err), -EINVAL);
	assert_string_equal(err.slug, "bad-value");
	config.base_url = "http://x";
	config.bearer = "a\r\nX-Evil: 1";
	assert_int_equal(sk_http_client_new(&config, &c, &err), -EINVAL);
}

static void redirects_are_not_followed(void **state)
{
	struct peer p = { .answers = { "HTTP/1.1 302 X\r\nLocation: file:///etc/passwd\r\n"
				       "Content-Length: 0\r\n\r\n" } };
	_cleanup_(sk_http_client_freep) struct sk_http_client *c = NULL;
	_cleanup_http_call_ struct sk_http_call call = SK_HTTP_CALL(.method = "GET", .path = "/");

	peer_start(&p, false);
	c = client_of(&p, NULL);
	assert_int_equal(sk_http_call(c, &call, NULL), 0);
	assert_int_equal(call.status, 302);
	assert_int_equal(call.answer.len, 0);
	peer_stop(&p);
}

struct sink {
	struct sk_http_call *call;
	size_t len;
	long status_seen;
	int fail_with;
};

static int sink_write(void *arg, const void *data, size_t len)
{
	struct sink *s = arg;

	s->status_seen = s->call->status;
	s->len += len;
	return s->fail_with;
}

static void answers_stream(void **state)
{
	struct peer p = {
		.answers = { "HTTP/1.1 206 X\r\nETag: \"abc\"\r\nContent-Length: 4\r\n\r\nwxyz",
			     "HTTP/1.1 200 X\r\nContent-Length: 4\r\n\r\nwxyz",
			     "HTTP/1.1 404 X\r\nContent-Length: 4\r\n\r\nwxyz" }
	};
	_cleanup_(sk_http_client_freep) struct sk_http_client *c = NULL;
	struct sink sink = { 0 };
	struct sk_http_call call =
		SK_HTTP_CALL(.method = "GET", .path = "/", .write = sink_write, .arg = &sink);
	struct sk_err err = SK_ERR_INIT;

	peer_start(&p, false);
	c = client_of(&p, NULL);
	sink.call = &call;
	assert_int_equal(sk_http_call(c, &call, NULL), 0);
	assert_int_equal(sink.len, 4);
	assert_int_equal(sink.status_seen, 206);
	assert_string_equal(call.etag, "abc");

	sink.fail_with = -ENOSPC;
	assert_int_equal(sk_http_call(c, &call, &err), -ENOSPC);
	sink.len = 0;
	sink.fail_with = 0;
	assert_int_equal(sk_http_call(c, &call, &err), -ENOENT);
	assert_int_equal(sink.len, 0); /* an error page is no content */
	assert_string_equal(call.etag, "");
	sk_http_call_done(&call);
	peer_stop(&p);
}

static int three_pieces(void *arg, void *buf, size_t size, size_t *ret_len)
{
	int *left = arg;

	*ret_len = 0;
	if (*left == 0)
		return 0;
	(*left)--;
	assert_true(size >= 3);
	memcpy(buf, "abc", 3);
	*ret_len = 3;
	return 0;
}

static void bodies_from_callbacks(void **state)
{
	struct peer p = { .answers = { "HTTP/1.1 204 X\r\n\r\n", "HTTP/1.1 204 X\r\n\r\n" } };
	_cleanup_(sk_http_client_freep) struct sk_http_client *c = NULL;
	int left = 3;
	struct sk_http_call call = SK_HTTP_CALL(.method = "PUT", .path = "/a", .body_len = 9,
						.read = three_pieces, .arg = &left);

	peer_start(&p, false);
	c = client_of(&p, NULL);
	assert_int_equal(sk_http_call(c, &call, NULL), 0);
	assert_non_null(strstr(p.got.data, "Content-Length: 9\r\n"));
	assert_non_null(strstr(p.got.data, "abcabcabc"));
	call.body_len = 0;
	call.path = "/b";
	left = 2;
	assert_int_equal(sk_http_call(c, &call, NULL), 0);
	assert_non_null(strstr(strstr(p.got.data, "PUT /b"), "chunked"));
	assert_int_equal(left, 0);
	sk_http_call_done(&call);
	peer_stop(&p);
}

/* The other end of a pipe goes away before all was sent: the peer sees a cut upload, not a whole one. */
static void body_from_a_pipe_that_ends_early(void **state)
{
	struct peer p = { .answers = { "HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n" },
			  .body_wanted = 1 };
	_cleanup_(sk_http_client_freep) struct sk_http_client *c = NULL;
	struct sk_http_call call = SK_HTTP_CALL(.method = "PUT", .path = "/", .body_len = 100);
	struct sk_err err = SK_ERR_INIT;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_true(write(fds[1], "0123456789", 10) == 10);
	close(fds[1]);
	call.body_fd = fds[0];
	peer_start(&p, false);
	c = client_of(&p, NULL);
	assert_true(sk_http_call(c, &call, &err) < 0);
	assert_true(call.status == 0);
	close(fds[0]);
	sk_http_call_done(&call);
	peer_stop(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_over_unix_socket),
		cmocka_unit_test(failures_carry_the_servers_words),
		cmocka_unit_test(answers_are_bounded),
		cmocka_unit_test(answers_cut_short_fail),
		cmocka_unit_test(nobody_there),
		cmocka_unit_test(only_http_addresses),
		cmocka_unit_test(redirects_are_not_followed),
		cmocka_unit_test(answers_stream),
		cmocka_unit_test(bodies_from_callbacks),
		cmocka_unit_test(body_from_a_pipe_that_ends_early),
	};

	return cmocka_run_group_tests_name("io/http_client", tests, NULL, NULL);
}
