/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "io/http/server_internal.h"

#define BLOCK_SIZE (32 * 1024)

/* All but the constants is under h->lock. Owned by the request; freed when that is over. */
struct sk_http_stream {
	struct sk_http_req *req;
	struct sk_http_stream_ops ops;
	void *arg;
	struct sk_buf buf;
	size_t sent;   /* of buf: already handed to MHD */
	bool parked;   /* nothing to send: MHD does not look at the connection */
	bool ended;    /* by the program; it holds no pointer to this any more */
	bool hung_up;  /* by the peer */
	bool was_full; /* the program waits for writable() */
};

/* What MHD may send now: >0 bytes in @to, 0 after parking, or one of its two ends. */
static ssize_t take(struct sk_http_stream *s, char *to, size_t max)
{
	size_t n = SK_MIN(max, s->buf.len - s->sent);

	if (s->hung_up)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n > 0) {
		memcpy(to, s->buf.data + s->sent, n);
		s->sent += n;
		if (s->sent == s->buf.len) {
			sk_buf_drop(&s->buf, s->sent);
			s->sent = 0;
		}
		return (ssize_t)n;
	}
	if (s->ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (sk_http_park(s->req, 0) < 0)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	s->parked = true;
	return 0;
}

static ssize_t reader(void *cls, uint64_t pos, char *to, size_t max)
{
	struct sk_http_stream *s = cls;
	struct sk_http *h = s->req->h;
	bool drained;
	ssize_t n;

	pthread_mutex_lock(&h->lock);
	drained = s->was_full && s->sent == 0 && s->buf.len == 0 && !s->ended;
	s->was_full = s->was_full && !drained;
	pthread_mutex_unlock(&h->lock);
	if (drained && s->ops.writable)
		s->ops.writable(s, s->arg);

	pthread_mutex_lock(&h->lock);
	n = take(s, to, max);
	pthread_mutex_unlock(&h->lock);
	return n;
}

int sk_http_reply_stream(struct sk_http_req *req, unsigned status, const char *type,
			 size_t buffer_max, const struct sk_http_stream_ops *ops, void *arg,
			 struct sk_http_stream **ret)
{
	struct sk_http_stream *s = calloc(1, sizeof(*s));
	struct MHD_Response *response;

	if (!s)
		return -ENOMEM;
	s->req = req;
	s->buf.max = buffer_max;
	if (ops)
		s->ops = *ops;
	s->arg = arg;
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, reader, s, NULL);
	if (!response ||
	    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_NO) {
		if (response)
			MHD_destroy_response(response);
		free(s);
		return -ENOMEM;
	}
	req->stream = s;
	*ret = s;
	return sk_http_answer(req, status, response);
}

static void wake(struct sk_http_stream *s)
{
	if (!s->parked)
		return;
	s->parked = false;
	sk_http_unpark(s->req);
}

int sk_http_stream_write(struct sk_http_stream *s, const void *data, size_t len)
{
	struct sk_http *h = s->req->h;
	int r;

	pthread_mutex_lock(&h->lock);
	/* What MHD has taken makes room; moving it out each time would cost more than it brings. */
	if (s->sent > 0 && s->buf.len + len > s->buf.max) {
		sk_buf_drop(&s->buf, s->sent);
		s->sent = 0;
	}
	r = sk_buf_add(&s->buf, data, len);
	if (r == -EMSGSIZE) {
		s->was_full = true;
		r = -EAGAIN;
	}
	wake(s);
	pthread_mutex_unlock(&h->lock);
	return r;
}

void sk_http_stream_end(struct sk_http_stream *s)
{
	struct sk_http *h = s->req->h;

	pthread_mutex_lock(&h->lock);
	s->ended = true;
	wake(s);
	pthread_mutex_unlock(&h->lock);
}

void sk_http_stream_hang_up(struct sk_http_stream *s)
{
	s->hung_up = true;
	wake(s);
}

void sk_http_stream_over(struct sk_http_stream *s)
{
	if (!s->ended && s->ops.gone)
		s->ops.gone(s, s->arg);
	sk_buf_done(&s->buf);
	free(s);
}
