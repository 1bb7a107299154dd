/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/str.h"
#include "io/http/server_internal.h"
#include "io/json.h"

#define FILE_BLOCK (32 * 1024)

static void apply_added_headers(struct sk_http_req *r, struct MHD_Response *response)
{
	for (size_t i = 0; i < r->n_added; i++)
		(void)MHD_add_response_header(response, r->added[i].name, r->added[i].value);
}

/*
 * The one way out for every answer. In the handler it is kept until the handler has returned; a
 * suspended request is woken; after the peer has left it is thrown away.
 */
int sk_http_answer(struct sk_http_req *r, unsigned status, struct MHD_Response *steals)
{
	if (!steals)
		return -ENOMEM;
	apply_added_headers(r, steals);
	if (r->phase < PHASE_SUSPENDED) {
		if (r->response)
			MHD_destroy_response(r->response);
		r->response = steals;
		r->status = status;
		return 0;
	}
	pthread_mutex_lock(&r->h->lock);
	if (r->phase == PHASE_SUSPENDED) {
		r->response = TAKE_PTR(steals);
		r->status = status;
		r->phase = PHASE_ANSWERED;
		sk_http_unpark(r);
	}
	/* The program has answered, so gone() is not called any more. */
	r->gone = NULL;
	pthread_mutex_unlock(&r->h->lock);
	if (steals)
		MHD_destroy_response(steals);
	return 0;
}

static int answer_typed(struct sk_http_req *r, unsigned status, const char *type,
			struct MHD_Response *steals)
{
	if (steals && type &&
	    MHD_add_response_header(steals, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_NO) {
		MHD_destroy_response(steals);
		return -ENOMEM;
	}
	return sk_http_answer(r, status, steals);
}

int sk_http_reply(struct sk_http_req *req, unsigned status, const char *type, const void *body,
		  size_t len)
{
	/* MHD copies with MUST_COPY; its prototype lacks the const. */
	return answer_typed(req, status, type,
			    MHD_create_response_from_buffer(len, (void *)(uintptr_t)body,
							    MHD_RESPMEM_MUST_COPY));
}

int sk_http_reply_text(struct sk_http_req *req, unsigned status, const char *text)
{
	return sk_http_reply(req, status, "text/plain; charset=utf-8", text, strlen(text));
}

/* Owns @text. */
static int reply_json_text(struct sk_http_req *req, unsigned status, char *text)
{
	struct MHD_Response *response;

	if (!text)
		return -ENOMEM;
	response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (!response)
		free(text);
	return answer_typed(req, status, "application/json", response);
}

int sk_http_reply_json(struct sk_http_req *req, unsigned status, json_t *steals)
{
	_cleanup_json_ json_t *v = steals;

	return reply_json_text(req, status,
			       v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL);
}

int sk_http_reply_empty(struct sk_http_req *req, unsigned status)
{
	return answer_typed(
		req, status, NULL,
		MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT));
}

char *sk_http_error_text(const struct sk_http_req *r, const struct sk_err *e)
{
	_cleanup_json_ json_t *body = NULL;

	if (r->h->config.error_body)
		body = r->h->config.error_body(r, e);
	else
		body = json_pack("{s:s, s:s}", "error", e->slug, "message", e->text);
	/* A sentence that quotes bytes which are not UTF-8 must not cost the whole answer. */
	if (!body)
		body = json_pack("{s:s, s:s}", "error", e->slug, "message", "failed");
	return body ? json_dumps(body, JSON_COMPACT) : NULL;
}

int sk_http_reply_err_status(struct sk_http_req *r, unsigned status, const struct sk_err *e)
{
	return reply_json_text(r, status, sk_http_error_text(r, e));
}

int sk_http_reply_err(struct sk_http_req *req, const struct sk_err *e)
{
	return sk_http_reply_err_status(req, (unsigned)sk_err_http_status(e->slug), e);
}

/*
 * MHD takes no answer while a body is on its way. So this one is written to the socket as it is; the
 * caller goes on reading for a while and then closes.
 */
int sk_http_refuse_raw(struct sk_http_req *r, unsigned status, const struct sk_err *e)
{
	const union MHD_ConnectionInfo *tls =
		MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	_cleanup_free_ char *body = sk_http_error_text(r, e);
	_cleanup_free_ char *text = NULL;

	if (!body)
		return -ENOMEM;
	text = sk_asprintf(
		"HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: application/json\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		status, MHD_get_reason_phrase_for(status), strlen(body), body);
	if (!text)
		return -ENOMEM;
	if (r->h->config.tls_cert_pem && tls) {
		(void)gnutls_record_send(tls->tls_session, text, strlen(text));
		(void)gnutls_bye(tls->tls_session, GNUTLS_SHUT_WR);
	} else {
		(void)send(r->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	(void)shutdown(r->fd, SHUT_WR);
	return 0;
}

int sk_http_add_header(struct sk_http_req *req, const char *name, const char *value)
{
	_cleanup_free_ char *n = NULL, *v = NULL;

	if (req->n_added == HEADERS_ADDED_MAX)
		return -E2BIG;
	n = strdup(name);
	v = strdup(value);
	if (!n || !v)
		return -ENOMEM;
	req->added[req->n_added++] = (struct pair){ TAKE_PTR(n), TAKE_PTR(v) };
	return 0;
}

/*
 * "bytes=A-B", "bytes=A-" or "bytes=-N". Return: 0 with the span; -ENOENT: no range that is to be
 * honoured (several, malformed, another unit): the whole file; -ERANGE: outside of the file.
 */
static int parse_range(const char *s, uint64_t size, uint64_t *ret_from, uint64_t *ret_len)
{
	uint64_t from = 0, to = UINT64_MAX;
	char first[24], last[24];
	size_t dash;

	if (!s || !sk_str_starts(s, "bytes="))
		return -ENOENT;
	s += strlen("bytes=");
	dash = strcspn(s, "-");
	if (s[dash] != '-' || dash >= sizeof(first) || strlen(s + dash + 1) >= sizeof(last))
		return -ENOENT;
	(void)snprintf(first, sizeof(first), "%.*s", (int)dash, s);
	(void)snprintf(last, sizeof(last), "%s", s + dash + 1);
	if ((*first && sk_parse_u64(first, &from) < 0) || (*last && sk_parse_u64(last, &to) < 0) ||
	    (!*first && !*last) || (*first && to < from))
		return -ENOENT;
	if (!*first) { /* the last N bytes */
		from = to < size ? size - to : 0;
		to = to > 0 ? UINT64_MAX : 0;
		if (to == 0)
			return -ERANGE;
	}
	if (from >= size)
		return -ERANGE;
	*ret_from = from;
	*ret_len = SK_MIN(to, size - 1) - from + 1;
	return 0;
}

static int reply_unsatisfiable(struct sk_http_req *r, uint64_t size)
{
	char value[48];

	(void)snprintf(value, sizeof(value), "bytes */%" PRIu64, size);
	(void)sk_http_add_header(r, MHD_HTTP_HEADER_CONTENT_RANGE, value);
	return sk_http_reply_empty(r, MHD_HTTP_RANGE_NOT_SATISFIABLE);
}

/** A file on its way, piece by piece. */
struct span {
	struct sk_http_req *req;
	int fd;
	uint64_t from;
};

static ssize_t read_span(void *arg, uint64_t pos, char *buf, size_t max)
{
	const struct span *s = arg;
	const struct sk_http_config *c = &s->req->h->config;
	ssize_t n;

	if (!c->go_on(s->req, c->arg))
		return MHD_CONTENT_READER_END_WITH_ERROR;
	do
		n = pread(s->fd, buf, max, (off_t)(s->from + pos));
	while (n < 0 && errno == EINTR);
	return n > 0 ? n : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void free_span(void *arg)
{
	struct span *s = arg;

	(void)close(s->fd);
	free(s);
}

/* Owns @fd also when it fails. */
static struct MHD_Response *file_response(struct sk_http_req *r, int fd, uint64_t from,
					  uint64_t len)
{
	struct MHD_Response *response;
	struct span *s = NULL;

	if (!r->h->config.go_on)
		response = MHD_create_response_from_fd_at_offset64(len, fd, from);
	else if ((s = malloc(sizeof(*s)))) {
		*s = (struct span){ r, fd, from };
		response =
			MHD_create_response_from_callback(len, FILE_BLOCK, read_span, s, free_span);
	} else {
		response = NULL;
	}
	if (!response) {
		(void)close(fd);
		free(s);
	}
	return response;
}

static int reply_span(struct sk_http_req *r, int fd, const char *type, uint64_t from, uint64_t len,
		      uint64_t size, bool partial)
{
	struct MHD_Response *response;
	char value[72];

	if (partial) {
		(void)snprintf(value, sizeof(value), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, from,
			       from + len - 1, size);
		(void)sk_http_add_header(r, MHD_HTTP_HEADER_CONTENT_RANGE, value);
	}
	(void)sk_http_add_header(r, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
	response = file_response(r, fd, from, len);
	return answer_typed(r, partial ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK, type, response);
}

int sk_http_reply_fd(struct sk_http_req *req, int fd, const char *type, const char *etag)
{
	_cleanup_close_ int own = fd;
	_cleanup_free_ char *quoted = sk_asprintf("\"%s\"", etag ? etag : "");
	const char *none_match = sk_http_header(req, MHD_HTTP_HEADER_IF_NONE_MATCH);
	const char *if_range = sk_http_header(req, MHD_HTTP_HEADER_IF_RANGE);
	uint64_t from = 0, len;
	struct stat st;
	int r;

	if (!quoted)
		return -ENOMEM;
	if (fstat(own, &st) < 0)
		return -errno;
	if (etag)
		(void)sk_http_add_header(req, MHD_HTTP_HEADER_ETAG, quoted);
	if (etag && none_match && (sk_streq(none_match, quoted) || sk_streq(none_match, "*")))
		return sk_http_reply_empty(req, MHD_HTTP_NOT_MODIFIED);

	len = (uint64_t)st.st_size;
	r = parse_range(sk_http_header(req, MHD_HTTP_HEADER_RANGE), len, &from, &len);
	if (if_range && !(etag && sk_streq(if_range, quoted)))
		r = -ENOENT;
	if (r == -ERANGE)
		return reply_unsatisfiable(req, (uint64_t)st.st_size);
	if (r < 0) {
		from = 0;
		len = (uint64_t)st.st_size;
	}
	return reply_span(req, TAKE_FD(own), type, from, len, (uint64_t)st.st_size, r == 0);
}
