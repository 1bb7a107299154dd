/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * A blocking HTTP client over libcurl: the command line and the agent. One handle keeps its
 * connection alive and belongs to one thread at a time. Redirects are not followed.
 */
struct sk_http_client;

/**
 * struct sk_http_client_config
 * @base_url:    "https://hub.example:8443"; for a UNIX socket "http://skerry"
 * @unix_socket: path, or NULL
 * @ca_file:     PEM of the only authorities to trust, or NULL for the system's
 * @bearer:      token for Authorization, or NULL; sk_http_client_set_bearer() changes it
 * Strings are copied.
 */
struct sk_http_client_config {
	const char *base_url;
	const char *unix_socket;
	const char *ca_file;
	const char *bearer;
	uint64_t connect_timeout_ms;  /* default 10 s */
	uint64_t low_speed_timeout_s; /* a transfer under 1 byte/s for so long fails; default 60;
				       * not for calls that have a timeout_ms of their own */
};

int sk_http_client_new(const struct sk_http_client_config *config, struct sk_http_client **ret,
		       struct sk_err *err);
void sk_http_client_free(struct sk_http_client *c);
SK_DEFINE_CLEANUP(struct sk_http_client, sk_http_client_free);
int sk_http_client_set_bearer(struct sk_http_client *c, const char *token);
/** sk_http_client_share_bearer() - the token that @from has now. */
int sk_http_client_share_bearer(struct sk_http_client *c, const struct sk_http_client *from);

/**
 * struct sk_http_call - one request and its answer
 * @method, @path: "PUT", "/skerry/v1/images/…?offset=4096" (encoded; goes behind the base URL)
 * @headers:    "Name: value", NULL-terminated, or NULL
 * @json:       body; borrowed
 * @data, @len: body
 * @body_fd:    body: @body_len bytes from its present offset on; a pipe may end early, which
 *              cuts the connection (the server then sees an upload that stopped)
 * @read:       body: @body_len bytes, or with 0 as many as it gives (chunked); a length of 0 ends it
 * @answer_max: most bytes kept in @answer
 * @write:      takes the body of a 2xx answer piece by piece instead of @answer; @status is set then
 * @progress:   may be NULL; bytes of the body going up, or else coming down; non-zero aborts
 * @timeout_ms: of the whole call, 0 for none
 * @status:     answer's status; 0 when there was none
 * @etag:       without its quotes
 *
 * At most one kind of body. A callback's failure is a negative errno, which the call then returns.
 */
struct sk_http_call {
	const char *method;
	const char *path;
	const char *const *headers;
	json_t *json;
	const void *data;
	size_t len;
	const char *content_type;
	int body_fd;
	uint64_t body_len;
	size_t answer_max;
	int (*read)(void *arg, void *buf, size_t size, size_t *ret_len);
	int (*write)(void *arg, const void *data, size_t len);
	int (*progress)(void *arg, uint64_t now_bytes, uint64_t total_bytes);
	void *arg;
	uint64_t timeout_ms;

	long status;
	struct sk_buf answer;
	char etag[96];
};
#define SK_HTTP_CALL(...) \
	((struct sk_http_call){ .body_fd = -1, .answer_max = 4 * 1024 * 1024, __VA_ARGS__ })
void sk_http_call_done(struct sk_http_call *call);
#define _cleanup_http_call_ _cleanup_(sk_http_call_done)

/**
 * sk_http_call() - do it
 * Return: 0 for a 2xx or 3xx; otherwise a failure whose slug and text are those of the server's
 * {"error", "message"} where it sent one; "unreachable", "untrusted" (TLS) or "timeout" where it
 * did not. The code of an answered failure follows its status: -EINVAL 400, -EACCES 401 and 403,
 * -ENOENT 404, -EBUSY 409, -EFBIG 413, -EAGAIN 429, -EOPNOTSUPP 501, -ENOSPC 507, else -EREMOTEIO.
 */
int sk_http_call(struct sk_http_client *c, struct sk_http_call *call, struct sk_err *err);

/**
 * sk_http_call_json() - request with optional JSON body, answer parsed
 * @ret: new reference, NULL for an empty answer (204); may be NULL
 */
int sk_http_call_json(struct sk_http_client *c, const char *method, const char *path, json_t *body,
		      json_t **ret, struct sk_err *err);
