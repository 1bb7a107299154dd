/* SPDX-License-Identifier: Apache-2.0 */
#include "io/http/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/str.h"
#include "base/text.h"
#include "io/json.h"

#define CONNECT_TIMEOUT_MS  10000
#define LOW_SPEED_TIMEOUT_S 60
#define ERROR_BODY_MAX	    (64u << 10)

struct sk_http_client {
	CURL *curl;
	char *base_url;
	char *unix_socket;
	char *ca_file;
	char *bearer; /* whole header line, or NULL */
	uint64_t connect_timeout_ms;
	uint64_t low_speed_timeout_s;
};

/* One call while it runs. */
struct running {
	struct sk_http_client *client;
	struct sk_http_call *call;
	struct curl_slist *headers;
	char *json;
	uint64_t body_left;
	int failure; /* of a callback; first one wins */
	bool too_large;
	struct sk_buf error_body;
	char why[CURL_ERROR_SIZE];
};

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_result;

static void global_init(void)
{
	global_result = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int copy_string(const char *from, char **to)
{
	if (!from)
		return 0;
	*to = strdup(from);
	return *to ? 0 : -ENOMEM;
}

int sk_http_client_set_bearer(struct sk_http_client *c, const char *token)
{
	char *line = NULL;

	if (token && strpbrk(token, "\r\n"))
		return -EINVAL;
	if (token) {
		line = sk_asprintf("Authorization: Bearer %s", token);
		if (!line)
			return -ENOMEM;
	}
	free(c->bearer);
	c->bearer = line;
	return 0;
}

int sk_http_client_share_bearer(struct sk_http_client *c, const struct sk_http_client *from)
{
	char *line = NULL;

	if (copy_string(from->bearer, &line) < 0)
		return -ENOMEM;
	free(c->bearer);
	c->bearer = line;
	return 0;
}

int sk_http_client_new(const struct sk_http_client_config *config, struct sk_http_client **ret,
		       struct sk_err *err)
{
	_cleanup_(sk_http_client_freep) struct sk_http_client *c = NULL;

	if (!sk_str_starts(config->base_url, "http://") &&
	    !sk_str_starts(config->base_url, "https://"))
		return sk_err_set(err, -EINVAL, "bad-value",
				  "\"%s\" is not an address: it must start with https://",
				  config->base_url);
	(void)pthread_once(&global_once, global_init);
	c = calloc(1, sizeof(*c));
	if (!c || global_result != CURLE_OK)
		return sk_err_oom(err);
	c->curl = curl_easy_init();
	if (!c->curl || copy_string(config->base_url, &c->base_url) < 0 ||
	    copy_string(config->unix_socket, &c->unix_socket) < 0 ||
	    copy_string(config->ca_file, &c->ca_file) < 0)
		return sk_err_oom(err);
	if (sk_http_client_set_bearer(c, config->bearer) < 0)
		return sk_err_set(err, -EINVAL, "bad-value", "the token is malformed");
	c->connect_timeout_ms = config->connect_timeout_ms ?: CONNECT_TIMEOUT_MS;
	c->low_speed_timeout_s = config->low_speed_timeout_s ?: LOW_SPEED_TIMEOUT_S;
	for (size_t n = strlen(c->base_url); n > 0 && c->base_url[n - 1] == '/'; n--)
		c->base_url[n - 1] = '\0';
	*ret = TAKE_PTR(c);
	return 0;
}

void sk_http_client_free(struct sk_http_client *c)
{
	if (!c)
		return;
	if (c->curl)
		curl_easy_cleanup(c->curl);
	free(c->base_url);
	free(c->unix_socket);
	free(c->ca_file);
	free(c->bearer);
	free(c);
}

void sk_http_call_done(struct sk_http_call *call)
{
	sk_buf_done(&call->answer);
}

/* "ETag: \"abc\"", perhaps weak: what stands between the quotes. */
static void take_etag(struct sk_http_call *call, const char *value, size_t len)
{
	const char *open = memchr(value, '"', len);
	const char *close = open ? memchr(open + 1, '"', len - (size_t)(open + 1 - value)) : NULL;

	if (!close || (size_t)(close - open) > sizeof(call->etag))
		return;
	memcpy(call->etag, open + 1, (size_t)(close - open - 1));
	call->etag[close - open - 1] = '\0';
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
	struct running *run = arg;
	size_t len = size * n;

	/* A status line starts an answer; after "100 Continue" there comes another one. */
	if (len > 5 && memcmp(data, "HTTP/", 5) == 0)
		(void)curl_easy_getinfo(run->client->curl, CURLINFO_RESPONSE_CODE,
					&run->call->status);
	else if (len > 5 && strncasecmp(data, "etag:", 5) == 0)
		take_etag(run->call, data + 5, len - 5);
	return len;
}

static size_t client_fail(struct running *run, int code, size_t ret)
{
	if (run->failure == 0)
		run->failure = code;
	return ret;
}

static size_t on_answer(char *data, size_t size, size_t n, void *arg)
{
	struct running *run = arg;
	struct sk_http_call *call = run->call;
	size_t len = size * n;
	int r;

	if (call->status >= 400) {
		/* The body of a failure only explains it: past the bound the rest is dropped. */
		if (sk_buf_add(&run->error_body, data, len) < 0)
			sk_debug("long error body from %s cut", run->client->base_url);
		return len;
	}
	if (call->write && call->status / 100 == 2)
		r = call->write(call->arg, data, len);
	else
		r = sk_buf_add(&call->answer, data, len);
	if (r >= 0)
		return len;
	run->too_large = r == -EMSGSIZE;
	return client_fail(run, r, len + 1);
}

static ssize_t read_body_fd(struct running *run, char *buf, size_t size)
{
	ssize_t n;

	do
		n = read(run->call->body_fd, buf, size);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static size_t give_request_body(char *buf, size_t size, size_t n, void *arg)
{
	struct running *run = arg;
	struct sk_http_call *call = run->call;
	size_t room = size * n, got = 0;
	ssize_t r;

	if (call->body_len > 0 || !call->read)
		room = SK_MIN(room, run->body_left);
	if (room == 0)
		return 0;
	if (call->read) {
		r = call->read(call->arg, buf, room, &got);
	} else {
		r = read_body_fd(run, buf, room);
		got = r > 0 ? (size_t)r : 0;
	}
	if (r < 0)
		return client_fail(run, (int)r, CURL_READFUNC_ABORT);
	/* The source ended before the announced length: cut the connection, or the peer waits for the rest. */
	if (got == 0 && run->body_left > 0)
		return client_fail(run, -ENODATA, CURL_READFUNC_ABORT);
	run->body_left -= SK_MIN(run->body_left, got);
	return got;
}

static int on_progress(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
		       curl_off_t up)
{
	struct running *run = arg;
	bool uploading = up_total > 0 || up > 0;
	int r;

	r = run->call->progress(run->call->arg, (uint64_t)(uploading ? up : down),
				(uint64_t)(uploading ? up_total : down_total));
	if (r != 0)
		client_fail(run, r < 0 ? r : -ECANCELED, 0);
	return r;
}

static int add_header(struct running *run, const char *line)
{
	struct curl_slist *grown = curl_slist_append(run->headers, line);

	if (!grown)
		return -ENOMEM;
	run->headers = grown;
	return 0;
}

static int add_headers(struct running *run)
{
	const struct sk_http_call *call = run->call;
	const char *type = call->content_type;
	char line[160];
	int r = 0;

	if (!type && (call->json || call->data || call->body_fd >= 0 || call->read))
		type = call->json ? "application/json" : "application/octet-stream";
	if (type) {
		(void)snprintf(line, sizeof(line), "Content-Type: %s", type);
		r = add_header(run, line);
	}
	if (r == 0 && run->client->bearer)
		r = add_header(run, run->client->bearer);
	for (const char *const *h = call->headers; r == 0 && h && *h; h++)
		r = add_header(run, *h);
	return r;
}

static void set_memory_body(CURL *curl, const char *method, const void *data, size_t len)
{
	curl_easy_setopt(curl, CURLOPT_POST, 1L);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, data);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
}

static int set_body(struct running *run)
{
	struct sk_http_call *call = run->call;
	CURL *curl = run->client->curl;

	if (call->json) {
		run->json = json_dumps(call->json, JSON_COMPACT);
		if (!run->json)
			return -ENOMEM;
		set_memory_body(curl, call->method, run->json, strlen(run->json));
	} else if (call->data) {
		set_memory_body(curl, call->method, call->data, call->len);
	} else if (call->read || call->body_fd >= 0) {
		bool chunked = call->read && call->body_len == 0;

		run->body_left = call->body_len;
		curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_request_body);
		curl_easy_setopt(curl, CURLOPT_READDATA, run);
		curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE,
				 chunked ? (curl_off_t)-1 : (curl_off_t)call->body_len);
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
	} else if (sk_streq(call->method, "HEAD")) {
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	} else if (sk_streq(call->method, "POST") || sk_streq(call->method, "PUT")) {
		set_memory_body(curl, call->method, "", 0); /* says Content-Length: 0 */
	} else {
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
	}
	return 0;
}

static void set_peer(struct sk_http_client *c)
{
	if (c->unix_socket) {
		curl_easy_setopt(c->curl, CURLOPT_UNIX_SOCKET_PATH, c->unix_socket);
		curl_easy_setopt(c->curl, CURLOPT_PROXY, "");
	}
	if (c->ca_file) {
		/* The built-in folder of the system's authorities would be believed as well. */
		curl_easy_setopt(c->curl, CURLOPT_CAPATH, NULL);
		curl_easy_setopt(c->curl, CURLOPT_CAINFO, c->ca_file);
	}
	curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "skerry/" SK_VERSION);
	curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)c->connect_timeout_ms);
	curl_easy_setopt(c->curl, CURLOPT_TCP_KEEPALIVE, 1L);
}

static void set_answer(struct running *run)
{
	CURL *curl = run->client->curl;

	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, run);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, run);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, run->why);
	if (run->call->timeout_ms) {
		curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)run->call->timeout_ms);
	} else {
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
				 (long)run->client->low_speed_timeout_s);
	}
	if (run->call->progress) {
		curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
		curl_easy_setopt(curl, CURLOPT_XFERINFODATA, run);
	}
}

static int setup(struct running *run, struct sk_err *err)
{
	struct sk_http_client *c = run->client;
	_cleanup_free_ char *url = sk_asprintf("%s%s", c->base_url, run->call->path);

	if (!url)
		return sk_err_oom(err);
	curl_easy_reset(c->curl); /* keeps the connection */
	if (curl_easy_setopt(c->curl, CURLOPT_URL, url) != CURLE_OK || add_headers(run) < 0 ||
	    set_body(run) < 0)
		return sk_err_oom(err);
	set_peer(c);
	set_answer(run);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, run->headers);
	return 0;
}

static const char *peer_name(const struct sk_http_client *c)
{
	return c->unix_socket ?: c->base_url;
}

/* libcurl speaks of ports and host names, which a socket has not. */
static const char *connect_error(const struct sk_http_client *c)
{
	long code = 0;

	(void)curl_easy_getinfo(c->curl, CURLINFO_OS_ERRNO, &code);
	return code ? strerror((int)code) : "nobody answers there";
}

/* There was no (whole) answer: why not? */
static int report_no_answer(const struct running *run, CURLcode code, struct sk_err *err)
{
	const char *peer = peer_name(run->client);
	const char *why = run->why[0] ? run->why : curl_easy_strerror(code);

	if (run->too_large)
		return sk_err_set(err, -EFBIG, "too-large", "%s answered more than expected", peer);
	if (run->failure)
		return sk_err_set(err, run->failure, "io", "the transfer with %s was stopped: %s",
				  peer, strerror(-run->failure));
	if (code == CURLE_OUT_OF_MEMORY)
		return sk_err_oom(err);
	if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
	    code == CURLE_SSL_ISSUER_ERROR)
		return sk_err_set(err, -EKEYREJECTED, "untrusted",
				  "%s is not who it claims to be: %s", peer, why);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return sk_err_set(err, -ETIMEDOUT, "timeout", "no answer from %s: %s", peer, why);
	if (code == CURLE_URL_MALFORMAT)
		return sk_err_set(err, -EINVAL, "bad-value", "address %s: %s", peer, why);
	if (run->client->unix_socket && code == CURLE_COULDNT_CONNECT)
		why = connect_error(run->client);
	return sk_err_set(err, -EHOSTUNREACH, "unreachable", "cannot reach %s: %s", peer, why);
}

static const struct {
	short status;
	short code;
	const char *slug; /* when the server names none that is known here */
} statuses[] = {
	{ 400, EINVAL, "bad-request" },	      { 401, EACCES, "unauthorized" },
	{ 403, EACCES, "forbidden" },	      { 404, ENOENT, "not-found" },
	{ 408, ETIMEDOUT, "timeout" },	      { 409, EBUSY, "bad-state" },
	{ 413, EFBIG, "too-large" },	      { 429, EAGAIN, "too-many" },
	{ 501, EOPNOTSUPP, "not-supported" }, { 504, ETIMEDOUT, "timeout" },
	{ 507, ENOSPC, "no-space" },
};

static int report_status(const struct running *run, struct sk_err *err)
{
	long status = run->call->status;
	_cleanup_json_ json_t *body = NULL;
	const char *slug = NULL, *text = NULL, *fallback = "internal";
	int code = -EREMOTEIO;

	if (run->error_body.len > 0 &&
	    sk_json_parse(run->error_body.data, run->error_body.len, &body, NULL) == 0) {
		slug = json_string_value(json_object_get(body, "error"));
		text = json_string_value(json_object_get(body, "message"));
	}
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		if (statuses[i].status == status) {
			code = -statuses[i].code;
			fallback = statuses[i].slug;
		}
	}
	if (!slug || !sk_err_slug_known(slug))
		slug = fallback;
	if (text)
		(void)sk_err_set(err, code, slug, "%s", text);
	else
		(void)sk_err_set(err, code, slug, "%s answered %ld to %s %s",
				 peer_name(run->client), status, run->call->method,
				 run->call->path);
	/* The peer's sentence ends up on terminals and in logs. */
	if (err)
		sk_text_clean(err->text, "");
	return code;
}

static void running_done(struct running *run)
{
	/* Nothing of this call may stay in the handle. */
	curl_easy_reset(run->client->curl);
	curl_slist_free_all(run->headers);
	free(run->json);
	sk_buf_done(&run->error_body);
}

int sk_http_call(struct sk_http_client *c, struct sk_http_call *call, struct sk_err *err)
{
	struct running run = { .client = c, .call = call, .error_body = SK_BUF(ERROR_BODY_MAX) };
	CURLcode code;
	int r;

	sk_buf_done(&call->answer);
	call->answer = SK_BUF(call->answer_max);
	call->status = 0;
	call->etag[0] = '\0';
	r = setup(&run, err);
	if (r == 0) {
		code = curl_easy_perform(c->curl);
		if (call->status < 200)
			call->status = 0; /* "100 Continue" is no answer */
		if (code != CURLE_OK && call->status < 400)
			r = report_no_answer(&run, code, err);
		else if (call->status >= 400)
			r = report_status(&run, err);
	}
	running_done(&run);
	return r;
}

int sk_http_call_json(struct sk_http_client *c, const char *method, const char *path, json_t *body,
		      json_t **ret, struct sk_err *err)
{
	_cleanup_http_call_ struct sk_http_call call =
		SK_HTTP_CALL(.method = method, .path = path, .json = body);
	int r;

	if (ret)
		*ret = NULL;
	r = sk_http_call(c, &call, err);
	if (r < 0 || !ret || call.answer.len == 0)
		return r;
	r = sk_json_parse(call.answer.data, call.answer.len, ret, err);
	if (r < 0)
		return sk_err_prefix(err, "answer of %s", peer_name(c));
	return 0;
}
